/* SPDX-License-Identifier: BSD-2-Clause */
/* Handing out runs, and taking them back. */
#include <assert.h>
#include <errno.h>

#include "os/os.h"
#include "pages/pages.h"

/* So long a refusal is believed where the limit may change by itself. */
#define BELIEVED_MS 10

/* A request is not tried more often than this while other threads free and take. */
#define MOST_TRIES 16

/* ---- resident runs --------------------------------------------------------- */

static bool find_resident(struct pages *p, const struct pages_request *q, size_t *offset)
{
	struct pages_zone *small = &p->zone[PAGES_SMALL], *huge = &p->zone[PAGES_HUGE];
	return pages_find_run(p, &small->resident, small->start, PAGE, q, q->bytes, offset) ||
	       pages_find_run(p, &huge->resident, huge->start, PAGE, q, q->bytes, offset);
}

/* What was just freed in this length; else the lowest run, once all that is free has joined. */
static bool take_resident(struct pages *p, const struct pages_request *q, size_t *offset)
{
	if (q->align <= PAGE && pages_recent_pop(p, q->bytes, offset)) {
		p->resident_free -= q->bytes;
	} else {
		if (!find_resident(p, q, offset) && !(pages_recent_flush(p) && find_resident(p, q, offset)))
			return false;
		pages_take_resident(p, *offset, q->bytes);
	}
	p->allocated += q->bytes;
	pages_watch(p, *offset);
	return true;
}

/* ---- exhaustion ------------------------------------------------------------ */

/*
 * A sum of counters that only grow: it changes with everything that may let a refused
 * request succeed. Frees have counters of their own so that each costs no atomic
 * read-modify-write.
 */
static size_t frees_so_far(const struct pages *p)
{
	size_t frees = budget_frees(p->region->budget) + atomic_load_explicit(&p->frees, memory_order_relaxed);
	for (const struct pages *s = p->sibling; s && s != p; s = s->sibling)
		frees += atomic_load_explicit(&s->frees, memory_order_relaxed);
	return frees;
}

/* A limit that is a share of the box changes with it: nobody is told. */
static bool may_have_changed(struct pages *p)
{
	return budget_follows_box(p->region->budget) && os_clock_ms() - p->refused_at > BELIEVED_MS;
}

/* Nothing was freed since a request no larger than this one was refused. */
static bool known_refused(struct pages *p, const struct pages_request *q)
{
	return q->bytes >= p->refused_bytes && q->keep >= p->refused_keep && frees_so_far(p) == p->refused_frees &&
	       !may_have_changed(p);
}

/* Room for a commit of the request's size, or what the guard lacks for it, out of free runs
 * that are resident. */
bool pages_make_room(struct pages *p, size_t bytes)
{
	size_t want = size_up(size_max(bytes, region_lack(p->region)), p->granule);
	size_t got = pages_trim(p, want);
	for (struct pages *s = p->sibling; s && s != p && got < want; s = s->sibling)
		got += pages_trim(s, want - got);
	return got > 0;
}

/*
 * It is the limit that refuses, so that only a free can help. What the kernel or the
 * address space refuses, and odd alignments, may come out otherwise next time.
 */
static bool is_over_limit(struct pages *p, const struct pages_request *q)
{
	size_t least = size_up(q->bytes, p->granule);
	return q->align <= PAGE && !budget_has_room(p->region->budget, least, q->keep);
}

/*
 * Whether another try may succeed: something was freed since `frees` was read, or an
 * operation of another thread, which was waited for, has ended. Otherwise notes the
 * refusal, so that the next one is cheap.
 */
static bool worth_another_try(struct pages *p, const struct pages_request *q, size_t frees)
{
	pthread_mutex_lock(&p->lock);
	bool worth = frees_so_far(p) != frees;
	if (!worth && p->in_flight) {
		pages_wait(p);
		worth = true;
	}
	if (!worth && is_over_limit(p, q)) {
		p->refused_at = os_clock_ms();
		p->refused_frees = frees;
		p->refused_bytes = q->bytes;
		p->refused_keep = q->keep;
	}
	pthread_mutex_unlock(&p->lock);
	return worth;
}

enum answer { TAKEN, REFUSED, UNDECIDED };

static enum answer try_resident(struct pages *p, const struct pages_request *q, size_t *offset)
{
	enum answer answer = UNDECIDED;
	pages_lock(p);
	if (take_resident(p, q, offset))
		answer = TAKEN;
	else if (known_refused(p, q))
		answer = REFUSED;
	pthread_mutex_unlock(&p->lock);
	return answer;
}

static int refuse(struct pages *p)
{
	__atomic_fetch_add(&p->exhausted, 1, __ATOMIC_RELAXED);
	return -ENOMEM;
}

int pages_alloc(struct pages *p, size_t bytes, size_t align, size_t keep, size_t *offset, bool *zeroed)
{
	struct pages_request q = { bytes, align, keep };
	assert(bytes && bytes % PAGE == 0 && size_is_pow2(align));

	*zeroed = false;
	if (pages_is_sharding(p) && align <= PAGE && pages_shard_take(p, bytes, offset))
		return 0;
	for (unsigned tries = 0; tries < MOST_TRIES; tries++) {
		size_t frees = frees_so_far(p);
		enum answer answer = try_resident(p, &q, offset);
		if (answer == REFUSED)
			break;
		/* Others may fill their shards again meanwhile: the last tries are for growing. */
		if (answer == UNDECIDED && tries < MOST_TRIES / 2 && pages_has_shards(p) && pages_shards_spare(p))
			continue;
		*zeroed = answer == UNDECIDED;
		if (answer == TAKEN || pages_grow(p, &q, offset) == 0)
			return 0;
		if (!pages_make_room(p, bytes) && !worth_another_try(p, &q, frees))
			break;
	}
	return refuse(p);
}

/* The clock is read for long runs, and for one short run in sixteen. */
static uint64_t epoch_of_free(struct pages *p, size_t frees, size_t bytes)
{
	if (bytes > PAGES_RECENT_LONGEST * PAGE || frees % 16 == 0)
		p->last_epoch = pages_epoch(p);
	return p->last_epoch;
}

void pages_free(struct pages *p, size_t offset, size_t bytes)
{
	if (unlikely(atomic_load_explicit(&p->paged_out, memory_order_relaxed)) && pages_free_swapped(p, offset, bytes))
		return;
	if (pages_has_shards(p) && pages_shard_free(p, offset, bytes))
		return;
	pages_lock(p);
	assert(bytes <= p->allocated);
	uint64_t epoch = epoch_of_free(p, pages_note_free(p), bytes);
	p->allocated -= bytes;
	pages_stamp(p, offset, bytes, epoch);
	if (pages_is_sharding(p) || !pages_recent_push(p, offset, bytes))
		pages_add_resident(p, offset, bytes);
	p->resident_free += bytes;
	pthread_mutex_unlock(&p->lock);
	pages_sweep(p, epoch);
}
