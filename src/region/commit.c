/* SPDX-License-Identifier: BSD-2-Clause */
/* Committing: charge, open, populate, mark; or nothing. */
#include <errno.h>

#include "os/os.h"
#include "region/exact.h"
#include "region/span.h"

/* ---- access ---------------------------------------------------------------- */

/* Without the lock. */
static int open_range(struct region *r, size_t from, size_t to)
{
	int err = span_keep_apart(r);
	if (!err)
		err = span_lock_opened(r, from, to - from);
	if (!err)
		err = r->backing.ops->unlock(&r->backing, from, to - from);
	if (!err && region_is_shared(r)) /* what is used is worth a dump */
		(void)os_dump(r->base + from, to - from, true);
	return err;
}

/*
 * Opens the pieces that the claimed range lies in. The lock is held on entry and exit, and
 * let go meanwhile: mprotect(2) waits for everybody's populates. Two threads may open the
 * same piece; nobody closes one.
 */
static int open_pieces(struct region *r, size_t offset, size_t length)
{
	if (!r->piece)
		return 0;
	size_t last = (offset + length - 1) / r->piece, at = offset / r->piece;
	while ((at = bitmap_next_clear(r->opened_map, at, last + 1)) <= last) {
		size_t end = bitmap_next_set(r->opened_map, at, last + 1);
		pthread_mutex_unlock(&r->lock);
		int err = open_range(r, at * r->piece, size_min(end * r->piece, r->size));
		pthread_mutex_lock(&r->lock);
		if (err)
			return err;
		bitmap_set(r->opened_map, at, end - at);
		at = end;
	}
	return 0;
}

