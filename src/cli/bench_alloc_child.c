/* SPDX-License-Identifier: BSD-2-Clause */
/* One process: started, waited for, ended where it takes too long. */
#define _GNU_SOURCE
#include "cli/bench_alloc.h"
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OUTPUT_MAX ((off_t)1 << 20) /* what is more is not read */
#define NS_PER_S UINT64_C(1000000000)

/* ---- signals ------------------------------------------------------------------------- */

/* Those that are waited for instead of being delivered, and what was blocked before. */
static sigset_t awaited, before;

void child_prepare(void)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP};

	signal(SIGCHLD, SIG_DFL); /* where it is ignored, there is nothing to wait for */
	sigemptyset(&awaited);
	sigaddset(&awaited, SIGCHLD);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct sigaction action;

		if (sigaction(ends[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(&awaited, ends[i]);
	}
	sigprocmask(SIG_BLOCK, &awaited, &before);
}

/* Kills all of a child's group; it may be that the child is ending just now. */
static void end_group(pid_t pid)
{
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
}

static _Noreturn void end_by(int number, pid_t pid)
{
	end_group(pid);
	os_reap(pid);
	signal(number, SIG_DFL);
	raise(number);
	sigprocmask(SIG_SETMASK, &before, NULL);
	_exit(128 + number); /* not reached, unless it was blocked before */
}

/* Waits for the end of a child, which stays to be reaped. False: it takes too long. */
static bool wait_for(pid_t pid, uint64_t deadline)
{
	for (;;) {
		siginfo_t info = {0};
		uint64_t now = os_clock_ns(), left = deadline > now ? deadline - now : 0;
		struct timespec t = {.tv_sec = (time_t)(left / NS_PER_S), .tv_nsec = (long)(left % NS_PER_S)};
		int number;

		if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid)
			return true;
		if (left == 0)
			return false;
		number = sigtimedwait(&awaited, NULL, &t);
		if (number > 0 && number != SIGCHLD)
			end_by(number, pid);
	}
}

/* ---- in the child ---------------------------------------------------------------------- */

static bool set_environment(const struct child_task *t)
{
	const char *equals;
	char *name;

	unsetenv("LD_PRELOAD");
	unsetenv("MALLOC_CONF");
	if (t->library != NULL && setenv("LD_PRELOAD", t->library, 1) != 0)
		return false;
	if (t->setting == NULL || (equals = strchr(t->setting, '=')) == NULL)
		return true;
	name = strndup(t->setting, (size_t)(equals - t->setting));
	return name != NULL && setenv(name, equals + 1, 1) == 0;
}

static _Noreturn void be_child(const struct child_task *t, int go, int output, int messages)
{
	int null = open("/dev/null", O_RDWR);

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(null, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(messages, STDERR_FILENO);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (os_wait_byte(go) != 1)
		_exit(CLI_FAILURE); /* nobody is there any more */
	if (t->call != NULL) {
		t->call(t->context);
		_exit(0);
	}
	if (set_environment(t))
		execv(t->argv[0], t->argv);
	dprintf(STDERR_FILENO, "%s: %s\n", t->argv[0], strerror(errno));
	_exit(CLI_NOT_FOUND);
}

/* ---- outside ---------------------------------------------------------------------------- */

/* What is in a file, as a string. */
static char *read_back(int fd)
{
	struct stat st;
	off_t size = fstat(fd, &st) == 0 ? st.st_size : 0;
	char *text;

	size = size < OUTPUT_MAX ? size : OUTPUT_MAX;
	text = bench_allocate((size_t)size + 1, 1);
	if (size > 0 && os_read_at(fd, 0, text, (size_t)size) != 0)
		text[0] = '\0';
	return text;
}

static double milliseconds(const struct timeval *t)
{
	return (double)t->tv_sec * 1e3 + (double)t->tv_usec / 1e3;
}

/* Waits, ends what is left of the group, and notes what it took. The child is reaped last:
 * until then its number is nobody else's. */
static void finish(pid_t pid, const struct child_task *t, uint64_t begin, struct child_result *r)
{
	struct rusage used = {0};

	r->timed_out = !wait_for(pid, begin + t->timeout * NS_PER_S);
	r->ns = os_clock_ns() - begin;
	end_group(pid);
	while (wait4(pid, &r->status, 0, &used) < 0 && errno == EINTR)
		;
	r->cpu_ms = milliseconds(&used.ru_utime) + milliseconds(&used.ru_stime);
	r->peak_kib = (double)used.ru_maxrss;
	r->faults = (double)used.ru_minflt + (double)used.ru_majflt;
}

/* The child waits until the counter counts it. */
static int start_and_wait(const struct child_task *t, int go[2], int output, int messages,
                          struct child_result *r)
{
	uint64_t begin;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		close(go[1]);
		be_child(t, go[0], output, messages);
	}
	setpgid(pid, pid); /* whoever of the two is the first */
	if (t->instructions != NULL)
		*t->instructions = count_open(pid);
	begin = os_clock_ns();
	(void)os_write_all(go[1], "", 1);
	finish(pid, t, begin, r);
	return 0;
}

int child_run(const struct child_task *t, struct child_result *r)
{
	struct os_file output = {.fd = -1}, messages = {.fd = -1};
	int go[2], error;

	*r = (struct child_result){0};
	error = os_pipe(go);
	if (error != 0)
		return error;
	error = os_memfd("output", 0, &output);
	if (error == 0)
		error = os_memfd("messages", 0, &messages);
	if (error == 0)
		error = start_and_wait(t, go, output.fd, messages.fd, r);
	if (error == 0) {
		r->output = read_back(output.fd);
		r->messages = read_back(messages.fd);
	}
	os_close_file(&output);
	os_close_file(&messages);
	os_close_fd(go[0]);
	os_close_fd(go[1]);
	return error;
}

void child_free(struct child_result *r)
{
	free(r->output);
	free(r->messages);
	r->output = r->messages = NULL;
}

/* The last line that there is. */
static const char *last_line(char *text)
{
	size_t length = strlen(text);
	char *newline;

	while (length > 0 && text[length - 1] == '\n')
		text[--length] = '\0';
	newline = strrchr(text, '\n');
	return newline == NULL ? text : newline + 1;
}

bool child_failed(const struct child_result *r, unsigned timeout, char *text, size_t capacity)
{
	struct text t;

	text_init(&t, text, capacity);
	if (r->timed_out)
		text_add(&t, "not done after %u s", timeout);
	else if (WIFSIGNALED(r->status))
		text_add(&t, "ended by signal %d (%s)", WTERMSIG(r->status), strsignal(WTERMSIG(r->status)));
	else if (WEXITSTATUS(r->status) != 0)
		text_add(&t, "exit status %d", WEXITSTATUS(r->status));
	else
		return false;
	if (r->messages != NULL && r->messages[0] != '\0')
		text_add(&t, ": %s", last_line(r->messages));
	return true;
}
