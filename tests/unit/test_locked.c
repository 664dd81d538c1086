/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locked memory: by the option, and by a program's own mlockall(2), before and after a heap
 * has grown: what is committed is locked, and nothing else is, nor filled. Each case is a
 * process. Usage: test_locked CASE [OPTIONS]; the script beside it has the cases.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "heap/heap.h"
#include "sparena/heap.h"
#include "sparena/region.h"
#include "sparena/sparena.h"

#define CHECK(ok)                                                                                \
	do {                                                                                     \
		if (!(ok)) {                                                                     \
			fprintf(stderr, "%s:%d: not so: %s (errno %d, %s)\n", __FILE__, __LINE__, #ok, errno, \
			        sparena_last_error());                                           \
			exit(1);                                                                 \
		}                                                                                \
	} while (0)

enum { BLOCKS = 300 };

/* ---- what the kernel says ------------------------------------------------------------- */

/* The sum of a field of smaps, in bytes, over the mappings in a range. */
static size_t smaps(const char *field, const void *base, size_t size)
{
	char line[512];
	size_t total = 0, kib;
	unsigned long from = 0, to = 0;
	FILE *f = fopen("/proc/self/smaps", "r");
	CHECK(f);
	while (fgets(line, sizeof line, f)) {
		unsigned long a, b;
		if (sscanf(line, "%lx-%lx ", &a, &b) == 2) {
			from = a;
			to = b;
		} else if (strncmp(line, field, strlen(field)) == 0 && from >= (uintptr_t)base &&
		           to <= (uintptr_t)base + size && sscanf(line + strlen(field), " %zu", &kib) == 1) {
			total += kib * 1024;
		}
	}
	fclose(f);
	return total;
}

static void region_is(const struct region *r, size_t committed, bool locked)
{
	size_t is_locked = smaps("Locked:", r->base, r->size), rss = smaps("Rss:", r->base, r->size);
	printf("%zu KiB of %zu GiB committed, %zu locked, %zu resident\n", committed / 1024, r->size / GiB, is_locked / 1024,
	       rss / 1024);
	CHECK(is_locked == (locked ? committed : 0));
	CHECK(rss == committed);
}

/* ---- heaps ---------------------------------------------------------------------------- */

static struct sparena_heap *heap;
static struct heap *inner;
static char *block[BLOCKS];

static size_t size_of(int i) { return (size_t)1000 << i % 9; }

static void heap_is_locked(bool locked)
{
	region_is(&inner->data, region_committed(&inner->data), locked);
	region_is(&inner->meta, region_committed(&inner->meta), locked);
}

static void make_heap(const char *options)
{
	CHECK(sparena_heap_create(options, &heap) == 0);
	inner = (struct heap *)heap;
}

static void fill(int from, int end)
{
	for (int i = from; i < end; i++) {
		block[i] = sparena_heap_malloc(heap, size_of(i));
		CHECK(block[i]);
		memset(block[i], i, size_of(i));
	}
}

static void empty(int from, int end)
{
	for (int i = from; i < end; i++) {
		for (size_t k = 0; k < size_of(i); k += 500)
			CHECK(block[i][k] == (char)i);
		sparena_heap_free(heap, block[i]);
	}
	CHECK(sparena_heap_purge(heap) == 0);
}

static void use_heap(bool locked)
{
	fill(0, BLOCKS);
	heap_is_locked(locked);
	empty(BLOCKS / 2, BLOCKS);
	heap_is_locked(locked);
	fill(BLOCKS / 2, BLOCKS);
	empty(0, BLOCKS);
	heap_is_locked(locked);
	sparena_heap_destroy(heap);
}

static void heap_case(const char *options)
{
	make_heap(options);
	use_heap(strstr(options, "lock:") != NULL);
}

/* ---- regions --------------------------------------------------------------------------- */

/* The structure begins with it. */
static const struct region *inside(const struct sparena_region *r) { return (const struct region *)(const void *)r; }

static void use_region(struct sparena_region *r, bool locked)
{
	size_t g = sparena_region_granule(r);
	char *base = sparena_region_base(r);
	CHECK(sparena_region_commit(r, 0, 8 * MiB) == 0);
	CHECK(sparena_region_commit(r, 64 * MiB, g) == 0);
	CHECK(sparena_region_commit(r, 900 * GiB, 4 * MiB) == 0);
	memset(base + 64 * MiB, 1, g);
	region_is(inside(r), 12 * MiB + g, locked);
	CHECK(sparena_region_decommit(r, 2 * MiB, 4 * MiB) == 0);
	CHECK(sparena_region_decommit(r, 900 * GiB, 4 * MiB) == 0);
	region_is(inside(r), 4 * MiB + g, locked);
	CHECK(sparena_region_commit(r, 0, 8 * MiB) == 0);
	CHECK(base[3 * MiB] == 0 && base[64 * MiB] == 1);
	region_is(inside(r), 8 * MiB + g, locked);
	CHECK(sparena_region_decommit(r, 0, TiB) == 0);
	region_is(inside(r), 0, locked);
	sparena_region_release(r);
}

