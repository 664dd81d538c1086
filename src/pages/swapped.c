/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs that were written out to swap. One that is freed is given back, unit by unit: kept for
 * reuse it would be read in again for nothing. What at its ends is less than a unit, which
 * others still use, gets new pages.
 */
#include <assert.h>

#include "pages/pages.h"

int pages_page_out(struct pages *p)
{
	int err = 0;
	atomic_store(&p->paged_out, true);
	for (int kind = 0; kind < PAGES_KINDS && !err; kind++) {
		size_t from = p->zone[kind].start, length = pages_frontier(p, kind) - from;
		if (length)
			err = region_advise(p->region, p->from + from, length, BACKING_PAGEOUT);
	}
	return err;
}

/* ---- freeing ------------------------------------------------------------------------- */

/* The part of [at, end) that is in one chunk, or one larger granule, and the whole units of it. */
struct part {
	enum pages_kind kind;
	size_t from, end;
	size_t inner, inner_end; /* the same: no whole unit */
};

static struct part part_at(struct pages *p, size_t at, size_t end)
{
	enum pages_kind kind = pages_kind_at(p, at);
	size_t unit = p->zone[kind].unit, chunk = size_max(unit, CHUNK_SIZE);
	struct part part = { kind, at, size_min(end, size_down(at, chunk) + chunk), 0, 0 };
	part.inner = size_min(size_up(at, unit), part.end);
	part.inner_end = size_max(size_down(part.end, unit), part.inner);
	if (part.inner == part.inner_end)
		part.inner = part.inner_end = part.end;
	return part;
}

static void free_edge(struct pages *p, size_t from, size_t end)
{
	if (from < end)
		pages_put_resident(p, from, end - from, pages_epoch(p));
}

/* With the lock held: as much of [at, end) as a batch takes. Returns where it ends. */
static size_t fill(struct pages *p, size_t at, size_t end, struct pages_batch *b)
{
	b->count = 0;
	while (at < end && b->count < PAGES_BATCH) {
		struct part part = part_at(p, at, end);
		free_edge(p, part.from, part.inner);
		free_edge(p, part.inner_end, part.end);
		if (part.inner < part.inner_end) {
			b->offset[b->count] = part.inner;
			b->length[b->count] = part.inner_end - part.inner;
			b->kind[b->count++] = part.kind;
		}
		at = part.end;
	}
	return at;
}

/* Its edges are taken back only now, so that their granules are still in use. */
static void renew_edges(struct pages *p, size_t at, size_t end)
{
	while (at < end) {
		struct part part = part_at(p, at, end);
		if (part.from < part.inner)
			region_renew(p->region, p->from + part.from, part.inner - part.from);
		if (part.inner_end < part.end)
			region_renew(p->region, p->from + part.inner_end, part.end - part.inner_end);
		at = part.end;
	}
}

bool pages_free_swapped(struct pages *p, size_t offset, size_t bytes)
{
	size_t end = offset + bytes;
	if (!region_is_out(p->region, p->from + offset, bytes))
		return false;
	renew_edges(p, offset, end);
	for (size_t at = offset, next; at < end; at = next) {
		struct pages_batch b;
		pthread_mutex_lock(&p->lock);
		while (p->forking)
			pages_wait(p);
		next = fill(p, at, end, &b);
		assert(next - at <= p->allocated);
		p->allocated -= next - at;
		(void)pages_note_free(p);
		pages_begin(p);
		pthread_mutex_unlock(&p->lock);
		(void)pages_discard(p, &b); /* what would not go is resident again */
	}
	return true;
}
