/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads on overlapping granules of a region, and on one allocator of pages at its limit, in
 * every order that a few preemptions make (interleave/schedule.h). Each scenario runs in a
 * process of its own.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "interleave/scripts.h"

#define MOST_SCENARIOS 64

/* ThreadSanitizer's runtime ends children of threaded programs now and then. */
#ifdef __SANITIZE_THREAD__
#define CAN_FORK 0
#else
#define CAN_FORK 1
#endif

static void print_counts(const struct scenario *s, const struct schedule_counts *c)
{
	char bound[64] = "all schedules";
	if (c->bound != ALL_SCHEDULES)
		snprintf(bound, sizeof bound, "at most %u preemptions%s", c->bound, c->cut ? ", cut" : "");
	printf("%-32s %u threads, %s: %lu schedules, %lu points, failed 0\n", s->name, s->threads, bound, c->schedules,
	       c->points);
	fflush(stdout);
}

/* One thread runs at a time: the next is woken fastest on the same processor. */
static void stay_here(void)
{
	cpu_set_t here;
	CPU_ZERO(&here);
	CPU_SET((unsigned)sched_getcpu(), &here);
	(void)sched_setaffinity(0, sizeof here, &here);
}

static void explore(const struct scenario *s)
{
	struct schedule_counts counts;
	stay_here();
	s->explore(s, &counts);
	print_counts(s, &counts);
	_exit(0);
}

static void in_every_order(void **state)
{
	const struct scenario *s = *state;
	int status;
	if (s->forks && !CAN_FORK) {
		print_message("skipped: ThreadSanitizer's runtime does not bear fork beside threads\n");
		skip();
	}
	fflush(stdout);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		explore(s);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (status)
		printf("%-32s %u threads, failed 1\n", s->name, s->threads);
	assert_int_equal(status, 0);
}

static struct CMUnitTest tests[MOST_SCENARIOS];
static size_t count;

static void add_all(const struct scenario *s)
{
	for (; s->name && count < MOST_SCENARIOS; s++)
		tests[count++] = (struct CMUnitTest){
			.name = s->name, .test_func = in_every_order, .initial_state = (void *)(uintptr_t)s,
		};
}

/* A schedule names its scenario; so may the command line. */
static void choose_scenario(const char *pattern)
{
	static char name[64];
	const char *schedule = getenv("SPARENA_SCHEDULE");
	if (schedule)
		snprintf(name, sizeof name, "%.*s", (int)strcspn(schedule, ":"), schedule);
	if (schedule || pattern)
		cmocka_set_test_filter(schedule ? name : pattern);
}

int main(int argc, char **argv)
{
	add_all(region_scenarios);
	add_all(pages_scenarios);
	choose_scenario(argc > 1 ? argv[1] : NULL);
	return _cmocka_run_group_tests("interleave", tests, count, NULL, NULL);
}
