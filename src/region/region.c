/* SPDX-License-Identifier: BSD-2-Clause */
/* Decommitting, huge chunks run in small granules, and questions. */
#include <errno.h>

#include "region/span.h"

static size_t chunk_of(size_t offset) { return offset / CHUNK_SIZE; }

/* ---- decommit -------------------------------------------------------------- */

static void count_decommit(struct region *r, size_t bytes)
{
	r->committed -= bytes;
	r->counts.decommits++;
	budget_uncharge(r->budget, bytes);
}

static int decommit_span(struct region *r, const struct span *s, size_t unused)
{
	(void)unused;
	size_t count = s->end - s->first;
	size_t bytes = bitmap_count(r->committed_map, s->first, count) * r->granule;
	if (!bytes)
		return 0;

	int err = span_discard(r, s->first, s->end);
	if (err)
		return err;

	bitmap_clear(r->committed_map, s->first, count);
	count_decommit(r, bytes);
	return 0;
}

int region_decommit(struct region *r, size_t offset, size_t length)
{
	struct span s;
	if (!span_make(r, offset, length, &s))
		return -EINVAL;
	return span_run(r, &s, decommit_span, 0);
}

static int thin_span(struct region *r, const struct span *s, size_t argument)
{
	uint32_t keep = (uint32_t)argument;
	size_t count = s->end - s->first;
	if (span_unit(r, s->offset) != CHUNK_SIZE || !bitmap_all(r->committed_map, s->first, count))
		return -EINVAL;

	pthread_mutex_unlock(&r->lock);
	int err = r->backing.ops->thin(&r->backing, s->offset, keep);
	for (unsigned i = 0; !err && i < CHUNK_PARTS; i++)
		if (!(keep >> i & 1))
			span_close(r, s->first + i, s->first + i + 1);
	pthread_mutex_lock(&r->lock);
	if (err)
		return err;

	bitmap_set(r->thinned_map, chunk_of(s->offset), 1);
	for (unsigned i = 0; i < CHUNK_PARTS; i++)
		if (!(keep >> i & 1))
			bitmap_clear(r->committed_map, s->first + i, 1);
	size_t freed = (CHUNK_PARTS - (unsigned)__builtin_popcount(keep)) * r->granule;
	count_decommit(r, freed);
	return 0;
}

int region_thin(struct region *r, size_t chunk, uint32_t keep)
{
	struct span s;
	if (r->granule != SMALL_GRANULE || chunk < r->huge_from || chunk % CHUNK_SIZE ||
	    !span_make(r, chunk, CHUNK_SIZE, &s))
		return -EINVAL;
	return span_run(r, &s, thin_span, keep);
}

static int mend_span(struct region *r, const struct span *s, size_t unused)
{
	(void)unused;
	if (!bitmap_none(r->committed_map, s->first, s->end - s->first))
		return -EBUSY;
	int err = r->backing.ops->prefer_huge(&r->backing, s->offset, s->length, true);
	if (!err)
		bitmap_clear(r->thinned_map, chunk_of(s->offset), 1);
	return err;
}

int region_mend(struct region *r, size_t chunk)
{
	struct span s;
	if (chunk < r->huge_from || chunk % CHUNK_SIZE || !span_make(r, chunk, CHUNK_SIZE, &s))
		return -EINVAL;
	return span_run(r, &s, mend_span, 0);
}

/* ---- questions ------------------------------------------------------------- */

size_t region_unit(struct region *r, size_t offset)
{
	pthread_mutex_lock(&r->lock);
	size_t unit = span_unit(r, offset);
	pthread_mutex_unlock(&r->lock);
	return unit;
}

bool region_is_broken(struct region *r, size_t offset, size_t length)
{
	struct span s;
	if (!span_make(r, offset, length, &s))
		return false;
	pthread_mutex_lock(&r->lock);
	bool none = bitmap_none(r->broken_map, s.first, s.end - s.first);
	pthread_mutex_unlock(&r->lock);
	return !none;
}

bool region_is_committed(struct region *r, size_t offset, size_t length)
{
	struct span s;
	if (!span_make(r, offset, length, &s))
		return false;
	pthread_mutex_lock(&r->lock);
	bool all = bitmap_all(r->committed_map, s.first, s.end - s.first);
	pthread_mutex_unlock(&r->lock);
	return all;
}

int region_resident(struct region *r, size_t offset, size_t length, size_t *bytes)
{
	size_t end;
	if (!size_add(offset, length, &end) || end > r->size)
		return -EINVAL;
	return r->backing.ops->resident(&r->backing, offset, length, bytes);
}

size_t region_lack(const struct region *r)
{
	return r->guarded ? guard_lack(r->guard) : 0;
}

size_t region_committed(struct region *r)
{
	pthread_mutex_lock(&r->lock);
	size_t committed = r->committed;
	pthread_mutex_unlock(&r->lock);
	return committed;
}

void region_get_counts(struct region *r, struct region_counts *out)
{
	pthread_mutex_lock(&r->lock);
	*out = r->counts;
	pthread_mutex_unlock(&r->lock);
}

void region_check(struct region *r)
{
	pthread_mutex_lock(&r->lock);
	size_t granules = r->size / r->granule;
	bool sound = r->in_flight == 0 && bitmap_none(r->busy_map, 0, granules) &&
	             bitmap_count(r->committed_map, 0, granules) * r->granule == r->committed &&
	             bitmap_count(r->lingering_map, 0, granules) * r->granule == r->lingering &&
	             budget_charged(r->budget) >= r->committed + r->lingering;
	pthread_mutex_unlock(&r->lock);
	if (!sound)
		__builtin_trap();
}
