/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * schedule: a few threads of which one runs at a time, and every order in which they can.
 *
 * A thread stops before each thing that others can notice: taking or letting go of a lock,
 * waiting, waking, an atomic operation, a system call. There it is chosen who goes on. A
 * schedule is a sequence of such choices. All are run, by depth-first search, with a bound
 * on how often a thread that could go on is made to stop: bugs mostly need one or two of
 * these (Musuvathi and Qadeer, "Iterative context bounding", PLDI 2007).
 *
 * A failure prints the schedule; SPARENA_SCHEDULE repeats it.
 */
#ifndef SPARENA_TESTS_INTERLEAVE_SCHEDULE_H
#define SPARENA_TESTS_INTERLEAVE_SCHEDULE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define MOST_THREADS 3u
#define ALL_SCHEDULES 1000u /* more preemptions than any run has */

struct exploration {
	const char *name;
	unsigned threads;
	unsigned bound;                /* preemptions at most */
	void (*enter)(unsigned thread); /* by each thread, one after the other, at first; or NULL */
	void (*begin)(void);           /* makes what the threads work on */
	void (*run)(unsigned thread);  /* what each does */
	void (*look)(void);            /* at each point */
	void (*end)(void);             /* when all have ended; takes everything away */
	void (*locked)(const pthread_mutex_t *m);    /* by the thread that asks; */
	void (*unlocking)(const pthread_mutex_t *m); /* still held */
};

struct schedule_counts {
	unsigned long schedules; /* with that bound */
	unsigned long points;
	unsigned bound;          /* how far it got; ALL_SCHEDULES */
	bool cut;                /* and there it did not get to the end */
};

/* Runs all schedules, or SPARENA_SCHEDULE's. Once in a process. */
void schedule_explore(const struct exploration *e, struct schedule_counts *counts);

/* Whether the caller is one of the threads, and not in a child of fork(2). */
bool schedule_is_on(void);
unsigned schedule_self(void);

/* Others may go on before `what`. */
void schedule_point(const char *what);
void schedule_atomic(const char *what); /* the same, by seam.h */

/* One of n things happens, all of which are tried. */
unsigned schedule_choose(unsigned n);

/* Whether a thread has it. */
bool schedule_is_locked(const pthread_mutex_t *m);

/* In a child of fork(2): from now on there is one thread. */
void schedule_leave(void);

/* Ends the process, with the schedule and what each thread did. */
_Noreturn void schedule_fail(const char *file, int line, const char *what);

#define SOUND(condition)                                               \
	do {                                                           \
		if (!(condition))                                      \
			schedule_fail(__FILE__, __LINE__, #condition); \
	} while (0)

#endif
