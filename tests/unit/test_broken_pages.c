/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages that the hardware has lost, made by userfaultfd(2) where nothing is populated yet: a
 * region's commit fails, and leaves nothing; a heap retires the place and takes another.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "heap/heap.h"
#include "os/states.h"
#include "sparena/heap.h"
#include "sparena/region.h"
#include "sparena/sparena.h"
#include "sparena/stats.h"

/* ---- regions -------------------------------------------------------------------------- */

static void region_refuses(const char *options)
{
	struct sparena_region *r;
	size_t bytes;
	assert_int_equal(sparena_region_reserve(options, 16 * MiB, &r), 0);
	size_t g = sparena_region_granule(r);
	char *base = sparena_region_base(r);
	assert_int_equal(sparena_region_commit(r, 0, MiB), 0);
	memset(base, 5, MiB);

	assert_int_equal(os_poison(base + 5 * MiB + PAGE * (g > PAGE), PAGE), 0);
	assert_int_equal(sparena_region_commit(r, MiB, 7 * MiB), -EHWPOISON);
	assert_non_null(strstr(sparena_last_error(), "broken"));
	assert_int_equal(sparena_region_committed(r), MiB);
	assert_int_equal(sparena_region_resident(r, 0, 16 * MiB, &bytes), 0);
	assert_int_equal(bytes, MiB);
	assert_int_equal(base[MiB - 1], 5);

	/* A private page went with what was given back. */
	assert_int_equal(sparena_region_commit(r, MiB, 4 * MiB), 0);
	assert_int_equal(sparena_region_commit(r, MiB, 7 * MiB), sparena_region_fd(r) < 0 ? 0 : -EHWPOISON);
	memset(base + MiB, 6, 4 * MiB);
	assert_int_equal(sparena_region_decommit(r, 0, 16 * MiB), 0);
	assert_int_equal(sparena_region_committed(r), 0);
	sparena_region_release(r);
}

static void region_of_private_memory_refuses(void **state)
{
	(void)state;
	region_refuses("thp:never");
}

static void region_of_huge_pages_refuses(void **state)
{
	(void)state;
	struct sparena_region *r;
	assert_int_equal(sparena_region_reserve("thp:always", 16 * MiB, &r), 0);
	assert_int_equal(os_poison((char *)sparena_region_base(r) + 5 * MiB, PAGE), 0);
	assert_int_equal(sparena_region_commit(r, 0, 8 * MiB), -EHWPOISON);
	assert_int_equal(sparena_region_committed(r), 0);
	assert_int_equal(sparena_region_commit(r, 0, 8 * MiB), 0);
	sparena_region_release(r);
}

static void region_of_shared_memory_refuses(void **state)
{
	(void)state;
	region_refuses("backing:memfd");
}

/* ---- heaps ---------------------------------------------------------------------------- */

enum { BLOCKS = 200 };

static struct sparena_stats stats_of(struct sparena_heap *h)
{
	struct sparena_stats s;
	assert_int_equal(sparena_stats_get(h, &s, sizeof s), 0);
	assert_int_equal(s.committed + s.metadata, s.resident);
	return s;
}

/* Where the heap grows next: broken pages in the first of every few units. */
static unsigned break_ahead(struct heap *h, enum pages_kind kind, size_t every, size_t length)
{
	unsigned broken = 0;
	size_t from = kind == PAGES_SMALL ? 0 : h->pages.zone[PAGES_HUGE].start;
	for (size_t at = from + every; at < from + length; at += every) {
		if (region_is_committed(&h->data, at, h->data.granule))
			continue;
		assert_int_equal(os_poison(h->data.base + at + 3 * PAGE, PAGE), 0);
		broken++;
	}
	return broken;
}

static void fill(struct sparena_heap *h, char **block, size_t size)
{
	for (int i = 0; i < BLOCKS; i++) {
		block[i] = sparena_heap_malloc(h, size);
		assert_non_null(block[i]);
		memset(block[i], i, size);
	}
}

