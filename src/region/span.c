/* SPDX-License-Identifier: BSD-2-Clause */
/* Spans: checked, claimed, let go; discarding, and what would not go. */
#include <errno.h>

#include "region/span.h"

static size_t chunk_of(size_t offset) { return offset / CHUNK_SIZE; }

static bool is_thinned(const struct region *r, size_t offset)
{
	return bitmap_get(r->thinned_map, chunk_of(offset));
}

size_t span_unit(const struct region *r, size_t offset)
{
	return offset >= r->huge_from && !is_thinned(r, offset) ? CHUNK_SIZE : r->granule;
}

bool span_make(const struct region *r, size_t offset, size_t length, struct span *s)
{
	size_t end;
	if (!size_add(offset, length, &end) || end > r->size)
		return false;
	if (length == 0 || offset % r->granule || length % r->granule)
		return false;
	*s = (struct span){ offset / r->granule, end / r->granule, offset, length };
	return true;
}

/* Whole units at both ends, with the lock held: a chunk changes its unit. */
static bool span_fits(const struct region *r, const struct span *s)
{
	size_t end = s->offset + s->length;
	return s->offset % span_unit(r, s->offset) == 0 && end % span_unit(r, end - 1) == 0;
}

static bool span_is_busy(const struct region *r, const struct span *s)
{
	return !bitmap_none(r->busy_map, s->first, s->end - s->first);
}

static void span_take(struct region *r, const struct span *s)
{
	bitmap_set(r->busy_map, s->first, s->end - s->first);
	r->in_flight++;
}

static int span_claim(struct region *r, const struct span *s)
{
	if (unlikely(r->lingering))
		span_discard_lingering(r);
	while (r->forking || span_is_busy(r, s)) {
		r->waiting++;
		pthread_cond_wait(&r->quiet, &r->lock);
		r->waiting--;
	}
	if (!span_fits(r, s))
		return -EINVAL;
	span_take(r, s);
	return 0;
}

static void span_let_go(struct region *r, const struct span *s)
{
	bitmap_clear(r->busy_map, s->first, s->end - s->first);
	r->in_flight--;
	if (r->waiting)
		pthread_cond_broadcast(&r->quiet);
}

void span_close(struct region *r, size_t first, size_t end)
{
	if (r->traps)
		(void)r->backing.ops->lock(&r->backing, first * r->granule, (end - first) * r->granule);
}

int span_discard(struct region *r, size_t first, size_t end)
{
	pthread_mutex_unlock(&r->lock);
	int err = r->backing.ops->discard(&r->backing, first * r->granule, (end - first) * r->granule);
	if (!err) {
		span_unlock_discarded(r, first * r->granule, (end - first) * r->granule);
		span_close(r, first, end);
	}
	pthread_mutex_lock(&r->lock);
	return err;
}

void span_discard_lingering(struct region *r)
{
	size_t granules = r->size / r->granule, past;
	/* Mostly there are none, and the map of a terabyte takes a while to walk. */
	for (size_t at = 0; r->lingering && (at = bitmap_next_set(r->lingering_map, at, granules)) < granules; at = past) {
		past = bitmap_next_clear(r->lingering_map, at, granules);
		struct span s = { at, past, at * r->granule, (past - at) * r->granule };
		if (span_is_busy(r, &s) || r->forking)
			continue;
		span_take(r, &s);
		int err = span_discard(r, at, past);
		if (!err) {
			bitmap_clear(r->lingering_map, at, past - at);
			r->lingering -= s.length;
			budget_uncharge(r->budget, s.length);
		}
		span_let_go(r, &s);
		if (err)
			return;
	}
}

int span_run(struct region *r, const struct span *s,
             int (*work)(struct region *r, const struct span *s, size_t argument), size_t argument)
{
	int before = os_hold_cancel();
	pthread_mutex_lock(&r->lock);
	int err = span_claim(r, s);
	if (!err) {
		err = work(r, s, argument);
		span_let_go(r, s);
	}
	pthread_mutex_unlock(&r->lock);
	os_allow_cancel(before);
	return err;
}
