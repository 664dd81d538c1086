/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Failure points: a scenario is run again and again, in a process of its own each time, and
 * another call fails in each, once or from then on, until a run comes through untouched.
 */
#ifndef SPARENA_TESTS_POINTS_H
#define SPARENA_TESTS_POINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

/* ---- calls, which the program has a table of ---------------------------------------- */

#define MOST_ERRORS 24

struct call {
	const char *name;
	int errors[MOST_ERRORS]; /* what matters first, stands first; 0 ends them */
	int once_only;           /* the one that is not tried for good, or 0... */
	const char *why;         /* ...and why not */
	bool loses;              /* its failure may cost address space, or a descriptor */
};

extern const struct call calls[];
extern const unsigned call_count;

#define ALL_CALLS (~0U)

/* ---- where and how calls fail --------------------------------------------------------- */

enum lasts { ONCE, FOR_GOOD, LASTS };

/* which == ALL_CALLS: all of them, each with its first error. */
struct point {
	unsigned which;
	int error;
	enum lasts lasts;
	unsigned at; /* counts from 1; 0: nowhere */
};

extern struct point point;

/* For what comes between: 0, or -errno where the call is to fail. */
int fails(unsigned which);

/* The fault is over. */
static inline void calm(void) { point.at = 0; }

/* While a scenario looks at what has come of it, nothing fails, nor is counted. */
void look_begin(void);
void look_end(void);

/* Whether what fails may cost address space, or a descriptor. */
static inline bool may_lose(void) { return point.which == ALL_CALLS || calls[point.which].loses; }

/* Whether this call, or all of them, may be failing from here on. */
static inline bool goes_on_failing(unsigned which)
{
	return point.lasts == FOR_GOOD && point.at && (point.which == which || point.which == ALL_CALLS);
}

/* ---- what a run says when it fails --------------------------------------------------- */

/* In the child of a run, where CMocka's own assertions have nowhere to go, and the
 * libraries' own messages are left out. */
extern int points_output;

#define MUST(condition)                                                                       \
	do {                                                                                  \
		if (!(condition)) {                                                           \
			dprintf(points_output, "  %s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			_exit(1);                                                             \
		}                                                                             \
	} while (0)

#define MUST_BE_EQUAL(a, b)                                                                   \
	do {                                                                                  \
		size_t a_ = (a), b_ = (b);                                                    \
		if (a_ != b_) {                                                               \
			dprintf(points_output, "  %s:%d: %s is %zu, %s is %zu\n", __FILE__, __LINE__, #a, a_, \
			        #b, b_);                                                      \
			_exit(1);                                                             \
		}                                                                             \
	} while (0)

/* Whether all pages of a range are there, by the kernel's own view. */
bool is_backed(const void *at, size_t size);

/* Bytes of the process, descriptors that it has open, and names in a directory. */
size_t address_space(void);
size_t descriptors(void);
size_t entries_of(const char *path);

/* ---- every point ---------------------------------------------------------------------- */

struct scenario {
	const char *name;
	void (*run)(const struct scenario *s);
	const char *options;  /* for run(): of a region or heap, or NULL... */
	void (*act)(void);    /* ...and what it is about, or NULL */
	bool keeps;           /* address space and descriptors stay in use at its end */
	unsigned stride;      /* each so many-th call fails with the first two errors */
	unsigned most_errors; /* so many of each call; 0: all of them */
};

/*
 * The main function of a program that has these scenarios: tries all points of each, or of
 * those that are named, or (--without TEXT) that have not this in their name, and prints a
 * line for each call and error. The errors behind a call's first two come at fewer places.
 * SPARENA_FAULT_STRIDE: each so many-th call, with each error alike. A point that crashes or
 * hangs is named, and the others still run. --made: what the scenarios call when nothing
 * fails, a line each.
 */
int points_main(int argc, char **argv, const struct scenario *scenarios, size_t count);

#endif
