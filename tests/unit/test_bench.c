/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/bench.h"
#include "cli/cli.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#define PAGES 100

/* No message belongs to what is tested here. */
void cli_error(const char *format, ...)
{
	fail_msg("%s", format);
}

/* ---- statistics ------------------------------------------------------------ */

static void assert_near(double value, double wanted)
{
	assert_true(value >= wanted - 1e-6 * (wanted + 1) && value <= wanted + 1e-6 * (wanted + 1));
}

static void test_stats(void **state)
{
	static const uint64_t values[] = {2, 4, 4, 4, 5, 5, 7, 9};
	struct bench_stats s = bench_stats(values, 8);

	(void)state;
	assert_near(s.mean, 5);
	assert_near(s.shortest, 2);
	assert_near(s.spread, 2.138089935); /* the root of 32/7 */
	s = bench_stats(values + 3, 2);
	assert_near(s.mean, 4.5);
	assert_near(s.shortest, 4);
	assert_near(s.spread, 0.707106781);
}

static void test_stats_of_few(void **state)
{
	static const uint64_t one[] = {17};
	struct bench_stats s = bench_stats(one, 1);

	(void)state;
	assert_near(s.mean, 17);
	assert_near(s.shortest, 17);
	assert_true(s.spread == 0);
	s = bench_stats(NULL, 0);
	assert_true(s.mean == 0 && s.shortest == 0 && s.spread == 0);
}

/* Squares of these have no room for the difference. */
static void test_stats_of_large(void **state)
{
	const uint64_t base = UINT64_C(4000000000000);
	uint64_t values[] = {base + 3, base + 1, base + 2};
	struct bench_stats s = bench_stats(values, 3);

	(void)state;
	assert_near(s.spread, 1);
	assert_true(s.mean == (double)base + 2);
	assert_true(s.shortest == (double)base + 1);
}

/* ---- a measurement ------------------------------------------------------------ */

static atomic_uint visits[PAGES];
static atomic_uint calls, finishes;

static int visit(struct bench_memory *m, size_t offset, size_t length)
{
	atomic_fetch_add(&calls, 1);
	assert_int_equal(offset % m->page, 0);
	for (size_t i = offset; i < offset + length; i += m->page)
		atomic_fetch_add(&visits[i / m->page], 1);
	return 0;
}

static int count_finish(struct bench_memory *m)
{
	(void)m;
	atomic_fetch_add(&finishes, 1);
	return 0;
}

static struct bench_memory some_pages(void)
{
	return (struct bench_memory){.page = 4096, .size = PAGES * 4096, .file = {.fd = -1}};
}

/* Whatever the number of threads, each page is somebody's, and nobody else's. */
static void test_shares(void **state)
{
	static const unsigned threads[] = {1, 2, 3, 4, 7, 64};
	const struct bench_method method = {.name = "visit", .run = visit, .finish = count_finish};
	struct bench_memory m = some_pages();

	(void)state;
	for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
		uint64_t ns = 0;

		memset(visits, 0, sizeof(visits));
		calls = finishes = 0;
		assert_int_equal(bench_measure(&m, &method, threads[i], &ns), 0);
		assert_int_equal(calls, threads[i]);
		assert_int_equal(finishes, 1);
		assert_true(ns > 0);
		for (size_t page = 0; page < PAGES; page++)
			assert_int_equal(visits[page], 1);
	}
}

static int fail_at_end(struct bench_memory *m, size_t offset, size_t length)
{
	return offset + length == m->size ? -ENOMEM : 0;
}

static void test_failure(void **state)
{
	const struct bench_method method = {.name = "fail", .run = fail_at_end, .finish = count_finish};
	struct bench_memory m = some_pages();
	uint64_t ns;

	(void)state;
	finishes = 0;
	assert_int_equal(bench_measure(&m, &method, 1, &ns), -ENOMEM);
	assert_int_equal(bench_measure(&m, &method, 4, &ns), -ENOMEM);
	assert_int_equal(finishes, 0);
}

static int write_pages(struct bench_memory *m, size_t offset, size_t length)
{
	bench_write(m->base + offset, length, m->page);
	return 0;
}

static int prepare_by_writing(struct bench_memory *m, const struct bench_method *method)
{
	return method->run(m, 0, m->size);
}

/* The file is shorter than its mapping: what lies behind its end raises SIGBUS. */
static void test_sigbus(void **state)
{
	const struct bench_method method = {.name = "write", .run = write_pages};
	const struct bench_subject subject = {.prepare = prepare_by_writing};
	struct bench_memory m = some_pages();
	uint64_t ns;
	void *base;

	(void)state;
	bench_catch_sigbus();
	m.page = os_page_size();
	m.size = PAGES * m.page;
	assert_int_equal(os_memfd("test", 0, &m.file), 0);
	assert_int_equal(os_resize(m.file.fd, (PAGES - 1) * m.page), 0);
	assert_int_equal(os_reserve_shared(m.file.fd, m.size, m.page, &base), 0);
	assert_int_equal(os_open(base, m.size), 0);
	m.base = base;
	for (int again = 0; again < 2; again++) {
		assert_int_equal(bench_measure(&m, &method, 1, &ns), -EFAULT);
		assert_int_equal(bench_measure(&m, &method, 4, &ns), -EFAULT);
		assert_int_equal(bench_prepare(&subject, &m, &method), -EFAULT);
	}
	assert_int_equal(os_resize(m.file.fd, m.size), 0);
	assert_int_equal(bench_measure(&m, &method, 4, &ns), 0);
	assert_int_equal(bench_prepare(&subject, &m, &method), 0);
	os_release(base, m.size);
	os_close_file(&m.file);
}

/* ---- memory -------------------------------------------------------------------- */

