/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scenarios on jemalloc, run again and again: each time another call of its to our hooks
 * fails, once or from then on, until a run comes through untouched. These are refused: extents,
 * new ones, more pages for one, and those of thread caches; the map of extents; base blocks
 * and more of them; joining, and growing in place; and, by an arena's own hooks over ours,
 * also splitting and giving back. (What fails below our hooks: test_failpoints.c.)
 *
 * A call that fails costs the program no more than one answer of NULL; what it holds keeps
 * its contents. Afterwards jemalloc and our pages must agree on what is handed out, the
 * books balance, everything can be freed and the same done again. Preset dev: jemalloc's
 * own assertions look on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jemalloc/jemalloc.h>

#include "heap/heap.h"
#include "os/os.h"
#include "points.h"
#include "sparena/heap.h"

/* ---- calls that fail ------------------------------------------------------------------ */

enum call_id { EXTENT, IN_PLACE, CACHE, MAP, BLOCK, METADATA, ROOM, JOIN, RESIZE, SPLIT, DALLOC, CALLS };

const struct call calls[CALLS] = {
	[EXTENT] = { .name = "extent", .errors = { ENOMEM } },
	[IN_PLACE] = { .name = "extent, more of", .errors = { ENOMEM } },
	[CACHE] = { .name = "extent, a cache's", .errors = { ENOMEM } },
	[MAP] = { .name = "map of extents", .errors = { ENOMEM } },
	[BLOCK] = { .name = "base block", .errors = { ENOMEM } },
	[METADATA] = { .name = "base block, part", .errors = { ENOMEM } },
	[ROOM] = { .name = "room for an arena", .errors = { ENOMEM } },
	[JOIN] = { .name = "join", .errors = { EINVAL } },
	[RESIZE] = { .name = "resize", .errors = { EINVAL } },
	[SPLIT] = { .name = "split", .errors = { EINVAL } },
	[DALLOC] = { .name = "give back", .errors = { EINVAL } },
};
const unsigned call_count = CALLS;

void *__real_heap_extent_alloc(unsigned arena, void *wanted, size_t size, size_t align, bool *zero);
void *__wrap_heap_extent_alloc(unsigned arena, void *wanted, size_t size, size_t align, bool *zero);
void *__wrap_heap_extent_alloc(unsigned arena, void *wanted, size_t size, size_t align, bool *zero)
{
	enum call_id c = heap_internal ? CACHE : wanted ? IN_PLACE : EXTENT;
	return fails(c) ? NULL : __real_heap_extent_alloc(arena, wanted, size, align, zero);
}

bool __real_heap_describe(struct heap *h, void *addr, size_t size);
bool __wrap_heap_describe(struct heap *h, void *addr, size_t size);
bool __wrap_heap_describe(struct heap *h, void *addr, size_t size)
{
	return !fails(MAP) && __real_heap_describe(h, addr, size);
}

void *__real_heap_block_alloc(size_t size);
void *__wrap_heap_block_alloc(size_t size);
void *__wrap_heap_block_alloc(size_t size)
{
	return fails(BLOCK) ? NULL : __real_heap_block_alloc(size);
}

bool __real_heap_metadata_need(struct heap *h, void *addr, size_t bytes);
bool __wrap_heap_metadata_need(struct heap *h, void *addr, size_t bytes);
bool __wrap_heap_metadata_need(struct heap *h, void *addr, size_t bytes)
{
	return !fails(METADATA) && __real_heap_metadata_need(h, addr, bytes);
}

bool __real_heap_has_room(size_t bytes);
bool __wrap_heap_has_room(size_t bytes);
bool __wrap_heap_has_room(size_t bytes) { return !fails(ROOM) && __real_heap_has_room(bytes); }

bool __real_heap_extents_join(const void *a, const void *b);
bool __wrap_heap_extents_join(const void *a, const void *b);
bool __wrap_heap_extents_join(const void *a, const void *b)
{
	return !fails(JOIN) && __real_heap_extents_join(a, b);
}

