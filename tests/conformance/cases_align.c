/* SPDX-License-Identifier: BSD-2-Clause */
/* Alignment: of ordinary blocks, asked for, and asked for in vain. */
#include <malloc.h>
#include <unistd.h>

#include "cases.h"

/* ---- nothing asked for ---------------------------------------------------------------- */

/* Least alignment of blocks of from to to bytes, up to 64. */
static size_t least_alignment(void *(*get)(size_t), size_t from, size_t to)
{
	enum { EACH = 64 };
	void *blocks[EACH];
	size_t least = 64;
	for (size_t size = from; size <= to; size++) {
		for (size_t i = 0; i < EACH; i++) {
			NEED(blocks[i] = get(size));
			while (!is_aligned(blocks[i], least))
				least /= 2;
		}
		for (size_t i = 0; i < EACH; i++)
			free(blocks[i]);
	}
	return least;
}

/* Least alignment for sizes that hold an object of alignment 16, and for smaller ones. */
static void ordinary(size_t with)
{
	void *(*get)(size_t) = allocators[with].get;
	size_t to_8 = least_alignment(get, 1, 8), to_15 = least_alignment(get, 9, 15);
	size_t least = least_alignment(get, 16, 600);
	if (to_8 >= 16 && to_15 >= 16 && least >= 16) {
		say("at least 16 B");
		return;
	}
	say("up to 8 B: %zu B", to_8);
	say("up to 15 B: %s%zu B", to_15 >= 16 ? "at least " : "", to_15);
	say("beyond: %s%zu B", least >= 16 ? "at least " : "", least);
}

/* ---- asked for ------------------------------------------------------------------------- */

enum way { ALIGNED_ALLOC, MEMALIGN, POSIX_MEMALIGN };

static void *aligned(enum way way, size_t align, size_t size)
{
	void *p = NULL;
	int error;
	switch (way) {
	case ALIGNED_ALLOC:
		return aligned_alloc(opaque(align), size);
	case MEMALIGN:
		return memalign(opaque(align), size);
	default:
		error = posix_memalign(&p, opaque(align), size);
		errno = error ? error : errno;
		return error ? NULL : p;
	}
}

/* With every size at once, so that each lies beside others. */
static void powers(size_t with)
{
	static const size_t lengths[] = { 0, 1, 100, 4096, 70000 };
	for (size_t align = with == POSIX_MEMALIGN ? sizeof(void *) : 1; align <= 2 * MIB; align *= 2) {
		void *p[COUNT(lengths)];
		for (size_t i = 0; i < COUNT(lengths); i++) {
			p[i] = aligned((enum way)with, align, lengths[i]);
			if (!p[i] || !is_aligned(p[i], align)) {
				say("%zu B at %zu: %s", lengths[i], align, p[i] ? "not aligned" : error_name(errno));
				return;
			}
			fill(p[i], lengths[i], (unsigned)i);
		}
		for (size_t i = 0; i < COUNT(lengths); i++) {
			if (!is_filled(p[i], lengths[i], (unsigned)i))
				say("contents changed");
			free(p[i]);
		}
	}
	say("aligned, from %zu B to 2 MiB", with == POSIX_MEMALIGN ? sizeof(void *) : (size_t)1);
}

static void by_page(size_t with)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	for (size_t size = 0; size < 5 * page; size += 1111) {
		void *p = allocators[with].get(size);
		NEED(p);
		if (!is_aligned(p, page)) {
			say("%zu B: not aligned", size);
			return;
		}
		free(p);
	}
	say("aligned to a page");
}

static void whole_pages(size_t with)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	(void)with;
	for (size_t size = 1; size < 5 * page; size += 1111) {
		void *p = pvalloc(size);
		NEED(p);
		if (malloc_usable_size(p) < (size + page - 1) / page * page) {
			say("%zu B: less than whole pages", size);
			return;
		}
		free(p);
	}
	say("whole pages");
}

/* C11 once asked for a multiple; C17 does not. */
static void no_multiple(size_t with)
{
	(void)with;
	errno = 0;
	say_block(aligned_alloc(64, opaque(100)));
}

static void keeps_over_realloc(size_t with)
{
	(void)with;
	for (size_t align = 16; align <= 2 * MIB; align *= 2) {
		void *p = aligned_alloc(align, 3000);
		NEED(p);
		fill(p, 3000, 1);
		NEED(p = realloc(p, 300000));
		if (!is_filled(p, 3000, 1)) {
			say("contents changed");
			return;
		}
		free(p);
	}
	say("contents kept");
}

/* ---- in vain, or hardly to be had --------------------------------------------------------- */

static void say_aligned(enum way way, size_t align)
{
	errno = 0;
	void *p = aligned(way, align, 100);
	if (!p)
		say("NULL, %s", error_name(errno));
	else if (align && !(align & (align - 1)) && !is_aligned(p, align))
		say("a block, not aligned");
	else
		say("a block");
	free(p);
}

static void odd(size_t with)
{
	static const size_t odd_ones[] = { 3, 24, 4095, 4097 };
	for (size_t i = 0; i < COUNT(odd_ones); i++)
		say_aligned((enum way)with, odd_ones[i]);
}

static void of_zero(size_t with) { say_aligned((enum way)with, 0); }
static void below_pointer(size_t with)
{
	(void)with;
	say_aligned(POSIX_MEMALIGN, 1);
	say_aligned(POSIX_MEMALIGN, 4);
}
static void of_1_gib(size_t with) { say_aligned((enum way)with, (size_t)1 << 30); }
static void of_1_pib(size_t with) { say_aligned((enum way)with, (size_t)1 << 50); }
static void of_half(size_t with) { say_aligned((enum way)with, (size_t)1 << 63); }
static void of_most(size_t with) { say_aligned((enum way)with, SIZE_MAX); }

static void memptr(size_t with)
{
	void *out = &out;
	errno = 4242;
	say("returns %s", error_name(posix_memalign(&out, opaque(with), 100)));
	say("errno %s", errno == 4242 ? "kept" : error_name(errno));
	say("*memptr %s", out == &out ? "kept" : out ? "set" : "NULL");
}

#define BY_ALIGNMENT(what, run)                                                                      \
	{ "alignment/aligned_alloc, " what, run, ALIGNED_ALLOC },                                    \
	{ "alignment/memalign, " what, run, MEMALIGN },                                              \
	{ "alignment/posix_memalign, " what, run, POSIX_MEMALIGN }

const struct conformance_case align_cases[] = {
	{ "alignment/malloc", ordinary, 0 },
	{ "alignment/calloc", ordinary, 1 },
	{ "alignment/realloc", ordinary, 2 },
	BY_ALIGNMENT("powers of two", powers),
	{ "alignment/valloc", by_page, 7 },
	{ "alignment/pvalloc", by_page, 8 },
	{ "alignment/pvalloc's size", whole_pages, 0 },
	{ "alignment/aligned_alloc(64, 100)", no_multiple, 0 },
	{ "alignment/realloc of an aligned block", keeps_over_realloc, 0 },
	BY_ALIGNMENT("3, 24, 4095, 4097", odd),
	BY_ALIGNMENT("0", of_zero),
	{ "alignment/posix_memalign, 1 and 4", below_pointer, 0 },
	{ "alignment/posix_memalign's effects, 24", memptr, 24 },
	BY_ALIGNMENT("1 GiB", of_1_gib),
	BY_ALIGNMENT("1 PiB", of_1_pib),
	BY_ALIGNMENT("2^63", of_half),
	BY_ALIGNMENT("SIZE_MAX", of_most),
	{ NULL, NULL, 0 },
};
