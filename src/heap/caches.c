/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Thread caches of explicit heaps: each thread has one for each heap that it uses, until
 * it ends or the heap does. Without one (jemalloc has 4,094 of them at most) all works,
 * only slower.
 */
#include "heap/heap.h"
#include "heap/je.h"

/* A thread remembers the caches of so many heaps; more than one heap may want a place. */
#define PLACES 64u

struct place {
	uint64_t id; /* of the heap; 0: nobody's */
	unsigned arena;
	unsigned cache;
};

static __thread struct place places[PLACES];

static pthread_key_t at_thread_exit;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static bool have_key;

/* With the registry locked. */
static void drop(struct heap *h, unsigned cache)
{
	bitmap_clear(h->caches, cache, 1);
	je_cache_destroy(cache);
}

/* The heap that a place was made for, if it is still there. */
static struct heap *heap_of(const struct place *p)
{
	struct heap *h = p->id ? heap_of_arena(p->arena) : NULL;
	return h && h->id == p->id ? h : NULL;
}

static void thread_ends(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&heap_registry);
	for (unsigned i = 0; i < PLACES; i++) {
		struct heap *h = heap_of(&places[i]);
		if (h && places[i].cache != JE_NO_CACHE)
			drop(h, places[i].cache);
		places[i].id = 0;
	}
	pthread_mutex_unlock(&heap_registry);
}

static void make_key(void)
{
	have_key = pthread_key_create(&at_thread_exit, thread_ends) == 0;
}

void heap_caches_start(void)
{
	pthread_once(&key_once, make_key);
}

/* Without a way to destroy it when the thread ends, there is none. */
static unsigned make(struct heap *h)
{
	unsigned cache;
	if (!have_key || pthread_setspecific(at_thread_exit, places))
		return JE_NO_CACHE;
	pthread_mutex_lock(&heap_registry);
	heap_current = h;
	bool made = je_cache_create(&cache);
	heap_current = NULL;
	if (made && cache < HEAP_MOST_CACHES)
		bitmap_set(h->caches, cache, 1);
	pthread_mutex_unlock(&heap_registry);
	return made ? cache : JE_NO_CACHE;
}

/* A heap that is gone leaves its place to the next. */
static unsigned take(struct heap *h, struct place *p)
{
	pthread_mutex_lock(&heap_registry);
	bool taken = heap_of(p) != NULL;
	pthread_mutex_unlock(&heap_registry);
	if (taken)
		return JE_NO_CACHE;
	*p = (struct place){ h->id, h->arena, make(h) };
	if (p->cache == JE_NO_CACHE)
		heap_count_uncached_thread(h);
	return p->cache;
}

unsigned heap_cache(struct heap *h)
{
	struct place *p = &places[h->arena % PLACES];
	return likely(p->id == h->id) ? p->cache : take(h, p);
}

void heap_caches_destroy(struct heap *h)
{
	for (size_t i = 0; (i = bitmap_next_set(h->caches, i, HEAP_MOST_CACHES)) < HEAP_MOST_CACHES;)
		drop(h, (unsigned)i);
}

static void forget_caches(struct heap *h) { bitmap_clear(h->caches, 0, HEAP_MOST_CACHES); }

/*
 * Their threads may have been in the middle of anything, so that what is in them is lost
 * to the child, as what is in those of malloc's.
 */
void heap_caches_fork_child(void)
{
	heap_each(forget_caches);
	for (unsigned i = 0; i < PLACES; i++) {
		struct heap *h = heap_of(&places[i]);
		if (!h || places[i].cache == JE_NO_CACHE)
			continue;
		bitmap_set(h->caches, places[i].cache, 1);
		je_cache_keep(places[i].cache);
	}
}
