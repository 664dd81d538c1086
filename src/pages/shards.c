/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <string.h>
#include <sys/types.h>

#include "pages/pages.h"
#include "pages/shards.h"

/* Refusals of pages' lock within an epoch from which on it is contended. */
#define CONTENDED 4u

#define NOBODY 0u

/* Chunks that are looked at for a part. */
#define MOST_LOOKS 16u

/* A thread's shard, the same in all heaps. */
static unsigned my_shard(void)
{
	static _Atomic unsigned threads;
	static __thread unsigned mine;
	if (unlikely(!mine))
		mine = 1 + atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % SHARDS;
	return mine - 1;
}

static struct shards *shards_of(struct pages *p)
{
	return atomic_load_explicit(&p->shards, memory_order_acquire);
}

static _Atomic uint16_t *owner_of(struct shards *all, size_t chunk)
{
	return &all->owner[chunk % SHARD_OWNERS];
}

/* With decay_ms:0 what is freed goes back at once, and has to come by the sets. */
static void begin_sharding(struct pages *p)
{
	if (p->decay_ms == 0)
		return;
	pthread_mutex_lock(&p->growing);
	if (!shards_of(p) && pages_cover_shards(p) == 0)
		atomic_store_explicit(&p->shards, p->shards_memory, memory_order_release);
	atomic_store_explicit(&p->sharding, shards_of(p) != NULL, memory_order_relaxed);
	pthread_mutex_unlock(&p->growing);
}

/* Who attends to the pages is no second thread that needs some. */
void pages_lock_contended(struct pages *p)
{
	if (!atomic_load_explicit(&p->attending, memory_order_relaxed) &&
	    atomic_fetch_add_explicit(&p->contended, 1, memory_order_relaxed) + 1 == CONTENDED)
		begin_sharding(p);
	pthread_mutex_lock(&p->lock);
}

/* ---- parts, with the shard's lock held ----------------------------------------- */

static bool all_free(const struct shard_part *part) { return part->sum.longest == RUNSET_LEAF; }

/* `change` bytes are free now that were not, or the other way round. */
static void note_change(struct shard *s, struct shard_part *part, ssize_t change)
{
	size_t free = atomic_load_explicit(&s->free, memory_order_relaxed);
	atomic_store_explicit(&s->free, free + (size_t)change, memory_order_relaxed);
	s->longest[part - s->part] = (uint16_t)part->sum.longest;
	part->used = s->used = true;
}

/* Back into the sets, as free since `epoch`; the part is nobody's any more. */
static void give_part(struct pages *p, struct shards *all, struct shard *s, struct shard_part *part, uint64_t epoch)
{
	size_t given = 0;
	pthread_mutex_lock(&p->lock);
	for (size_t at = 0, end; (at = bitmap_next_set(part->free, at, RUNSET_LEAF)) < RUNSET_LEAF; at = end) {
		end = bitmap_next_clear(part->free, at, RUNSET_LEAF);
		pages_put_resident(p, part->chunk * CHUNK_SIZE + at * PAGE, (end - at) * PAGE, epoch);
		given += (end - at) * PAGE;
	}
	p->allocated -= given;
	pages_note_free(p);
	atomic_store_explicit(owner_of(all, part->chunk), NOBODY, memory_order_relaxed);
	pthread_mutex_unlock(&p->lock);
	s->spare -= all_free(part);
	note_change(s, part, -(ssize_t)given);
	s->longest[part - s->part] = 0;
	memset(part, 0, sizeof *part);
}

/* A place for one more part: an empty one, or that of whatever has least to offer. */
static struct shard_part *place_for_part(struct pages *p, struct shards *all, struct shard *s)
{
	unsigned least = 0;
	for (unsigned i = 0; i < SHARD_PARTS; i++) {
		if (!s->part[i].held)
			return &s->part[i];
		if (s->longest[i] < s->longest[least])
			least = i;
	}
	give_part(p, all, s, &s->part[least], pages_epoch(p));
	return &s->part[least];
}

/* The number of this shard's part that has the chunk, SHARD_PARTS if nobody has, or more. */
static size_t part_of_chunk(struct shards *all, const struct shard *s, size_t chunk)
{
	size_t first = (size_t)(s - all->shard) * SHARD_PARTS;
	size_t place = atomic_load_explicit(owner_of(all, chunk), memory_order_relaxed);
	if (place == NOBODY)
		return SHARD_PARTS;
	bool mine = place > first && place <= first + SHARD_PARTS && s->part[place - 1 - first].chunk == chunk;
	return mine ? place - 1 - first : SHARD_PARTS + 1;
}

/*
 * The lowest resident run of so many pages in one chunk that is nobody's or this shard's, as
 * far as it goes there; false: there is none among the first few.
 */
