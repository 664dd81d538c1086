/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_heap's model: what heaps there are, with which limits, and of each block where it is
 * and what is in it. What must hold after every operation is checked here.
 */
#ifndef TESTS_FUZZ_HEAP_MODEL_H
#define TESTS_FUZZ_HEAP_MODEL_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "fuzz.h"
#include "heap/heap.h"
#include "os/os.h"
#include "sparena/heap.h"
#include "sparena/stats.h"

#define MOST_HEAPS 4 /* the first is the process's, which is always there */
#define MOST_BLOCKS 64
#define PROCESS_LIMIT (24 * MiB)

/* What a heap may hold beyond blocks before it has to refuse: steps of metadata. */
#define SLACK (512 * KiB)

struct model {
	bool exists;
	struct sparena_heap *h;
	struct heap *inside;
	size_t limit, charged;
	struct sparena_stats last; /* what was seen last: counts never fall */
	unsigned faults_before;    /* it was made */
	bool evicts;               /* on_exhausted is set */
};

struct block {
	unsigned char *p; /* NULL: there is none */
	size_t size;
	struct model *of;
	unsigned char value;
	bool busy; /* in an operation: not to be evicted */
};

static struct model models[MOST_HEAPS];
static struct block blocks[MOST_BLOCKS];
static unsigned faults;     /* that were injected so far */
static unsigned op_faults;  /* ...when the operation began */

/* ---- contents ----------------------------------------------------------------------- */

static size_t usable(const struct block *b) { return sparena_heap_usable_size(b->of->h, b->p); }

/* ...and with what harden:true has behind it. */
static size_t with_tail(const struct block *b) { return sparena_je_malloc_usable_size(b->p); }

static size_t step_of(size_t size) { return size / 4096 * 8 + 1; }

/* All that may be used, to its last byte. */
static void write_marks(struct block *b)
{
	size_t bytes = usable(b), step = step_of(b->size);
	for (size_t at = 0; at < b->size; at += step)
		b->p[at] = b->value;
	memset(b->p + b->size, ~b->value, bytes - b->size);
	b->p[b->size - 1] = b->p[bytes - 1] = b->value;
}

/* The first `bytes` of what a block of `size` was given. */
static void check_marks(const unsigned char *p, size_t bytes, size_t size, unsigned char value)
{
	for (size_t at = 0; at < bytes; at += step_of(size))
		MUST(p[at] == value);
}

static void check_contents(const struct block *b)
{
	check_marks(b->p, b->size, b->size, b->value);
	MUST(b->p[b->size - 1] == b->value && b->p[usable(b) - 1] == b->value);
}

static void check_zero(const unsigned char *p, size_t size)
{
	MUST(size == 0 || (p[0] == 0 && memcmp(p, p + 1, size - 1) == 0));
}

/* ---- places --------------------------------------------------------------------------- */

static void check_no_overlap(const struct block *b, size_t bytes)
{
	for (unsigned i = 0; i < MOST_BLOCKS; i++) {
		const struct block *other = &blocks[i];
		if (other != b && other->p)
			MUST(b->p + bytes <= other->p || other->p + usable(other) <= b->p);
	}
}

/* Where a call failed while a huge chunk was thinned, zeros in it may be left unbacked, see
 * anon_thin(). */
static bool is_backed(const struct model *m)
{
	return faults == m->faults_before || m->inside->pages.thp == PAGES_THP_NEVER;
}

/* Every page of it is there, but for what nobody promised. */
static void check_backed(const struct block *b, size_t bytes)
{
	size_t from = size_down((size_t)b->p, os_page_size()), there = 0, moving = 0;
	size_t whole = size_up((size_t)b->p + bytes, os_page_size()) - from;
	if (heap_has(&b->of->inside->lazy, b->p) || !is_backed(b->of))
		return;
	int err = os_resident((void *)from, whole, &there, &moving);
	if (err || there + moving != whole)
		fprintf(stderr, "block of %zu bytes: error %d, resident %zu, swapped or moved %zu\n", bytes, err, there, moving);
	MUST(!err && there + moving == whole);
}

/* A new block is no larger than it has to be. */
static void check_fits(const struct block *b, size_t align)
{
	MUST(usable(b) <= 2 * b->size + 16 + 2 * align);
}

