/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages that are alike, and a kernel that merges them (KSM runs already): what a program has
 * asked to be merged, and what is kept from it. Usage: merged CASE
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "sparena/heap.h"
#include "sparena/region.h"
#include "sparena/sparena.h"
#include "sparena/stats.h"

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif

#define MIB ((size_t)1 << 20)
#define PAGE ((size_t)4096)
#define SIZE (16 * MIB)

#define CHECK(ok)                                                                                        \
	do {                                                                                             \
		if (!(ok)) {                                                                             \
			dprintf(2, "%s:%d: not so: %s (errno %d, %s)\n", __FILE__, __LINE__, #ok, errno, \
			        sparena_last_error());                                                   \
			exit(1);                                                                         \
		}                                                                                        \
	} while (0)

static long number(const char *path)
{
	long n = -1;
	FILE *f = fopen(path, "r");
	if (!f || fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

/* Two whole scans of all that is mergeable, and some more if it is not enough. */
static void let_it_scan(void)
{
	long scans = number("/sys/kernel/mm/ksm/full_scans");
	for (int i = 0; i < 600 && number("/sys/kernel/mm/ksm/full_scans") < scans + 3; i++)
		usleep(20000);
	CHECK(number("/sys/kernel/mm/ksm/full_scans") >= scans + 3);
}

/* Each page the same as all others. */
static void fill(char *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		p[i] = (char)(i % PAGE % 251 + 1);
}

static bool is_filled(const char *p, size_t size)
{
	for (size_t i = 0; i < size; i += 61)
		if (p[i] != (char)(i % PAGE % 251 + 1))
			return false;
	return true;
}

static long faults_of_writing(char *p, size_t size)
{
	struct rusage before, after;
	getrusage(RUSAGE_SELF, &before);
	for (size_t at = 0; at < size; at += PAGE)
		*(volatile char *)(p + at) = 1;
	getrusage(RUSAGE_SELF, &after);
	return after.ru_minflt - before.ru_minflt;
}

static struct sparena_stats stats_of(struct sparena_heap *h)
{
	struct sparena_stats s;
	CHECK(sparena_stats_get(h, &s, sizeof s) == 0);
	CHECK(s.committed + s.metadata == s.resident);
	return s;
}

/* ---- cases ----------------------------------------------------------------------------- */

/* What is merged is not backed for writing; the books know how much that is. */
static void on_case(void)
{
	struct sparena_heap *h;
	struct sparena_region *r;
	CHECK(sparena_heap_create("merge:on,thp:never", &h) == 0);
	CHECK(sparena_region_reserve("merge:on,thp:never", SIZE, &r) == 0);
	char *p = sparena_heap_malloc(h, SIZE), *q = sparena_region_base(r);
	CHECK(p && sparena_region_commit(r, 0, SIZE) == 0);
	long sharing = number("/sys/kernel/mm/ksm/pages_sharing"); /* the kernel scans what is filled at once */
	fill(p, SIZE);
	fill(q, SIZE);
	size_t merged = 0, more = 0;
	for (int tries = 0; tries < 10 && (merged < 2 * SIZE * 9 / 10 || more < 2 * SIZE / PAGE * 9 / 10); tries++) {
		let_it_scan();
		merged = stats_of(h).merged;
		more = (size_t)(number("/sys/kernel/mm/ksm/pages_sharing") - sharing);
	}
	printf("%zu KiB merged, %zu more pages share one\n", merged / 1024, more);
	CHECK(merged >= 2 * SIZE * 9 / 10 && more >= 2 * SIZE / PAGE * 9 / 10);
	CHECK(is_filled(p, SIZE) && is_filled(q, SIZE));
	CHECK(faults_of_writing(p, SIZE) > (long)(SIZE / PAGE / 2));
	(void)stats_of(h);
	CHECK(sparena_region_decommit(r, 0, SIZE) == 0);
	sparena_region_release(r);
	sparena_heap_destroy(h);
}

static void is_apart(struct sparena_heap *h, char *p, size_t size)
{
	let_it_scan();
	CHECK(is_filled(p, size));
	CHECK(faults_of_writing(p, size) <= 4);
	printf("%zu KiB of the whole process merged\n", (size_t)stats_of(h).merged / 1024);
	CHECK(stats_of(h).merged < size / 2);
}

/* The process merges all of its memory, before the heap was made, or when it has grown. */
static void all_case(bool after)
{
	struct sparena_heap *h;
	struct sparena_region *r;
	if (!after)
		CHECK(prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) == 0);
	CHECK(sparena_heap_create("thp:never", &h) == 0);
	CHECK(sparena_region_reserve("thp:never", SIZE, &r) == 0);
	char *p = sparena_heap_malloc(h, SIZE), *q;
	CHECK(p);
	fill(p, SIZE);
	if (after) {
		CHECK(prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) == 0);
		q = sparena_heap_malloc(h, 4 * MIB);
		CHECK(q);
	} else {
		CHECK(sparena_region_commit(r, 0, SIZE) == 0);
		q = sparena_region_base(r);
		fill(q, SIZE);
	}
	is_apart(h, p, SIZE);
	if (!after)
		is_apart(h, q, SIZE);
	/* That the kernel would have merged it. */
	char *mine = aligned_alloc(PAGE, SIZE);
	CHECK(mine);
	fill(mine, SIZE);
	let_it_scan();
	CHECK(stats_of(h).merged > SIZE / 2);
	sparena_region_release(r);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	if (strcmp(name, "on") == 0)
		on_case();
	else if (strcmp(name, "all-before") == 0)
		all_case(false);
	else if (strcmp(name, "all-after") == 0)
		all_case(true);
	else
		return 2;
	return 0;
}
