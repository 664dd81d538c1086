/* SPDX-License-Identifier: BSD-2-Clause */
/* Giving free runs back: by age, or at once where room is needed. */
#include <errno.h>

#include "os/os.h"
#include "pages/pages.h"

#define PAGE (CHUNK_SIZE / RUNSET_LEAF)
#define EPOCHS_PER_DECAY 8

/* One step is a run of granules or a chunk: some 5 us. A tick takes at most these. */
#define TICK_STEPS 64u
#define BATCH 16u

struct batch {
	unsigned count;
	size_t offset[BATCH];
	size_t length[BATCH];
	enum pages_kind kind[BATCH];
};

uint64_t pages_epoch(const struct pages *p)
{
	if (p->decay_ms == PAGES_DECAY_NEVER || p->decay_ms == 0)
		return 0;
	uint64_t length = (uint64_t)p->decay_ms / EPOCHS_PER_DECAY;
	return os_clock_ms() / (length ? length : 1);
}

/* ---- what may go, with the lock held --------------------------------------- */

/* A granule whose last free is at least a decay time ago; epochs count modulo 2^16. */
static bool is_due(const struct pages *p, size_t granule, uint64_t epoch)
{
	return epoch == PAGES_ANY_AGE || (uint16_t)(epoch - p->stamps[granule]) > EPOCHS_PER_DECAY;
}

enum pages_kind pages_kind_at(struct pages *p, size_t offset)
{
	return region_unit(p->region, p->from + offset) == CHUNK_SIZE ? PAGES_HUGE : PAGES_SMALL;
}

static void take_out(struct pages *p, struct batch *b, enum pages_kind kind, size_t offset, size_t length)
{
	runset_remove(&p->resident, offset / PAGE, length / PAGE);
	p->resident_free -= length;
	b->offset[b->count] = offset;
	b->length[b->count] = length;
	b->kind[b->count] = kind;
	b->count++;
}

/* A huge chunk goes whole or not at all. */
static size_t collect_huge(struct pages *p, size_t chunk, uint64_t epoch, struct batch *b)
{
	if (runset_leaf_longest(&p->resident, chunk) < RUNSET_LEAF)
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
	size_t pages = p->granule / PAGE;
	return runset_has(&p->resident, granule * pages, pages) && is_due(p, granule, epoch);
}

