/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the soak test know of each other; soak.c says what it is. */
#ifndef TESTS_STRESS_SOAK_H
#define TESTS_STRESS_SOAK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sparena/heap.h"

#define MIB ((size_t)1 << 20)
#define SOAK_LIMIT (256 * MIB)
#define HEAPS 4 /* explicit ones, at most, at a time */

/* What happened in a phase. */
struct counts {
	atomic_ulong operations, refusals, faults, forks, lost_forks, threads, heaps, heaps_refused;
};

extern struct counts counts;
extern atomic_bool stop;

/* What a thread of the test does is the seed's, the phase's and its own. */
uint64_t stream(unsigned number);

/* ---- blocks and who uses them (soak_work.c) ------------------------------------------ */

/* Starts those of a phase; ends them with all that they hold. */
void work_start(void);
void work_end(void);

/* ---- heaps that come and go, limits that move (soak_heaps.c) --------------------------- */

/* Explicit heaps by place, each with a lock that its users share while they are at it. */
struct place {
	pthread_rwlock_t lock;
	struct sparena_heap *heap; /* NULL: none */
	unsigned long age;         /* which one: blocks of another are gone */
	bool shared;               /* its memory is */
	bool is_view;              /* in a child it is the parent's (fork:exec), and nothing to play with */
};
extern struct place places[HEAPS];

void heaps_init(void);

/* What the one thread does that changes things. */
void *heaps_change(void *seed);

/* Each is empty, and its books balance; then it goes. */
void heaps_end(void);

/* ---- calls that fail (soak_faults.c; in soak_no_faults.c none does) ---------------------- */

/* So many of 65,536 calls fail from now on. */
void faults_set(unsigned rate);

/* None does from now on; what could not be given back is, in every heap. */
void faults_end(void);

/* Whether any can. */
extern const bool faults_happen;

#endif
