/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sparena/heap.h: malloc over a heap of one's own, with a limit and a backing of its
 * own. What it hands out is populated; when the limit or the backing is used up, it
 * hands out NULL.
 *
 * All functions are thread-safe, except that nobody may use a heap while it is
 * destroyed. A NULL heap means the process's own where libsparena_malloc.so is loaded,
 * and is an error (EINVAL) elsewhere. Sizes and alignments are in bytes.
 */
#ifndef SPARENA_HEAP_H
#define SPARENA_HEAP_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct sparena_heap;

/*
 * Creates a heap. `options` is a text such as "limit:64M,backing:memfd" (see
 * sparena-options(7)), or NULL. Does not touch the process's malloc.
 *
 * Returns 0 with *out; -EINVAL: out is NULL, or an option is wrong; -ENOMEM: no address
 * space or memory, or more than 4,000 heaps; -EAGAIN: no thread for background:true; or -errno
 * of opening the backing. sparena_last_error() says more.
 */
int sparena_heap_create(const char *options, struct sparena_heap **out);

/*
 * Frees everything in a heap, in whatever thread it was allocated, and the heap; its
 * memory and address space go back at once. NULL is allowed, and does nothing.
 */
void sparena_heap_destroy(struct sparena_heap *h);

/*
 * As malloc(3), calloc(3), realloc(3), aligned_alloc(3): NULL with errno ENOMEM when the
 * limit or the backing is used up, and with EINVAL when `align` is no power of two. A
 * realloc that fails leaves the block as it is; realloc to size 0 frees and returns NULL.
 */
void *sparena_heap_malloc(struct sparena_heap *h, size_t size);
void *sparena_heap_calloc(struct sparena_heap *h, size_t n, size_t size);
void *sparena_heap_realloc(struct sparena_heap *h, void *p, size_t size);
void *sparena_heap_aligned_alloc(struct sparena_heap *h, size_t align, size_t size);

/* Frees a block of this heap; NULL is allowed. Leaves errno alone. */
void sparena_heap_free(struct sparena_heap *h, void *p);

/* How many bytes of a block may be used: what was asked for, or more. 0 for NULL. */
size_t sparena_heap_usable_size(struct sparena_heap *h, void *p);

/*
 * Gives free memory back to the backing at once, that in the calling thread's cache
 * included. Returns 0, or -EINVAL.
 */
int sparena_heap_purge(struct sparena_heap *h);

/*
 * Gives free memory back, and has the kernel write all blocks to swap, or to the file that
 * they are in, madvise(2) MADV_PAGEOUT: for a cache that will not be used for a while. They
 * stay charged, keep their contents, and come back when they are used, or freed: then without
 * being read. What cannot go, as where there is no swap, stays in memory.
 *
 * Returns 0; -EINVAL: no such heap; -EOPNOTSUPP: locked memory, huge pages of a pool, or a
 * kernel before 5.4; or -errno of madvise(2). Thread-safe.
 */
int sparena_heap_pageout(struct sparena_heap *h);

/*
 * Changes the limit while in use; SIZE_MAX takes it away. One below what is in use gives
 * nothing back, but refuses all growth until enough was freed. Returns 0, or -EINVAL.
 */
int sparena_heap_set_limit(struct sparena_heap *h, size_t bytes);

/*
 * Has `freed_some` called when an allocation would fail for lack of memory, with how much
 * was asked for: it frees what can be done without (a cache's oldest entries) and returns
 * true, and the allocation is tried again, or false, and it fails. Called in the thread
 * that allocates, without a lock held: it may free and allocate, and for what it allocates
 * it is not called again. NULL takes it away. Not to be changed while others allocate.
 */
void sparena_heap_on_exhausted(struct sparena_heap *h, bool (*freed_some)(void *ctx, size_t need), void *ctx);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
