/* SPDX-License-Identifier: BSD-2-Clause */
/* Blocks: how much of them is the program's, and what stands in them. */
#include <malloc.h>

#include "cases.h"

/* ---- usable size ------------------------------------------------------------------------ */

static void usable(size_t with)
{
	for (size_t i = 0; i < sizes_count; i++) {
		void *before = allocators[with].get(sizes[i]), *p = allocators[with].get(sizes[i]);
		void *behind = allocators[with].get(sizes[i]);
		NEED(before && p && behind);
		fill(before, sizes[i], 1);
		fill(behind, sizes[i], 2);
		size_t usable_size = malloc_usable_size(p);
		if (usable_size < sizes[i]) {
			say("%zu of %zu B", usable_size, sizes[i]);
			return;
		}
		memset(p, 0xff, usable_size);
		if (!is_filled(before, sizes[i], 1) || !is_filled(behind, sizes[i], 2)) {
			say("%zu B: others overwritten", sizes[i]);
			return;
		}
		free(before);
		free(p);
		free(behind);
	}
	say("the size and more, all writable");
}

static void usable_of_null(size_t with)
{
	(void)with;
	say("%zu", malloc_usable_size(NULL));
}

/* Some programs grow into it without asking. */
static void usable_is_kept(size_t with)
{
	(void)with;
	for (size_t i = 0; i < sizes_count; i++) {
		void *p = malloc(sizes[i]);
		NEED(p);
		size_t had = malloc_usable_size(p);
		fill(p, had, 3);
		NEED(p = realloc(p, had));
		if (!is_filled(p, had, 3) || malloc_usable_size(p) < had) {
			say("%zu B: not kept", sizes[i]);
			return;
		}
		NEED(p = realloc(p, had + 1));
		if (!is_filled(p, had, 3)) {
			say("%zu B: changed on growth", sizes[i]);
			return;
		}
		free(p);
	}
	say("kept");
}

/* ---- realloc ------------------------------------------------------------------------------ */

/* Every size to every other, so that blocks grow, shrink, stay and move. */
static void pairs(size_t with)
{
	for (size_t i = 0; i < sizes_count; i++) {
		for (size_t k = 0; k < sizes_count; k++) {
			size_t less = sizes[i] < sizes[k] ? sizes[i] : sizes[k];
			void *p = malloc(sizes[i]);
			NEED(p);
			fill(p, less, 4);
			NEED(p = with ? reallocarray(p, 1, sizes[k]) : realloc(p, sizes[k]));
			if (!is_filled(p, less, 4)) {
				say("%zu to %zu B: contents changed", sizes[i], sizes[k]);
				return;
			}
			free(p);
		}
	}
	say("contents kept");
}

/* As a string is read: one block that grows beside others. */
static void step_by_step(size_t with)
{
	void *p = NULL;
	(void)with;
	for (size_t size = 1, had = 0; size < MIB; had = size, size += size / 5 + 1) {
		NEED(p = realloc(p, size));
		if (!is_filled(p, had, 5)) {
			say("%zu B: contents changed", size);
			return;
		}
		fill(p, size, 5);
		free(malloc(size)); /* in the way */
	}
	free(p);
	say("contents kept");
}

static void refused_keeps(size_t with)
{
	static const size_t much[] = { SIZE_MAX, PTRDIFF_MAX, (size_t)1 << 50 };
	for (size_t i = 0; i < sizes_count; i++) {
		void *p = malloc(sizes[i]);
		NEED(p);
		fill(p, sizes[i], 6);
		for (size_t k = 0; k < COUNT(much); k++) {
			errno = 0;
			void *q = with ? reallocarray(opaque_block(p), opaque(much[k]), 1)
			               : realloc(opaque_block(p), opaque(much[k]));
			if (q || errno != ENOMEM || !is_filled(p, sizes[i], 6)) {
				say("%zu to %#zx B: %s, %s, changed", sizes[i], much[k], q ? "a block" : "NULL",
				    error_name(errno));
				return;
			}
		}
		free(p);
	}
	say("NULL, ENOMEM; the old block whole");
}

static void shrink_gives_back(size_t with)
{
	void *p = malloc(64 * MIB);
	(void)with;
	NEED(p);
	fill(p, 64 * MIB, 7);
	size_t before = in_use();
	NEED(p = realloc(p, 10000));
	say(is_filled(p, 10000, 7) ? "contents kept" : "contents changed");
	say(in_use() + 60 * MIB < before ? "the rest freed" : "the rest not freed");
	free(p);
}

/* ---- calloc --------------------------------------------------------------------------------- */

enum between { NOTHING, TRIM };

static void clean_after_dirty(size_t with)
{
	enum { EACH = 4 };
	void *blocks[EACH];
	for (size_t i = 0; i < sizes_count; i++) {
		for (size_t round = 0; round < 4; round++) {
			for (size_t k = 0; k < EACH; k++) {
				NEED(blocks[k] = malloc(sizes[i]));
				memset(blocks[k], 0xee, malloc_usable_size(blocks[k]));
			}
			for (size_t k = 0; k < EACH; k++)
				free(blocks[k]);
			if (with == TRIM)
				malloc_trim(0);
			for (size_t k = 0; k < EACH; k++) {
				NEED(blocks[k] = round & 1 ? calloc(sizes[i], 1) : calloc(1, sizes[i]));
				if (!is_zero(blocks[k], sizes[i])) {
					say("%zu B: not zero", sizes[i]);
					return;
				}
			}
			for (size_t k = 0; k < EACH; k++)
				free(blocks[k]);
		}
	}
	say("zero");
}

const struct conformance_case block_cases[] = {
	CASES_OF_ALLOCATORS("usable size/", "", usable),
	{ "usable size/NULL", usable_of_null, 0 },
	{ "usable size/realloc to it, and beyond", usable_is_kept, 0 },
	{ "realloc/every size to every other", pairs, 0 },
	{ "realloc/reallocarray likewise", pairs, 1 },
	{ "realloc/growing step by step", step_by_step, 0 },
	{ "realloc/refused", refused_keeps, 0 },
	{ "realloc/reallocarray refused", refused_keeps, 1 },
	{ "realloc/64 MiB to 10 kB", shrink_gives_back, 0 },
	{ "calloc/where dirty blocks were freed", clean_after_dirty, NOTHING },
	{ "calloc/after malloc_trim", clean_after_dirty, TRIM },
	{ NULL, NULL, 0 },
};
