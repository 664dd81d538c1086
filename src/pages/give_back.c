/* SPDX-License-Identifier: BSD-2-Clause */
/* Giving free runs back: by age, or at once where room is needed. */
#include <errno.h>

#include "os/os.h"
#include "pages/pages.h"

/* A tick takes about so long, and gives back at most so much in small pages at once, each
 * of which has its price: a MiB some 70 us, of shared ones 260, of a disk's file 500. */
#define TICK_NS 400000
#define TICK_SMALL (512 * KiB)

#define ANY_AGE UINT64_MAX

/* ---- what may go, with the lock held --------------------------------------- */

/* A granule whose last free is at least a decay time ago; epochs count modulo 2^16. */
static bool is_due(const struct pages *p, size_t granule, uint64_t epoch)
{
	return epoch == ANY_AGE || (uint16_t)(epoch - p->stamps[granule]) > PAGES_EPOCHS_PER_DECAY;
}

enum pages_kind pages_kind_at(struct pages *p, size_t offset)
{
	if (offset < p->zone[PAGES_HUGE].start)
		return PAGES_SMALL;
	return region_unit(p->region, p->from + offset) == CHUNK_SIZE ? PAGES_HUGE : PAGES_SMALL;
}

static void take_out(struct pages *p, struct pages_batch *b, enum pages_kind kind, size_t offset, size_t length)
{
	pages_take_resident(p, offset, length);
	b->offset[b->count] = offset;
	b->length[b->count] = length;
	b->kind[b->count] = kind;
	b->count++;
}

/* A huge chunk goes whole or not at all. */
static size_t collect_huge(struct pages *p, size_t chunk, uint64_t epoch, struct pages_batch *b)
{
	if (!pages_is_resident(p, chunk * CHUNK_SIZE, CHUNK_SIZE))
		return 0;
	size_t granules = CHUNK_SIZE / p->granule;
	for (size_t g = 0; g < granules; g++)
		if (!is_due(p, chunk * granules + g, epoch))
			return 0;
	take_out(p, b, PAGES_HUGE, chunk * CHUNK_SIZE, CHUNK_SIZE);
	return CHUNK_SIZE;
}

static bool granule_may_go(struct pages *p, size_t granule, uint64_t epoch)
{
	return pages_is_resident(p, granule * p->granule, p->granule) && is_due(p, granule, epoch);
}

/* Granules that begin in the chunk; larger ones than a chunk begin in a few of them only. */
static size_t collect_small(struct pages *p, size_t chunk, uint64_t epoch, size_t want, struct pages_batch *b)
{
	size_t got = 0;
	size_t end = ((chunk + 1) * CHUNK_SIZE - 1) / p->granule + 1;
	for (size_t g = size_up(chunk * CHUNK_SIZE, p->granule) / p->granule; g < end && b->count < PAGES_BATCH && got < want;
	     g++) {
		size_t first = g;
		while (g < end && (g - first) * p->granule < want - got && granule_may_go(p, g, epoch))
			g++;
		if (g > first) {
			take_out(p, b, PAGES_SMALL, first * p->granule, (g - first) * p->granule);
			got += (g - first) * p->granule;
		}
	}
	return got;
}

/* ---- giving back ----------------------------------------------------------- */

/* A thinned chunk that is absent as a whole becomes huge again. */
static void mend(struct pages *p, size_t offset)
{
	struct pages_zone *small = &p->zone[PAGES_SMALL];
	size_t chunk = size_down(offset, CHUNK_SIZE), granules = CHUNK_SIZE / p->granule;
	if (offset < small->end || !runset_has(&small->absent, chunk / p->granule, granules))
		return;
	runset_remove(&small->absent, chunk / p->granule, granules);
	pthread_mutex_unlock(&p->lock);
	int err = region_mend(p->region, p->from + chunk);
	pthread_mutex_lock(&p->lock);
	pages_put_absent(p, err ? PAGES_SMALL : PAGES_HUGE, chunk, CHUNK_SIZE);
}

size_t pages_discard(struct pages *p, const struct pages_batch *b)
{
	int err[PAGES_BATCH];
	size_t freed = 0;
	for (unsigned i = 0; i < b->count; i++)
		err[i] = region_decommit(p->region, p->from + b->offset[i], b->length[i]);

	pthread_mutex_lock(&p->lock);
	for (unsigned i = 0; i < b->count; i++) {
		if (err[i]) { /* it is still there: free, and tried again later */
			pages_put_resident(p, b->offset[i], b->length[i], pages_epoch(p));
			continue;
		}
		pages_put_absent(p, b->kind[i], b->offset[i], b->length[i]);
		if (b->kind[i] == PAGES_SMALL)
			mend(p, b->offset[i]);
		freed += b->length[i];
	}
	pages_end(p);
	pthread_mutex_unlock(&p->lock);
	return freed;
}

