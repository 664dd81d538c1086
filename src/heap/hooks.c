/* SPDX-License-Identifier: BSD-2-Clause */
/* Extents: from pages to jemalloc and back. */
#include <assert.h>
#include <string.h>

#include "heap/heap.h"

__thread bool heap_internal;
__thread struct heap *heap_current;
struct heap_span heap_spans[3];

/* A place in a heap's address space. */
struct place {
	struct heap *heap;
	struct pages *pages;
	size_t offset; /* in pages */
};

static bool is_lazy(const struct place *at) { return at->pages == &at->heap->lazy_pages; }

static bool place_in(struct heap *h, const void *addr, struct place *out)
{
	size_t offset = (uintptr_t)addr - (uintptr_t)h->data.base;
	if (likely(offset < h->data.size)) {
		*out = (struct place){ h, &h->pages, offset };
		return true;
	}
	offset = (uintptr_t)addr - (uintptr_t)h->meta.base;
	if (offset < h->meta.size && offset >= h->meta_pages.from) {
		*out = (struct place){ h, &h->meta_pages, offset - h->meta_pages.from };
		return true;
	}
	offset = (uintptr_t)addr - (uintptr_t)h->lazy.base;
	if (offset < h->lazy.size) {
		*out = (struct place){ h, &h->lazy_pages, offset };
		return true;
	}
	return false;
}

static bool place_of(const void *addr, struct place *out)
{
	if (likely(place_in(&heap_process, addr, out)))
		return true;
	struct heap *h = heap_explicit_at(addr);
	return h && place_in(h, addr, out);
}

static void *address_of(const struct pages *p, size_t offset)
{
	return p->region->base + p->from + offset;
}

/* An extent of so many bytes, the size of its block: slabs are far below the least lazy_above. */
static bool wants_lazy(const struct heap *h, size_t size) { return size > h->conf.lazy_above; }

/* Thread caches may use half of the reserve; the other half is for what has to succeed. */
static void *take(struct heap *h, size_t size, size_t align, bool *zeroed)
{
	bool internal = heap_internal || !h->data.base;
	struct pages *pages = internal ? &h->meta_pages : wants_lazy(h, size) ? &h->lazy_pages : &h->pages;
	size_t keep = internal ? h->reserve / 2 : h->reserve, offset;
	if (pages_alloc(pages, size, align, keep, &offset, zeroed))
		return NULL;
	return address_of(pages, offset);
}

/* The pages right behind a block that is to grow in place. */
static void *take_at(void *wanted, size_t size, bool *zeroed)
{
	struct place at;
	if (!place_of(wanted, &at))
		return NULL;
	*zeroed = is_lazy(&at);
	int err = *zeroed ? pages_commit_at(at.pages, at.offset, size, at.heap->reserve)
	                  : pages_alloc_at(at.pages, at.offset, size);
	return err ? NULL : wanted;
}

void *heap_extent_alloc(unsigned arena, void *wanted, size_t size, size_t align, bool *zero)
{
	bool zeroed = false;
	struct heap *h = heap_internal && heap_current ? heap_current : heap_of_arena(arena);
	void *addr = wanted ? take_at(wanted, size, &zeroed) : take(h, size, align, &zeroed);
	if (addr && unlikely(!heap_describe(h, addr, size))) {
		heap_extent_free(addr, size);
		addr = NULL;
	}
	if (likely(addr)) {
		if (*zero && !zeroed)
			memset(addr, 0, size);
		*zero = *zero || zeroed;
	}
	return addr;
}

void heap_extent_free(void *addr, size_t size)
{
	struct place at;
	bool ours = place_of(addr, &at);
	assert(ours);
	if (unlikely(!ours))
		return;
	if (likely(!is_lazy(&at)))
		pages_free(at.pages, at.offset, size);
	else
		pages_free_at_once(at.pages, at.offset, size);
}

bool heap_may_resize(unsigned arena, const void *block, size_t size)
{
	const struct heap *h = heap_of_arena(arena);
	return heap_has(&h->lazy, block) == wants_lazy(h, size);
}

bool heap_extents_join(const void *a, const void *b)
{
	struct place pa, pb;
	return place_of(a, &pa) && place_of(b, &pb) && pa.pages == pb.pages;
}

void heap_tick(void)
{
	uint64_t epoch = pages_epoch(&heap_process.meta_pages); /* both decay alike */
	if (epoch && HEAP_SERVES_MALLOC) {
		pages_sweep(&heap_process.pages, epoch);
		pages_sweep(&heap_process.meta_pages, epoch);
	}
}
