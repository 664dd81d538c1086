/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Explicit heaps: the list of them, creation and destruction. Each has regions and an
 * arena of its own; what it holds, jemalloc's metadata of its arena and its thread caches
 * included, is charged to its limit.
 */
#include <errno.h>

#include "heap/heap.h"
#include "heap/harden.h"
#include "heap/je.h"
#include "heap/memcheck.h"
#include "os/os.h"

pthread_mutex_t heap_registry = PTHREAD_MUTEX_INITIALIZER;

/* By the index of their arena. Written with the registry locked, read without: of a heap that
 * is kept from being destroyed. */
static _Atomic(struct heap *) heaps[JE_MOST_ARENAS];
static _Atomic unsigned first_index, end_index; /* where to look */

static struct heap *heap_at(unsigned index)
{
	return atomic_load_explicit(&heaps[index], memory_order_acquire);
}

struct heap *heap_of_arena(unsigned arena)
{
	struct heap *h = arena < JE_MOST_ARENAS ? heap_at(arena) : NULL;
	return h ? h : &heap_process;
}

/*
 * Where the heaps lie. Who looks for his own passes over the others, and any of those may be
 * destroyed meanwhile, its struct heap with it.
 */
struct span {
	_Atomic uintptr_t base;
	_Atomic size_t size; /* 0 while base changes */
};
static struct span spans[JE_MOST_ARENAS][3];

static void set_span(struct span *s, const struct region *r)
{
	atomic_store_explicit(&s->base, (uintptr_t)r->base, memory_order_release);
	atomic_store_explicit(&s->size, r->size, memory_order_release);
}

static void clear_span(struct span *s) { atomic_store_explicit(&s->size, 0, memory_order_relaxed); }

/* A base is seen after the 0 before it: with the same size on both sides it is that size's. */
static bool span_has(const struct span *s, uintptr_t at)
{
	uintptr_t base;
	size_t size;
	do {
		size = atomic_load_explicit(&s->size, memory_order_acquire);
		base = atomic_load_explicit(&s->base, memory_order_acquire);
	} while (size != atomic_load_explicit(&s->size, memory_order_relaxed));
	return at - base < size;
}

struct heap *heap_explicit_at(const void *p)
{
	uintptr_t at = (uintptr_t)p;
	unsigned end = atomic_load_explicit(&end_index, memory_order_acquire);
	for (unsigned i = atomic_load_explicit(&first_index, memory_order_relaxed); i < end; i++)
		if (span_has(&spans[i][0], at) || span_has(&spans[i][1], at) || span_has(&spans[i][2], at))
			return heap_at(i);
	return NULL;
}

void heap_each(void (*fn)(struct heap *h))
{
	unsigned end = atomic_load_explicit(&end_index, memory_order_acquire);
	for (unsigned i = atomic_load_explicit(&first_index, memory_order_relaxed); i < end; i++) {
		struct heap *h = heap_at(i);
		if (h)
			fn(h);
	}
}

/* The lowest index that is free, since jemalloc wants them without gaps; 0: there is none. */
static unsigned free_index(void)
{
	unsigned first = je_first_arena(), i = first;
	atomic_store_explicit(&first_index, first, memory_order_relaxed);
	while (i < JE_MOST_ARENAS && heap_at(i))
		i++;
	return i < JE_MOST_ARENAS ? i : 0;
}

static void enlist(struct heap *h, unsigned index)
{
	static uint64_t last_id;
	h->arena = index;
	h->id = ++last_id;
	atomic_store_explicit(&heaps[index], h, memory_order_release);
	set_span(&spans[index][0], &h->data);
	set_span(&spans[index][1], &h->meta);
	set_span(&spans[index][2], &h->lazy);
	if (index >= end_index)
		atomic_store_explicit(&end_index, index + 1, memory_order_release);
}

static void strike(struct heap *h)
{
	for (int i = 0; i < 3; i++)
		clear_span(&spans[h->arena][i]);
	atomic_store_explicit(&heaps[h->arena], NULL, memory_order_release);
}

/* With the registry locked. Base blocks of the new arena come from the heap. */
static int make_arena(struct heap *h)
{
	unsigned index = je_start() ? free_index() : 0;
	if (!index)
		return -ENOMEM;
	enlist(h, index);
	heap_current = h;
	bool made = je_arena_create(index);
	heap_current = NULL;
	if (made)
		return 0;
	strike(h);
	return -ENOMEM;
}

static size_t own_bytes(void) { return size_up(sizeof(struct heap), os_page_size()); }

static int start(struct heap *h)
{
	int err = heap_open(h);
	if (err)
		return err;
	pthread_mutex_lock(&heap_registry);
	err = make_arena(h);
	pthread_mutex_unlock(&heap_registry);
	if (err)
		heap_close(h);
	return err;
}

void heap_destroy(struct heap *h)
{
	heap_background_stop(h);
	if (h->checks == &memcheck_checks)
		memcheck_heap_gone(h);
	pthread_mutex_lock(&heap_registry);
	heap_caches_destroy(h);
	je_arena_destroy(h->arena);
	strike(h);
	pthread_mutex_unlock(&heap_registry);
	heap_close(h);
	os_release(h, own_bytes());
}

int heap_create(const struct conf *c, struct heap **out, const char **reason)
{
	void *memory;
	*reason = NULL;
	int err = os_new(own_bytes(), &memory);
	if (err)
		return err;
	struct heap *h = memory;
	h->conf = *c;
	heap_caches_start();
	err = start(h);
	if (err) {
		*reason = h->data.backing.reason;
		os_release(memory, own_bytes());
		return err;
	}
	h->checks = memcheck_heap_made(h);
	if (!h->checks && c->harden)
		harden_start(h);
	err = heap_background_start(h);
	if (err) {
		*reason = "no thread for background:true: see ulimit -u, and pids.max of the cgroup";
		heap_destroy(h);
		return err;
	}
	*out = h;
	return 0;
}
