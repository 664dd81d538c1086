/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Around each of jemalloc's own test programs: its main() runs on the private jemalloc with
 * our hooks. Afterwards these must have served, and the books must balance. What is left out
 * stands with its reason in programs.cmake, and everything that stands there must come up.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "../support/books.h"
#include "heap/heap.h"
#include "program.h"

int jemalloc_main(void); /* as main() is called in its file */

/* ---- jemalloc's tests, of its test/src/test.c ---------------------------------------- */

void p_test_init(const char *name);
void p_test_fini(void);
void test_skip(const char *format, ...);
void __real_p_test_fail(const char *prefix, const char *message);
void __wrap_p_test_fail(const char *prefix, const char *message);

bool program_begins_test(const char *name);
void program_skips_test(const char *name);

#define MOST_LEFT_OUT 32

static bool came_up[MOST_LEFT_OUT];
static unsigned tests, unexplained;

/* Why it is left out, or NULL. */
static const char *reason(const char *what)
{
	const struct left_out *l = program_leaves_out;
	while (l->what && strcmp(l->what, what) != 0)
		l++;
	if (l->what)
		came_up[l - program_leaves_out] = true;
	return l->why;
}

bool program_begins_test(const char *name)
{
	const char *why = reason(name);
	p_test_init(name);
	tests += !why;
	if (why) {
		test_skip("left out: %s", why);
		p_test_fini();
	}
	return !why;
}

void program_skips_test(const char *name)
{
	if (reason(name))
		return;
	fprintf(stderr, "%s is skipped, and programs.cmake has no reason for it\n", name);
	unexplained++;
}

/* An expectation that is not so on purpose is no failure. */
void __wrap_p_test_fail(const char *prefix, const char *message)
{
	const char *why = reason(message);
	if (why)
		fprintf(stderr, "%s%s\n  left out: %s\n", prefix, message, why);
	else
		__real_p_test_fail(prefix, message);
}

/* A reason that is no reason any more. */
static unsigned stale(void)
{
	unsigned n = 0;
	for (const struct left_out *l = program_leaves_out; l->what; l++)
		if (!came_up[l - program_leaves_out]) {
			fprintf(stderr, "\"%s\" stands in programs.cmake, and never came up\n", l->what);
			n++;
		}
	return n;
}

/* ---- whether our hooks served --------------------------------------------------------- */

/* jemalloc's start takes so many base blocks. */
#define BLOCKS_AT_START 2

static _Atomic size_t extents, blocks;
static _Atomic size_t taken, given; /* bytes of extents */

void *__real_heap_extent_alloc(unsigned arena, void *wanted, size_t size, size_t align, bool *zero);
void *__wrap_heap_extent_alloc(unsigned arena, void *wanted, size_t size, size_t align, bool *zero);
void *__wrap_heap_extent_alloc(unsigned arena, void *wanted, size_t size, size_t align, bool *zero)
{
	char *p = __real_heap_extent_alloc(arena, wanted, size, align, zero);
	if (p && !heap_internal) {
		extents++;
		taken += size;
		CHECK(heap_has(&heap_process.data, p) && heap_has(&heap_process.data, p + size - 1));
	}
	return p;
}

void __real_heap_extent_free(void *addr, size_t size);
void __wrap_heap_extent_free(void *addr, size_t size);
void __wrap_heap_extent_free(void *addr, size_t size)
{
	if (heap_has(&heap_process.data, addr))
		given += size;
	__real_heap_extent_free(addr, size);
}

void *__real_heap_block_alloc(size_t size);
void *__wrap_heap_block_alloc(size_t size);
void *__wrap_heap_block_alloc(size_t size)
{
	void *p = __real_heap_block_alloc(size);
	blocks += p != NULL;
	return p;
}

/* Where a test has hooks of its own, which call ours, its arena's base blocks may come by
 * them: out of extents, which are committed already. */
bool __real_heap_metadata_need(struct heap *h, void *addr, size_t bytes);
bool __wrap_heap_metadata_need(struct heap *h, void *addr, size_t bytes);
bool __wrap_heap_metadata_need(struct heap *h, void *addr, size_t bytes)
{
	return !heap_has(&h->meta, addr) || __real_heap_metadata_need(h, addr, bytes);
}

static void check_hooks(void)
{
	struct heap *h = &heap_process;
	struct sparena_stats s = books_balance();
	heap_each_pages(h, pages_check);
	heap_each_region(h, region_check);
	printf("sparena: %zu extents, %zu of %zu KiB given back, %zu committed at most; %zu base blocks, %zu KiB\n",
	       extents, given / KiB, taken / KiB, (size_t)s.committed_peak / KiB, blocks, (size_t)s.metadata / KiB);
	CHECK(budget_charged(&h->budget) == s.committed + s.metadata);
	CHECK(h->pages.allocated == taken - given);
	CHECK(extents ? s.committed_peak > 0 : blocks > BLOCKS_AT_START);
}

/* Of its exit codes, in which 1 means that a test was skipped, there is one more. */
int main(void)
{
	int failed = jemalloc_main() > 1;
	check_hooks();
	unsigned wrong = stale() + unexplained + (tests == 0);
	printf("sparena: %u tests run, %s\n", tests, failed || wrong ? "FAILED" : "passed");
	return failed || wrong;
}