static void check_place(const struct block *b, size_t align)
{
	const struct heap *h = b->of->inside;
	size_t bytes = usable(b);
	MUST(bytes >= b->size);
	MUST((uintptr_t)b->p % align == 0 && (bytes < 16 || (uintptr_t)b->p % 16 == 0));
	const struct region *r = heap_has(&h->lazy, b->p) ? &h->lazy : &h->data;
	MUST(heap_has(r, b->p) && heap_has(r, b->p + bytes - 1));
	MUST(r != &h->lazy || with_tail(b) > h->conf.lazy_above);
	check_no_overlap(b, bytes);
	check_backed(b, bytes);
}

/* ---- books ---------------------------------------------------------------------------- */

static size_t charges, lingering;

static void add_region(struct region *r)
{
	region_check(r);
	charges += region_committed(r);
	lingering += r->lingering;
}

/* Each floor's own, and the limit: above a lowered one nothing grows. */
static void check_books(struct model *m)
{
	charges = lingering = 0;
	heap_each_pages(m->inside, pages_check);
	heap_each_region(m->inside, add_region);
	MUST(budget_charged(&m->inside->budget) == charges + lingering);
	MUST(charges + lingering <= size_max(m->limit, m->charged));
	m->charged = charges + lingering;
}

static struct sparena_stats stats_of(const struct model *m, size_t size)
{
	struct sparena_stats s = { 0 };
	MUST(sparena_stats_get(m->h, &s, size) == 0);
	return s;
}

static size_t held(const struct model *m)
{
	size_t bytes = 0;
	for (unsigned i = 0; i < MOST_BLOCKS; i++)
		bytes += blocks[i].p && blocks[i].of == m ? with_tail(&blocks[i]) : 0;
	return bytes;
}

/* When nothing fails, and no cache holds anything: to the byte, and by the kernel's view. */
static void check_settled(const struct model *m)
{
	struct sparena_stats s = stats_of(m, sizeof s);
	size_t backed = s.committed + s.metadata;
	MUST(lingering == 0 && s.allocated == held(m));
	MUST(s.resident <= backed + s.lazy);
	MUST(s.resident >= backed || !is_backed(m));
}

static void check_stats(struct model *m)
{
	struct sparena_stats s = stats_of(m, sizeof s), *was = &m->last;
	MUST(s.allocated >= held(m));
	MUST(s.limit == (m->limit == SIZE_MAX ? UINT64_MAX : m->limit));
	MUST(s.committed + s.metadata + s.lazy <= m->charged && s.committed <= s.committed_peak);
	MUST(s.commits >= was->commits && s.decommits >= was->decommits && s.exhausted >= was->exhausted);
	MUST(s.committed_peak >= was->committed_peak && s.guarded >= was->guarded);
	*was = s;
}

/* jemalloc's map of addresses, of all heaps, is charged to the process's. */
static bool may_describe(void) { return budget_has_room(&heap_process.budget, SLACK, 0); }

/*
 * NULL is for a full heap, or for a call that failed. So large a block in a heap of scattered
 * ones may find no address space either, of which there is about twice the limit.
 */
static void check_refusal(struct model *m, size_t size, size_t align)
{
	const struct heap *h = m->inside;
	MUST(errno == ENOMEM);
	struct sparena_stats s = stats_of(m, sizeof s);
	if (faults != op_faults || s.guarded != m->last.guarded || size > 2 * MiB || align > 2 * MiB || !may_describe())
		return;
	size_t need = size + size / 4 + align + 2 * h->data.granule;
	MUST(budget_charged(&h->budget) + need + h->reserve + SLACK > m->limit);
}

/* ---- the end of a heap ------------------------------------------------------------------ */

/* Nobody has the addresses any more. */
static void check_unmapped(const struct region *r)
{
	if (!r->size)
		return;
	void *p = mmap(r->base, r->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
	               -1, 0);
	MUST(p == r->base);
	munmap(p, r->size);
}

static void forget_blocks(const struct model *m)
{
	for (unsigned i = 0; i < MOST_BLOCKS; i++)
		if (blocks[i].of == m)
			blocks[i] = (struct block){ 0 };
}

/* With whatever is in it. */
static void destroy(struct model *m)
{
	struct region data = m->inside->data, meta = m->inside->meta, lazy = m->inside->lazy;
	sparena_heap_destroy(m->h);
	check_unmapped(&data);
	check_unmapped(&meta);
	check_unmapped(&lazy);
	MUST(data.backing.file.fd < 0 || !os_is_same_file(&data.backing.file));
	forget_blocks(m);
	*m = (struct model){ 0 };
}

#endif