void region_open_ahead(struct region *r, size_t offset, size_t length)
{
	if (offset >= r->size || !length)
		return;
	pthread_mutex_lock(&r->lock);
	(void)open_pieces(r, offset, size_min(length, r->size - offset)); /* who commits tries again */
	pthread_mutex_unlock(&r->lock);
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

/* What is to be populated next, of the `left` bytes of a commit. */
struct step {
	size_t offset;
	size_t length; /* all that is missing there; then what was populated, or was to be */
	size_t unit;
	size_t left;
	bool refused; /* there is no room, by estimate or in fact */
};

/* By the guard's estimate. */
static int populate_estimated(struct region *r, struct step *s)
{
	size_t granted = span_ask_guard(r, s->left, s->unit, budget_charged(r->budget) - s->left);
	s->length = size_min(granted, s->length);
	s->refused = !granted;
	if (!granted)
		return -ENOMEM;
	int err = r->backing.ops->populate(&r->backing, s->offset, s->length);
	span_tell_guard(r, granted);
	return err;
}

/* Where a helper takes room, exactly; false: there is none, and nothing was done. */
static bool populate_exact(struct region *r, struct step *s, int *err)
{
	size_t length = size_min(s->length, EXACT_STEP);
	*err = exact_take(r, s->offset, length);
	if (*err == -EAGAIN)
		return false;
	s->length = length;
	s->refused = *err == -ENOMEM;
	if (!*err)
		*err = backing_populate_taken(&r->backing, s->offset, length);
	return true;
}

/* Without the lock. */
static int populate_step(struct region *r, struct step *s, uint64_t *took)
{
	uint64_t start = os_clock_ns();
	int err;
	if (!populate_exact(r, s, &err))
		err = populate_estimated(r, s);
	*took = os_clock_ns() - start;
	return err;
}

/* Without the lock. All of what is missing there, though the guard may allow less at once. */
static int open_step(struct region *r, const struct step *s)
{
	return r->traps ? open_range(r, s->offset, s->offset + s->length) : 0;
}

/*
 * Notes the granule whose page is broken: the first of the step that is not populated whole.
 * Without the lock. Where that cannot be told, there is none.
 */
static size_t find_broken(struct region *r, const struct step *s)
{
	size_t first = s->offset / r->granule, end = (s->offset + s->length) / r->granule;
	for (size_t g = first; g < end; g++) {
		size_t resident, swapped;
		if (os_resident(r->base + g * r->granule, r->granule, &resident, &swapped))
			return end;
		if (resident < r->granule)
			return g;
	}
	return end;
}

static void note_broken(struct region *r, const struct step *s)
{
	size_t g = find_broken(r, s);
	pthread_mutex_lock(&r->lock);
	if (g < (s->offset + s->length) / r->granule)
		bitmap_set(r->broken_map, g, 1);
	r->broken = true;
	pthread_mutex_unlock(&r->lock);
}

/*
 * Populates what of the claimed span is missing, `left` bytes, in steps that the guard
 * allows. The lock is held on entry and exit and let go for each step, since the map's
 * words are shared with neighbours. After an error, *reached is the end of what may be
 * populated.
 */
static int populate_missing(struct region *r, const struct span *s, size_t left, size_t *reached)
{
	size_t unit = span_unit(r, s->offset), first, past;
	int err = 0;
	*reached = s->first;
	while (!err && next_missing(r, *reached, s->end, &first, &past)) {
		struct step step = { first * r->granule, (past - first) * r->granule, unit, left, false };
		uint64_t took;
		pthread_mutex_unlock(&r->lock);
		err = open_step(r, &step);
		if (err) {
			pthread_mutex_lock(&r->lock);
			return err;
		}
		err = populate_step(r, &step, &took);
		if (!err)
			err = span_lock_populated(r, step.offset, step.length);
		if (unlikely(err == -EHWPOISON))
			note_broken(r, &step);
		pthread_mutex_lock(&r->lock);
		r->counts.populate_ns += took;
		r->counts.guarded += step.refused;
		left -= step.length;
		*reached = first + step.length / r->granule;
	}
	return err;
}

/* ---- undoing a commit -------------------------------------------------------- */

/* Discards what of a claimed span is not committed. Returns bytes that would not go. */
static size_t undo_populate(struct region *r, const struct span *s, size_t reached)
{
	size_t first, past, stuck = 0;
	for (size_t at = s->first; next_missing(r, at, reached, &first, &past); at = past)
		if (span_discard(r, first, past)) {
			bitmap_set(r->lingering_map, first, past - first);
			stuck += (past - first) * r->granule;
		}
	r->lingering += stuck;
	return stuck;
}

/* Beyond what may be populated nothing is to be discarded; it may be open. */
static void undo_open(struct region *r, const struct span *s, size_t reached)
{
	size_t first, past;
	for (size_t at = reached; r->traps && next_missing(r, at, s->end, &first, &past); at = past) {
		pthread_mutex_unlock(&r->lock);
		span_close(r, first, past);
		pthread_mutex_lock(&r->lock);
	}
}

void region_settle(struct region *r)
{
	pthread_mutex_lock(&r->lock);
	span_discard_lingering(r);
	pthread_mutex_unlock(&r->lock);
	region_look_for_lock(r);
}

/* ---- commit -------------------------------------------------------------------- */

static void count_commit(struct region *r, const struct span *s, size_t bytes)
{
	bool huge = span_unit(r, s->offset) == CHUNK_SIZE;
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

	size_t refused = budget_refused(r->budget);
	int err = budget_charge(r->budget, missing, keep);
	if (err)
		return err;
	size_t reached = s->first;
	err = open_pieces(r, s->offset, s->length);
	if (!err)
		err = populate_missing(r, s, missing, &reached);
	if (err) {
		undo_open(r, s, reached);
		budget_take_back(r->budget, missing - undo_populate(r, s, reached), refused);
		return err;
	}
	bitmap_set(r->committed_map, s->first, count);
	if (unlikely(r->broken))
		bitmap_clear(r->broken_map, s->first, count);
	count_commit(r, s, missing);
	return 0;
}

int region_commit_keep(struct region *r, size_t offset, size_t length, size_t keep)
{
	struct span s;
	if (!span_make(r, offset, length, &s))
		return -EINVAL;
	if (unlikely(budget_follows_box(r->budget)) && r->guard)
		budget_set_box(r->budget, guard_box(r->guard));
	int err = span_run(r, &s, commit_span, keep);
	region_empty(r);
	return err;
}

int region_commit(struct region *r, size_t offset, size_t length)
{
	return region_commit_keep(r, offset, length, 0);
}
