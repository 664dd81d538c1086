/* SPDX-License-Identifier: BSD-2-Clause */
/* What the calls return and what they do to errno: success, refusal, sizes of zero. */
#include <malloc.h>

#include "cases.h"

#define MARK 4242 /* an errno of nobody's */

/* ---- success leaves errno alone ---------------------------------------------------- */

static void success(size_t with)
{
	for (size_t i = 0; i < sizes_count; i++) {
		errno = MARK;
		void *p = allocators[with].get(sizes[i]);
		NEED(p);
		if (errno != MARK) {
			say("errno set to %s at %zu B", error_name(errno), sizes[i]);
			return;
		}
		free(p);
	}
	say("errno kept");
}

static void success_of_free(size_t with)
{
	(void)with;
	for (size_t a = 0; a < allocators_count; a++) {
		for (size_t i = 0; i < sizes_count; i++) {
			void *p = allocators[a].get(sizes[i]);
			NEED(p);
			errno = MARK;
			free(p);
			if (errno != MARK) {
				say("errno set to %s at %zu B", error_name(errno), sizes[i]);
				return;
			}
		}
	}
	free(NULL);
	say(errno == MARK ? "errno kept" : "errno set by free(NULL)");
}

static void success_of_others(size_t with)
{
	void *p = malloc(100);
	(void)with;
	NEED(p);
	errno = MARK;
	(void)malloc_usable_size(p);
	if (errno != MARK)
		say("set by malloc_usable_size");
	errno = MARK;
	(void)mallinfo2();
	if (errno != MARK)
		say("set by mallinfo2");
	errno = MARK;
	(void)mallopt(M_ARENA_MAX, 4);
	if (errno != MARK)
		say("set by mallopt");
	errno = MARK;
	(void)malloc_trim(0);
	if (errno != MARK)
		say("set by malloc_trim");
	else
		say("errno kept");
	free(p);
}

/* ---- too large a size ---------------------------------------------------------------- */

/* 1 PiB is more address space than there is; what comes after it, more than there can be. */
static const size_t impossible[] = {
	(size_t)1 << 50, PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 1, SIZE_MAX - 8191, SIZE_MAX - 4096, SIZE_MAX - 1, SIZE_MAX,
};

static void refusal(size_t with)
{
	for (size_t i = 0; i < COUNT(impossible); i++) {
		errno = 0;
		void *p = allocators[with].get(opaque(impossible[i]));
		if (p || errno != ENOMEM) {
			say("%#zx: %s, %s", impossible[i], p ? "a block" : "NULL", error_name(errno));
			return;
		}
	}
	say("NULL, ENOMEM");
}

static void refusal_of_posix_memalign(size_t with)
{
	void *out = &out;
	(void)with;
	errno = MARK;
	int error = posix_memalign(&out, 64, opaque(SIZE_MAX / 2));
	say("returns %s", error_name(error));
	say("errno %s", errno == MARK ? "kept" : error_name(errno));
	say("*memptr %s", out == &out ? "kept" : out ? "set" : "NULL");
}

static void product_of_calloc(size_t with)
{
	(void)with;
	errno = 0;
	say_block(calloc(opaque(SIZE_MAX / 2), 3));
	errno = 0;
	say_block(calloc(opaque((size_t)1 << 32), opaque((size_t)1 << 32))); /* 0 once wrapped */
}

static void product_of_reallocarray(size_t with)
{
	(void)with;
	errno = 0;
	say_block(reallocarray(NULL, opaque(SIZE_MAX / 2), 3));
	errno = 0;
	say_block(reallocarray(NULL, opaque((size_t)1 << 32), opaque((size_t)1 << 32)));
}

static void product_keeps_block(size_t with)
{
	void *p = malloc(100);
	(void)with;
	NEED(p);
	fill(p, 100, 1);
	errno = 0;
	void *q = reallocarray(opaque_block(p), opaque((size_t)1 << 32), opaque((size_t)1 << 32));
	say(q ? "a block" : "NULL, %s", error_name(errno));
	say(is_filled(p, 100, 1) ? "the old block whole" : "the old block changed");
}

static void both_huge(size_t with)
{
	(void)with;
	errno = 0;
	say_block(aligned_alloc(opaque((size_t)1 << 62), opaque((size_t)1 << 62)));
}

/* ---- zero --------------------------------------------------------------------------- */

static void zero(size_t with)
{
	errno = 0;
	void *a = allocators[with].get(0), *b = allocators[with].get(0);
	if (!a || !b)
		say("NULL, %s", error_name(errno));
	else
		say(a == b ? "the same block twice" : "a block of its own");
	if (a && !is_aligned(a, allocators[with].align))
		say("not aligned");
	free(a);
	if (b != a)
		free(b);
}

static void zero_items(size_t with)
{
	void *a = with ? calloc(opaque(8), 0) : calloc(0, opaque(8)), *b = calloc(0, 0);
	if (!a || !b)
		say("NULL, %s", error_name(errno));
	else
		say(a == b ? "the same block twice" : "a block of its own");
	free(a);
	free(b);
}

static void *zero_by_realloc(void *p) { return realloc(p, opaque(0)); }
static void *zero_by_reallocarray(void *p) { return reallocarray(p, opaque(0), 8); }

static void zero_of_block(size_t with)
{
	void *(*shrink)(void *) = with ? zero_by_reallocarray : zero_by_realloc;
	void *p = malloc(MIB);
	NEED(p);
	size_t before = in_use();
	errno = MARK;
	void *q = shrink(opaque_block(p));
	say("%s", q ? "a block" : "NULL");
	say("errno %s", errno == MARK ? "kept" : error_name(errno));
	say("p %s", in_use() + MIB / 2 < before ? "freed" : "not freed");
	free(q);
}

const struct conformance_case result_cases[] = {
	CASES_OF_ALLOCATORS("success/", "", success),
	{ "success/free", success_of_free, 0 },
	{ "success/malloc_usable_size, mallinfo2, mallopt, malloc_trim", success_of_others, 0 },
	CASES_OF_ALLOCATORS("too large/", "", refusal),
	{ "too large/posix_memalign's effects", refusal_of_posix_memalign, 0 },
	{ "too large/aligned_alloc, alignment too", both_huge, 0 },
	{ "too large/product in calloc", product_of_calloc, 0 },
	{ "too large/product in reallocarray(NULL)", product_of_reallocarray, 0 },
	{ "too large/product in reallocarray(p)", product_keeps_block, 0 },
	CASES_OF_ALLOCATORS("zero/", " of 0 B", zero),
	{ "zero/calloc(0, 8)", zero_items, 0 },
	{ "zero/calloc(8, 0)", zero_items, 1 },
	{ "zero/realloc(p, 0)", zero_of_block, 0 },
	{ "zero/reallocarray(p, 0, 8)", zero_of_block, 1 },
	{ NULL, NULL, 0 },
};