bool __real_heap_may_resize(unsigned arena, const void *block, size_t size);
bool __wrap_heap_may_resize(unsigned arena, const void *block, size_t size);
bool __wrap_heap_may_resize(unsigned arena, const void *block, size_t size)
{
	return !fails(RESIZE) && __real_heap_may_resize(arena, block, size);
}

/* ---- blocks, and what is in them ------------------------------------------------------ */

#define MOST_BLOCKS 64

static struct block {
	unsigned char *p; /* NULL: none */
	size_t size;
	unsigned char value;
} blocks[MOST_BLOCKS];

static unsigned refused;

/* The answer NULL: there must be a reason for it, and one failure is a reason for one. */
static void count_refusal(void)
{
	MUST(point.at);
	refused++;
	MUST(refused == 1 || point.lasts == FOR_GOOD);
}

/* All of a small block, both ends of each page of a large one. */
static size_t next_byte(size_t at, size_t size)
{
	if (size <= 2 * PAGE || at + 1 == size)
		return at + 1;
	return size_min(at % PAGE ? at + 1 : at + PAGE - 1, size - 1);
}

static void fill(struct block *b)
{
	for (size_t at = 0; at < b->size; at = next_byte(at, b->size))
		b->p[at] = b->value;
}

static void check_first(const struct block *b, size_t bytes)
{
	for (size_t at = 0; at < bytes; at = next_byte(at, b->size))
		MUST(b->p[at] == b->value);
}

static void check_zero(const unsigned char *p, size_t from, size_t to)
{
	MUST(from >= to || (p[from] == 0 && memcmp(p + from, p + from + 1, to - from - 1) == 0));
}

static void check_contents(void)
{
	for (unsigned i = 0; i < MOST_BLOCKS; i++)
		if (blocks[i].p)
			check_first(&blocks[i], blocks[i].size);
}

/* A new block, or the answer NULL. */
static void put(unsigned i, void *p, size_t size)
{
	MUST(!blocks[i].p);
	if (!p) {
		count_refusal();
		return;
	}
	blocks[i] = (struct block){ p, size, (unsigned char)(i + 1) };
	fill(&blocks[i]);
}

static void give_with(unsigned i, int flags)
{
	struct block *b = &blocks[i];
	if (b->p) {
		check_first(b, b->size);
		sparena_je_dallocx(b->p, flags);
	}
	b->p = NULL;
}

static void give(unsigned i) { give_with(i, 0); }

/* ---- the books ------------------------------------------------------------------------ */

static struct heap *const h = &heap_process;

#define TEXT_OF(number) #number
#define ACTIVE_IN(arenas) "stats.arenas." TEXT_OF(arenas) ".pactive"

