/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model: what must be true of regions at each moment, however threads take turns. It sees
 * the states only when the lock is taken and let go, and says then whose granules are.
 */
#ifndef SPARENA_TESTS_INTERLEAVE_MODEL_H
#define SPARENA_TESTS_INTERLEAVE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "region/region.h"
#include "schedule.h"

#define MODEL_GRANULES 64u /* a word of each map */

/* What a thread is about, as far as the books are concerned. */
enum model_act { ACT_NONE, ACT_COMMIT, ACT_OTHER };

struct model {
	struct region *r;
	unsigned granules;                /* that are looked at */
	uint64_t owned[MOST_THREADS];     /* busy, for that thread */
	uint64_t busy, committed;         /* as they were when the lock was taken */
	uint64_t last_committed;          /* and when it was let go last */
	uint8_t value[MODEL_GRANULES];    /* what is written there */
	enum model_act act[MOST_THREADS]; /* of this region */
	uint64_t seen[3];                 /* the states when memory was looked at last, */
	unsigned long seen_calls;         /* and the calls until then */
	bool seen_all;                    /* nothing was written since */
};

/* Before and after an operation of the calling thread. */
void model_begin(struct model *m, struct region *r, unsigned granules);
void model_act(struct model *m, enum model_act act);

/* Of the region's lock; for who else takes one, nothing. */
void model_locked(struct model *m, const pthread_mutex_t *lock);
void model_unlocking(struct model *m, const pthread_mutex_t *lock);

/* Where nobody has the lock: states, contents, and what the kernel says. */
void model_look(struct model *m);

/* Bytes that are charged for this region, if its states are true. */
size_t model_charge(const struct model *m);

/* Writes something new where the span is committed, and nobody gives it back. */
void model_write(struct model *m, uint64_t span);

/* In a child of fork(2): the same is there, nobody works on it, and all of it can be used. */
void model_check_child(struct model *m);

/* Bits [from, from + count). */
static inline uint64_t model_span(unsigned from, unsigned count)
{
	return (count == 64 ? ~0ull : (1ull << count) - 1) << from;
}

#endif
