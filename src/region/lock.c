/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that is locked: by the option, or by the program's own mlockall(2), of which nobody
 * tells us. What is opened in a locked mapping the kernel fills at once; so it is made to lock
 * what is populated, and no more (mlock2(2), MLOCK_ONFAULT), before it is opened.
 */
#include <errno.h>

#include "region/span.h"

/* Pages of a pool never leave memory. */
static bool can_be_locked(const struct region *r) { return !backing_is_of_pool(&r->backing); }

/* ---- what is opened, populated, discarded --------------------------------------------- */

/* Asked of a whole chunk, where there is one: another thread may have it open by now, and a part
 * of a huge page would be taken from the rest. */
static bool is_locked_outside(struct region *r, size_t offset, size_t length)
{
	bool locked = os_is_locked(r->base + offset, size_min(length, CHUNK_SIZE));
	if (locked != atomic_exchange(&r->locked_outside, locked) && locked)
		__atomic_store_n(&r->to_empty, true, __ATOMIC_RELAXED);
	return locked;
}

int span_lock_opened(struct region *r, size_t offset, size_t length)
{
	if (!can_be_locked(r) || (!is_locked_outside(r, offset, length) && r->lock_mode != CONF_LOCK_ONFAULT))
		return 0;
	return os_lock(r->base + offset, length, false);
}

int span_lock_populated(struct region *r, size_t offset, size_t length)
{
	return r->lock_mode == CONF_LOCK_NOW && can_be_locked(r) ? os_lock(r->base + offset, length, true) : 0;
}

/* Where there are too many mappings for one more it stays locked, as address space. */
void span_unlock_discarded(struct region *r, size_t offset, size_t length)
{
	if (r->lock_mode == CONF_LOCK_NOW && can_be_locked(r))
		(void)os_unlock(r->base + offset, length);
}

/* ---- what mlockall(MCL_CURRENT) filled --------------------------------------------------- */

static int empty_span(struct region *r, const struct span *s, size_t unused)
{
	(void)unused;
	pthread_mutex_unlock(&r->lock);
	int err = os_lock(r->base + s->offset, s->length, false);
	pthread_mutex_lock(&r->lock);
	for (size_t at = s->first, past; !err && (at = bitmap_next_clear(r->committed_map, at, s->end)) < s->end; at = past) {
		past = bitmap_next_set(r->committed_map, at, s->end);
		err = span_discard(r, at, past);
	}
	return err;
}

static int empty_piece(struct region *r, size_t piece)
{
	struct span s;
	size_t offset = piece * r->piece;
	if (!span_make(r, offset, size_min(r->piece, r->size - offset), &s))
		return -EINVAL;
	return span_run(r, &s, empty_span, 0);
}

static size_t next_opened(struct region *r, size_t piece, size_t pieces)
{
	pthread_mutex_lock(&r->lock);
	size_t next = bitmap_next_set(r->opened_map, piece, pieces);
	pthread_mutex_unlock(&r->lock);
	return next;
}

void region_empty(struct region *r)
{
	if (likely(!__atomic_load_n(&r->to_empty, __ATOMIC_RELAXED)) || !r->piece ||
	    !__atomic_exchange_n(&r->to_empty, false, __ATOMIC_RELAXED))
		return;
	size_t pieces = size_up(r->size, r->piece) / r->piece;
	for (size_t i = 0; (i = next_opened(r, i, pieces)) < pieces; i++)
		if (empty_piece(r, i))
			__atomic_store_n(&r->to_empty, true, __ATOMIC_RELAXED); /* another time */
}

/* The very end is where nothing is, if it was not opened. */
static bool end_is_closed(struct region *r)
{
	pthread_mutex_lock(&r->lock);
	bool closed = r->piece && !bitmap_get(r->opened_map, (r->size - 1) / r->piece);
	pthread_mutex_unlock(&r->lock);
	return closed;
}

void region_look_for_lock(struct region *r)
{
	if (can_be_locked(r) && end_is_closed(r))
		(void)is_locked_outside(r, r->size - CHUNK_SIZE, CHUNK_SIZE);
	region_empty(r);
}