static void empty(struct sparena_heap *h, char **block, size_t size)
{
	for (int i = 0; i < BLOCKS; i++) {
		for (size_t k = 0; k < size; k += 1000)
			assert_int_equal(block[i][k], (char)i);
		sparena_heap_free(h, block[i]);
	}
	assert_int_equal(sparena_heap_purge(h), 0);
	heap_each_pages((struct heap *)h, pages_check);
	heap_each_region((struct heap *)h, region_check);
}

static void heap_goes_elsewhere(const char *options, enum pages_kind kind, size_t every, size_t length)
{
	struct sparena_heap *h;
	char *block[BLOCKS];
	assert_int_equal(sparena_heap_create(options, &h), 0);
	struct heap *inner = (struct heap *)h;
	void *first = sparena_heap_malloc(h, 100000);
	assert_non_null(first);
	unsigned broken = break_ahead(inner, kind, every, length);
	assert_true(broken > 3);

	fill(h, block, 60000);
	struct sparena_stats s = stats_of(h);
	printf("%s: %u pages broken, %zu KiB retired\n", options, broken, (size_t)s.broken / 1024);
	assert_true(s.broken >= inner->pages.zone[kind].unit);
	assert_true(s.broken <= broken * inner->pages.zone[kind].unit);
	empty(h, block, 60000);
	assert_int_equal(stats_of(h).broken, s.broken);

	fill(h, block, 90000); /* the retired places are left out for good */
	assert_true(stats_of(h).broken >= s.broken);
	empty(h, block, 90000);
	sparena_heap_free(h, first);
	sparena_heap_destroy(h);
}

static void heap_of_small_pages_goes_elsewhere(void **state)
{
	(void)state;
	heap_goes_elsewhere("thp:never", PAGES_SMALL, 256 * KiB, 8 * MiB);
}

static void heap_of_huge_pages_goes_elsewhere(void **state)
{
	(void)state;
	heap_goes_elsewhere("thp:always", PAGES_HUGE, 4 * MiB, 40 * MiB);
}

static void heap_of_shared_memory_goes_elsewhere(void **state)
{
	(void)state;
	heap_goes_elsewhere("backing:memfd", PAGES_SMALL, 256 * KiB, 8 * MiB);
}

/* The allocator's own memory: the page is exchanged where it is. */
static void metadata_is_exchanged(void **state)
{
	(void)state;
	struct sparena_heap *h;
	char *block[BLOCKS];
	assert_int_equal(sparena_heap_create("thp:never", &h), 0);
	struct heap *inner = (struct heap *)h;
	unsigned broken = 0;
	for (size_t at = 0; at < inner->meta.size && broken < 2000; at += PAGE)
		if (!region_is_committed(&inner->meta, at, inner->meta.granule) && at % (5 * PAGE) == 0 &&
		    os_poison(inner->meta.base + at, PAGE) == 0)
			broken++;
	fill(h, block, 60000); /* the kernel counts broken pages as swapped: no books here */
	empty(h, block, 60000);
	sparena_heap_destroy(h);
}

static bool can_break(void)
{
	void *p;
	if (os_new(PAGE, &p))
		return false;
	int err = os_poison(p, PAGE);
	os_release(p, PAGE);
	if (err)
		printf("skipped: no page can be broken: %s\n", strerror(-err));
	return err == 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(region_of_private_memory_refuses),
		cmocka_unit_test(region_of_huge_pages_refuses),
		cmocka_unit_test(region_of_shared_memory_refuses),
		cmocka_unit_test(heap_of_small_pages_goes_elsewhere),
		cmocka_unit_test(heap_of_huge_pages_goes_elsewhere),
		cmocka_unit_test(heap_of_shared_memory_goes_elsewhere),
		cmocka_unit_test(metadata_is_exchanged),
	};
	return can_break() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
