/* SPDX-License-Identifier: BSD-2-Clause */
/* Committing new runs, a little ahead of need. */
#include <errno.h>

#include "pages/pages.h"

/* A heap below this size is committed in small steps, so that small processes stay small. */
#define HUGE_FROM (4 * MiB)

/* A request takes another place so often when the hardware has lost a page. */
#define MOST_PLACES 16

/* Where there is none, *frontier is up to where was looked. */
static bool claim_absent(struct pages *p, enum pages_kind kind, const struct pages_request *q, size_t bytes, size_t *offset,
                         size_t *frontier)
{
	struct pages_zone *z = &p->zone[kind];
	pthread_mutex_lock(&p->lock);
	while (p->forking)
		pages_wait(p);
	bool found = pages_find_run(p, &z->absent, 0, z->unit, q, bytes, offset);
	*frontier = z->frontier;
	if (found) {
		runset_remove(&z->absent, *offset / z->unit, bytes / z->unit);
		pages_begin(p);
	}
	pthread_mutex_unlock(&p->lock);
	return found;
}

/* Ends what claim_absent() began: [offset, offset + bytes) is handed out, the rest of
 * the claim is free; or, after an error, everything is absent again, or retired. */
static void settle(struct pages *p, enum pages_kind kind, size_t offset, size_t claimed, size_t bytes, int err)
{
	pthread_mutex_lock(&p->lock);
	if (err) {
		pages_put_uncommitted(p, kind, offset, claimed, err);
	} else {
		p->allocated += bytes;
		if (claimed > bytes)
			pages_put_resident(p, offset + bytes, claimed - bytes, pages_epoch(p));
	}
	pages_end(p);
	pthread_mutex_unlock(&p->lock);
}

/* Commits `claim` bytes of a kind, of which the first are the request's. */
static int grow_once(struct pages *p, enum pages_kind kind, const struct pages_request *q, size_t claim, size_t *offset)
{
	size_t frontier, enough;
	while (!claim_absent(p, kind, q, claim, offset, &frontier)) {
		if (!size_add(claim, q->align > p->zone[kind].unit ? q->align : 0, &enough))
			return -ENOMEM;
		int err = pages_extend(p, kind, frontier, enough);
		if (err)
			return err;
	}
	int err = region_commit_keep(p->region, p->from + *offset, claim, q->keep);
	settle(p, kind, *offset, claim, q->bytes, err);
	return err;
}

/* What held a broken page is retired, and another place taken. */
static int grow_by(struct pages *p, enum pages_kind kind, const struct pages_request *q, size_t claim, size_t *offset)
{
	int err = -EHWPOISON;
	for (unsigned tries = 0; err == -EHWPOISON && tries < MOST_PLACES; tries++)
		err = grow_once(p, kind, q, claim, offset);
	return err == -EHWPOISON ? -ENOMEM : err;
}

/* How much to commit beyond a request: a sixteenth of the heap, within the option's bounds. */
static size_t step_ahead(struct pages *p, enum pages_kind kind, size_t commit_ahead)
{
	size_t unit = p->zone[kind].unit;
	size_t sixteenth = region_committed(p->region) / 16;
	size_t most = kind == PAGES_SMALL ? size_min(commit_ahead, CHUNK_SIZE) : commit_ahead;
	return size_min(size_down(size_min(sixteenth, most), unit), p->size);
}

/*
 * One thread at a time goes ahead: many that start at once would each commit as much
 * again. Returns what is added to `least`.
 */
static size_t begin_step(struct pages *p, size_t ahead, size_t least)
{
	if (ahead <= least)
		return 0;
	pthread_mutex_lock(&p->lock);
	bool alone = !p->stepping_ahead;
	p->stepping_ahead = true;
	pthread_mutex_unlock(&p->lock);
	return alone ? ahead - least : 0;
}

static void end_step(struct pages *p)
{
	pthread_mutex_lock(&p->lock);
	p->stepping_ahead = false;
	pthread_mutex_unlock(&p->lock);
}

