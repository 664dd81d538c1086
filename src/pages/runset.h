/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A set of units (pages, granules, chunks) as a bitmap, with a tree of summaries
 * over it that finds the lowest run of n members in logarithmic time: each node
 * knows the run at its start, the longest inside, and the run at its end, so that
 * runs that cross nodes are found too. No locks, no system calls; the arrays are
 * the caller's and read zero (the empty set) where they were never written.
 */
#ifndef SPARENA_PAGES_RUNSET_H
#define SPARENA_PAGES_RUNSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUNSET_LEAF 512u  /* units of a leaf: one cache line of bits */
#define RUNSET_FANOUT 8u
#define RUNSET_LEVELS 10u /* enough for 2^36 units */

struct run_sum {
	uint32_t start;
	uint32_t longest;
	uint32_t end;
};

struct runset {
	size_t units;
	unsigned levels; /* sums[levels - 1] is the root: one node over what was reached */
	uint64_t *bits;
	struct run_sum *sums[RUNSET_LEVELS];
};

/* Bytes of the arrays for so many units. */
size_t runset_bytes(size_t units);

/* Lays the arrays out at `memory`, without touching it. At most 2^32 - 1 units. */
void runset_init(struct runset *s, void *memory, size_t units);

/*
 * Calls `need` for each part of the arrays that operations on units [from, end)
 * may read or write. Stops at, and returns, its first non-zero result.
 */
int runset_cover(const struct runset *s, size_t from, size_t end,
                 int (*need)(void *context, void *addr, size_t bytes), void *context);

/*
 * Makes the tree as high as units [0, end) need: a small heap in a large region has a
 * low tree. To be called, once they are covered, before units up to `end` are added.
 */
void runset_reach(struct runset *s, size_t end);

/* Gives an empty set, covered for units [0, end), the members and the height of one that was
 * reached that far and no further. end is not 0. */
void runset_copy(struct runset *to, const struct runset *from, size_t end);

/* Adds units [from, from + count), none of which is there, or takes them out, all of which
 * are. count is not 0. */
void runset_add(struct runset *s, size_t from, size_t count);
void runset_remove(struct runset *s, size_t from, size_t count);

/* Whether all of [from, from + count) are members. */
bool runset_has(const struct runset *s, size_t from, size_t count);

/*
 * The lowest run of `count` members whose first unit u has u + skew a multiple of
 * `align` (a power of two). With align above 1 a run may be overlooked that fits
 * only just.
 */
bool runset_find(const struct runset *s, size_t count, size_t align, size_t skew, size_t *at);

/* The first leaf at or after `leaf`, below `end`, with a run of at least `count`; end if none. */
size_t runset_next_leaf(const struct runset *s, size_t leaf, size_t end, size_t count);

/* The longest run inside one leaf. */
static inline size_t runset_leaf_longest(const struct runset *s, size_t leaf)
{
	return s->sums[0][leaf].longest;
}

/* How many members directly precede unit `end`, counting at most `most`. */
size_t runset_run_before(const struct runset *s, size_t end, size_t most);

/* Aborts unless the summaries of the leaves [from, end) and all above agree with the bits. */
void runset_check(const struct runset *s, size_t from, size_t end);

#endif