static size_t held(const struct bench_memory *m, bool region)
{
	size_t bytes = SIZE_MAX;

	assert_int_equal(bench_memory_held(m, region, &bytes), 0);
	return bytes;
}

static const struct bench_method *method_named(const char *name)
{
	for (unsigned i = 0; i < bench_subject_populate.method_count; i++)
		if (strcmp(bench_subject_populate.methods[i].name, name) == 0)
			return &bench_subject_populate.methods[i];
	fail_msg("no method %s", name);
	return NULL;
}

/* What a method takes is what it was said to need, and all of it goes again. */
static void check_memory(struct bench_memory *m, const struct bench_method *method)
{
	bool region = (method->flags & BENCH_NEEDS_REGION) != 0;
	uint64_t ns;

	assert_int_equal(held(m, region), 0);
	assert_int_equal(bench_measure(m, method, 2, &ns), 0);
	assert_int_equal(held(m, region), bench_need(m, method));
	assert_int_equal(bench_memory_empty(m), 0);
	assert_int_equal(held(m, region), 0);
	assert_int_equal(m->base[m->size - 1], 0);
	assert_int_equal(bench_memory_empty(m), 0);
}

static void test_memory(void **state)
{
	static const enum bench_backing backings[] = {BENCH_ANON, BENCH_MEMFD};
	static const char *const names[] = {"write", "read+write", "fallocate+write",
	                                    "sparena_region_commit"};
	struct bench_space space = {.memory = GiB};
	struct bench_notes notes = {0};

	(void)state;
	for (unsigned i = 0; i < 2 * BENCH_MAPPINGS; i++) {
		struct bench_memory m = {.backing = backings[i / 2], .mapping = i % 2, .size = 4 * MiB};
		struct bench b = {.space = space};

		bench_memory_open(&m, &space, &notes);
		assert_null(m.why);
		for (unsigned j = 0; j < sizeof(names) / sizeof(names[0]); j++)
			if (bench_refuse(&b, &m, method_named(names[j]), 2) == NULL)
				check_memory(&m, method_named(names[j]));
		assert_true((m.region != NULL) == (bench_has_file(&m) == (m.mapping == BENCH_SHARED)));
		bench_memory_close(&m);
		bench_notes_free(&b.notes);
	}
	bench_notes_free(&notes);
}

/* Not even address space is taken where there is too little memory. */
static void test_refused(void **state)
{
	struct bench_space space = {.memory = 6 * MiB};
	struct bench b = {.space = space};
	struct bench_memory m = {.backing = BENCH_MEMFD, .mapping = BENCH_PRIVATE, .size = 4 * MiB};
	struct bench_memory large = {.backing = BENCH_ANON, .size = 8 * MiB};
	const char *why;

	(void)state;
	bench_memory_open(&m, &space, &b.notes);
	assert_null(bench_refuse(&b, &m, method_named("read"), 1));
	why = bench_refuse(&b, &m, method_named("write"), 1); /* twice as much */
	assert_non_null(why);
	assert_non_null(strstr(why, "8 MiB"));
	assert_ptr_equal(bench_refuse(&b, &m, method_named("fallocate+write"), 1), why);
	assert_non_null(bench_refuse(&b, &m, method_named("read"), 1025));
	bench_memory_close(&m);
	bench_memory_open(&large, &space, &b.notes);
	assert_ptr_equal(large.why, why);
	assert_null(large.base);
	bench_memory_close(&large);
	bench_notes_free(&b.notes);
}

/* ---- cells -------------------------------------------------------------------- */

static const struct bench_method three[] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
static const struct bench_subject few = {.methods = three, .method_count = 3};

static struct seen {
	const struct bench *b;
	unsigned count;
} seen;

static void see(void *context, const struct bench_key *k)
{
	struct seen *s = context;

	assert_true(k->method != 1); /* was not selected */
	assert_true(k->backing == BENCH_MEMFD || k->backing == BENCH_HUGETLBFS);
	assert_int_equal(k->mapping, BENCH_SHARED);
	assert_int_equal(bench_cell(s->b, k)->rounds, 0);
	bench_cell(s->b, k)->rounds = 1;
	s->count++;
}

/* Every selected cell comes once, in every size, and no two share a place. */
static void test_cells(void **state)
{
	struct bench_options o = {
		.subject = &few,
		.sizes = {MiB, 32 * MiB, GiB},
		.size_count = 3,
		.threads = {1, 2, 4},
		.thread_count = 3,
		.backings = 1u << BENCH_MEMFD | 1u << BENCH_HUGETLBFS,
		.mappings = 1u << BENCH_SHARED,
		.methods = 1u << 0 | 1u << 2,
	};
	struct bench b = {.options = &o};

	(void)state;
	b.cells = test_calloc(bench_cell_count(&o), sizeof(*b.cells));
	seen = (struct seen){.b = &b};
	for (unsigned i = 0; i < o.size_count; i++)
		bench_each_cell(&o, i, see, &seen);
	assert_int_equal(seen.count, 2 * 2 * (1 + 3 + 1)); /* several threads: not the small, not the large */
	memset(b.cells, 0, bench_cell_count(&o) * sizeof(*b.cells));
	o.threads_given = true;
	seen.count = 0;
	for (unsigned i = 0; i < o.size_count; i++)
		bench_each_cell(&o, i, see, &seen);
	assert_int_equal(seen.count, 2 * 2 * 9);
	test_free(b.cells);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stats),          cmocka_unit_test(test_stats_of_few),
		cmocka_unit_test(test_stats_of_large), cmocka_unit_test(test_shares),
		cmocka_unit_test(test_failure),        cmocka_unit_test(test_sigbus),
		cmocka_unit_test(test_cells),          cmocka_unit_test(test_memory),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