static bool find_part(struct pages *p, struct shards *all, const struct shard *s, size_t count, size_t *offset,
                      unsigned *length)
{
	unsigned looks = MOST_LOOKS;
	for (int kind = PAGES_KINDS; kind-- > 0;) {
		const struct pages_zone *z = &p->zone[kind];
		size_t end = (z->frontier - z->start) / CHUNK_SIZE, leaf = 0;
		while (looks-- && (leaf = runset_next_leaf(&z->resident, leaf, end, count)) < end) {
			if (part_of_chunk(all, s, z->start / CHUNK_SIZE + leaf) <= SHARD_PARTS) {
				const uint64_t *words = z->resident.bits + leaf * LEAF_WORDS;
				unsigned at = (unsigned)leaf_find(words, count);
				*length = leaf_run_at(words, at);
				*offset = z->start + leaf * CHUNK_SIZE + at * PAGE;
				return true;
			}
			leaf++;
		}
		looks++;
	}
	return false;
}

/* Pages that a part takes at most, where `count` are wanted: others do not find what one has. */
static unsigned most_to_take(struct pages *p, size_t count)
{
	size_t share = region_committed(p->region) / SHARD_SHARE / PAGE;
	return (unsigned)size_min(size_max(count, share), RUNSET_LEAF);
}

/*
 * Takes a run of at least `count` pages, and some that follow it, out of the resident set, if
 * its chunk is nobody's yet, or this shard's. NULL: there is none.
 */
static struct shard_part *take_part(struct pages *p, struct shards *all, struct shard *s, size_t count)
{
	struct shard_part *part = place_for_part(p, all, s);
	unsigned most = most_to_take(p, count), length = 0;
	size_t offset = 0;
	pthread_mutex_lock(&p->lock);
	pages_recent_flush(p);
	bool found = find_part(p, all, s, count, &offset, &length);
	size_t mine = found ? part_of_chunk(all, s, offset / CHUNK_SIZE) : SHARD_PARTS;
	if (mine < SHARD_PARTS)
		part = &s->part[mine];
	if (found) {
		length = length < most ? length : most;
		pages_take_resident(p, offset, length * PAGE);
		pages_watch(p, offset);
		p->allocated += length * PAGE;
		pages_note_free(p); /* frees in it will not be counted */
		pages_wish(p, PAGES_WISH_AGE);
		part->held = true;
		part->chunk = offset / CHUNK_SIZE;
		leaf_add(part->free, &part->sum, (unsigned)(offset % CHUNK_SIZE / PAGE), length);
		s->spare += all_free(part);
		note_change(s, part, (ssize_t)(length * PAGE));
		size_t place = (size_t)(s - all->shard) * SHARD_PARTS + (size_t)(part - s->part);
		atomic_store_explicit(owner_of(all, part->chunk), (uint16_t)(place + 1), memory_order_relaxed);
	}
	pthread_mutex_unlock(&p->lock);
	return found ? part : NULL;
}

static struct shard_part *part_with(struct shard *s, size_t count)
{
	for (unsigned i = 0; i < SHARD_PARTS; i++)
		if (s->longest[i] >= count)
			return &s->part[i];
	return NULL;
}

static void take_run(struct shard *s, struct shard_part *part, unsigned from, unsigned count)
{
	s->spare -= all_free(part);
	leaf_remove(part->free, &part->sum, from, count);
	note_change(s, part, -(ssize_t)(count * PAGE));
}

/* Whether a run is so short, and in one chunk, that a part may have it. */
static bool is_for_part(size_t offset, size_t bytes)
{
	return bytes <= PAGES_SHARD_LONGEST && offset / CHUNK_SIZE == (offset + bytes - 1) / CHUNK_SIZE;
}

/* The part that the run's pages belong to when they are free, with its shard locked; NULL:
 * they are the sets'. */
static struct shard_part *lock_owner(struct pages *p, size_t offset, size_t bytes, struct shard **s)
{
	struct shards *all = shards_of(p);
	size_t chunk = offset / CHUNK_SIZE;
	unsigned place = atomic_load_explicit(owner_of(all, chunk), memory_order_relaxed);
	if (place == NOBODY || !is_for_part(offset, bytes))
		return NULL;
	*s = &all->shard[(place - 1) / SHARD_PARTS];
	struct shard_part *part = &(*s)->part[(place - 1) % SHARD_PARTS];
	pthread_mutex_lock(&(*s)->lock);
	if (part->held && part->chunk == chunk)
		return part;
	pthread_mutex_unlock(&(*s)->lock);
	return NULL;
}

/* ---- what `pages` asks for ------------------------------------------------------- */

