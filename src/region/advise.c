/* SPDX-License-Identifier: BSD-2-Clause */
/* Advice on what is committed: written out, read in, and what of it is in swap. */
#include <errno.h>

#include "region/span.h"

/* ---- a run of committed granules, claimed, without the lock ------------------------ */

static bool brings_in(enum backing_advice advice)
{
	return advice == BACKING_WILLNEED || advice == BACKING_READ;
}

/* What comes back from swap takes memory anew: as much of it at once as the guard allows. */
static int bring_in(struct region *r, size_t offset, size_t length, enum backing_advice advice)
{
	size_t swapped, step;
	int err = 0;
	for (size_t end = offset + length; offset < end && !err; offset += step) {
		step = end - offset;
		if (backing_swapped(&r->backing, offset, step, &swapped))
			swapped = step;
		size_t granted = swapped ? span_ask_guard(r, swapped, os_page_size(), budget_charged(r->budget)) : 0;
		if (granted < swapped)
			step = granted;
		err = step ? backing_advise(&r->backing, offset, step, advice) : -ENOMEM;
		span_tell_guard(r, granted);
	}
	return err;
}

static int advise_run(struct region *r, size_t offset, size_t length, enum backing_advice advice)
{
	return brings_in(advice) ? bring_in(r, offset, length, advice)
	                         : backing_advise(&r->backing, offset, length, advice);
}

/* ---- ranges ----------------------------------------------------------------------- */

/* The rest may not be told of: reading holes of a memory file would fill them. */
static int advise_span(struct region *r, const struct span *s, size_t advice)
{
	size_t at = s->first, past;
	int err = 0;
	while (!err && (at = bitmap_next_set(r->committed_map, at, s->end)) < s->end) {
		past = bitmap_next_clear(r->committed_map, at, s->end);
		pthread_mutex_unlock(&r->lock);
		err = advise_run(r, at * r->granule, (past - at) * r->granule, (enum backing_advice)advice);
		pthread_mutex_lock(&r->lock);
		at = past;
	}
	return err;
}

/* By pieces, since others wait for a claimed one, and the disk may be slow. */
int region_advise(struct region *r, size_t offset, size_t length, enum backing_advice advice)
{
	size_t piece = size_max(CHUNK_SIZE, r->granule);
	struct span s;
	if (!span_make(r, offset, length, &s))
		return -EINVAL;
	int err = 0;
	for (size_t end = offset + length, next; offset < end && !err; offset = next) {
		next = size_min(size_down(offset, piece) + piece, end);
		if (!span_make(r, offset, next - offset, &s))
			return -EINVAL;
		err = span_run(r, &s, advise_span, advice);
	}
	return err;
}

int region_swapped(struct region *r, size_t offset, size_t length, size_t *bytes)
{
	size_t end;
	if (!size_add(offset, length, &end) || end > r->size)
		return -EINVAL;
	return backing_swapped(&r->backing, offset, length, bytes);
}

/* ---- what is in use no more, and in swap -------------------------------------------- */

bool region_is_out(struct region *r, size_t offset, size_t length)
{
	return backing_is_out(&r->backing, offset, length);
}

/* There is no way back, so what fails is tried again: at worst a page is faulted in when it
 * is written. */
static void exchange(struct region *r, size_t offset, size_t length)
{
	int err = r->backing.ops->discard(&r->backing, offset, length);
	for (int tries = 0; !err && tries < 3; tries++)
		if (r->backing.ops->populate(&r->backing, offset, length) == 0)
			return;
}

void region_renew(struct region *r, size_t offset, size_t length)
{
	size_t granted = span_ask_guard(r, length, os_page_size(), budget_charged(r->budget));
	if (granted >= length)
		exchange(r, offset, length);
	span_tell_guard(r, granted);
}
