/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * jemalloc's metadata: base blocks and the map of extents, as address space at
 * first, committed and charged in steps ahead of use. It may use what data may not
 * (the reserve), since jemalloc can hardly live with a refusal.
 */
#include <errno.h>

#include "heap/heap.h"
#include "heap/je.h"

/* Metadata is committed this much ahead of need. */
#define STEP (64 * KiB)

/* The map of extents takes 8 bytes a page: one step of it describes so much. */
#define DESCRIBED_BY_STEP (STEP / 8 * 4096)

static int commit(size_t offset, size_t length)
{
	return region_commit_keep(&heap_process.meta, offset, length, 0);
}

/* A whole step if there is room for it, otherwise just what is needed, for which
 * free runs of the program's memory make room. */
static int commit_ahead(size_t offset, size_t end)
{
	struct heap *h = &heap_process;
	size_t from = size_down(offset, STEP), to = size_min(size_up(end, STEP), h->meta.size);
	int err = commit(from, to - from);
	if (err != -ENOMEM)
		return err;
	from = size_down(offset, h->meta.granule);
	to = size_up(end, h->meta.granule);
	err = commit(from, to - from);
	if (err == -ENOMEM && (pages_trim(&h->pages, to - from) || pages_trim(&h->meta_pages, to - from)))
		err = commit(from, to - from);
	return err;
}

bool heap_metadata_need(void *addr, size_t bytes)
{
	int saved = errno;
	size_t offset = (size_t)((char *)addr - heap_process.meta.base);
	bool done = !bytes || commit_ahead(offset, offset + bytes) == 0;
	errno = saved;
	return done;
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
	struct heap *h = &heap_process;
	size_t count = size_up(size, CHUNK_SIZE) / CHUNK_SIZE, first = 0;

	pthread_mutex_lock(&h->blocks_lock);
	bool found = find_chunks(h, count, &first);
	if (found)
		bitmap_set(h->block_map, first, count);
	pthread_mutex_unlock(&h->blocks_lock);
	if (!found)
		return NULL;

	char *block = h->meta.base + h->blocks_at + first * CHUNK_SIZE;
	if (heap_metadata_need(block, 1))
		return block;
	heap_block_free(block, size);
	return NULL;
}

void heap_block_free(void *block, size_t size)
{
	struct heap *h = &heap_process;
	size_t offset = (size_t)((char *)block - h->meta.base);
	size_t length = size_up(size, CHUNK_SIZE);
	if (region_decommit(&h->meta, offset, length))
		return; /* what cannot be given back stays ours: charged, and not reused */
	pthread_mutex_lock(&h->blocks_lock);
	bitmap_clear(h->block_map, (offset - h->blocks_at) / CHUNK_SIZE, length / CHUNK_SIZE);
	pthread_mutex_unlock(&h->blocks_lock);
}

/* ---- the map of extents ------------------------------------------------------ */

struct zone {
	uintptr_t start;
	uintptr_t end;
};

/* The parts in which extents lie. In each they are handed out from below. */
static struct zone zone_at(const struct heap *h, unsigned i)
{
	uintptr_t data = (uintptr_t)h->data.base, meta = (uintptr_t)h->meta.base;
	switch (i) {
	case 0:
		return (struct zone){ data, data + h->data.huge_from };
	case 1:
		return (struct zone){ data + h->data.huge_from, data + h->data.size };
	default:
		return (struct zone){ meta + h->meta_pages.from, meta + h->meta.size };
	}
}

/* With the lock held: whoever forks holds it too, so that jemalloc's lock on its map,
 * which its own fork handlers leave out, is free then. */
static bool describe_up_to(struct heap *h, unsigned i, uintptr_t end)
{
	struct zone z = zone_at(h, i);
	uintptr_t from = atomic_load_explicit(&h->described_to[i], memory_order_relaxed);
	if (!from)
		from = z.start;
	if (end <= from)
		return true;
	uintptr_t to = size_min(size_up(end, DESCRIBED_BY_STEP), z.end);
	bool done = je_describe((void *)from, (void *)to);
	if (!done && to > end) { /* no room for a whole step */
		to = end;
		done = je_describe((void *)from, (void *)to);
	}
	if (done)
		atomic_store_explicit(&h->described_to[i], to, memory_order_release);
	return done;
}

bool heap_describe(void *addr, size_t size)
{
	struct heap *h = &heap_process;
	uintptr_t start = (uintptr_t)addr, end = start + size;
	unsigned i = 0;
	while (start - zone_at(h, i).start >= zone_at(h, i).end - zone_at(h, i).start)
		i++;
	if (likely(end <= atomic_load_explicit(&h->described_to[i], memory_order_acquire)))
		return true;
	pthread_mutex_lock(&h->describing);
	bool done = describe_up_to(h, i, end);
	pthread_mutex_unlock(&h->describing);
	return done;
}
