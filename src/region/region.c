/* SPDX-License-Identifier: BSD-2-Clause */
/* Granule states: committing and decommitting, all or nothing. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "os/os.h"
#include "region/region.h"

/* Granules [first, end) and the bytes that they are. */
struct span {
	size_t first;
	size_t end;
	size_t offset;
	size_t length;
};

static size_t chunk_of(size_t offset) { return offset / CHUNK_SIZE; }

static bool is_thinned(const struct region *r, size_t offset)
{
	return bitmap_get(r->thinned_map, chunk_of(offset));
}

static size_t unit_at(const struct region *r, size_t offset)
{
	return offset >= r->huge_from && !is_thinned(r, offset) ? CHUNK_SIZE : r->granule;
}

static bool span_make(const struct region *r, size_t offset, size_t length, struct span *s)
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
	return s->offset % unit_at(r, s->offset) == 0 && end % unit_at(r, end - 1) == 0;
}

static void discard_lingering(struct region *r);

static bool is_busy(const struct region *r, const struct span *s)
{
	return !bitmap_none(r->busy_map, s->first, s->end - s->first);
}

static void span_take(struct region *r, const struct span *s)
{
	bitmap_set(r->busy_map, s->first, s->end - s->first);
	r->in_flight++;
}

/* Makes the span the caller's own; the lock is held, and given up while waiting. */
static int span_claim(struct region *r, const struct span *s)
{
	if (unlikely(r->lingering))
		discard_lingering(r);
	while (r->forking || is_busy(r, s)) {
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

/* ---- access ---------------------------------------------------------------- */

/*
 * Opens the pieces that the range lies in. The lock is held: mprotect(2) touches
 * no page, and what it waits for is a populate of at most 2 MiB.
 */
static int open_pieces(struct region *r, size_t offset, size_t length)
{
	if (!r->piece)
		return 0;
	size_t last = (offset + length - 1) / r->piece;
	for (size_t i = offset / r->piece; i <= last; i++) {
		size_t end = bitmap_next_set(r->opened_map, i, last + 1);
		if (end > i) {
			size_t from = i * r->piece, to = size_min(end * r->piece, r->size);
			int err = r->backing.ops->unlock(&r->backing, from, to - from);
			if (err)
				return err;
			bitmap_set(r->opened_map, i, end - i);
		}
		i = end;
	}
	return 0;
}

/* ---- populating what is missing -------------------------------------------- */

/* First run of granules in [from, end) that are not committed. */
static bool next_missing(struct region *r, size_t from, size_t end, size_t *first, size_t *past)
{
	*first = bitmap_next_clear(r->committed_map, from, end);
	if (*first == end)
		return false;
	*past = bitmap_next_set(r->committed_map, *first, end);
	return true;
}

/*
 * Populates what of the claimed span is missing. The lock is held on entry and exit
 * and let go for each call, since the map's words are shared with neighbours. After
 * an error, *reached is the end of what may be populated.
 */
static int populate_missing(struct region *r, const struct span *s, size_t *reached)
{
	size_t first;
	int err = 0;
	for (size_t at = s->first; !err && next_missing(r, at, s->end, &first, reached); at = *reached) {
		pthread_mutex_unlock(&r->lock);
		uint64_t start = os_clock_ns();
		err = r->backing.ops->populate(&r->backing, first * r->granule, (*reached - first) * r->granule);
		uint64_t took = os_clock_ns() - start;
		pthread_mutex_lock(&r->lock);
		r->counts.populate_ns += took;
	}
	return err;
}

/* ---- undoing a commit -------------------------------------------------------- */

static int discard_granules(struct region *r, size_t first, size_t end)
{
	pthread_mutex_unlock(&r->lock);
	int err = r->backing.ops->discard(&r->backing, first * r->granule, (end - first) * r->granule);
	pthread_mutex_lock(&r->lock);
	return err;
}

/* Discards what of a claimed span is not committed. Returns bytes that would not go. */
static size_t undo_populate(struct region *r, const struct span *s, size_t reached)
{
	size_t first, past, stuck = 0;
	for (size_t at = s->first; next_missing(r, at, reached, &first, &past); at = past)
		if (discard_granules(r, first, past)) {
			bitmap_set(r->lingering_map, first, past - first);
			stuck += (past - first) * r->granule;
		}
	r->lingering += stuck;
	return stuck;
}

/* Another try for what could not be discarded; the lock is held on entry and exit. */
static void discard_lingering(struct region *r)
{
	size_t granules = r->size / r->granule, past;
	for (size_t at = 0; (at = bitmap_next_set(r->lingering_map, at, granules)) < granules; at = past) {
		past = bitmap_next_clear(r->lingering_map, at, granules);
		struct span s = { at, past, at * r->granule, (past - at) * r->granule };
		if (is_busy(r, &s) || r->forking)
			continue;
		span_take(r, &s);
		int err = discard_granules(r, at, past);
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

void region_settle(struct region *r)
{
	pthread_mutex_lock(&r->lock);
	discard_lingering(r);
	pthread_mutex_unlock(&r->lock);
}

/* ---- commit -------------------------------------------------------------------- */

static void count_commit(struct region *r, const struct span *s, size_t bytes)
{
	bool huge = unit_at(r, s->offset) == CHUNK_SIZE;
	r->committed += bytes;
	r->counts.commits++;
	r->counts.faults_avoided += bytes / (huge ? CHUNK_SIZE : r->backing.page_size);
	r->counts.committed_peak = size_max(r->counts.committed_peak, r->committed);
}

/* The claimed span, with the lock held. */
static int commit_span(struct region *r, const struct span *s, size_t keep)
{
	size_t count = s->end - s->first;
	size_t missing = (count - bitmap_count(r->committed_map, s->first, count)) * r->granule;
	if (!missing)
		return 0;

	if (!bitmap_none(r->lingering_map, s->first, count))
		return -ENOMEM; /* the kernel would not take these back: not to be used yet */

	int err = budget_charge(r->budget, missing, keep);
	if (err)
		return err;
	size_t reached = s->first;
	err = open_pieces(r, s->offset, s->length);
	if (!err)
		err = populate_missing(r, s, &reached);
	if (err) {
		budget_uncharge(r->budget, missing - undo_populate(r, s, reached));
		return err;
	}
	bitmap_set(r->committed_map, s->first, count);
	count_commit(r, s, missing);
	return 0;
}

int region_commit_keep(struct region *r, size_t offset, size_t length, size_t keep)
{
	struct span s;
	if (!span_make(r, offset, length, &s))
		return -EINVAL;
	pthread_mutex_lock(&r->lock);
	int err = span_claim(r, &s);
	if (!err) {
		err = commit_span(r, &s, keep);
		span_let_go(r, &s);
	}
	pthread_mutex_unlock(&r->lock);
	return err;
}

int region_commit(struct region *r, size_t offset, size_t length)
{
	return region_commit_keep(r, offset, length, r->keep);
}

/* ---- decommit -------------------------------------------------------------- */

static int decommit_span(struct region *r, const struct span *s)
{
	size_t count = s->end - s->first;
	size_t bytes = bitmap_count(r->committed_map, s->first, count) * r->granule;
	if (!bytes)
		return 0;

	int err = discard_granules(r, s->first, s->end);
	if (err)
		return err;

	bitmap_clear(r->committed_map, s->first, count);
	r->committed -= bytes;
	r->counts.decommits++;
	budget_uncharge(r->budget, bytes);
	return 0;
}

int region_decommit(struct region *r, size_t offset, size_t length)
{
	struct span s;
	if (!span_make(r, offset, length, &s))
		return -EINVAL;
	pthread_mutex_lock(&r->lock);
	int err = span_claim(r, &s);
	if (!err) {
		err = decommit_span(r, &s);
		span_let_go(r, &s);
	}
	pthread_mutex_unlock(&r->lock);
	return err;
}

static int thin_span(struct region *r, const struct span *s, uint32_t keep)
{
	size_t count = s->end - s->first;
	if (unit_at(r, s->offset) != CHUNK_SIZE || !bitmap_all(r->committed_map, s->first, count))
		return -EINVAL;

	pthread_mutex_unlock(&r->lock);
	int err = r->backing.ops->thin(&r->backing, s->offset, keep);
	pthread_mutex_lock(&r->lock);
	if (err)
		return err;

	bitmap_set(r->thinned_map, chunk_of(s->offset), 1);
	for (unsigned i = 0; i < CHUNK_PARTS; i++)
		if (!(keep >> i & 1))
			bitmap_clear(r->committed_map, s->first + i, 1);
	size_t freed = (CHUNK_PARTS - (unsigned)__builtin_popcount(keep)) * r->granule;
	r->committed -= freed;
	r->counts.decommits++;
	budget_uncharge(r->budget, freed);
	return 0;
}

int region_thin(struct region *r, size_t chunk, uint32_t keep)
{
	struct span s;
	if (r->granule != SMALL_GRANULE || chunk < r->huge_from || chunk % CHUNK_SIZE ||
	    !span_make(r, chunk, CHUNK_SIZE, &s))
		return -EINVAL;
	pthread_mutex_lock(&r->lock);
	int err = span_claim(r, &s);
	if (!err) {
		err = thin_span(r, &s, keep);
		span_let_go(r, &s);
	}
	pthread_mutex_unlock(&r->lock);
	return err;
}

int region_mend(struct region *r, size_t chunk)
{
	struct span s;
	if (chunk < r->huge_from || chunk % CHUNK_SIZE || !span_make(r, chunk, CHUNK_SIZE, &s))
		return -EINVAL;
	pthread_mutex_lock(&r->lock);
	int err = span_claim(r, &s);
	if (!err) {
		if (!bitmap_none(r->committed_map, s.first, s.end - s.first))
			err = -EBUSY;
		if (!err)
			err = r->backing.ops->prefer_huge(&r->backing, chunk, CHUNK_SIZE, true);
		if (!err)
			bitmap_clear(r->thinned_map, chunk_of(chunk), 1);
		span_let_go(r, &s);
	}
	pthread_mutex_unlock(&r->lock);
	return err;
}

/* ---- questions ------------------------------------------------------------- */

size_t region_unit(struct region *r, size_t offset)
{
	pthread_mutex_lock(&r->lock);
	size_t unit = unit_at(r, offset);
	pthread_mutex_unlock(&r->lock);
	return unit;
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
