/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The line between sparena and the private jemalloc: every name of it that the rest
 * of sparena uses, and all that the files je_*.c, which alone include its internal
 * headers, ask of the rest.
 */
#ifndef SPARENA_HEAP_JE_H
#define SPARENA_HEAP_JE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether malloc is ours: in the drop-in, and not in libsparena.so. */
#ifndef HEAP_SERVES_MALLOC
#define HEAP_SERVES_MALLOC 1
#endif

struct heap;

/* ---- jemalloc's entry points, as malloc(3) -------------------------------------- */

void *sparena_je_malloc(size_t size);
void *sparena_je_calloc(size_t n, size_t size);
void *sparena_je_realloc(void *p, size_t size); /* leaves errno alone on failure */
void *sparena_je_aligned_alloc(size_t align, size_t size);
int sparena_je_posix_memalign(void **out, size_t align, size_t size);
void sparena_je_free(void *p);
size_t sparena_je_malloc_usable_size(void *p);

/* With flags of jemalloc(3): which arena, which cache, alignment, zeros. */
void *sparena_je_mallocx(size_t size, int flags);
void *sparena_je_rallocx(void *p, size_t size, int flags);
void sparena_je_dallocx(void *p, int flags);
size_t sparena_je_nallocx(size_t size, int flags);

/* ---- what je_glue.c and je_caches.c offer ------------------------------------------------------ */

/*
 * Makes jemalloc's map of extents able to hold [from, to): its leaves exist, and
 * heap_metadata_need() has committed the parts that describe the range.
 */
bool je_describe(void *from, void *to);

/* Bytes in blocks that the program holds, those in thread caches included: in the
 * process's arenas, or in one. */
size_t je_allocated(void);
size_t je_arena_allocated(unsigned arena);

/* Gives this thread's cached blocks back to the arenas. */
void je_flush_thread_cache(void);

/* Whether there are handlers for fork(2); where the C library had no memory for them,
 * registers them. Called with heap_registry locked. */
bool je_minds_fork(void);

/* ---- arenas and thread caches of explicit heaps (je_heaps.c) --------------------- */

#define JE_MOST_ARENAS 4095u
#define JE_NO_CACHE UINT32_MAX
#define JE_OWN_CACHE (UINT32_MAX - 1) /* the thread's own, with arena 0: its own too */

/* Starts jemalloc, if nothing has; false: no memory. One thread at a time, with
 * heap_registry locked. */
bool je_start(void);

/* The first index that the process's own arenas leave free. */
unsigned je_first_arena(void);

/* Makes the arena of that index, of which all below exist or did. False: no memory. */
bool je_arena_create(unsigned arena);

/* Frees everything in an arena, and the arena. No cache may hold blocks of it. */
void je_arena_destroy(unsigned arena);

/* A cache that any one thread at a time may use; false: no memory, or too many. Destroying
 * it, or emptying it, gives its blocks back. */
bool je_cache_create(unsigned *cache);
void je_cache_destroy(unsigned cache);
void je_cache_flush(unsigned cache);

/* In a child of fork(2), which has forgotten all caches: this one is in use. */
void je_cache_keep(unsigned cache);

/* As malloc(3) and its kin, from an arena by way of a cache (JE_NO_CACHE: of none). Size and
 * alignment (a power of two) are not 0; NULL: no memory, with errno as it was. */
void *je_arena_malloc(unsigned arena, unsigned cache, size_t size, size_t align, bool zero);
void *je_arena_realloc(unsigned arena, unsigned cache, void *p, size_t size);
void je_arena_free(unsigned cache, void *p);

/* Bytes of the block that begins at p, and whose it is; 0: none does, or it is free. The map
 * of extents must be committed there. */
size_t je_block_size(const void *p, unsigned *arena);

/* ---- harden:true (heap/harden.c) ------------------------------------------------- */

/* Set until the options are read, and from then on where blocks are to be checked. */
extern bool heap_may_harden;

/* Starts jemalloc, so that the options are read. */
bool je_hardens(void);

/* Whether malloc and its kin are to go through these. No memory: NULL, and errno is ENOMEM for
 * malloc, as it was for realloc. */
static inline bool heap_hardens(void)
{
	return __builtin_expect(heap_may_harden, 0) && je_hardens();
}

void *heap_checked_malloc(size_t size, size_t align, bool zero);
void *heap_checked_realloc(void *p, size_t size);
void heap_checked_free(void *p);
size_t heap_checked_size(const void *p);

/* ---- what they need: start-up (heap/process.c) ---------------------------- */

/*
 * Sets the process heap up from SPARENA_CONF. Called by jemalloc's start-up, under
 * its lock; again when that failed. Returns 0 or -errno, after a line on stderr. With strict:true and a bad
 * option the process ends with exit code 78 (EX_CONFIG).
 */
int heap_start(void);

/* Bytes of the largest block that a thread's cache holds. */
size_t heap_thread_cache(void);

/* Whether so many bytes of metadata that can be done without may be taken. */
bool heap_has_room(size_t bytes);

/* Asks the program, through its callback, to free something. False: it has not. */
bool heap_ask_for_room(struct heap *h, size_t need);

void heap_count_foreign_free(void);
void heap_count_uncached_thread(struct heap *h);

/* Around fork(2): first and last of all, before and after jemalloc's own locks... */
void heap_fork_begin(void);
void heap_fork_end_parent(void);
void heap_fork_end_child(void);

/* ...and with them held. */
void heap_fork_prepare(void);
void heap_fork_parent(void);
void heap_fork_child(void);

/* ---- extents (heap/hooks.c) ------------------------------------------------------ */

/* Memory for an extent: committed pages, zero if *zero; or NULL. errno stays as it is. */
void *heap_extent_alloc(unsigned arena, void *wanted, size_t size, size_t align, bool *zero);
void heap_extent_free(void *addr, size_t size);

/* Whether a block of an arena may become one of `size` bytes where it is: not when one of
 * them is backed and the other is not (lazy_above). */
bool heap_may_resize(unsigned arena, const void *block, size_t size);

/* Whether two neighbouring extents may be one. */
bool heap_extents_join(const void *a, const void *b);

/* While it is set, extents of this thread are jemalloc's own: thread caches. */
extern __thread bool heap_internal;

/* While it is set, base blocks and internal extents of this thread are that heap's; NULL:
 * the process's. */
extern __thread struct heap *heap_current;

/* Whose arena that is. */
struct heap *heap_of_arena(unsigned arena);

/* The heap's address space, in parts. */
struct heap_span {
	uintptr_t base;
	size_t size;
};
extern struct heap_span heap_spans[3];

static inline bool heap_owns(const void *p)
{
	uintptr_t a = (uintptr_t)p;
	return a - heap_spans[0].base < heap_spans[0].size || a - heap_spans[1].base < heap_spans[1].size ||
	       a - heap_spans[2].base < heap_spans[2].size;
}

/* Gives back what has been free for long enough. */
void heap_tick(void);

/* ---- metadata (heap/metadata.c) --------------------------------------------------- */

/* Address space for a base block, of which the first step is committed; or NULL. */
void *heap_block_alloc(size_t size);
void heap_block_free(void *block, size_t size);

/* Makes sure that metadata at [addr, addr + bytes), of a heap, is committed. False: no
 * memory. */
bool heap_metadata_need(struct heap *h, void *addr, size_t bytes);

/* Makes sure that jemalloc can describe an extent at this place of a heap. False: no memory. */
bool heap_describe(struct heap *h, void *addr, size_t size);

/* The heap behind malloc. All zero until the first allocation. */
extern struct heap heap_process;

#endif
