/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * heap: malloc over pages. jemalloc is the front end: what of its private names is
 * used stands in je.h, what is put in their place in je_overrides.h, je_glue.c and je_caches.c.
 * Here are the extent hooks, jemalloc's metadata, and the process heap with its
 * start-up. Code that jemalloc calls must not call malloc, and keeps errno.
 */
#ifndef SPARENA_HEAP_HEAP_H
#define SPARENA_HEAP_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "heap/je.h"
#include "pages/pages.h"
#include "sparena/stats.h"

#define HEAP_MOST_BLOCKS 32768u /* chunks of base blocks: 64 GiB of metadata */
#define HEAP_MOST_CACHES 4096u
#define HEAP_ZONES 4 /* parts of the address space that grow upwards, each on its own */

/*
 * Somebody through whom all blocks of a heap go, who puts something of his own beside each
 * of them. As sparena_heap_malloc() and its kin: NULL is no memory, with errno as it was.
 */
struct heap_checks {
	void *(*malloc)(struct heap *h, size_t size, size_t align, bool zero);
	void *(*realloc)(struct heap *h, void *p, size_t size);
	void (*free)(struct heap *h, void *p);
	size_t (*size)(struct heap *h, const void *p); /* bytes that were asked for */
};

/* The thread of background:true. */
struct heap_background {
	pthread_t thread;
	struct os_bell bell;
	_Atomic bool ends;
	bool runs;
};

struct heap_zone {
	uintptr_t start;
	uintptr_t end;
	_Atomic uintptr_t described_to; /* up to here jemalloc's map of extents is committed */
};

/*
 * The process's heap, or an explicit one (struct sparena_heap to its users). Where malloc
 * is somebody else's (libsparena.so) the process's has no data, only metadata.
 */
struct heap {
	struct conf conf;
	enum conf_backing backing; /* of data: what the option has come to */
	struct budget budget;
	struct region data;       /* blocks of the program */
	struct region meta;       /* index, jemalloc's metadata, thread caches: always private memory */
	struct region lazy;       /* larger blocks than lazy_above: charged, not populated; mostly none */
	struct pages pages;       /* of data */
	struct pages meta_pages;  /* of meta: thread caches */
	struct pages lazy_pages;  /* of lazy */
	size_t reserve;           /* bytes below the limit that only metadata may use */

	pthread_mutex_t describing; /* the process's guards all heaps' zones; taken before jemalloc's locks */
	pthread_mutex_t blocks_lock; /* guards block_map; taken after jemalloc's locks */
	size_t blocks_at;          /* offset in meta of jemalloc's base blocks... */
	size_t blocks;             /* ...and how many chunks there are for them */
	uint64_t block_map[BITMAP_WORDS(HEAP_MOST_BLOCKS)]; /* a bit a chunk: in use */
	struct heap_zone zone[HEAP_ZONES];

	_Atomic uint64_t foreign_frees;
	_Atomic uint64_t uncached_threads;
	int owner_pid;             /* the process that started it: its children print no statistics */

	bool (*freed_some)(void *context, size_t need); /* asked at exhaustion; or NULL */
	void *freed_some_context;
	struct heap_background background;
	const struct heap_checks *checks; /* who looks at each block; mostly NULL */
	uint64_t secret;           /* with harden:true */

	/* Of explicit heaps: */
	unsigned arena;            /* jemalloc's index */
	uint64_t id;               /* never used twice */
	uint64_t caches[BITMAP_WORDS(HEAP_MOST_CACHES)]; /* thread caches; guarded by heap_registry */
};

/* Calls fn for each allocator of pages that the heap has, in the order of their locks. */
static inline void heap_each_pages(struct heap *h, void (*fn)(struct pages *p))
{
	if (h->data.base)
		fn(&h->pages);
	fn(&h->meta_pages);
	if (h->lazy.base)
		fn(&h->lazy_pages);
}

/* ...and for each region. */
static inline void heap_each_region(struct heap *h, void (*fn)(struct region *r))
{
	if (h->data.base)
		fn(&h->data);
	fn(&h->meta);
	if (h->lazy.base)
		fn(&h->lazy);
}

/* Whether an address is in a region of the heap's; regions that it lacks have no size. */
static inline bool heap_has(const struct region *r, const void *p)
{
	return (uintptr_t)p - (uintptr_t)r->base < r->size;
}

/* Gives free memory back now, data first: `want` bytes, or what there is. Returns bytes. */
size_t heap_trim(struct heap *h, size_t want);

/* Divides the address space into zones, once it is laid out (heap/metadata.c). */
void heap_set_zones(struct heap *h);

/* ---- every heap's beginning and end (heap/start.c) ------------------------------ */

/* Address space and indexes of a heap whose conf is set, without an arena. Returns 0 or
 * -errno, with everything given back; h->data.backing.reason may say more. */
int heap_open(struct heap *h);
void heap_close(struct heap *h);

/* ---- explicit heaps (heap/explicit.c) ------------------------------------------ */

/* Guards the list of heaps and their thread caches. Taken before jemalloc's locks. */
extern pthread_mutex_t heap_registry;

/*
 * Creates a heap with these options. Returns 0; -ENOMEM: no address space or memory, or
 * too many heaps; or -errno of its backing. *reason may say more, and is NULL otherwise.
 */
int heap_create(const struct conf *c, struct heap **out, const char **reason);

/* Frees everything in it, and it. No thread may use it any more. */
void heap_destroy(struct heap *h);

/* Calls fn for each explicit heap. */
void heap_each(void (*fn)(struct heap *h));

/* The explicit heap in whose address space p lies; or NULL. */
struct heap *heap_explicit_at(const void *p);

/* This thread's cache for a heap (heap/caches.c), made when it is first asked for;
 * JE_NO_CACHE: there is none to be had. */
unsigned heap_cache(struct heap *h);
void heap_caches_destroy(struct heap *h);
void heap_caches_start(void);

/* In a child of fork(2), with the registry locked: other threads' caches are forgotten. */
void heap_caches_fork_child(void);

/* ---- background:true (heap/background.c) ---------------------------------------- */

/* Starts the heap's thread, if it is to have one and has none. Allocates: not under any lock.
 * 0, or an error of os_thread_start(). stop: it ends, if it runs. */
int heap_background_start(struct heap *h);
void heap_background_stop(struct heap *h);

/* In a child of fork(2), when malloc works again: the thread is lost, and started anew. */
void heap_background_fork_child(struct heap *h);

/* ---- fork (heap/fork.c) -------------------------------------------------------- */

/* Whether a fork is to be had: not of shared memory where the options deny it, nor without
 * handlers. */
bool heap_may_fork(void);

/* Whether the child of this thread's last fork found no memory for its copy, and ended.
 * Says so once. */
bool heap_lost_child(void);

/* ---- the whole (heap/process.c) --------------------------------------------- */

/* Gives all free memory of a heap back. Returns bytes. */
size_t heap_purge(struct heap *h);

/* Gives free memory back, and has blocks written to swap. Errors of region_advise(). */
int heap_page_out(struct heap *h);

/* Fills *s; resident, which costs time, only when wanted. */
void heap_stats(struct heap *h, struct sparena_stats *s, bool resident);

/* One line on stderr: "sparena: ", text and detail. */
void heap_say(const char *text, const char *detail);

/* Ends the helper process, and prints what the options ask for at exit. */
void heap_at_exit(void);

#endif
