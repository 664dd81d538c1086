/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "os/os.h"
#include "points.h"

#define MOST_CALLS 128
#define MOST_SCENARIOS 32
#define RUN_SECONDS 20
#define LATER_ERRORS 2   /* errors from this one on... */
#define LATER_STRIDE 5   /* ...come at so much fewer places */

static const char *const lasts_name[LASTS] = { "once", "for good" };

struct point point;
int points_output = STDERR_FILENO;

/* Shared with all processes of a run, since a scenario may fork. */
static struct {
	unsigned at_point;         /* calls that the point could be at */
	unsigned made[MOST_CALLS];
} *seen;

/* In this thread. */
static __thread unsigned looking;

void look_begin(void) { looking++; }
void look_end(void) { looking--; }

int fails(unsigned which)
{
	if (looking || !seen)
		return 0;
	__atomic_add_fetch(&seen->made[which], 1, __ATOMIC_RELAXED);
	if (point.which != which && point.which != ALL_CALLS)
		return 0;
	unsigned now = __atomic_add_fetch(&seen->at_point, 1, __ATOMIC_RELAXED);
	if (!point.at || now < point.at || (point.lasts == ONCE && now > point.at))
		return 0;
	return -(point.which == ALL_CALLS ? calls[which].errors[0] : point.error);
}

size_t address_space(void)
{
	char text[8192];
	size_t bytes = 0;
	look_begin();
	MUST(os_read_file("/proc/self/status", text, sizeof text, NULL) == 0);
	MUST(os_field_bytes(text, "VmSize", &bytes) == 0);
	look_end();
	return bytes;
}

/* Without opendir(3), which allocates. */
size_t entries_of(const char *path)
{
	char buffer[4096];
	size_t count = 0;
	look_begin();
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MUST(fd >= 0);
	for (long n; (n = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0;)
		for (long at = 0; at < n; at += ((struct dirent64 *)(void *)(buffer + at))->d_reclen)
			count++;
	close(fd);
	look_end();
	return count;
}

size_t descriptors(void) { return entries_of("/proc/self/fd"); }

/* Looks again for a while: the kernel may be moving pages, as for a pool of huge ones, and what
 * was never there does not come. Of shared memory it takes what nobody uses from the page table
 * (DAMON's reclaim), and leaves it in the file, where there is no swap. */
bool is_backed(const void *at, size_t size)
{
	uintptr_t page = os_page_size(), from = (uintptr_t)at & ~(page - 1);
	size_t whole = ((uintptr_t)at + size - from + page - 1) & ~(page - 1), there = 0, swapped = 0;
	look_begin();
	for (int tries = 0; tries < 20 && there + swapped != whole; tries++) {
		if (tries)
			usleep(5000);
		MUST(os_resident((const void *)from, whole, &there, &swapped) == 0);
	}
	bool backed = there + swapped == whole;
	if (!backed) {
		MUST(os_in_core((const void *)from, whole, &there) == 0);
		backed = there == whole;
	}
	look_end();
	return backed;
}

/* ---- one run ------------------------------------------------------------------------------ */

static unsigned points, failures;
static unsigned untouched[MOST_CALLS]; /* calls that the scenario makes when none fails */

static int messages = -1; /* a file of what a run says, which is shown where it fails */

static bool make_shared(void)
{
	void *p = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p != MAP_FAILED)
		seen = p;
	messages = memfd_create("messages", MFD_CLOEXEC);
	if (messages >= 0)
		fcntl(messages, F_SETFL, O_APPEND);
	return seen && messages >= 0 && call_count <= MOST_CALLS;
}

