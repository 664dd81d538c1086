/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is written to swap and comes back: contents, books, and who waits for what. There must
 * be a swap of 256 MiB that nobody else uses. Usage: swapped CASE [OPTIONS]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "sparena/heap.h"
#include "sparena/region.h"
#include "sparena/sparena.h"
#include "sparena/stats.h"

#define MIB ((size_t)1 << 20)
#define PAGE ((size_t)4096)

#define CHECK(ok)                                                                                        \
	do {                                                                                             \
		if (!(ok)) {                                                                             \
			dprintf(2, "%s:%d: not so: %s (errno %d, %s)\n", __FILE__, __LINE__, #ok, errno, \
			        sparena_last_error());                                                   \
			abort();                                                                         \
		}                                                                                        \
	} while (0)

static const char *options;

/* ---- what is in memory ------------------------------------------------------------------ */

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15u;
	return x ^ (x >> 29);
}

/* A word at the beginning, middle and end of each page, which says where it is. */
static void mark(char *p, size_t size, uint64_t seed)
{
	for (size_t at = 0; at < size; at += PAGE)
		for (size_t part = 0; part < 3; part++) {
			uint64_t word = mix(seed + at + part);
			memcpy(p + at + part * (PAGE / 2 - 8), &word, sizeof word);
		}
}

static bool is_marked(const char *p, size_t size, uint64_t seed)
{
	for (size_t at = 0; at < size; at += PAGE)
		for (size_t part = 0; part < 3; part++) {
			uint64_t word = mix(seed + at + part);
			if (memcmp(p + at + part * (PAGE / 2 - 8), &word, sizeof word) != 0)
				return false;
		}
	return true;
}

static bool is_zero(const char *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (p[i])
			return false;
	return true;
}

/* Pages that had to be read in to be used. */
static long waits(void)
{
	struct rusage u;
	CHECK(getrusage(RUSAGE_SELF, &u) == 0);
	return u.ru_majflt;
}

/* Page faults of any kind in reading each page. */
static long faults_of_reading(const char *p, size_t size)
{
	struct rusage before, after;
	getrusage(RUSAGE_SELF, &before);
	for (size_t at = 0; at < size; at += PAGE)
		(void)*(const volatile char *)(p + at);
	getrusage(RUSAGE_SELF, &after);
	return after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt;
}

/* ---- regions ------------------------------------------------------------------------------ */

#define REGION (64 * MIB)
#define HOLE_AT (16 * MIB)
#define HOLE (8 * MIB)
#define MOVED 100 /* page faults of a few pages that the kernel moves meanwhile */

static struct sparena_region *region;
static char *base;

static size_t swapped_in(size_t offset, size_t length)
{
	size_t bytes;
	CHECK(sparena_region_swapped(region, offset, length, &bytes) == 0);
	return bytes;
}

static void region_balances(void)
{
	size_t resident;
	CHECK(sparena_region_resident(region, 0, REGION, &resident) == 0);
	CHECK(resident == sparena_region_committed(region));
}

/* Committed but for a hole. */
static void open_region(void)
{
	CHECK(sparena_region_reserve(options, REGION, &region) == 0);
	base = sparena_region_base(region);
	CHECK(sparena_region_commit(region, 0, REGION) == 0);
	CHECK(sparena_region_decommit(region, HOLE_AT, HOLE) == 0);
	mark(base, HOLE_AT, 1);
	mark(base + HOLE_AT + HOLE, REGION - HOLE_AT - HOLE, 2);
}

/* Some of it may be kept by the kernel for a while: in batches of a processor's. */
static void page_out_region(void)
{
	size_t all = REGION - HOLE, out = 0;
	for (int tries = 0; tries < 50 && out < all - all / 20; tries++) {
		if (tries)
			usleep(10000);
		CHECK(sparena_region_pageout(region, 0, REGION) == 0);
		out = swapped_in(0, REGION);
	}
	printf("%zu of %zu MiB went out\n", out / MIB, all / MIB);
	CHECK(out >= all - all / 20);
	region_balances();
}

static void check_contents(void)
{
	CHECK(is_marked(base, HOLE_AT, 1));
	CHECK(is_marked(base + HOLE_AT + HOLE, REGION - HOLE_AT - HOLE, 2));
}

static void region_comes_back(void)
{
	page_out_region();
	check_contents();
	CHECK(swapped_in(0, REGION) == 0);
	region_balances();
}

