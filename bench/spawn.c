/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spawn ROUNDS NAME WHO [VARIABLE=VALUE]... [WHO ...] -- COMMAND...: a process of the command
 * for each WHO in each round, there and back again, with those variables beside the
 * environment's. Prints "NAME/us WHO microseconds" from before it is started to its end, and
 * "NAME/peak WHO KiB", the most that was resident. Output of the command is dropped.
 */
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "bench.h"

#define MOST_WHO 16
#define MOST_VARIABLES 256

extern char **environ;

struct who {
	const char *name;
	char *environment[MOST_VARIABLES];
	size_t variables;
};

static struct who whos[MOST_WHO];
static size_t who_count;

static void add_variable(struct who *w, char *text)
{
	if (w->variables + 1 >= MOST_VARIABLES)
		bench_die("too many variables");
	w->environment[w->variables++] = text;
}

static void add_who(const char *name)
{
	if (who_count == MOST_WHO)
		bench_die("too many of them");
	whos[who_count++].name = name;
}

/* Those of the process behind its own: the first of a name counts. */
static char **read_arguments(char **argv)
{
	for (; *argv && strcmp(*argv, "--"); argv++)
		if (!strchr(*argv, '='))
			add_who(*argv);
		else if (who_count)
			add_variable(&whos[who_count - 1], *argv);
	for (size_t i = 0; i < who_count; i++)
		for (char **v = environ; *v; v++)
			add_variable(&whos[i], *v);
	return *argv && argv[1] ? argv + 1 : NULL;
}

static void run(const char *name, struct who *w, char **command, bool counts)
{
	static posix_spawn_file_actions_t actions;
	static bool ready;
	if (!ready) {
		posix_spawn_file_actions_init(&actions);
		posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
		ready = true;
	}
	pid_t pid;
	int status;
	struct rusage used;
	double start = bench_ns();
	errno = posix_spawnp(&pid, command[0], &actions, NULL, command, w->environment);
	if (errno || wait4(pid, &status, 0, &used) != pid)
		bench_die(command[0]);
	double took = bench_ns() - start;
	if (status) {
		dprintf(STDERR_FILENO, "bench: %s: %s ended with %d\n", w->name, command[0], status);
		_exit(1);
	}
	if (counts)
		printf("%s/us %s %.1f\n%s/peak %s %ld\n", name, w->name, took / 1000, name, w->name, used.ru_maxrss);
}

int main(int argc, char **argv)
{
	char **command = argc > 4 ? read_arguments(argv + 3) : NULL;
	if (!command || !who_count)
		return 2;
	size_t rounds = bench_number(argv[1]);
	for (size_t i = 0; i < who_count; i++)
		run(argv[2], &whos[i], command, false); /* its files are in memory afterwards */
	for (size_t round = 0; round < rounds; round++)
		for (size_t i = 0; i < who_count; i++)
			run(argv[2], &whos[round % 2 ? who_count - 1 - i : i], command, true);
	return fflush(stdout) ? 1 : 0;
}