static size_t collect_small(struct pages *p, size_t chunk, uint64_t epoch, size_t want, struct batch *b)
{
	size_t per_chunk = CHUNK_SIZE / p->granule, got = 0;
	size_t end = (chunk + 1) * per_chunk;
	for (size_t g = chunk * per_chunk; g < end && b->count < BATCH && got < want; g++) {
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
	if (chunk < small->end || !runset_has(&small->absent, chunk / p->granule, granules))
		return;
	runset_remove(&small->absent, chunk / p->granule, granules);
	pthread_mutex_unlock(&p->lock);
	int err = region_mend(p->region, p->from + chunk);
	pthread_mutex_lock(&p->lock);
	pages_put_absent(p, err ? PAGES_SMALL : PAGES_HUGE, chunk, CHUNK_SIZE);
}

static size_t discard(struct pages *p, const struct batch *b)
{
	int err[BATCH];
	size_t freed = 0;
	for (unsigned i = 0; i < b->count; i++)
		err[i] = region_decommit(p->region, p->from + b->offset[i], b->length[i]);

	pthread_mutex_lock(&p->lock);
	for (unsigned i = 0; i < b->count; i++) {
		if (err[i]) { /* it is still there: free, and tried again later */
			pages_put_resident(p, b->offset[i], b->length[i]);
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

/* Chunks in the order in which they are looked at: those of the huge zone come first. */
static size_t ordered_chunk(const struct pages *p, size_t i)
{
	size_t huge = (p->size - p->zone[PAGES_SMALL].end) / CHUNK_SIZE;
	return i < huge ? p->zone[PAGES_SMALL].end / CHUNK_SIZE + i : i - huge;
}

/* The next index in that order, from `i` on, of a chunk with a free granule. */
static size_t next_candidate(const struct pages *p, size_t i)
{
	size_t pages = p->granule / PAGE, small_end = p->zone[PAGES_SMALL].end / CHUNK_SIZE;
	size_t total = p->size / CHUNK_SIZE, huge = total - small_end;
	if (i < huge) {
		size_t end = p->zone[PAGES_HUGE].frontier / CHUNK_SIZE;
		size_t c = runset_next_leaf(&p->resident, small_end + i, end, pages);
		if (c < end)
			return c - small_end;
		i = huge;
	}
	size_t end = p->zone[PAGES_SMALL].frontier / CHUNK_SIZE;
	size_t c = runset_next_leaf(&p->resident, i - huge, end, pages);
	return c < end ? huge + c : total;
}

/* Fills a batch from *cursor on; *cursor is past the last chunk when all were seen. */
static size_t collect(struct pages *p, size_t want, uint64_t epoch, size_t *cursor, struct batch *b)
{
	size_t total = p->size / CHUNK_SIZE, got = 0;
	b->count = 0;
	for (unsigned looked = 0; looked < 256 && b->count < BATCH && got < want; looked++) {
		*cursor = next_candidate(p, *cursor);
		if (*cursor == total)
			break;
		size_t chunk = ordered_chunk(p, *cursor);
		if (pages_kind_at(p, chunk * CHUNK_SIZE) == PAGES_HUGE) {
			got += collect_huge(p, chunk, epoch, b);
		} else {
			got += collect_small(p, chunk, epoch, want - got, b);
			if (b->count == BATCH || got >= want)
				break; /* there may be more in this chunk */
		}
		++*cursor;
	}
	if (b->count)
		pages_begin(p);
	return got;
}

size_t pages_give_back(struct pages *p, size_t want, uint64_t epoch, unsigned most_steps, size_t *cursor)
{
	size_t total = p->size / CHUNK_SIZE, freed = 0;
	unsigned steps = 0;
	while (freed < want && steps < most_steps && *cursor < total) {
		struct batch b;
		pthread_mutex_lock(&p->lock);
		while (p->forking) {
			p->waiting++;
			pthread_cond_wait(&p->changed, &p->lock);
			p->waiting--;
		}
		collect(p, want - freed, epoch, cursor, &b);
		pthread_mutex_unlock(&p->lock);
		if (b.count)
			freed += discard(p, &b);
		steps += b.count + 1;
	}
	return freed;
}

/* ---- thinning: a part of a huge chunk, only where room is needed ----------- */

/* Granules of a chunk that hold something. */
static uint32_t used_granules(struct pages *p, size_t chunk)
{
	uint32_t used = 0;
	for (unsigned i = 0; i < CHUNK_PARTS; i++)
		if (!granule_may_go(p, chunk * CHUNK_PARTS + i, PAGES_ANY_AGE))
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
	runset_remove(&p->resident, granule * (p->granule / PAGE), p->granule / PAGE);
	p->resident_free -= p->granule;
}

static void granule_absent(struct pages *p, size_t granule)
{
	pages_put_absent(p, PAGES_SMALL, granule * p->granule, p->granule);
}

static void granule_resident(struct pages *p, size_t granule)
{
	pages_put_resident(p, granule * p->granule, p->granule);
}

/* Gives back the free granules of one huge chunk. Returns bytes; 0: there is none. */
static size_t thin_one(struct pages *p, size_t *cursor)
{
	size_t huge = (p->size - p->zone[PAGES_SMALL].end) / CHUNK_SIZE, chunk = 0;
	uint32_t keep = 0;
	pthread_mutex_lock(&p->lock);
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
	size_t freed = pages_give_back(p, want, PAGES_ANY_AGE, UINT32_MAX, &cursor);
	if (p->granule != SMALL_GRANULE || want == SIZE_MAX)
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

void pages_tick(struct pages *p)
{
	if (p->decay_ms == PAGES_DECAY_NEVER || p->decay_ms == 0)
		return;
	uint64_t epoch = pages_epoch(p);
	if (epoch == atomic_load_explicit(&p->swept, memory_order_relaxed))
		return;
	if (pthread_mutex_trylock(&p->sweeping))
		return;
	pages_give_back(p, SIZE_MAX, epoch, TICK_STEPS, &p->sweep_at);
	if (p->sweep_at >= p->size / CHUNK_SIZE) {
		p->sweep_at = 0;
		atomic_store_explicit(&p->swept, epoch, memory_order_relaxed);
	}
	pthread_mutex_unlock(&p->sweeping);
}