/* All of it is mapped when the call returns; the hole stays one. */
static void region_is_prefetched(void)
{
	page_out_region();
	CHECK(sparena_region_prefetch(region, 0, REGION, true) == 0);
	long before = waits();
	CHECK(faults_of_reading(base, HOLE_AT) <= MOVED);
	CHECK(faults_of_reading(base + HOLE_AT + HOLE, REGION - HOLE_AT - HOLE) <= MOVED);
	CHECK(waits() == before);
	check_contents();
	region_balances();
}

/* In the background: in the end nothing is in swap, though nobody has touched it. */
static void region_is_prefetched_meanwhile(void)
{
	size_t left = 1;
	page_out_region();
	CHECK(sparena_region_prefetch(region, 0, REGION, false) == 0);
	/* The page tables may go on saying "in swap", as the pages are in the swap cache. */
	for (int tries = 0; tries < 500 && left; tries++) {
		usleep(10000);
		long before = waits();
		(void)faults_of_reading(base, HOLE_AT);
		(void)faults_of_reading(base + HOLE_AT + HOLE, REGION - HOLE_AT - HOLE);
		CHECK(tries > 0 || waits() - before <= (long)((REGION - HOLE) / PAGE / 50));
		left = swapped_in(0, REGION);
	}
	CHECK(left == 0);
	check_contents();
}

/* What is decommitted leaves swap, without being read. */
static void region_in_swap_is_given_back(void)
{
	page_out_region();
	long before = waits();
	CHECK(sparena_region_decommit(region, 0, HOLE_AT) == 0);
	CHECK(waits() == before);
	CHECK(swapped_in(0, HOLE_AT) == 0);
	region_balances();
	CHECK(sparena_region_commit(region, 0, HOLE_AT) == 0);
	CHECK(is_zero(base, HOLE_AT));
	mark(base, HOLE_AT, 1);
	check_contents();
}

static void region_case(void)
{
	open_region();
	CHECK(sparena_region_cold(region, 0, REGION) == 0);
	check_contents();
	region_comes_back();
	region_is_prefetched();
	region_is_prefetched_meanwhile();
	region_in_swap_is_given_back();
	CHECK(sparena_region_pageout(region, 1, REGION) == -EINVAL);
	CHECK(sparena_region_prefetch(region, 0, REGION + PAGE, true) == -EINVAL);
	sparena_region_release(region);
}

/* Of a huge page that is taken apart, pages of zeros keep a backing of their own. */
static void zeros_case(void)
{
	CHECK(sparena_region_reserve(options, REGION, &region) == 0);
	base = sparena_region_base(region);
	for (int round = 0; round < 5; round++) {
		CHECK(sparena_region_commit(region, 0, REGION) == 0);
		for (size_t at = 0; at < REGION; at += 16 * PAGE)
			mark(base + at, PAGE, at);
		CHECK(sparena_region_pageout(region, 0, REGION) == 0);
		region_balances();
		for (size_t at = 0; at < REGION; at += 16 * PAGE)
			CHECK(is_marked(base + at, PAGE, at) && is_zero(base + at + PAGE, 15 * PAGE));
		region_balances();
		CHECK(sparena_region_decommit(region, 0, REGION) == 0);
	}
	sparena_region_release(region);
}

/* Huge pages of a pool stay, which is said; to prefetch them is done at once. */
static void stays_case(void)
{
	CHECK(sparena_region_reserve(options, 8 * MIB, &region) == 0);
	CHECK(sparena_region_commit(region, 0, 4 * MIB) == 0);
	CHECK(sparena_region_pageout(region, 0, 4 * MIB) == -EOPNOTSUPP);
	CHECK(strstr(sparena_last_error(), "does not write this out"));
	CHECK(sparena_region_cold(region, 0, 4 * MIB) == -EOPNOTSUPP);
	CHECK(sparena_region_prefetch(region, 0, 8 * MIB, true) == 0);
	CHECK(swapped_in(0, 8 * MIB) == 0);
	CHECK(sparena_region_committed(region) == 4 * MIB);
	sparena_region_release(region);
}

/* What of a range would have to be written back. */
static size_t dirty_kib(const char *from, size_t size)
{
	char line[512];
	size_t total = 0, kib;
	unsigned long a, b;
	bool inside = false;
	FILE *f = fopen("/proc/self/smaps", "r");
	CHECK(f);
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "%lx-%lx ", &a, &b) == 2)
			inside = a >= (uintptr_t)from && b <= (uintptr_t)from + size;
		else if (inside && (sscanf(line, "Shared_Dirty: %zu", &kib) == 1 || sscanf(line, "Private_Dirty: %zu", &kib) == 1))
			total += kib;
	fclose(f);
	return total;
}

