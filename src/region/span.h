/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the files of this room: granules as an operation owns them. Except for
 * span_run(), all of these are called with the region's lock held.
 */
#ifndef SPARENA_REGION_SPAN_H
#define SPARENA_REGION_SPAN_H

#include "region/region.h"

/* Granules [first, end) and the bytes that they are. */
struct span {
	size_t first;
	size_t end;
	size_t offset;
	size_t length;
};

/* Checks a range and turns it into a span; false: outside, empty, or no whole granules. */
bool span_make(const struct region *r, size_t offset, size_t length, struct span *s);

/*
 * Takes the lock, makes the span its own (waiting, with the lock let go, while others
 * work on its granules), does `work` with the lock held, and lets go. Returns what
 * `work` does, or -EINVAL when an end of the span lies inside a huge chunk.
 */
int span_run(struct region *r, const struct span *s,
             int (*work)(struct region *r, const struct span *s, size_t argument), size_t argument);

/* Unit in which the place at `offset` is committed now. */
size_t span_unit(const struct region *r, size_t offset);

/* Discards claimed granules, with the lock let go meanwhile. */
int span_discard(struct region *r, size_t first, size_t end);

/* Another try for what a failed commit left behind. */
void span_discard_lingering(struct region *r);

#endif
