/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What heaps go through while system calls fail, a phase at a time: an explicit heap in
 * libsparena.so's variant (test_calls_heap.c), and the process's in the drop-in's
 * (test_calls_process.c). Before and after the phase nothing fails: then contents and
 * books are looked at, and all is had that could not be had.
 */
#ifndef SPARENA_TESTS_HEAPS_H
#define SPARENA_TESTS_HEAPS_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/base.h"
#include "calls.h"
#include "points.h"
#include "region/guard.h"
#include "sparena/heap.h"
#include "sparena/stats.h"

static struct sparena_heap *heap; /* NULL: the process's */

static void *block_malloc(size_t size) { return sparena_heap_malloc(heap, size); }
static void *block_calloc(size_t n, size_t size) { return sparena_heap_calloc(heap, n, size); }
static void *block_realloc(void *p, size_t size) { return sparena_heap_realloc(heap, p, size); }
static void block_free(void *p) { sparena_heap_free(heap, p); }
static void block_trim(void) { (void)sparena_heap_purge(heap); }

/* Larger blocks are charged alone. */
static size_t lazy_above = SIZE_MAX;

/* Where a huge page was thinned out while populating failed, pages of nothing but zeros
 * are not there. */
static bool thins;
static bool lacks_zeros(void)
{
	return thins && (point.which == POPULATE_PAGES || point.which == ADVISE_COLD || point.which == ALL_CALLS);
}

static bool block_is_backed(const void *p, size_t size)
{
	return size > lazy_above || is_backed(p, size) || lacks_zeros();
}
static bool fault_lasts(void) { return point.lasts == FOR_GOOD && point.at; }

#include "blocks.h"

#define LIMIT (8 * MiB)
#define LARGEST (480 * KiB)
#define SLABS (512 * KiB) /* what a heap of which all is freed may still have, in slabs */

static struct block blocks[BLOCKS];

/* ---- looking ---------------------------------------------------------------------------- */

static struct sparena_stats books(void)
{
	struct sparena_stats s;
	MUST(sparena_stats_get(heap, &s, sizeof s) == 0);
	MUST(s.committed + s.metadata + s.lazy <= s.limit);
	return s;
}

/* What is charged is resident, and nothing else. */
static void check_books(void)
{
	struct sparena_stats s = books();
	size_t backed = s.committed + s.metadata;
	if (s.lazy)
		MUST(backed <= s.resident && s.resident <= backed + s.lazy);
	else
		MUST_BE_EQUAL(s.resident, backed);
}

/* With the fault over: what was there is there still, all goes back, and all is had again. */
static void check_recovery(void)
{
	struct sparena_stats s;
	check_blocks(blocks);
	give_blocks(blocks);
	block_trim();
	block_trim(); /* what failed to go back the first time */
	check_books();
	s = books();
	MUST(s.committed + s.lazy <= SLABS);
	many_sizes(blocks, LARGEST);
	for (unsigned i = 0; i < BLOCKS; i++)
		MUST(blocks[i].p);
	check_books();
}

/* ---- phases ------------------------------------------------------------------------------ */

static void grow(void)
{
	struct block more[BLOCKS];
	many_sizes(more, LARGEST);
	MUST(books().limit == LIMIT);
	give_blocks(more);
}

/* Of a few kinds. */
static void use_first_blocks(void)
{
	struct block more;
	for (size_t size = 100; size < LARGEST; size *= 50) {
		take(&more, size, 'f');
		give(&more);
	}
}

static void exhaust(void) { exhaustion(128 * KiB); }

static void purge(void)
{
	for (unsigned i = 0; i < BLOCKS; i += 2)
		give(&blocks[i]);
	block_trim();
	for (unsigned i = 0; i < BLOCKS; i += 2)
		take(&blocks[i], size_of_block(i, LARGEST), (char)(i + 1));
}

/* Below what is used there is no more; then there is again. */
static void change_limit(void)
{
	struct block more;
	MUST(sparena_heap_set_limit(heap, books().committed / 2) == 0);
	errno = 0;
	MUST(!block_malloc(2 * MiB) && errno == ENOMEM);
	check_blocks(blocks);
	MUST(sparena_heap_set_limit(heap, LIMIT) == 0);
	take(&more, 2 * MiB, 'm');
	give(&more);
}

static void *thread(void *arg)
{
	thread_work(LARGEST);
	return arg;
}

/* From its first block to its end, which gives its cache back. */
static void run_thread(void)
{
	pthread_t t;
	MUST(pthread_create(&t, NULL, thread, NULL) == 0);
	MUST(pthread_join(t, NULL) == 0);
}

/* Tries in vain, many times: whether the later ones leave nothing behind. The first ones may,
 * what the guard opens for all. */
static bool tries_leave_nothing(void (*try)(void))
{
	size_t space = 0, open = 0;
	for (int i = 0; i < 12; i++) {
		try();
		if (i == 5) {
			space = address_space();
			open = descriptors();
		}
	}
	return address_space() == space && descriptors() == open;
}

static void look_at_end_of(pid_t child)
{
	int status;
	look_begin();
	MUST(waitpid(child, &status, 0) == child);
	MUST(WIFEXITED(status));
	MUST_BE_EQUAL((size_t)WEXITSTATUS(status), 0);
	look_end();
}

/* ---- one run -------------------------------------------------------------------------------- */

/* `act` fails where it is to; `heap` is there before, and not looked at while it acts. */
static void run_phase(void (*act)(void))
{
	look_begin();
	many_sizes(blocks, LARGEST);
	check_books();
	look_end();
	act();
	look_begin();
	calm();
	check_recovery();
	give_blocks(blocks);
	look_end();
}

#endif