/* A file's pages that were written back and dropped are read in, and stay clean. */
static void file_case(void)
{
	open_region();
	CHECK(fsync(sparena_region_fd(region)) == 0);
	CHECK(sparena_region_pageout(region, 0, REGION) == 0);
	CHECK(fsync(sparena_region_fd(region)) == 0);
	CHECK(sparena_region_pageout(region, 0, REGION) == 0);
	CHECK(faults_of_reading(base, 4 * MIB) > 0);
	CHECK(sparena_region_populate_read(region, 0, REGION) == 0);
	CHECK(dirty_kib(base, REGION) == 0);
	CHECK(faults_of_reading(base, HOLE_AT) <= MOVED);
	CHECK(faults_of_reading(base + HOLE_AT + HOLE, REGION - HOLE_AT - HOLE) <= MOVED);
	check_contents();
	CHECK(swapped_in(0, REGION) == 0);
	region_balances();
	sparena_region_release(region);
}

/* ---- heaps -------------------------------------------------------------------------------- */

enum { BLOCKS = 600 };

static struct sparena_heap *heap;
static char *block[BLOCKS];

/* Whole size classes, so that all of a block is used. The first are parts of slabs. */
static size_t size_of(int i)
{
	static const size_t sizes[] = {8 * 1024, 20 * 1024, 64 * 1024, 224 * 1024, 1 << 20};
	return sizes[i % 5];
}

static bool is_run(int i)
{
	return i % 5 != 0 && i % 2 == 0;
}

static struct sparena_stats stats_of_heap(void)
{
	struct sparena_stats s;
	CHECK(sparena_stats_get(heap, &s, sizeof s) == 0);
	CHECK(s.committed + s.metadata == s.resident);
	CHECK(s.swapped <= s.resident);
	return s;
}

static void fill_heap(void)
{
	for (int i = 0; i < BLOCKS; i++) {
		block[i] = sparena_heap_aligned_alloc(heap, PAGE, size_of(i));
		CHECK(block[i]);
		mark(block[i], size_of(i), (uint64_t)i << 32);
	}
}

static size_t page_out_heap(void)
{
	struct sparena_stats s = stats_of_heap();
	for (int tries = 0; tries < 50; tries++) {
		CHECK(sparena_heap_pageout(heap) == 0);
		s = stats_of_heap();
		if (s.swapped >= s.committed - s.committed / 20)
			break;
		usleep(10000);
	}
	printf("heap: %zu of %zu KiB in swap\n", (size_t)s.swapped / 1024, (size_t)s.committed / 1024);
	CHECK(s.swapped >= s.committed - s.committed / 20);
	return s.swapped;
}

/* Blocks that are runs are freed, and others come in their place: nothing is read in for that. */
static void freed_blocks_are_not_read(void)
{
	size_t committed = stats_of_heap().committed;
	page_out_heap();
	long before = waits();
	for (int i = 0; i < BLOCKS; i++)
		if (is_run(i))
			sparena_heap_free(heap, block[i]);
	(void)sparena_heap_purge(heap);
	CHECK(waits() == before);
	struct sparena_stats s = stats_of_heap();
	CHECK(s.committed < committed);
	CHECK(s.swapped <= s.committed);
	before = waits();
	for (int i = 0; i < BLOCKS; i++) {
		if (!is_run(i))
			continue;
		block[i] = sparena_heap_aligned_alloc(heap, PAGE, size_of(i));
		CHECK(block[i]);
		mark(block[i], size_of(i), (uint64_t)i << 32);
	}
	CHECK(waits() == before);
	(void)stats_of_heap();
	for (int i = 0; i < BLOCKS; i++)
		CHECK(is_marked(block[i], size_of(i), (uint64_t)i << 32));
	size_t left = stats_of_heap().swapped;
	printf("left in swap: %zu KiB\n", left / 1024);
	CHECK(left <= 256 * 1024); /* of slabs, what is in no block */
}

static void heap_case(void)
{
	CHECK(sparena_heap_create(options, &heap) == 0);
	fill_heap();
	page_out_heap();
	for (int i = 0; i < BLOCKS; i++)
		CHECK(is_marked(block[i], size_of(i), (uint64_t)i << 32));
	(void)stats_of_heap();
	freed_blocks_are_not_read();
	page_out_heap();
	char *zero = sparena_heap_calloc(heap, 1, 3 << 20);
	CHECK(zero && is_zero(zero, 3 << 20));
	sparena_heap_destroy(heap);
}

