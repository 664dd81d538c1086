/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the files of this room: granules as an operation owns them. All of these are
 * called with the region's lock held, except for span_run() and where it says so.
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

/*
 * How many of `bytes` may be populated at once, a multiple of `unit`; 0: the guard says no.
 * `held`: what the asker has already. Then tells that it is done. Both without the lock.
 */
static inline size_t span_ask_guard(struct region *r, size_t bytes, size_t unit, size_t held)
{
	if (!r->guarded)
		return bytes;
	struct guard_request q = { .bytes = bytes, .unit = unit, .held = held, .terms = r->guard_terms };
	return guard_ask(r->guard, &q);
}

static inline void span_tell_guard(struct region *r, size_t granted)
{
	if (r->guarded)
		guard_done(r->guard, granted);
}

/* Discards claimed granules, with the lock let go meanwhile, and closes them. */
int span_discard(struct region *r, size_t first, size_t end);

/* Makes them inaccessible in a region that traps, and does nothing in others. Without the
 * lock. Where there are too many mappings already for one more, they stay as they are. */
void span_close(struct region *r, size_t first, size_t end);

/*
 * Locked memory (region/lock.c), without the lock. opened: before a range of which nothing is
 * populated is opened, so that the kernel does not fill it. populated, discarded: with
 * lock:now. -ENOMEM, -EPERM: RLIMIT_MEMLOCK, or too many mappings.
 */
int span_lock_opened(struct region *r, size_t offset, size_t length);
int span_lock_populated(struct region *r, size_t offset, size_t length);
void span_unlock_discarded(struct region *r, size_t offset, size_t length);

/*
 * Before a range is opened: sees to it that the region's pages are not merged with others
 * (region/merge.c). -ENOMEM. region_choose_merging: for a region that was just reserved.
 */
int span_keep_apart(struct region *r);
int region_choose_merging(struct region *r);

/* Another try for what a failed commit left behind. */
void span_discard_lingering(struct region *r);

#endif
