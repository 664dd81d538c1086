/* SPDX-License-Identifier: BSD-2-Clause */
/* Handing out runs, and taking them back. */
#include <assert.h>
#include <errno.h>

#include "os/os.h"
#include "pages/pages.h"

/* A heap below this size is committed in small steps, so that small processes stay small. */
#define HUGE_FROM (4 * MiB)

/* So long a refusal is believed where the limit may change by itself. */
#define BELIEVED_MS 10

/* A request is not tried more often than this while other threads free and take. */
#define MOST_TRIES 16

struct request {
	size_t bytes;
	size_t align;
	size_t keep; /* to be left free below the limit */
};

/*
 * Finds a run by the alignment of its address, for a set whose first unit lies at
 * `start`: the region itself begins at a multiple of CHUNK_SIZE only.
 */
static bool find_run(struct pages *p, const struct runset *s, size_t start, size_t unit, const struct request *q,
                     size_t bytes, size_t *offset)
{
	size_t align = size_max(q->align / unit, 1), at;
	size_t first = ((uintptr_t)p->region->base + p->from + start) / unit;
	if (!runset_find(s, bytes / unit, align, first & (align - 1), &at))
		return false;
	*offset = start + at * unit;
	return true;
}

/* ---- resident runs --------------------------------------------------------- */

static bool find_resident(struct pages *p, const struct request *q, size_t *offset)
{
	struct pages_zone *small = &p->zone[PAGES_SMALL], *huge = &p->zone[PAGES_HUGE];
	return find_run(p, &small->resident, small->start, PAGE, q, q->bytes, offset) ||
	       find_run(p, &huge->resident, huge->start, PAGE, q, q->bytes, offset);
}

/* What was just freed in this length; else the lowest run, once all that is free has joined. */
static bool take_resident(struct pages *p, const struct request *q, size_t *offset)
{
	if (q->align <= PAGE && pages_recent_pop(p, q->bytes, offset)) {
		p->resident_free -= q->bytes;
	} else {
		if (!find_resident(p, q, offset) && !(pages_recent_flush(p) && find_resident(p, q, offset)))
			return false;
		pages_take_resident(p, *offset, q->bytes);
	}
	p->allocated += q->bytes;
	return true;
}

/* ---- new runs -------------------------------------------------------------- */

/* Where there is none, *frontier is up to where was looked. */
static bool claim_absent(struct pages *p, enum pages_kind kind, const struct request *q, size_t bytes, size_t *offset,
                         size_t *frontier)
{
	struct pages_zone *z = &p->zone[kind];
	pthread_mutex_lock(&p->lock);
	while (p->forking)
		pages_wait(p);
	bool found = find_run(p, &z->absent, 0, z->unit, q, bytes, offset);
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
static int grow_once(struct pages *p, enum pages_kind kind, const struct request *q, size_t claim, size_t *offset)
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
static int grow_by(struct pages *p, enum pages_kind kind, const struct request *q, size_t claim, size_t *offset)
{
	int err = -EHWPOISON;
	for (unsigned tries = 0; err == -EHWPOISON && tries < MOST_TRIES; tries++)
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

static int grow_kind(struct pages *p, enum pages_kind kind, const struct request *q, size_t *offset)
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
static int grow(struct pages *p, const struct request *q, size_t *offset)
{
	enum pages_kind first = prefers_huge(p, q->bytes) ? PAGES_HUGE : PAGES_SMALL;
	int err = grow_kind(p, first, q, offset);
	if (err == -ENOMEM && p->thp != PAGES_THP_NEVER)
		err = grow_kind(p, first == PAGES_HUGE ? PAGES_SMALL : PAGES_HUGE, q, offset);
	return err;
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
static bool known_refused(struct pages *p, const struct request *q)
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
static bool is_over_limit(struct pages *p, const struct request *q)
{
	size_t least = size_up(q->bytes, p->granule);
	return q->align <= PAGE && !budget_has_room(p->region->budget, least, q->keep);
}

/*
 * Whether another try may succeed: something was freed since `frees` was read, or an
 * operation of another thread, which was waited for, has ended. Otherwise notes the
 * refusal, so that the next one is cheap.
 */
static bool worth_another_try(struct pages *p, const struct request *q, size_t frees)
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

static enum answer try_resident(struct pages *p, const struct request *q, size_t *offset)
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
	struct request q = { bytes, align, keep };
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
		if (answer == TAKEN || grow(p, &q, offset) == 0)
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