/* Bytes of extents that jemalloc uses. */
static size_t active_bytes(void)
{
	uint64_t epoch = 1;
	size_t pages, size = sizeof pages;
	MUST(sparena_je_mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
	MUST(sparena_je_mallctl(ACTIVE_IN(MALLCTL_ARENAS_ALL), &pages, &size, NULL, 0) == 0);
	return pages * PAGE;
}

/* ...and what we handed out. */
static size_t handed_out(void)
{
	pages_shards_drain(&h->pages);
	return h->pages.allocated + h->meta_pages.allocated;
}

static void check_books(void)
{
	struct sparena_stats s;
	check_contents();
	MUST_BE_EQUAL(handed_out(), active_bytes());
	heap_each_pages(h, pages_check);
	heap_each_region(h, region_check);
	heap_stats(h, &s, true);
	MUST_BE_EQUAL(budget_charged(&h->budget), s.committed + s.metadata);
	MUST_BE_EQUAL(s.resident, s.committed + s.metadata);
}

static void give_everything_back(size_t allocated)
{
	for (unsigned i = 0; i < MOST_BLOCKS; i++)
		give(i);
	heap_purge(h);
	MUST_BE_EQUAL(je_allocated(), allocated);
	check_books();
}

/* With failures, and when they are over once more without. */
static void fail_and_recover(const struct scenario *s)
{
	size_t allocated = je_allocated();
	s->act();
	point = (struct point){ .which = CALLS }; /* none: what follows has no points */
	check_books();
	give_everything_back(allocated);
	s->act();
	check_books();
	give_everything_back(allocated);
}

/* ---- allocation ----------------------------------------------------------------------- */

static const size_t sizes[] = { 8, 100, 1000, 3000, 9000, 16 * KiB, 40 * KiB, 100 * KiB, 200 * KiB, 700 * KiB };
#define SIZES (sizeof sizes / sizeof *sizes)

static void take_malloc(unsigned i, size_t size)
{
	errno = 0;
	void *p = sparena_je_malloc(size);
	MUST(p || errno == ENOMEM);
	put(i, p, size);
}

static void take_calloc(unsigned i, size_t size)
{
	errno = 0;
	unsigned char *p = sparena_je_calloc(size / 4, 4);
	MUST(p || errno == ENOMEM);
	if (p)
		check_zero(p, 0, size);
	put(i, p, size);
}

static void take_aligned(unsigned i, size_t align, size_t size)
{
	void *p = NULL;
	int err = sparena_je_posix_memalign(&p, align, size);
	MUST(err == (p ? 0 : ENOMEM) && (uintptr_t)p % align == 0);
	put(i, p, size);
}

static void allocate(void)
{
	for (unsigned i = 0; i < SIZES; i++)
		take_malloc(i, sizes[i]);
	for (unsigned i = 0; i < SIZES; i += 2)
		give(i);
	for (unsigned i = 0; i < SIZES; i++)
		take_calloc((unsigned)SIZES + i, sizes[i]);
	for (unsigned i = 0; i < SIZES; i++)
		take_aligned(2 * (unsigned)SIZES + i, 64u << i, sizes[i]);
	je_flush_thread_cache();
	for (unsigned i = 0; i < 16; i++)
		take_malloc(40 + i, 3 * PAGE + i * PAGE);
	for (unsigned i = 1; i < SIZES; i += 2)
		give(i);
	take_aligned(60, CHUNK_SIZE, CHUNK_SIZE);
	take_calloc(61, 2500 * KiB);
}

/* ---- realloc -------------------------------------------------------------------------- */

enum how { REALLOC, RALLOCX, ZEROED };

static void *resized(unsigned char *p, size_t size, enum how how)
{
	if (how == REALLOC)
		return sparena_je_realloc(p, size);
	return sparena_je_rallocx(p, size, how == ZEROED ? MALLOCX_ZERO : 0);
}

/* The answer NULL leaves the block as it was. */
static void resize(unsigned i, size_t size, enum how how)
{
	struct block *b = &blocks[i];
	if (!b->p)
		return;
	size_t usable = sparena_je_malloc_usable_size(b->p);
	unsigned char *p = resized(b->p, size, how);
	if (!p) {
		count_refusal();
		check_first(b, b->size);
		return;
	}
	b->p = p;
	check_first(b, size_min(b->size, size));
	if (how == ZEROED)
		check_zero(p, usable, size);
	b->size = size;
	fill(b);
}

/* Where it is, as far as that goes. */
static void resize_here(unsigned i, size_t size, int flags)
{
	struct block *b = &blocks[i];
	if (!b->p)
		return;
	size_t got = sparena_je_xallocx(b->p, size, 0, flags);
	MUST_BE_EQUAL(got, sparena_je_malloc_usable_size(b->p));
	check_first(b, size_min(b->size, got));
	b->size = got;
	fill(b);
}

static void reallocate(void)
{
	static const size_t steps[] = { 16, 200, 5000, 20000, 200 * KiB, 260 * KiB, 400 * KiB, 800 * KiB, MiB,
		500 * KiB, 100 * KiB, 3000, 60 * KiB, 16 };
	for (unsigned i = 0; i < 3; i++)
		take_malloc(i, 8);
	for (unsigned s = 0; s < sizeof steps / sizeof *steps; s++)
		for (unsigned i = 0; i < 3; i++)
			resize(i, steps[s], (enum how)i);
	take_malloc(3, 100 * KiB);
	take_malloc(4, 40 * KiB); /* behind it, mostly */
	resize_here(3, 200 * KiB, 0);
	give(4);
	for (size_t size = 64 * KiB; size <= 512 * KiB; size *= 2)
		resize_here(3, size, 0);
	resize_here(3, 80 * KiB, 0);
	resize_here(3, 100, 0);
}

/* ---- threads: arenas and caches --------------------------------------------------------- */

#define THREADS 4
#define EACH 14

static _Alignas(4096) char stacks[THREADS][256 * KiB]; /* the C library keeps stacks that it made */
static sem_t turn[THREADS], done;

static void take_turn(unsigned t) { while (sem_wait(&turn[t])) {} }

static void give_turns(void)
{
	for (unsigned t = 0; t < THREADS; t++) {
		sem_post(&turn[t]);
		while (sem_wait(&done)) {}
	}
}

/* One thread at a time, so that the same calls come in the same order. */
static void *thread(void *number)
{
	unsigned t = (unsigned)(uintptr_t)number, next = (t + 1) % THREADS;
	take_turn(t);
	for (unsigned i = 0; i < EACH; i++)
		take_malloc(t * EACH + i, 50 + i * i * 400);
	sem_post(&done);
	take_turn(t);
	for (unsigned i = 0; i < EACH; i += 2)
		give(next * EACH + i);
	sem_post(&done);
	return NULL;
}

static void use_threads(void)
{
	pthread_t threads[THREADS];
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	sem_init(&done, 0, 0);
	for (unsigned t = 0; t < THREADS; t++) {
		sem_init(&turn[t], 0, 0);
		MUST(pthread_attr_setstack(&attr, stacks[t], sizeof stacks[t]) == 0);
		MUST(pthread_create(&threads[t], &attr, thread, (void *)(uintptr_t)t) == 0);
	}
	give_turns();
	give_turns();
	for (unsigned t = 0; t < THREADS; t++)
		MUST(pthread_join(threads[t], NULL) == 0);
}

/* ---- an arena of the program's, with hooks of its own over ours --------------------------- */

static extent_hooks_t own_hooks, *our_hooks;

static bool grows; /* a block, in place */

/* What is given back in vain stays as it is. */
static bool own_merge(extent_hooks_t *hooks, void *a, size_t size_a, void *b, size_t size_b, bool committed, unsigned arena)
{
	(void)hooks;
	MUST(grows);
	return our_hooks->merge(our_hooks, a, size_a, b, size_b, committed, arena);
}

static bool own_split(extent_hooks_t *hooks, void *addr, size_t size, size_t a, size_t b, bool committed, unsigned arena)
{
	(void)hooks;
	return fails(SPLIT) || our_hooks->split(our_hooks, addr, size, a, b, committed, arena);
}

static bool own_dalloc(extent_hooks_t *hooks, void *addr, size_t size, bool committed, unsigned arena)
{
	(void)hooks;
	return fails(DALLOC) || our_hooks->dalloc(our_hooks, addr, size, committed, arena);
}

/* What jemalloc offers of an arena, by name; what is told is read first, then written. */
static void control(unsigned arena, const char *what, void *old, size_t *old_size, void *new, size_t new_size)
{
	char name[64];
	snprintf(name, sizeof name, "arena.%u.%s", arena, what);
	MUST(sparena_je_mallctl(name, old, old_size, new, new_size) == 0);
}

static void set_hooks(unsigned arena)
{
	extent_hooks_t *own = &own_hooks;
	size_t size = sizeof our_hooks;
	control(arena, "extent_hooks", &our_hooks, &size, NULL, 0);
	own_hooks = *our_hooks;
	own_hooks.merge = own_merge;
	own_hooks.split = own_split;
	own_hooks.dalloc = own_dalloc;
	control(arena, "extent_hooks", NULL, NULL, &own, sizeof own);
}

static void use_arena(unsigned arena, int flags)
{
	for (unsigned i = 0; i < SIZES; i++)
		put(i, sparena_je_mallocx(sizes[i], flags), sizes[i]);
	for (unsigned i = 6; i < SIZES; i++) {
		resize_here(i, sizes[i] / 2, flags);
		grows = true;
		resize_here(i, sizes[i], flags);
		grows = false;
	}
	for (unsigned i = 0; i < SIZES; i += 2)
		give_with(i, flags);
	for (unsigned i = 20; i < 26; i++)
		put(i, sparena_je_mallocx(i * 2 * KiB, flags), i * 2 * KiB);
	control(arena, "purge", NULL, NULL, NULL, 0);
	control(arena, "decay", NULL, NULL, NULL, 0);
}

static void make_arena(void)
{
	unsigned arena;
	size_t size = sizeof arena;
	if (sparena_je_mallctl("arenas.create", &arena, &size, NULL, 0)) {
		count_refusal();
		return;
	}
	set_hooks(arena);
	int flags = MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE;
	use_arena(arena, flags);
	check_contents();
	memset(blocks, 0, sizeof blocks); /* what is left goes with the rest */
	control(arena, "reset", NULL, NULL, NULL, 0);
	use_arena(arena, flags);
	check_contents();
	memset(blocks, 0, sizeof blocks);
	control(arena, "destroy", NULL, NULL, NULL, 0);
}

/* ---- heaps ----------------------------------------------------------------------------- */

static void use_heap(struct sparena_heap *heap)
{
	unsigned char *held[SIZES];
	for (unsigned i = 0; i < SIZES; i++) {
		held[i] = i % 2 ? sparena_heap_malloc(heap, sizes[i]) : sparena_heap_aligned_alloc(heap, 64u << i, sizes[i]);
		put(i, held[i], sizes[i]);
	}
	for (unsigned i = 0; i < SIZES; i += 3) {
		void *p = held[i] ? sparena_heap_realloc(heap, held[i], sizes[i] * 2) : NULL;
		if (held[i] && !p)
			count_refusal();
		blocks[i].p = p ? p : held[i];
	}
	check_contents();
	for (unsigned i = 0; i < SIZES; i += 4) {
		sparena_heap_free(heap, blocks[i].p);
		blocks[i].p = NULL;
	}
	MUST(sparena_heap_purge(heap) == 0);
	check_contents();
	memset(blocks, 0, sizeof blocks); /* they go with the heap */
}

static void make_heaps(void)
{
	struct sparena_heap *heaps[2] = { NULL };
	for (unsigned i = 0; i < 2; i++) {
		int err = sparena_heap_create("limit:16M", &heaps[i]);
		MUST(err == 0 || err == -ENOMEM);
		if (err)
			count_refusal();
		else
			use_heap(heaps[i]);
	}
	for (unsigned i = 0; i < 2; i++)
		sparena_heap_destroy(heaps[i]);
}

/* ---- every point ------------------------------------------------------------------------ */

static const struct scenario all[] = {
	{ "allocation", fail_and_recover, NULL, allocate, false, 1, 0 },
	{ "reallocation", fail_and_recover, NULL, reallocate, false, 1, 0 },
	{ "threads, arenas", fail_and_recover, NULL, use_threads, false, 1, 0 },
	{ "arena with hooks", fail_and_recover, NULL, make_arena, false, 1, 0 },
	{ "explicit heaps", fail_and_recover, NULL, make_heaps, false, 1, 0 },
};

/* jemalloc and we start here; each run is in a copy of this process. */
int main(int argc, char **argv)
{
	make_heaps();
	heap_purge(h);
	return active_bytes() ? points_main(argc, argv, all, sizeof all / sizeof *all) : 1;
}
