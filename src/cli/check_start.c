/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check: whether the drop-in starts here. It is tried, on this command itself: whatever
 * keeps it from starting shows, also what nobody thought of.
 */
#define _GNU_SOURCE
#include "cli/check.h"
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PREFIX "sparena: "

/* In the child: `sparena --version` with the library in front. Does not return. */
static void start(const char *library, const char *options, int messages)
{
	int null = open("/dev/null", O_RDWR);

	if (null >= 0)
		dup2(null, STDOUT_FILENO);
	dup2(messages, STDERR_FILENO);
	if (setenv("LD_PRELOAD", library, 1) == 0 && setenv("SPARENA_CONF", options, 1) == 0)
		execl("/proc/self/exe", "sparena", "--version", (char *)NULL);
	dprintf(STDERR_FILENO, "%s\n", strerror(errno));
	_exit(CLI_CANNOT_RUN);
}

/* What it says, to its end; cut where it does not fit. */
static void read_all(int fd, char *text, size_t capacity)
{
	size_t used = 0;
	char rest[256];

	for (;;) {
		bool full = used == capacity - 1;
		ssize_t n = read(fd, full ? rest : text + used, full ? sizeof(rest) : capacity - 1 - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		used += full ? 0 : (size_t)n;
	}
	text[used] = '\0';
}

/* Runs the trial. Returns its wait status, or -errno when there was none. */
static int try_start(const char *library, const char *options, char *said, size_t capacity)
{
	int pipes[2], status = 0, error;
	pid_t child;

	if (pipe2(pipes, O_CLOEXEC) != 0)
		return -errno;
	child = fork();
	error = errno;
	if (child == 0)
		start(library, options, pipes[1]);
	close(pipes[1]);
	read_all(pipes[0], said, capacity);
	close(pipes[0]);
	if (child < 0)
		return -error;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* Those options that decide how it starts; never those that write files. */
static void options_of(const struct conf *c, bool valid, char text[REPORT_TEXT_MAX])
{
	char size[SIZE_TEXT_MAX];
	struct text t;

	text_init(&t, text, REPORT_TEXT_MAX);
	text_add(&t, "log:true");
	if (!valid)
		return;
	if (c->limit != CONF_UNLIMITED) {
		size_format(c->limit, size);
		text_add(&t, ",limit:%s", size);
	}
	if (c->reserve != CONF_AUTO) {
		size_format(c->reserve, size);
		text_add(&t, ",reserve:%s", size);
	}
}

/* Its first line, without the name in front. */
static const char *first_line(char *said)
{
	said[strcspn(said, "\n")] = '\0';
	return strncmp(said, PREFIX, strlen(PREFIX)) == 0 ? said + strlen(PREFIX) : said;
}

static const char *likely_fix(const struct check *c)
{
	if (c->raise_data[0] != '\0')
		return c->raise_data;
	if (c->raise_as[0] != '\0')
		return c->raise_as;
	return c->probe.overcommit == 2 ? "sysctl vm.overcommit_memory=0" : NULL;
}

static void add_trial(struct check *c, const char *library)
{
	char options[REPORT_TEXT_MAX], said[REPORT_TEXT_MAX] = "", ended[64];
	const char *line;
	int status;

	options_of(&c->conf, c->options_given && c->options_valid, options);
	status = try_start(library, options, said, sizeof(said));
	line = first_line(said);
	if (status < 0) {
		report_add(&c->report, "drop-in", REPORT_NOTE, "not tried", strerror(-status), NULL);
		return;
	}
	if (status == 0 && strncmp(line, "limit ", 6) == 0) {
		report_add(&c->report, "drop-in", REPORT_OK, line, "it was tried, and starts", NULL);
		return;
	}
	if (line[0] == '\0') {
		snprintf(ended, sizeof(ended), "a program with it ended with status %#x and said nothing",
		         status);
		line = ended;
	}
	report_add(&c->report, "drop-in", REPORT_PROBLEM, line, "it was tried, and does not start",
	           likely_fix(c));
}

void check_start(struct check *c)
{
	const char *library = cli_look_for_library();

	if (library == NULL)
		report_add(&c->report, "drop-in", REPORT_NOTE, "not found",
		           "the drop-in library is neither beside this command nor in the lib directory that "
		           "belongs to it",
		           NULL);
	else if (!cli_can_preload(library))
		report_add(&c->report, "drop-in", REPORT_NOTE, library,
		           "LD_PRELOAD has no way to name a path with a space or a colon in it", NULL);
	else
		add_trial(c, library);
}