static int grow_kind(struct pages *p, enum pages_kind kind, const struct pages_request *q, size_t *offset)
{
	size_t least;
	if (!size_up_checked(q->bytes, p->zone[kind].unit, &least) || least > p->size)
		return -ENOMEM;
	size_t ahead = begin_step(p, step_ahead(p, kind, p->commit_ahead), least);
	int err = grow_by(p, kind, q, least + ahead, offset);
	if (ahead)
		end_step(p);
	if (err == -ENOMEM && ahead)
		err = grow_by(p, kind, q, least, offset);
	return err;
}

static bool prefers_huge(struct pages *p, size_t bytes)
{
	switch (p->thp) {
	case PAGES_THP_ALWAYS:
		return true;
	case PAGES_THP_NEVER:
		return false;
	default:
		return p->commit_ahead >= CHUNK_SIZE && region_committed(p->region) + bytes >= HUGE_FROM;
	}
}

/* In the background a step may be larger: it costs nobody time, and who uses it up meanwhile
 * has to commit for himself. */
#define STEPS_AHEAD 4

void pages_unwatch(struct pages *p)
{
	pthread_mutex_lock(&p->lock);
	p->watched = 0;
	pthread_mutex_unlock(&p->lock);
}

/* The half of it that is higher is used last. */
static void note_step(struct pages *p, size_t offset, size_t step)
{
	pthread_mutex_lock(&p->lock);
	p->stepping_ahead = false;
	p->ahead_at = offset;
	p->ahead = step;
	p->watched = step / 2;
	p->watched_at = offset + step / 2;
	pthread_mutex_unlock(&p->lock);
}

static size_t longest_free(const struct pages_zone *z, size_t from, size_t end)
{
	size_t longest = 0;
	for (size_t past; (from = bitmap_next_set(z->resident.bits, from, end)) < end; from = past) {
		past = bitmap_next_clear(z->resident.bits, from, end);
		longest = size_max(longest, past - from);
	}
	return longest;
}

/*
 * Whether half of the last step is still free in one piece, and such a step is not too small by
 * now. If something lies in its higher half all the same, that is by chance, and tells nothing:
 * then whoever needs more has to grow first.
 */
static bool is_left(struct pages *p, size_t step)
{
	if (p->ahead < step / 2)
		return false;
	pthread_mutex_lock(&p->lock);
	const struct pages_zone *z = pages_zone_at(p, p->ahead_at);
	size_t first = pages_page(z, p->ahead_at), half = p->ahead / PAGE / 2;
	bool left = longest_free(z, first, first + 2 * half) >= size_max(half, 1);
	if (left && !bitmap_all(z->resident.bits, first + half, half))
		p->watched = 0;
	pthread_mutex_unlock(&p->lock);
	return left;
}

/* Who comes to the end of a step before the next one is there commits for himself, while we do:
 * what both need is to be open by then. */
#define STEPS_OPEN 3

static void open_next(struct pages *p, enum pages_kind kind, size_t bytes)
{
	size_t frontier = pages_frontier(p, kind);
	region_open_ahead(p->region, p->from + frontier, size_min(bytes, p->zone[kind].end - frontier));
}

void pages_go_ahead(struct pages *p, size_t keep)
{
	enum pages_kind kind = prefers_huge(p, 0) ? PAGES_HUGE : PAGES_SMALL;
	size_t step = step_ahead(p, kind, STEPS_AHEAD * p->commit_ahead), offset = 0;
	if (!step)
		pages_unwatch(p);
	if (!step || is_left(p, step) || !begin_step(p, step, 0))
		return; /* or somebody else is at it, and rings when he has grown */
	struct pages_request nothing = { 0, 1, keep + step };
	open_next(p, kind, STEPS_OPEN * step);
	int err = grow_by(p, kind, &nothing, step, &offset);
	note_step(p, offset, err ? 0 : step);
}

/* Where less than a huge chunk is left, small granules serve, and the other way round. */
int pages_grow(struct pages *p, const struct pages_request *q, size_t *offset)
{
	enum pages_kind first = prefers_huge(p, q->bytes) ? PAGES_HUGE : PAGES_SMALL;
	int err = grow_kind(p, first, q, offset);
	if (err == -ENOMEM && p->thp != PAGES_THP_NEVER)
		err = grow_kind(p, first == PAGES_HUGE ? PAGES_SMALL : PAGES_HUGE, q, offset);
	if (!err)
		pages_wish(p, PAGES_WISH_AHEAD);
	return err;
}
