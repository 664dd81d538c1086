/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs at a place that is given; and runs that go back at once, and so never get resident. */
#include <assert.h>
#include <errno.h>

#include "pages/pages.h"

int pages_alloc_at(struct pages *p, size_t offset, size_t bytes)
{
	size_t end;
	if (!size_add(offset, bytes, &end) || end > p->size)
		return -ENOMEM;
	if (pages_has_shards(p) && pages_shard_take_at(p, offset, bytes))
		return 0;
	pages_lock(p);
	bool free = pages_is_resident(p, offset, bytes) ||
	            (pages_recent_flush(p) && pages_is_resident(p, offset, bytes));
	if (free) {
		pages_take_resident(p, offset, bytes);
		p->allocated += bytes;
	}
	pthread_mutex_unlock(&p->lock);
	return free ? 0 : -ENOMEM;
}

/* ---- what is not committed yet --------------------------------------------------- */

enum claim { IN_USE, TOO_HIGH, CLAIMED };

/* With the lock held. TOO_HIGH: free as far as the frontier, and the frontier has to move. */
static enum claim claim(struct pages *p, size_t offset, size_t bytes)
{
	struct pages_zone *z = &p->zone[PAGES_SMALL];
	size_t below = offset < z->frontier ? size_min(bytes, z->frontier - offset) : 0;
	if (below && !runset_has(&z->absent, offset / z->unit, below / z->unit))
		return IN_USE;
	if (below < bytes)
		return TOO_HIGH;
	runset_remove(&z->absent, offset / z->unit, bytes / z->unit);
	pages_begin(p);
	return CLAIMED;
}

static enum claim try_claim(struct pages *p, size_t offset, size_t bytes)
{
	pthread_mutex_lock(&p->lock);
	while (p->forking)
		pages_wait(p);
	enum claim got = claim(p, offset, bytes);
	pthread_mutex_unlock(&p->lock);
	return got;
}

static int commit_claimed(struct pages *p, size_t offset, size_t bytes, size_t keep)
{
	int err = region_commit_keep(p->region, p->from + offset, bytes, keep);
	pthread_mutex_lock(&p->lock);
	if (err)
		pages_put_uncommitted(p, PAGES_SMALL, offset, bytes, err);
	else
		p->allocated += bytes;
	pages_end(p);
	pthread_mutex_unlock(&p->lock);
	return err;
}

static int commit_at(struct pages *p, size_t offset, size_t bytes, size_t keep)
{
	for (;;) {
		size_t frontier = pages_frontier(p, PAGES_SMALL);
		enum claim got = try_claim(p, offset, bytes);
		if (got != TOO_HIGH)
			return got == CLAIMED ? commit_claimed(p, offset, bytes, keep) : -EBUSY;
		int err = pages_extend(p, PAGES_SMALL, frontier, bytes);
		if (err)
			return err;
	}
}

/* Room is made while nothing is in flight: giving back waits for who forks, and he for that. */
int pages_commit_at(struct pages *p, size_t offset, size_t bytes, size_t keep)
{
	size_t end;
	if (offset % p->granule || bytes % p->granule)
		return -EBUSY;
	if (!size_add(offset, bytes, &end) || end > p->zone[PAGES_SMALL].end)
		return -ENOMEM;
	int err = commit_at(p, offset, bytes, keep);
	return err == -ENOMEM && pages_make_room(p, bytes) ? commit_at(p, offset, bytes, keep) : err;
}

/* ---- what goes back at once -------------------------------------------------------- */

static void take_back(struct pages *p, size_t bytes)
{
	pthread_mutex_lock(&p->lock);
	while (p->forking)
		pages_wait(p);
	assert(bytes <= p->allocated);
	p->allocated -= bytes;
	pages_begin(p);
	pthread_mutex_unlock(&p->lock);
}

void pages_free_at_once(struct pages *p, size_t offset, size_t bytes)
{
	assert(offset % p->granule == 0 && bytes % p->granule == 0);
	take_back(p, bytes);
	int err = region_decommit(p->region, p->from + offset, bytes);
	pthread_mutex_lock(&p->lock);
	if (err) /* still there, and charged: another time */
		pages_put_resident(p, offset, bytes, pages_epoch(p));
	else
		pages_put_absent(p, PAGES_SMALL, offset, bytes);
	(void)pages_note_free(p);
	pages_end(p);
	bool more = !err && p->resident_free; /* what failed before may go now */
	pthread_mutex_unlock(&p->lock);
	if (unlikely(more))
		(void)pages_trim(p, SIZE_MAX);
}
