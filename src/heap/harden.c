/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hardened block is one of jemalloc's that ends in a tail:
 *
 *     | what was asked for | margin | tail, 8 bytes |
 *
 * The tail says how many bytes lie after what was asked for, or that the block is free,
 * mixed with a secret of the heap and with its own address: another block's tail, or what
 * was there before, is none, and a tail of which one bit is changed says nonsense. The
 * first bytes of the margin hold a pattern, since it is there that one byte too many goes.
 */
#include "heap/harden.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "heap/je.h"
#include "os/os.h"

#define TAIL sizeof(uint64_t)
#define FREED UINT64_MAX   /* in the place of a number of bytes */
#define MARGIN ((size_t)64) /* more of it is not looked at */

/* ---- the tail ------------------------------------------------------------------- */

#define FACTOR UINT64_C(0x9e3779b97f4a7c15) /* any odd number with bits all over */
#define INVERSE UINT64_C(0xf1de83e19937733d)
_Static_assert(FACTOR * INVERSE == 1, "multiplying by the one undoes the other");

/* Each bit of the result depends on all of x; unmix() is the way back. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 32) * FACTOR;
	x = (x ^ x >> 32) * FACTOR;
	return x ^ x >> 32;
}

static uint64_t unmix(uint64_t x)
{
	x = (x ^ x >> 32) * INVERSE;
	x = (x ^ x >> 32) * INVERSE;
	return x ^ x >> 32;
}

static uint64_t *tail_of(const void *p, size_t whole)
{
	return (uint64_t *)((uintptr_t)p + whole - TAIL);
}

static void write_tail(const struct heap *h, uint64_t *tail, uint64_t value)
{
	*tail = mix(value ^ h->secret ^ (uintptr_t)tail);
}

static uint64_t read_tail(const struct heap *h, const uint64_t *tail)
{
	return unmix(*tail) ^ h->secret ^ (uintptr_t)tail;
}

/* ---- the margin ------------------------------------------------------------------- */

/* Never 0, 1 or 255, nor a letter: those are what overruns write. */
static int pattern_of(const struct heap *h) { return (int)(h->secret >> 56 & 0x7e) | 0x80; }

/* Of a block of which `size` bytes, of all in front of the tail, were asked for. */
static size_t margin_of(size_t whole, size_t size) { return size_min(whole - TAIL - size, MARGIN); }

static bool margin_is_whole(const struct heap *h, const unsigned char *margin, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (margin[i] != pattern_of(h))
			return false;
	return true;
}

/* `whole` bytes are a block from now on, of which `size` are the program's. */
static void seal(const struct heap *h, void *p, size_t whole, size_t size)
{
	memset((char *)p + size, pattern_of(h), margin_of(whole, size));
	write_tail(h, tail_of(p, whole), whole - size);
}

/* ---- mistakes ------------------------------------------------------------------- */

static _Noreturn void stop(const char *call, const void *p, const char *what)
{
	char detail[160];
	struct text t;
	text_init(&t, detail, sizeof detail);
	text_add(&t, "%s(%#zx): %s", call, (size_t)p, what);
	heap_say("harden: ", detail);
	abort();
}

static _Noreturn void stop_overrun(const char *call, const void *p, size_t size)
{
	char what[96];
	struct text t;
	text_init(&t, what, sizeof what);
	text_add(&t, "the block of %zu bytes was written beyond its end", size);
	stop(call, p, what);
}

/* ---- looking at a block ------------------------------------------------------------ */

struct block {
	size_t whole; /* bytes, with the tail */
	size_t size;  /* that were asked for */
};

/* jemalloc's map of extents may be asked of addresses only as far as it is committed. */
static bool is_described(const struct heap *h, const void *p)
{
	for (int i = 0; i < HEAP_ZONES; i++)
		if ((uintptr_t)p >= h->zone[i].start && (uintptr_t)p < atomic_load(&h->zone[i].described_to))
			return true;
	return false;
}

/* The block that begins at p, or the end of the program. */
static struct block look_at(struct heap *h, const void *p, const char *call)
{
	unsigned arena = 0;
	size_t whole = is_described(h, p) ? je_block_size(p, &arena) : 0;
	if (!whole || heap_of_arena(arena) != h)
		stop(call, p, "no block of this heap begins there, or it was freed already");

	uint64_t rest = read_tail(h, tail_of(p, whole));
	if (rest == FREED)
		stop(call, p, "the block was freed already");
	if (rest < TAIL || rest > whole)
		stop(call, p, "the block was written beyond its end, or is not in use");

	size_t size = whole - rest;
	if (!margin_is_whole(h, (const unsigned char *)p + size, margin_of(whole, size)))
		stop_overrun(call, p, size);
	return (struct block){ whole, size };
}

/* ---- the calls ------------------------------------------------------------------- */

static unsigned cache_of(struct heap *h) { return h == &heap_process ? JE_OWN_CACHE : heap_cache(h); }

static void *harden_malloc(struct heap *h, size_t size, size_t align, bool zero)
{
	size_t whole;
	if (!size_add(size, TAIL, &whole))
		return NULL;
	void *p = je_arena_malloc(h->arena, cache_of(h), whole, align, zero);
	if (p)
		seal(h, p, sparena_je_malloc_usable_size(p), size);
	return p;
}

static void harden_free(struct heap *h, void *p)
{
	struct block b = look_at(h, p, "free");
	write_tail(h, tail_of(p, b.whole), FREED);
	je_arena_free(cache_of(h), p);
}

/* The old block is marked first: where the new one lies elsewhere, it is gone by then. */
static void *harden_realloc(struct heap *h, void *p, size_t size)
{
	struct block b = look_at(h, p, "realloc");
	size_t whole;
	if (!size_add(size, TAIL, &whole))
		return NULL;
	write_tail(h, tail_of(p, b.whole), FREED);
	void *q = je_arena_realloc(h->arena, cache_of(h), p, whole);
	if (q)
		seal(h, q, sparena_je_malloc_usable_size(q), size);
	else
		seal(h, p, b.whole, b.size);
	return q;
}

static size_t harden_size(struct heap *h, const void *p)
{
	return look_at(h, p, "malloc_usable_size").size;
}

/* Those of malloc and its kin. */

void *heap_checked_malloc(size_t size, size_t align, bool zero)
{
	void *p = size_max(size, align) > PTRDIFF_MAX ? NULL : harden_malloc(&heap_process, size, align, zero);
	if (!p)
		errno = ENOMEM;
	return p;
}

void *heap_checked_realloc(void *p, size_t size)
{
	return size > PTRDIFF_MAX ? NULL : harden_realloc(&heap_process, p, size);
}

void heap_checked_free(void *p) { harden_free(&heap_process, p); }

size_t heap_checked_size(const void *p) { return harden_size(&heap_process, p); }

static const struct heap_checks harden_checks = { harden_malloc, harden_realloc, harden_free, harden_size };

void harden_start(struct heap *h)
{
	uint64_t random[2];
	os_random_of_start(random);
	h->secret = mix(random[0]) + mix(mix(random[1]) ^ (uintptr_t)h);
	h->checks = &harden_checks;
}
