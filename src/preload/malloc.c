/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of the malloc family that need a word of ours beside jemalloc's. */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "base/base.h"
#include "heap/je.h"
#include "os/os.h"
#include "preload/preload.h"

static void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

/* Whether a call that had no memory is to be tried again: the program's callback freed
 * something. malloc() itself asks in heap/je_glue.c. */
static bool again(const void *p, size_t need)
{
	return unlikely(!p) && heap_ask_for_room(&heap_process, need);
}

static void *checked_calloc(size_t n, size_t size)
{
	size_t total;
	return size_mul(n, size, &total) ? heap_checked_malloc(total, 1, true) : no_memory();
}

EXPORT void *calloc(size_t n, size_t size)
{
	size_t total;
	void *p;
	do
		p = heap_hardens() ? checked_calloc(n, size) : sparena_je_calloc(n, size);
	while (unlikely(!p) && size_mul(n, size, &total) && again(p, total));
	return p;
}

static size_t usable_size(void *p)
{
	return heap_hardens() ? heap_checked_size(p) : sparena_je_malloc_usable_size(p);
}

static void *checked_realloc(void *p, size_t size)
{
	if (!p)
		return heap_checked_malloc(size, 1, false);
	if (size)
		return heap_checked_realloc(p, size);
	heap_checked_free(p);
	return NULL;
}

static void *resize(void *p, size_t size)
{
	return heap_hardens() ? checked_realloc(p, size) : sparena_je_realloc(p, size);
}

/*
 * realloc(p, 0) frees p and returns NULL, as glibc's does. A block that is to shrink may
 * need a new one; where none is to be had, the old one is large enough.
 */
EXPORT void *realloc(void *p, size_t size)
{
	if (unlikely(p && !heap_owns(p) && !heap_hardens())) {
		heap_count_foreign_free(); /* its size is unknown: nothing that could be copied */
		return size ? no_memory() : NULL;
	}
	void *q;
	do {
		q = resize(p, size);
		if (likely(q) || (p && !size))
			return q;
		if (p && size <= usable_size(p))
			return p;
	} while (again(q, size));
	return no_memory();
}

EXPORT void *reallocarray(void *p, size_t n, size_t size)
{
	size_t total;
	return size_mul(n, size, &total) ? realloc(p, total) : no_memory();
}

static int checked_memalign(void **out, size_t align, size_t size)
{
	if (!size_is_pow2(align) || align < sizeof(void *))
		return EINVAL;
	int saved_errno = errno;
	void *p = heap_checked_malloc(size, align, false);
	errno = saved_errno;
	if (!p)
		return ENOMEM;
	*out = p;
	return 0;
}

EXPORT int posix_memalign(void **out, size_t align, size_t size)
{
	int error;
	do
		error = heap_hardens() ? checked_memalign(out, align, size) : sparena_je_posix_memalign(out, align, size);
	while (unlikely(error == ENOMEM) && again(NULL, size));
	return error;
}

static void *checked_aligned(size_t align, size_t size)
{
	if (size_is_pow2(align))
		return heap_checked_malloc(size, align, false);
	errno = EINVAL;
	return NULL;
}

static void *aligned(size_t align, size_t size)
{
	void *p;
	do
		p = heap_hardens() ? checked_aligned(align, size) : sparena_je_aligned_alloc(align, size);
	while (unlikely(!p) && errno == ENOMEM && again(p, size));
	return p;
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
	return aligned(align, size);
}

EXPORT void *memalign(size_t align, size_t size)
{
	return aligned(align, size);
}

EXPORT void *valloc(size_t size)
{
	return aligned(os_page_size(), size);
}

EXPORT void *pvalloc(size_t size)
{
	size_t whole;
	if (!size_up_checked(size ? size : 1, os_page_size(), &whole))
		return no_memory();
	return aligned(os_page_size(), whole);
}

EXPORT size_t malloc_usable_size(void *p)
{
	return heap_owns(p) ? usable_size(p) : 0;
}

/* C23: the size says nothing that is not known. */
void free_sized(void *p, size_t size);
EXPORT void free_sized(void *p, size_t size)
{
	(void)size;
	sparena_je_free(p);
}

void free_aligned_sized(void *p, size_t align, size_t size);
EXPORT void free_aligned_sized(void *p, size_t align, size_t size)
{
	(void)align;
	(void)size;
	sparena_je_free(p);
}

/* Gone from glibc's headers, not from old programs. */
void cfree(void *p);
EXPORT void cfree(void *p)
{
	sparena_je_free(p);
}