/* ---- threads ------------------------------------------------------------------------------ */

enum { THREADS = 4, KEPT = 24 };

static volatile bool over;

/* Keeps blocks, looks at one of them, exchanges it. */
static void *exchange(void *argument)
{
	unsigned seed = (unsigned)(uintptr_t)argument;
	char *kept[KEPT] = {0};
	size_t size[KEPT] = {0};
	uint64_t word[KEPT] = {0};
	for (uint64_t n = 0; !over; n++) {
		int i = rand_r(&seed) % KEPT;
		if (kept[i])
			CHECK(is_marked(kept[i], size[i], word[i]));
		sparena_heap_free(heap, kept[i]);
		size[i] = PAGE << rand_r(&seed) % 8;
		word[i] = mix(n + ((uint64_t)seed << 32));
		kept[i] = sparena_heap_aligned_alloc(heap, PAGE, size[i]);
		CHECK(kept[i]);
		mark(kept[i], size[i], word[i]);
	}
	for (int i = 0; i < KEPT; i++)
		sparena_heap_free(heap, kept[i]);
	return NULL;
}

static void threads_case(void)
{
	pthread_t thread[THREADS];
	CHECK(sparena_heap_create(options, &heap) == 0);
	fill_heap();
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread[i], NULL, exchange, (void *)(uintptr_t)(i + 1)) == 0);
	for (int round = 0; round < 20; round++) {
		CHECK(sparena_heap_pageout(heap) == 0);
		int i = round * 29 % BLOCKS;
		CHECK(is_marked(block[i], size_of(i), (uint64_t)i << 32));
	}
	over = true;
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	for (int i = 0; i < BLOCKS; i++)
		CHECK(is_marked(block[i], size_of(i), (uint64_t)i << 32));
	(void)stats_of_heap();
	sparena_heap_destroy(heap);
}

/* ---- samples on a deadline ---------------------------------------------------------------- */

#define PART ((size_t)64 * 1024)
#define DEADLINE_NS 100000

static int64_t clock_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

struct late {
	int waited, overdue;
};

/* As a player of sounds: before other programs, a part now and then, which has to be there at once. */
static struct late play(void)
{
	struct late late = { 0 };
	struct sched_param first = { .sched_priority = 10 }, none = { 0 };
	(void)sched_setscheduler(0, SCHED_FIFO, &first); /* where it may */
	for (size_t at = 0; at < REGION; at += PART) {
		usleep(50);
		long before = waits();
		int64_t start = clock_ns();
		(void)faults_of_reading(base + at, PART);
		late.overdue += clock_ns() - start > DEADLINE_NS;
		late.waited += waits() > before;
	}
	(void)sched_setscheduler(0, SCHED_OTHER, &none);
	return late;
}

static void samples_case(void)
{
	CHECK(sparena_region_reserve(options, REGION, &region) == 0);
	base = sparena_region_base(region);
	CHECK(sparena_region_commit(region, 0, REGION) == 0);
	struct late late[2];
	for (int prefetched = 0; prefetched < 2; prefetched++) {
		mark(base, REGION, 3);
		for (int tries = 0; tries < 50 && swapped_in(0, REGION) < REGION - REGION / 20; tries++)
			CHECK(sparena_region_pageout(region, 0, REGION) == 0);
		if (prefetched)
			CHECK(sparena_region_prefetch(region, 0, REGION, true) == 0);
		late[prefetched] = play();
	}
	for (int prefetched = 0; prefetched < 2; prefetched++)
		printf("%s prefetch: of 1024 reads of 64 KiB %d waited for swap, %d took more than %d us\n",
		       prefetched ? "with" : "without", late[prefetched].waited, late[prefetched].overdue, DEADLINE_NS / 1000);
	CHECK(late[0].waited > 100 && late[1].waited == 0);
	sparena_region_release(region);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} cases[] = {
		{"region", region_case},   {"stays", stays_case}, {"zeros", zeros_case},
		{"file", file_case},       {"heap", heap_case},   {"threads", threads_case},
		{"samples", samples_case},
	};
	options = argc > 2 ? argv[2] : NULL;
	for (size_t i = 0; argc > 1 && i < sizeof cases / sizeof *cases; i++)
		if (strcmp(cases[i].name, argv[1]) == 0) {
			cases[i].run();
			return 0;
		}
	dprintf(2, "usage: swapped CASE [OPTIONS]\n");
	return 2;
}
