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
static size_t step_ahead(struct pages *p, enum pages_kind kind)
{
	size_t unit = p->zone[kind].unit;
	size_t sixteenth = region_committed(p->region) / 16;
	size_t most = kind == PAGES_SMALL ? size_min(p->commit_ahead, CHUNK_SIZE) : p->commit_ahead;
	return size_down(size_min(sixteenth, most), unit);
}

/*
 * One thread at a time goes ahead: many that start at once would each commit as much
 * again. Returns what is added to `least`.
 */
static size_t begin_step(struct pages *p, enum pages_kind kind, size_t least)
{
	size_t ahead = size_min(step_ahead(p, kind), p->size);
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
	size_t ahead = begin_step(p, kind, least);
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

/* Where less than a huge chunk is left, small granules serve, and the other way round. */
int pages_grow(struct pages *p, const struct pages_request *q, size_t *offset)
{
	enum pages_kind first = prefers_huge(p, q->bytes) ? PAGES_HUGE : PAGES_SMALL;
	int err = grow_kind(p, first, q, offset);
	if (err == -ENOMEM && p->thp != PAGES_THP_NEVER)
		err = grow_kind(p, first == PAGES_HUGE ? PAGES_SMALL : PAGES_HUGE, q, offset);
	return err;
}