static void show_messages(void)
{
	char text[500];
	ssize_t n = pread(messages, text, sizeof text - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		print_message("    %s\n", line);
}

static const int crashes[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS };

/* In the child, where it looks: returns the exit code. Processes of its own are in its group. */
static int run(const struct scenario *s, struct point p)
{
	setpgid(0, 0);
	for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
		signal(crashes[i], SIG_DFL); /* CMocka's handlers would go on */
	alarm(RUN_SECONDS);
	points_output = dup(STDERR_FILENO);
	MUST(ftruncate(messages, 0) == 0 && dup2(messages, STDERR_FILENO) == STDERR_FILENO);
	size_t open_before = descriptors(), before = address_space();
	memset(seen, 0, sizeof *seen);
	point = p;
	look_end();
	s->run(s);
	look_begin();
	point = p;
	if (!s->keeps && !(may_lose() && p.at)) {
		MUST_BE_EQUAL(address_space(), before);
		MUST_BE_EQUAL(descriptors(), open_before);
	}
	return 0;
}

/* Returns its status, as of waitpid(2). What it left behind is ended. */
static int run_apart(const struct scenario *s, struct point p)
{
	int status = 0;
	fflush(stdout);
	look_begin();
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(run(s, p));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	kill(-pid, SIGKILL);
	look_end();
	return status;
}

static const char *name_of(unsigned which) { return which == ALL_CALLS ? "all calls" : calls[which].name; }

static void describe(const struct point *p, const char *outcome, int number)
{
	print_message("  %s %s %s, call %u%s: %s %d\n", name_of(p->which), p->error ? strerrorname_np(p->error) : "",
	              lasts_name[p->lasts], p->at, p->at ? "" : " (untouched)", outcome, number);
	show_messages();
	failures++;
}

/* Returns whether the run went as far as the point. One that fails before may be the fault
 * of the run before it. */
static bool try_point(const struct scenario *s, struct point p)
{
	int status = run_apart(s, p);
	bool reached = seen->at_point >= p.at;
	points += reached;
	if (WIFSIGNALED(status))
		describe(&p, "signal", WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		describe(&p, "exit code", WEXITSTATUS(status));
	return reached;
}

/* ---- every point ---------------------------------------------------------------------------- */

/* Calls that a scenario makes when none fails. */
static unsigned made_untouched(unsigned which)
{
	unsigned n = 0;
	for (unsigned c = 0; c < call_count; c++)
		if (c == which || which == ALL_CALLS)
			n += untouched[c];
	return n;
}

/* Until a run comes through untouched; with strides no further than calls that are made when
 * none fails, since that run would cost as much as a point. */
static unsigned tried(const struct scenario *s, struct point p, unsigned first, unsigned stride)
{
	unsigned before = points, last = stride > 1 ? made_untouched(p.which) : UINT_MAX;
	for (p.at = first; p.at <= last && try_point(s, p);)
		p.at += stride;
	return points - before;
}

static bool is_once_only(unsigned which, int error)
{
	return which != ALL_CALLS && error == calls[which].once_only;
}

/* A line of the table: so many points of this call and error, and so many that failed. */
static void try_each(const struct scenario *s, unsigned which, int error, unsigned first, unsigned stride)
{
	unsigned failed = failures;
	unsigned once = tried(s, (struct point){ which, error, ONCE, 0 }, first, stride);
	bool skips = is_once_only(which, error);
	unsigned for_good = skips ? 0 : tried(s, (struct point){ which, error, FOR_GOOD, 0 }, first, stride);
	if (once + for_good)
		print_message("  %-26s %-24s %-14s once %4u, for good %4u, failed %u%s%s\n", s->name, name_of(which),
		              error ? strerrorname_np(error) : "first of each", once, for_good, failures - failed,
		              skips ? ", skipped for good: " : "", skips ? calls[which].why : "");
}

/* Each error begins at another call, but each comes to one. What is not called when nothing
 * fails has no point. */
static void try_call(const struct scenario *s, unsigned which, unsigned wanted)
{
	unsigned most = untouched[which] ? s->most_errors ? s->most_errors : MOST_ERRORS : 0;
	unsigned stride = wanted ? wanted : s->stride;
	for (unsigned i = 0; i < most && i < MOST_ERRORS && calls[which].errors[i]; i++) {
		unsigned step = i < LATER_ERRORS || wanted ? stride : stride * LATER_STRIDE;
		unsigned places = untouched[which] < step ? untouched[which] : step;
		try_each(s, which, calls[which].errors[i], i % places + 1, step);
	}
}

static void try_all(void **state)
{
	const struct scenario *s = *state;
	const char *text = getenv("SPARENA_FAULT_STRIDE");
	unsigned wanted = text ? (unsigned)strtoul(text, NULL, 10) : 0;
	points = failures = 0;
	try_point(s, (struct point){ .which = ALL_CALLS });
	assert_int_equal(failures, 0); /* or runs would end before their point, and never reach it */
	memcpy(untouched, seen->made, sizeof untouched);
	for (unsigned c = 0; c < call_count; c++)
		try_call(s, c, wanted);
	try_each(s, ALL_CALLS, 0, 1, wanted ? wanted : s->stride);
	print_message("%s: %u points, %u failed\n", s->name, points, failures);
	assert_true(points > 20 || wanted > 1);
	assert_int_equal(failures, 0);
}

/* ---- the program ------------------------------------------------------------------------------ */

static bool is_wanted(const struct scenario *s, int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--without") == 0)
		return !strstr(s->name, argv[2]);
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], s->name) == 0)
			return true;
	return argc < 2;
}

static int print_made(const struct scenario *scenarios, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int status = run_apart(&scenarios[i], (struct point){ .which = ALL_CALLS });
		if (status) {
			printf("%s, untouched: status %d\n", scenarios[i].name, status);
			return 1;
		}
		for (unsigned c = 0; c < call_count; c++)
			if (seen->made[c])
				printf("made: %s\n", calls[c].name);
	}
	return 0;
}

int points_main(int argc, char **argv, const struct scenario *scenarios, size_t count)
{
	struct CMUnitTest tests[MOST_SCENARIOS] = { 0 };
	size_t n = 0;
	if (!make_shared() || count > MOST_SCENARIOS)
		return 1;
	if (argc == 2 && strcmp(argv[1], "--made") == 0)
		return print_made(scenarios, count);
	for (size_t i = 0; i < count; i++)
		if (is_wanted(&scenarios[i], argc, argv))
			tests[n++] = (struct CMUnitTest){ scenarios[i].name, try_all, NULL, NULL, (void *)(uintptr_t)&scenarios[i] };
	if (!n)
		fprintf(stderr, "%s: no such scenario\n", argv[0]);
	return n ? _cmocka_run_group_tests("points", tests, n, NULL, NULL) : 2;
}
