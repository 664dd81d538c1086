/* SPDX-License-Identifier: BSD-2-Clause */
/* sparena/heap.h and sparena/stats.h over heap.h. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "conf/about.h"
#include "heap/heap.h"
#include "heap/je.h"
#include "os/os.h"
#include "sparena/heap.h"
#include "stats/stats.h"

/* ---- which heap ------------------------------------------------------------------ */

static struct heap *inside(struct sparena_heap *h)
{
	if (h)
		return (struct heap *)(void *)h;
	return HEAP_SERVES_MALLOC ? &heap_process : NULL;
}

static int refuse(int err, const char *reason)
{
	about_set_error(reason);
	return err;
}

int sparena_heap_create(const char *options, struct sparena_heap **out)
{
	char error[CONF_ERROR_MAX];
	const char *reason;
	struct conf c;
	struct heap *h;
	if (!out)
		return refuse(-EINVAL, "no place for the heap: out is NULL");
	conf_default(&c);
	if (conf_parse(&c, options, CONF_SCOPE_HEAP, os_memory_total(), error))
		return refuse(-EINVAL, error);
	if (c.limit_share)
		conf_set_box(&c, guard_box(guard_of_process()));
	if (conf_check(&c, CONF_LIMIT_MINIMUM, error))
		return refuse(-EINVAL, error);
	int err = heap_create(&c, &h, &reason);
	if (err)
		return refuse(err, reason ? reason : "no address space or memory for the heap, or too many heaps");
	*out = (struct sparena_heap *)(void *)h;
	return 0;
}

void sparena_heap_destroy(struct sparena_heap *h)
{
	if (h)
		heap_destroy(inside(h));
}

/* ---- allocating -------------------------------------------------------------------- */

static void *fail(int error)
{
	errno = error;
	return NULL;
}

/* Blocks of the process's heap are jemalloc's as ever; of others by arena and cache. */
static void *allocate(struct heap *h, size_t size, size_t align, bool zero)
{
	size_t at_least = size ? size : 1;
	if (unlikely(h->checks))
		return h->checks->malloc(h, size, align, zero);
	if (h != &heap_process)
		return je_arena_malloc(h->arena, heap_cache(h), at_least, align, zero);
	if (zero)
		return sparena_je_calloc(1, at_least);
	return align > 1 ? sparena_je_aligned_alloc(align, at_least) : sparena_je_malloc(at_least);
}

static void *allocate_or_evict(struct heap *h, size_t size, size_t align, bool zero)
{
	int saved_errno = errno;
	void *p;
	if (unlikely(size > PTRDIFF_MAX))
		return fail(ENOMEM);
	do
		p = allocate(h, size, align, zero);
	while (unlikely(!p) && heap_ask_for_room(h, size));
	errno = p ? saved_errno : ENOMEM;
	return p;
}

void *sparena_heap_malloc(struct sparena_heap *h, size_t size)
{
	struct heap *heap = inside(h);
	return heap ? allocate_or_evict(heap, size, 1, false) : fail(EINVAL);
}

void *sparena_heap_calloc(struct sparena_heap *h, size_t n, size_t size)
{
	struct heap *heap = inside(h);
	size_t total;
	if (!heap)
		return fail(EINVAL);
	return size_mul(n, size, &total) ? allocate_or_evict(heap, total, 1, true) : fail(ENOMEM);
}

void *sparena_heap_aligned_alloc(struct sparena_heap *h, size_t align, size_t size)
{
	struct heap *heap = inside(h);
	if (!heap || !size_is_pow2(align))
		return fail(EINVAL);
	return align > PTRDIFF_MAX / 2 ? fail(ENOMEM) : allocate_or_evict(heap, size, align, false);
}

/* Found in tests, not in use: a block that is another heap's. */
static void check_owner(struct heap *h, const void *p)
{
	assert(heap_has(&h->data, p) || heap_has(&h->lazy, p));
	(void)h;
	(void)p;
}

static size_t usable_size(struct heap *h, void *p)
{
	return h->checks ? h->checks->size(h, p) : sparena_je_malloc_usable_size(p);
}

static void *resize(struct heap *h, void *p, size_t size)
{
	if (unlikely(h->checks))
		return h->checks->realloc(h, p, size);
	if (h == &heap_process)
		return sparena_je_realloc(p, size);
	return je_arena_realloc(h->arena, heap_cache(h), p, size);
}

void *sparena_heap_realloc(struct sparena_heap *h, void *p, size_t size)
{
	struct heap *heap = inside(h);
	int saved_errno = errno;
	void *q;
	if (!heap)
		return fail(EINVAL);
	if (!p)
		return allocate_or_evict(heap, size, 1, false);
	if (!size) {
		sparena_heap_free(h, p);
		return NULL;
	}
	check_owner(heap, p);
	if (size > PTRDIFF_MAX)
		return fail(ENOMEM);
	do
		q = resize(heap, p, size);
	while (unlikely(!q) && size > usable_size(heap, p) && heap_ask_for_room(heap, size));
	if (!q && size <= usable_size(heap, p))
		q = p; /* it was to shrink, and no smaller one is to be had */
	errno = q ? saved_errno : ENOMEM;
	return q;
}

void sparena_heap_free(struct sparena_heap *h, void *p)
{
	struct heap *heap = inside(h);
	if (!p || !heap)
		return;
	check_owner(heap, p);
	if (unlikely(heap->checks))
		heap->checks->free(heap, p);
	else if (heap == &heap_process)
		sparena_je_free(p);
	else
		je_arena_free(heap_cache(heap), p);
}

size_t sparena_heap_usable_size(struct sparena_heap *h, void *p)
{
	struct heap *heap = inside(h);
	return p && heap ? usable_size(heap, p) : 0;
}

/* ---- the whole ----------------------------------------------------------------------- */

int sparena_heap_purge(struct sparena_heap *h)
{
	struct heap *heap = inside(h);
	if (!heap)
		return refuse(-EINVAL, "malloc is not sparena's: there is no heap NULL");
	heap_purge(heap);
	return 0;
}

int sparena_heap_pageout(struct sparena_heap *h)
{
	struct heap *heap = inside(h);
	if (!heap)
		return refuse(-EINVAL, "malloc is not sparena's: there is no heap NULL");
	int err = heap_page_out(heap);
	return err ? refuse(err, REGION_STAYS) : 0;
}

int sparena_heap_set_limit(struct sparena_heap *h, size_t bytes)
{
	struct heap *heap = inside(h);
	if (!heap)
		return refuse(-EINVAL, "malloc is not sparena's: there is no heap NULL");
	budget_set_limit(&heap->budget, bytes);
	return 0;
}

void sparena_heap_on_exhausted(struct sparena_heap *h, bool (*freed_some)(void *ctx, size_t need), void *ctx)
{
	struct heap *heap = inside(h);
	if (!heap)
		return;
	heap->freed_some = freed_some;
	heap->freed_some_context = ctx;
}

int sparena_stats_get(struct sparena_heap *h, struct sparena_stats *s, size_t size_of_s)
{
	struct sparena_stats all;
	struct heap *heap = inside(h);
	if (!s || !size_of_s)
		return -EINVAL;
	if (!heap)
		return -ENOENT;
	heap_stats(heap, &all, true);
	memcpy(s, &all, size_of_s < sizeof all ? size_of_s : sizeof all);
	return 0;
}

int sparena_stats_print(struct sparena_heap *h, int fd, const char *format)
{
	struct sparena_stats s;
	int err = sparena_stats_get(h, &s, sizeof s);
	return err ? err : stats_write(&s, fd, format);
}
