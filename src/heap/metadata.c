/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * jemalloc's metadata: base blocks and the map of extents, as address space at
 * first, committed and charged in steps ahead of use. It may use what data may not
 * (the reserve), since jemalloc can hardly live with a refusal.
 */
#include <errno.h>

#include "heap/heap.h"
#include "heap/je.h"

/* Metadata is committed in steps of this size ahead of need; in a small heap in small ones. */
#define STEP (64 * KiB)
#define SMALL_STEP (16 * KiB)
#define SMALL_METADATA (2 * MiB)

/* jemalloc's start-up takes less than this from its first base block (91,392 bytes, nearly all
 * of them its first arena). It cannot live with a refusal half-way, so it has all of it from the
 * beginning, or does not start. */
#define START_BYTES (96 * KiB)

static size_t step_of(struct heap *h)
{
	return region_committed(&h->meta) < SMALL_METADATA ? SMALL_STEP : STEP;
}

/* The map of extents takes 8 bytes a page: one step of it describes so much. */
static size_t described_by_step(struct heap *h) { return step_of(h) / 8 * 4096; }

/* A whole step if there is room for it, otherwise just what is needed, for which
 * free runs of the program's memory make room. */
static int commit_ahead(struct heap *h, size_t offset, size_t end)
{
	size_t step = step_of(h), from = size_down(offset, step), to = size_min(size_up(end, step), h->meta.size);
	int err = region_commit(&h->meta, from, to - from);
	if (err == -EHWPOISON) /* the broken page is gone */
		err = region_commit(&h->meta, from, to - from);
	if (err != -ENOMEM)
		return err;
	from = size_down(offset, h->meta.granule);
	to = size_up(end, h->meta.granule);
	err = region_commit(&h->meta, from, to - from);
	if (err == -ENOMEM && heap_trim(h, to - from))
		err = region_commit(&h->meta, from, to - from);
	return err;
}

bool heap_metadata_need(struct heap *h, void *addr, size_t bytes)
{
	size_t offset = (size_t)((char *)addr - h->meta.base);
	return !bytes || commit_ahead(h, offset, offset + bytes) == 0;
}

/* ---- base blocks: whole chunks of meta, found by a walk since they are few ---- */

static bool find_chunks(struct heap *h, size_t count, size_t *first)
{
	for (size_t at = 0; at + count <= h->blocks;) {
		size_t used = bitmap_next_set(h->block_map, at, at + count);
		if (used == at + count) {
			*first = at;
			return true;
		}
		at = used + 1;
	}
	return false;
}

void *heap_block_alloc(size_t size)
{
	struct heap *h = heap_current ? heap_current : &heap_process;
	size_t count = size_up(size, CHUNK_SIZE) / CHUNK_SIZE, first = 0;

	pthread_mutex_lock(&h->blocks_lock);
	bool found = find_chunks(h, count, &first);
	if (found)
		bitmap_set(h->block_map, first, count);
	pthread_mutex_unlock(&h->blocks_lock);
	if (!found)
		return NULL;

	char *block = h->meta.base + h->blocks_at + first * CHUNK_SIZE;
	if (heap_metadata_need(h, block, first == 0 && h == &heap_process ? START_BYTES : 1))
		return block;
	heap_block_free(block, size);
	return NULL;
}

void heap_block_free(void *block, size_t size)
{
	struct heap *h = heap_explicit_at(block);
	if (!h)
		h = &heap_process;
	size_t offset = (size_t)((char *)block - h->meta.base);
	size_t length = size_up(size, CHUNK_SIZE);
	if (region_decommit(&h->meta, offset, length))
		return; /* what cannot be given back stays ours: charged, and not reused */
	pthread_mutex_lock(&h->blocks_lock);
	bitmap_clear(h->block_map, (offset - h->blocks_at) / CHUNK_SIZE, length / CHUNK_SIZE);
	pthread_mutex_unlock(&h->blocks_lock);
}

/* ---- the map of extents ------------------------------------------------------ */

/* The parts in which extents lie. In each they are handed out from below. */
void heap_set_zones(struct heap *h)
{
	uintptr_t data = (uintptr_t)h->data.base, meta = (uintptr_t)h->meta.base;
	h->zone[0] = (struct heap_zone){ data, data + h->data.huge_from, data };
	h->zone[1] = (struct heap_zone){ data + h->data.huge_from, data + h->data.size, data + h->data.huge_from };
	h->zone[2] = (struct heap_zone){ meta + h->meta_pages.from, meta + h->meta.size, meta + h->meta_pages.from };
	uintptr_t lazy = (uintptr_t)h->lazy.base;
	h->zone[3] = (struct heap_zone){ lazy, lazy + h->lazy.size, lazy };
}

static struct heap_zone *zone_of(struct heap *h, uintptr_t addr)
{
	struct heap_zone *z = h->zone;
	while (addr - z->start >= z->end - z->start && z < h->zone + HEAP_ZONES - 1)
		z++;
	return z;
}

/* With the lock held: whoever forks holds it too, so that jemalloc's lock on its map,
 * which its own fork handlers leave out, is free then. */
static bool describe_up_to(struct heap *h, struct heap_zone *z, uintptr_t end)
{
	uintptr_t from = atomic_load_explicit(&z->described_to, memory_order_relaxed);
	if (end <= from)
		return true;
	uintptr_t to = size_min(size_up(end, described_by_step(h)), z->end);
	bool done = je_describe((void *)from, (void *)to);
	if (!done && to > end) { /* no room for a whole step */
		to = end;
		done = je_describe((void *)from, (void *)to);
	}
	if (done)
		atomic_store_explicit(&z->described_to, to, memory_order_release);
	return done;
}

bool heap_describe(struct heap *h, void *addr, size_t size)
{
	uintptr_t end = (uintptr_t)addr + size;
	struct heap_zone *z = zone_of(h, (uintptr_t)addr);
	if (likely(end <= atomic_load_explicit(&z->described_to, memory_order_acquire)))
		return true;
	pthread_mutex_lock(&heap_process.describing); /* the map is one for all heaps */
	bool done = describe_up_to(h, z, end);
	pthread_mutex_unlock(&heap_process.describing);
	return done;
}