bool pages_shard_take(struct pages *p, size_t bytes, size_t *offset)
{
	size_t count = bytes / PAGE;
	if (bytes > PAGES_SHARD_LONGEST)
		return false;
	struct shards *all = shards_of(p);
	struct shard *s = &all->shard[my_shard()];
	pthread_mutex_lock(&s->lock);
	struct shard_part *part = part_with(s, count);
	if (!part)
		part = take_part(p, all, s, count);
	if (part) {
		size_t at = leaf_find(part->free, count);
		take_run(s, part, (unsigned)at, (unsigned)count);
		*offset = part->chunk * CHUNK_SIZE + at * PAGE;
	}
	pthread_mutex_unlock(&s->lock);
	return part != NULL;
}

bool pages_shard_take_at(struct pages *p, size_t offset, size_t bytes)
{
	size_t from = offset % CHUNK_SIZE / PAGE, count = bytes / PAGE;
	struct shard *s;
	struct shard_part *part = lock_owner(p, offset, bytes, &s);
	if (!part)
		return false;
	bool free = bitmap_all(part->free, from, count);
	if (free)
		take_run(s, part, (unsigned)from, (unsigned)count);
	pthread_mutex_unlock(&s->lock);
	return free;
}

bool pages_shard_free(struct pages *p, size_t offset, size_t bytes)
{
	struct shard *s;
	struct shard_part *part = lock_owner(p, offset, bytes, &s);
	if (!part)
		return false;
	leaf_add(part->free, &part->sum, (unsigned)(offset % CHUNK_SIZE / PAGE), (unsigned)(bytes / PAGE));
	note_change(s, part, (ssize_t)bytes);
	pages_wish(p, PAGES_WISH_AGE);
	if (all_free(part) && ++s->spare > SHARD_SPARE)
		give_part(p, shards_of(p), s, part, pages_epoch(p));
	pthread_mutex_unlock(&s->lock);
	return true;
}

/* ---- coming and going ------------------------------------------------------------- */

/* Gives back the parts of a shard: all, or those that were not used since the last epoch.
 * Says whether the shard was. */
static bool give_parts(struct pages *p, struct shards *all, struct shard *s, bool unused_only, uint64_t epoch)
{
	pthread_mutex_lock(&s->lock);
	bool used = s->used;
	for (unsigned i = 0; i < SHARD_PARTS; i++) {
		struct shard_part *part = &s->part[i];
		if (part->used)
			part->last_used = epoch;
		if (part->held && !(unused_only && part->used))
			give_part(p, all, s, part, part->last_used);
		part->used = false;
	}
	s->used = false;
	pthread_mutex_unlock(&s->lock);
	return used;
}

static unsigned give_all_parts(struct pages *p, bool unused_only, uint64_t epoch)
{
	struct shards *all = shards_of(p);
	unsigned used = 0;
	for (unsigned i = 0; all && i < SHARDS; i++)
		used += give_parts(p, all, &all->shard[i], unused_only, epoch);
	return used;
}

bool pages_shards_spare(struct pages *p)
{
	struct shards *all = shards_of(p);
	size_t total = 0, most = 0;
	struct shard *richest = NULL;
	for (unsigned i = 0; i < SHARDS; i++) {
		size_t free = atomic_load_explicit(&all->shard[i].free, memory_order_relaxed);
		total += free;
		if (free > most) {
			most = free;
			richest = &all->shard[i];
		}
	}
	if (total <= region_committed(p->region) / SHARDS_SHARE)
		return false;
	give_parts(p, all, richest, false, pages_epoch(p));
	return true;
}

void pages_shards_drain(struct pages *p) { give_all_parts(p, false, pages_epoch(p)); }

void pages_shards_age(struct pages *p, uint64_t epoch)
{
	unsigned contended = atomic_exchange_explicit(&p->contended, 0, memory_order_relaxed);
	if (!shards_of(p))
		return;
	if (give_all_parts(p, true, epoch) > 1 || contended >= CONTENDED)
		return;
	atomic_store_explicit(&p->sharding, false, memory_order_relaxed); /* one thread alone needs none */
	give_all_parts(p, false, epoch);
}

bool pages_shards_hold(struct pages *p)
{
	struct shards *all = shards_of(p);
	bool any = false;
	for (unsigned i = 0; all && !any && i < SHARDS; i++) {
		pthread_mutex_lock(&all->shard[i].lock);
		any = atomic_load_explicit(&all->shard[i].free, memory_order_relaxed) > 0;
		pthread_mutex_unlock(&all->shard[i].lock);
	}
	return any;
}

void pages_shards_fork_prepare(struct pages *p)
{
	struct shards *all = shards_of(p);
	for (unsigned i = 0; all && i < SHARDS; i++)
		pthread_mutex_lock(&all->shard[i].lock);
}

void pages_shards_fork_done(struct pages *p)
{
	struct shards *all = shards_of(p);
	for (unsigned i = SHARDS; all && i-- > 0;)
		pthread_mutex_unlock(&all->shard[i].lock);
}
