/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Under Valgrind a block is one of jemalloc's with room at both ends, which nobody may touch:
 *
 *     | front, of the alignment, at least 16 bytes | what was asked for | back, 16 bytes |
 *                                        ^ header
 *
 * jemalloc knows only its beginning, so that no word of its metadata points into what is
 * handed out: memcheck would take such a block for one that is still in use. For the same
 * reason there are no thread caches, where old pointers lie about.
 */
#include "heap/memcheck.h"

#include <stdint.h>
#include <string.h>

#include "heap/je.h"

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_CREATE_MEMPOOL(pool, redzone, zeroed) ((void)(pool))
#define VALGRIND_DESTROY_MEMPOOL(pool) ((void)(pool))
#define VALGRIND_MEMPOOL_ALLOC(pool, at, size) ((void)(pool))
#define VALGRIND_MEMPOOL_FREE(pool, at) ((void)(pool))
#define VALGRIND_MAKE_MEM_DEFINED(at, size) ((void)(at))
#define VALGRIND_MAKE_MEM_UNDEFINED(at, size) ((void)(at))
#define VALGRIND_MAKE_MEM_NOACCESS(at, size) ((void)(at))
#endif

#define BACK ((size_t)16) /* so far from a block memcheck says which one is meant */
#define LIVE ((uint64_t)0x5370617262000000) /* and the alignment's logarithm */

struct header {
	uint64_t size;
	uint64_t live;
};

const struct heap_checks *memcheck_heap_made(const struct heap *h)
{
	if (!RUNNING_ON_VALGRIND)
		return NULL;
	VALGRIND_CREATE_MEMPOOL(h, BACK, 0);
	return &memcheck_checks;
}

void memcheck_heap_gone(const struct heap *h)
{
	VALGRIND_DESTROY_MEMPOOL(h);
}

static struct header *header_of(const void *p) { return (struct header *)(uintptr_t)p - 1; }

static struct header read_header(const void *p)
{
	struct header *header = header_of(p), copy;
	VALGRIND_MAKE_MEM_DEFINED(header, sizeof *header);
	copy = *header;
	VALGRIND_MAKE_MEM_NOACCESS(header, sizeof *header);
	return copy;
}

static void write_header(void *p, struct header value)
{
	VALGRIND_MAKE_MEM_UNDEFINED(header_of(p), sizeof value);
	*header_of(p) = value;
	VALGRIND_MAKE_MEM_NOACCESS(header_of(p), sizeof value);
}

static bool is_live(struct header header) { return header.live >> 8 == LIVE >> 8; }

static size_t front_of(struct header header) { return (size_t)1 << (header.live & 0xff); }

static void *memcheck_malloc(struct heap *h, size_t size, size_t align, bool zero)
{
	size_t front = size_max(align, sizeof(struct header)), whole;
	if (!size_add(size, front + BACK, &whole))
		return NULL;
	char *base = je_arena_malloc(h->arena, JE_NO_CACHE, whole, front, false);
	if (!base)
		return NULL;
	char *p = base + front;
	VALGRIND_MAKE_MEM_NOACCESS(base, sparena_je_malloc_usable_size(base));
	write_header(p, (struct header){ size, LIVE + (unsigned)__builtin_ctzl(front) });
	VALGRIND_MEMPOOL_ALLOC(h, p, size);
	if (zero)
		memset(p, 0, size);
	return p;
}

/* A block that is not there any more is reported, and left alone. */
static void memcheck_free(struct heap *h, void *p)
{
	struct header header = read_header(p);
	VALGRIND_MEMPOOL_FREE(h, p);
	if (!is_live(header))
		return;
	write_header(p, (struct header){ header.size, 0 });
	je_arena_free(JE_NO_CACHE, (char *)p - front_of(header));
}

static void *memcheck_realloc(struct heap *h, void *p, size_t size)
{
	size_t before = read_header(p).size;
	void *q = memcheck_malloc(h, size, 1, false);
	if (!q)
		return NULL;
	memcpy(q, p, size_min(before, size));
	memcheck_free(h, p);
	return q;
}

static size_t memcheck_size(struct heap *h, const void *p)
{
	(void)h;
	return read_header(p).size;
}

const struct heap_checks memcheck_checks = { memcheck_malloc, memcheck_realloc, memcheck_free, memcheck_size };