/*
 * Chunks in the order in which they are looked at: those of the huge zone come first.
 * A cursor is a place in that order.
 */
static size_t huge_chunks(const struct pages *p)
{
	return (p->zone[PAGES_HUGE].end - p->zone[PAGES_HUGE].start) / CHUNK_SIZE;
}

static size_t ordered_chunk(const struct pages *p, size_t cursor)
{
	size_t huge = huge_chunks(p);
	return cursor < huge ? p->zone[PAGES_HUGE].start / CHUNK_SIZE + cursor : cursor - huge;
}

/* The next place from `at` on whose chunk, of the zone's, has a whole free granule. */
static size_t next_in_zone(const struct pages *p, enum pages_kind kind, size_t at, size_t none)
{
	const struct pages_zone *z = &p->zone[kind];
	size_t end = (z->frontier - z->start) / CHUNK_SIZE;
	size_t run = size_min(p->granule / PAGE, RUNSET_LEAF);
	size_t found = at < end ? runset_next_leaf(&z->resident, at, end, run) : end;
	return found < end ? found : none;
}

static size_t next_candidate(const struct pages *p, size_t cursor)
{
	size_t huge = huge_chunks(p);
	if (cursor < huge)
		cursor = next_in_zone(p, PAGES_HUGE, cursor, huge);
	if (cursor < huge)
		return cursor;
	return huge + next_in_zone(p, PAGES_SMALL, cursor - huge, p->size / CHUNK_SIZE - huge);
}

/* How much, of what age, and for how long; 0: to the end. */
struct effort {
	size_t want;
	uint64_t epoch;
	size_t most_small; /* bytes in small pages in one batch */
	uint64_t ns;
};

/* Fills a batch from *cursor on; *cursor is past the last chunk when all were seen. */
static size_t collect(struct pages *p, const struct effort *e, size_t want, size_t *cursor, struct pages_batch *b)
{
	size_t total = p->size / CHUNK_SIZE, got = 0, small = 0;
	b->count = 0;
	pages_recent_flush(p);
	for (unsigned looked = 0; looked < 256 && b->count < PAGES_BATCH && got < want; looked++) {
		*cursor = next_candidate(p, *cursor);
		if (*cursor == total)
			break;
		size_t chunk = ordered_chunk(p, *cursor);
		if (pages_kind_at(p, chunk * CHUNK_SIZE) == PAGES_HUGE) {
			got += collect_huge(p, chunk, e->epoch, b);
		} else {
			size_t n = collect_small(p, chunk, e->epoch, size_min(want - got, e->most_small - small), b);
			got += n;
			small += n;
			if (b->count == PAGES_BATCH || got >= want || small >= e->most_small)
				break; /* there may be more in this chunk */
		}
		++*cursor;
	}
	if (b->count)
		pages_begin(p);
	return got;
}

static size_t give_back(struct pages *p, const struct effort *e, size_t *cursor)
{
	size_t total = p->size / CHUNK_SIZE, freed = 0;
	uint64_t until = e->ns ? os_clock_ns() + e->ns : UINT64_MAX;
	while (freed < e->want && *cursor < total) {
		struct pages_batch b;
		pthread_mutex_lock(&p->lock);
		while (p->forking)
			pages_wait(p);
		size_t taken = collect(p, e, e->want - freed, cursor, &b), gone = 0;
		pthread_mutex_unlock(&p->lock);
		if (b.count)
			gone = pages_discard(p, &b);
		freed += gone;
		if (gone < taken)
			break; /* the kernel would not: another time */
		if (e->ns && os_clock_ns() >= until)
			break;
	}
	return freed;
}

/* ---- thinning: a part of a huge chunk, only where room is needed ----------- */

/* Granules of a chunk that hold something. */
static uint32_t used_granules(struct pages *p, size_t chunk)
{
	uint32_t used = 0;
	for (unsigned i = 0; i < CHUNK_PARTS; i++)
		if (!granule_may_go(p, chunk * CHUNK_PARTS + i, ANY_AGE))
			used |= 1u << i;
	return used;
}