static void region_case(const char *options)
{
	struct sparena_region *r;
	CHECK(sparena_region_reserve(options, TiB, &r) == 0);
	use_region(r, strstr(options, "lock:") != NULL);
}

/* ---- a program's own mlockall ----------------------------------------------------------- */

static void all_before_case(int flags, const char *options)
{
	struct sparena_region *r;
	CHECK(mlockall(flags) == 0);
	make_heap(options);
	use_heap(flags & MCL_FUTURE);
	CHECK(sparena_region_reserve("closed:true", TiB, &r) == 0);
	use_region(r, flags & MCL_FUTURE);
}

/* What it fills of open pieces is gone when the heap has grown, or was purged. */
static void all_after_case(int flags, const char *options)
{
	struct sparena_region *r;
	make_heap(options);
	fill(0, BLOCKS / 2);
	CHECK(sparena_region_reserve("closed:true", TiB, &r) == 0);
	CHECK(sparena_region_commit(r, 70 * GiB, 3 * sparena_region_granule(r)) == 0);
	CHECK(mlockall(flags) == 0);
	fill(BLOCKS / 2, BLOCKS);
	CHECK(sparena_heap_purge(heap) == 0);
	heap_is_locked(true);
	empty(0, BLOCKS);
	heap_is_locked(true);
	sparena_heap_destroy(heap);
	CHECK(sparena_region_commit(r, 80 * GiB, sparena_region_granule(r)) == 0);
	region_is(inside(r), 4 * sparena_region_granule(r), true);
	CHECK(sparena_region_decommit(r, 0, TiB) == 0);
	use_region(r, true);
}

/* ---- RLIMIT_MEMLOCK ------------------------------------------------------------------------ */

/* Without privileges. All or nothing, and what is given back can be locked again. */
static void limit_case(const char *options)
{
	struct rlimit most = { 1 * MiB, 1 * MiB };
	struct sparena_region *r;
	CHECK(setrlimit(RLIMIT_MEMLOCK, &most) == 0);
	CHECK(sparena_region_reserve(options, GiB, &r) == 0);
	size_t g = sparena_region_granule(r), n = 0;
	int err = 0;
	while (n < 4 * MiB / g && !err) {
		err = sparena_region_commit(r, n * g, g);
		n += !err;
	}
	printf("%zu granules of %zu: %d, %s\n", n, g, err, sparena_last_error());
	CHECK(err == -ENOMEM && strstr(sparena_last_error(), "ulimit -l"));
	CHECK(sparena_region_committed(r) == n * g);
	region_is(inside(r), n * g, true);
	if (n) {
		CHECK(sparena_region_decommit(r, 0, g) == 0);
		CHECK(sparena_region_commit(r, 0, g) == 0);
	}
	sparena_region_release(r);
	CHECK(sparena_heap_create(options, &heap) != 0 || !sparena_heap_malloc(heap, 4 * MiB));
}

static void no_limit_case(const char *options)
{
	struct rlimit most = { 0, 0 };
	struct sparena_region *r;
	CHECK(setrlimit(RLIMIT_MEMLOCK, &most) == 0);
	CHECK(sparena_region_reserve(options, GiB, &r) == 0);
	CHECK(sparena_region_commit(r, 0, sparena_region_granule(r)) == -EPERM);
	CHECK(strstr(sparena_last_error(), "ulimit -l"));
	CHECK(sparena_region_committed(r) == 0);
	region_is(inside(r), 0, true);
	sparena_region_release(r);
	CHECK(sparena_heap_create(options, &heap) == -EPERM);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "", *options = argc > 2 ? argv[2] : "";
	static const int flags[] = { MCL_CURRENT | MCL_FUTURE, MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT, MCL_CURRENT };
	static const char *const names[] = { "all", "all-onfault", "all-current" };
	static const struct { const char *name; void (*run)(const char *options); } cases[] = {
		{ "heap", heap_case }, { "region", region_case }, { "limit", limit_case }, { "no-limit", no_limit_case },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (strcmp(name, cases[i].name) == 0)
			return cases[i].run(options), 0;
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (strncmp(name, names[i], strlen(names[i])) == 0) {
			if (strcmp(name + strlen(names[i]), "-before") == 0)
				return all_before_case(flags[i], options), 0;
			if (strcmp(name + strlen(names[i]), "-after") == 0)
				return all_after_case(flags[i], options), 0;
		}
	fprintf(stderr, "usage: test_locked CASE [OPTIONS]\n");
	return 2;
}
