/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Thread caches of explicit heaps: each thread has one for each heap that it uses, until
 * it ends or the heap does. Without one (jemalloc has 4,094 of them at most) all works,
 * only slower.
 */
#include "heap/heap.h"
#include "heap/je.h"
#include "os/os.h"

/* A thread remembers the caches of so many heaps; more than one heap may want a place. */
#define PLACES 64u

struct place {
	uint64_t id; /* of the heap; 0: nobody's */
	unsigned arena;
	unsigned cache;
};

/* Not of the thread's own data, which are taken from its stack, however small that is. */
static struct place nobodys[PLACES];
static __thread struct place *places = nobodys;

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

static size_t places_bytes(void) { return size_up(PLACES * sizeof(struct place), os_page_size()); }

/* Without a way to give them back when the thread ends, there are none. */
static bool make_places(void)
{
	void *memory;
	if (places != nobodys)
		return true;
	if (!have_key || os_new(places_bytes(), &memory))
		return false;
	if ((os_can_populate() && os_populate(memory, places_bytes())) || pthread_setspecific(at_thread_exit, memory)) {
		os_release(memory, places_bytes());
		return false;
	}
	places = memory;
	return true;
}

static void thread_ends(void *unused)
{
	(void)unused;
	if (places == nobodys)
		return;
	pthread_mutex_lock(&heap_registry);
	for (unsigned i = 0; i < PLACES; i++) {
		struct heap *h = heap_of(&places[i]);
		if (h && places[i].cache != JE_NO_CACHE)
			drop(h, places[i].cache);
	}
	pthread_mutex_unlock(&heap_registry);
	os_release(places, places_bytes());
	places = nobodys;
}

static void make_key(void)
{
	have_key = pthread_key_create(&at_thread_exit, thread_ends) == 0;
}

void heap_caches_start(void)
{
	pthread_once(&key_once, make_key);
}

static unsigned make(struct heap *h)
{
	unsigned cache;
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
static unsigned take(struct heap *h)
{
	if (!make_places())
		return JE_NO_CACHE;
	struct place *p = &places[h->arena % PLACES];
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
	return likely(p->id == h->id) ? p->cache : take(h);
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