/* For each granule that is not in `keep`. */
static void each_dropped(struct pages *p, size_t chunk, uint32_t keep,
                         void (*fn)(struct pages *p, size_t granule))
{
	for (unsigned i = 0; i < CHUNK_PARTS; i++)
		if (!(keep >> i & 1))
			fn(p, chunk * CHUNK_PARTS + i);
}

static void granule_out(struct pages *p, size_t granule)
{
	pages_take_resident(p, granule * p->granule, p->granule);
}

static void granule_absent(struct pages *p, size_t granule)
{
	pages_put_absent(p, PAGES_SMALL, granule * p->granule, p->granule);
}

static void granule_resident(struct pages *p, size_t granule)
{
	pages_put_resident(p, granule * p->granule, p->granule, pages_epoch(p));
}

/* Gives back the free granules of one huge chunk. Returns bytes; 0: there is none. */
static size_t thin_one(struct pages *p, size_t *cursor)
{
	size_t huge = huge_chunks(p), chunk = 0;
	uint32_t keep = 0;
	pthread_mutex_lock(&p->lock);
	pages_recent_flush(p);
	for (;; ++*cursor) {
		*cursor = p->forking ? huge : next_candidate(p, *cursor);
		if (*cursor >= huge)
			break;
		chunk = ordered_chunk(p, *cursor);
		if (pages_kind_at(p, chunk * CHUNK_SIZE) == PAGES_HUGE)
			break;
	}
	if (*cursor < huge) {
		keep = used_granules(p, chunk);
		each_dropped(p, chunk, keep, granule_out);
		pages_begin(p);
	}
	pthread_mutex_unlock(&p->lock);
	if (*cursor >= huge)
		return 0;

	int err = region_thin(p->region, p->from + chunk * CHUNK_SIZE, keep);
	pthread_mutex_lock(&p->lock);
	each_dropped(p, chunk, keep, err ? granule_resident : granule_absent);
	pages_end(p);
	pthread_mutex_unlock(&p->lock);
	++*cursor;
	return err ? 0 : (CHUNK_PARTS - (unsigned)__builtin_popcount(keep)) * p->granule;
}

size_t pages_trim(struct pages *p, size_t want)
{
	size_t cursor = 0;
	region_settle(p->region);
	pages_shards_drain(p);
	struct effort e = { want, ANY_AGE, SIZE_MAX, 0 };
	size_t freed = give_back(p, &e, &cursor);
	if (p->granule != SMALL_GRANULE)
		return freed;
	cursor = 0;
	while (freed < want) {
		size_t got = thin_one(p, &cursor);
		if (!got)
			break;
		freed += got;
	}
	return freed;
}

/* ---- by age ---------------------------------------------------------------- */

static bool is_swept(struct pages *p, uint64_t epoch)
{
	return epoch <= atomic_load_explicit(&p->swept, memory_order_relaxed);
}

/* decay_ms:0: nothing stays. */
static void give_back_all(struct pages *p)
{
	struct effort e = { SIZE_MAX, ANY_AGE, SIZE_MAX, 0 };
	size_t cursor = 0;
	give_back(p, &e, &cursor);
}

/* With `sweeping` held. Says whether it stopped only because of the time. */
static bool sweep_part(struct pages *p, uint64_t epoch)
{
	struct effort e = { SIZE_MAX, epoch, TICK_SMALL, TICK_NS };
	size_t from = p->sweep_at;
	if (from == 0)
		pages_shards_age(p, epoch);
	bool moved = give_back(p, &e, &p->sweep_at) > 0 || p->sweep_at != from;
	if (p->sweep_at < p->size / CHUNK_SIZE)
		return moved;
	p->sweep_at = 0;
	atomic_store_explicit(&p->swept, epoch, memory_order_relaxed);
	return false;
}

void pages_sweep(struct pages *p, uint64_t epoch)
{
	if (unlikely(p->decay_ms == 0))
		give_back_all(p);
	if (likely(is_swept(p, epoch)) || atomic_load_explicit(&p->attended, memory_order_relaxed) ||
	    pthread_mutex_trylock(&p->sweeping))
		return;
	(void)sweep_part(p, epoch);
	pthread_mutex_unlock(&p->sweeping);
}

bool pages_sweep_part(struct pages *p, uint64_t epoch)
{
	pthread_mutex_lock(&p->sweeping);
	bool more = !is_swept(p, epoch) && sweep_part(p, epoch);
	pthread_mutex_unlock(&p->sweeping);
	return more;
}

void pages_tick(struct pages *p)
{
	if (p->epoch_ms)
		pages_sweep(p, pages_epoch(p));
}
