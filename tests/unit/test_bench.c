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
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../support/failing.h"
#include "../support/helper.h"

#define PAGES 100

static char said[512]; /* the last message */

void cli_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(said, sizeof(said), format, args);
	va_end(args);
}

/* ---- a machine that refuses ---------------------------------------------------- */

/* Calls of os until one fails, and then the others as well, or not; error 0: none does. */
static struct {
	int error, of_threads, of_huge_pages;
	unsigned calls, at;
	bool lasts, no_populate, no_thp, no_meminfo;
	size_t huge_pages_free;
	uint64_t clock; /* 0: the real one */
	uint64_t steps[16];
	unsigned step;
} machine;

static int failing(const int *errors, unsigned count)
{
	unsigned call = __atomic_fetch_add(&machine.calls, 1, __ATOMIC_RELAXED);

	(void)errors;
	(void)count;
	return machine.error != 0 && (machine.lasts ? call >= machine.at : call == machine.at)
	               ? -machine.error
	               : 0;
}

/* The call after `at` others fails; with `lasts` all from there on do. */
static void fail_from(unsigned at, int error, bool lasts)
{
	machine.error = error;
	machine.at = at;
	machine.lasts = lasts;
	machine.calls = 0;
}

static int all_well(void **state)
{
	(void)state;
	memset(&machine, 0, sizeof(machine));
	said[0] = '\0';
	return 0;
}

#define WRAP(type, name, parameters, arguments, refused, answer)       \
	type __real_##name parameters;                                 \
	type __wrap_##name parameters;                                 \
	type __wrap_##name parameters                                  \
	{                                                              \
		return (refused) ? (answer) : __real_##name arguments; \
	}

WRAP(bool, os_can_populate, (void), (), machine.no_populate, false)
WRAP(bool, os_thp_usable, (size_t size), (size), machine.no_thp, false)
WRAP(size_t, os_huge_pages_free, (size_t page), (page), machine.huge_pages_free != 0, machine.huge_pages_free)
WRAP(int, os_reserve_huge, (size_t size, size_t align, size_t page, void **out), (size, align, page, out),
     machine.of_huge_pages != 0, machine.of_huge_pages)
WRAP(int, os_read_file, (const char *path, char *buffer, size_t capacity, size_t *length),
     (path, buffer, capacity, length), machine.no_meminfo &&strcmp(path, "/proc/meminfo") == 0, -ENOENT)
WRAP(int, pthread_create, (pthread_t * t, const pthread_attr_t *a, void *(*f)(void *), void *x), (t, a, f, x),
     machine.of_threads != 0 && --machine.of_threads == 0, EAGAIN)
/* Each look at it is a step later. */
WRAP(uint64_t, os_clock_ns, (void), (), machine.clock != 0,
     machine.clock += machine.steps[machine.step++ % 16])

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

/* ---- where calls fail ------------------------------------------------------------- */

/* None of the threads that there are works when there are fewer than there should be. */
static void test_few_threads(void **state)
{
	const struct bench_method method = {.name = "visit", .run = visit, .finish = count_finish};
	struct bench_memory m = some_pages();
	uint64_t ns;

	(void)state;
	for (int failed = 1; failed <= 3; failed++) {
		calls = finishes = 0;
		machine.of_threads = failed;
		assert_int_equal(bench_measure(&m, &method, 3, &ns), -EAGAIN);
		assert_int_equal(calls, 0);
		assert_int_equal(finishes, 0);
	}
}

static int touch_last(struct bench_memory *m)
{
	m->base[m->size - 1] = 1;
	return bench_memory_empty(m);
}

/* Whatever fails: a reason, or memory that works; and no descriptor is lost. */
static void check_open(const struct bench_space *space, unsigned place, bool lasts, unsigned at,
                       bool *touched)
{
	static const enum bench_backing backings[] = {BENCH_ANON, BENCH_ANON_THP, BENCH_MEMFD, BENCH_TMPFS};
	struct bench_memory m = {.backing = backings[place / 2], .mapping = place % 2, .size = 2 * MiB};
	unsigned before = own_descriptors();
	struct bench_notes notes = {0};

	fail_from(at, ENOMEM, lasts);
	bench_memory_open(&m, space, &notes);
	*touched = machine.calls > at;
	machine.error = 0;
	if (m.why != NULL)
		assert_true(m.base == NULL && m.file.fd < 0 && m.region == NULL);
	else
		assert_int_equal(touch_last(&m), 0);
	assert_true(m.why != NULL || (m.region == NULL) == (m.why_region != NULL));
	if (*touched && lasts)
		assert_true(m.why != NULL || m.why_region != NULL);
	bench_memory_close(&m);
	bench_notes_free(&notes);
	assert_int_equal(own_descriptors(), before);
}

static void test_open_fails(void **state)
{
	struct bench_space space = {.memory = GiB, .directory = {[BENCH_TMPFS] = "/dev/shm"}};

	(void)state;
	for (unsigned place = 0; place < 8; place++)
		for (unsigned lasts = 0; lasts < 2; lasts++) {
			bool touched = true;

			for (unsigned at = 0; touched; at++)
				check_open(&space, place, lasts != 0, at, &touched);
		}
}

/* What the reason is, with all that can be had missing. */
static void test_reasons(void **state)
{
	static const struct {
		enum bench_backing backing;
		enum bench_mapping mapping;
		int error;
		const char *why;
	} rows[] = {
		{BENCH_ANON_THP, BENCH_PRIVATE, 0, "transparent huge pages are off: echo madvise >"},
		{BENCH_ANON_THP, BENCH_SHARED, 0, "shared memory has its own setting, shmem_enabled"},
		{BENCH_TMPFS, BENCH_SHARED, 0, "no tmpfs is mounted where a file can be made"},
		{BENCH_DISK, BENCH_SHARED, 0, "no directory on a disk file system was found"},
		{BENCH_HUGETLBFS, BENCH_SHARED, 0, "no hugetlbfs is mounted where a file can be made"},
		{BENCH_HUGETLB, BENCH_PRIVATE, EINVAL, "the kernel has no huge pages of 2M"},
		{BENCH_HUGETLB, BENCH_PRIVATE, ENODEV, "the kernel has no huge pages of 2M"},
		{BENCH_HUGETLB, BENCH_PRIVATE, ENOENT, "the kernel has no huge pages of 2M"},
		{BENCH_HUGETLB, BENCH_PRIVATE, ENOMEM, "it cannot be mapped: Cannot allocate memory"},
	};
	struct bench_space space = {.memory = GiB};
	struct bench_notes notes = {0};

	(void)state;
	machine.no_thp = true;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bench_memory m = {
			.backing = rows[i].backing, .mapping = rows[i].mapping, .size = 2 * MiB};

		machine.of_huge_pages = -rows[i].error;
		bench_memory_open(&m, &space, &notes);
		if (m.why == NULL || strstr(m.why, rows[i].why) != m.why)
			fail_msg("row %zu: %s", i, m.why == NULL ? "no reason" : m.why);
		bench_memory_close(&m);
	}
	bench_notes_free(&notes);
}

/* A file system without holes: the file is cut, and made as long again. */
static void test_no_holes(void **state)
{
	struct bench_memory m = {.backing = BENCH_MEMFD, .mapping = BENCH_SHARED, .size = 2 * MiB};
	struct bench_space space = {.memory = GiB};
	struct bench_notes notes = {0};

	(void)state;
	bench_memory_open(&m, &space, &notes);
	assert_null(m.why);
	bench_write(m.base, m.size, m.page);
	assert_int_equal(held(&m, false), m.size);
	fail_from(0, EOPNOTSUPP, false);
	assert_int_equal(bench_memory_empty(&m), 0);
	assert_int_equal(held(&m, false), 0);
	bench_write(m.base, m.size, m.page); /* which is SIGBUS behind its end */
	fail_from(0, EOPNOTSUPP, true);      /* nor can it be cut */
	assert_int_equal(bench_memory_empty(&m), -EOPNOTSUPP);
	machine.error = 0;
	bench_memory_close(&m);
	bench_notes_free(&notes);
}

/* Where the file cannot have its pages, nothing is touched: that would be SIGBUS. */
static void test_no_room_in_file(void **state)
{
	struct bench_memory m = {.backing = BENCH_MEMFD, .mapping = BENCH_SHARED, .size = 2 * MiB};
	struct bench_space space = {.memory = GiB};
	struct bench_notes notes = {0};
	unsigned tried = 0;

	(void)state;
	bench_memory_open(&m, &space, &notes);
	assert_null(m.why);
	for (unsigned i = 0; i < bench_subject_populate.method_count; i++) {
		const struct bench_method *method = &bench_subject_populate.methods[i];
		uint64_t ns;

		if ((method->flags & BENCH_ALLOCATES) == 0)
			continue;
		fail_from(0, ENOSPC, true);
		assert_int_equal(bench_measure(&m, method, 1, &ns), -ENOSPC);
		machine.error = 0;
		assert_int_equal(bench_memory_empty(&m), 0);
		tried++;
	}
	assert_int_equal(tried, 6);
	bench_memory_close(&m);
	bench_notes_free(&notes);
}

/* A kernel without MADV_POPULATE_WRITE: pages are written. Other errors are told. */
static void test_fill(void **state)
{
	struct bench_memory m = {.backing = BENCH_ANON, .mapping = BENCH_PRIVATE, .size = 2 * MiB};
	const struct bench_method *method = &bench_subject_discard.methods[0];
	struct bench_space space = {.memory = GiB};
	struct bench_notes notes = {0};

	(void)state;
	bench_memory_open(&m, &space, &notes);
	assert_null(m.why);
	fail_from(0, EINVAL, false);
	assert_int_equal(bench_prepare(&bench_subject_discard, &m, method), 0);
	assert_int_equal(held(&m, false), m.size);
	assert_int_equal(bench_memory_empty(&m), 0);
	fail_from(0, ENOMEM, false);
	assert_int_equal(bench_prepare(&bench_subject_discard, &m, method), -ENOMEM);
	bench_memory_close(&m);
	m = (struct bench_memory){.backing = BENCH_MEMFD, .mapping = BENCH_SHARED, .size = 2 * MiB};
	machine.error = 0;
	bench_memory_open(&m, &space, &notes);
	fail_from(0, ENOSPC, false);
	assert_int_equal(bench_prepare(&bench_subject_discard, &m, method), -ENOSPC);
	assert_true(held(&m, false) < m.size); /* the rest would be SIGBUS */
	bench_memory_close(&m);
	bench_notes_free(&notes);
}

static void test_refused_by_machine(void **state)
{
	struct bench_memory m = {.backing = BENCH_ANON, .mapping = BENCH_PRIVATE, .size = 4 * MiB};
	struct bench_memory pooled = {.backing = BENCH_HUGETLB,
	                              .mapping = BENCH_PRIVATE,
	                              .size = 4 * MiB,
	                              .page = 2 * MiB,
	                              .file = {.fd = -1}};
	struct bench_space space = {.memory = GiB};
	struct bench b = {.space = space};
	const char *why;

	(void)state;
	bench_memory_open(&m, &space, &b.notes);
	assert_null(bench_refuse(&b, &m, method_named("POPULATE_READ"), 1));
	machine.no_populate = true;
	assert_string_equal(bench_refuse(&b, &m, method_named("POPULATE_READ"), 1),
	                    "the kernel has no MADV_POPULATE_READ and _WRITE: boot Linux 5.14 or later");
	assert_null(bench_refuse(&b, &m, method_named("write"), 1));
	bench_memory_close(&m);
	machine.huge_pages_free = 2;
	assert_null(bench_refuse(&b, &pooled, method_named("write"), 1));
	machine.huge_pages_free = 1;
	why = bench_refuse(&b, &pooled, method_named("write"), 1);
	assert_non_null(why);
	assert_non_null(strstr(why, "2 huge pages of 2M needed, 1 free: echo "));
	assert_non_null(strstr(why, "/hugepages-2048kB/nr_hugepages"));
	bench_notes_free(&b.notes);
}

/* ---- warming up, and how long it takes yet ------------------------------------------- */

/* How many passes there are when they take so long; the clock is looked at twice in each. */
static unsigned passes_of(const uint64_t *took, unsigned count)
{
	machine.clock = 1;
	machine.step = 0;
	memset(machine.steps, 0, sizeof(machine.steps));
	for (unsigned i = 0; i < count; i++)
		machine.steps[2 * i + 1] = took[i];
	bench_warm_up(2 * MiB);
	return machine.step / 2;
}

static void test_warm_up(void **state)
{
	static const uint64_t steady[] = {100, 90}, faster[] = {100, 60, 50},
			      ever[] = {1000, 500, 200, 90, 40, 20, 9, 4};
	uint64_t ns = 0;

	(void)state;
	assert_int_equal(passes_of(steady, 2), 2);
	assert_int_equal(passes_of(faster, 3), 3);
	assert_int_equal(passes_of(ever, 8), 6); /* no more than that */
	for (unsigned at = 0; at < 3; at++) {    /* where there is no memory, it is let be */
		machine.step = 0;
		fail_from(at, ENOMEM, false);
		bench_warm_pass(2 * MiB, &ns);
		assert_true(machine.calls > at && machine.step == 2);
	}
}

/* What is told on standard error of the place k, after so many seconds and a part of all. */
static const char *progress_at(struct bench_progress *p, const struct bench_options *o,
                               const struct bench_key *k, double seconds, double part)
{
	static char text[256];
	int before = dup(STDERR_FILENO), file = memfd_create("stderr", 0);
	ssize_t n;

	p->done = p->total * part;
	machine.clock = p->start + (uint64_t)(seconds * 1e9);
	memset(machine.steps, 0, sizeof(machine.steps));
	assert_true(before >= 0 && file >= 0 && dup2(file, STDERR_FILENO) >= 0);
	bench_progress_show(p, o, k, 1);
	bench_progress_clear(p);
	assert_true(dup2(before, STDERR_FILENO) >= 0);
	n = pread(file, text, sizeof(text) - 1, 0);
	assert_true(n >= 0);
	text[n] = '\0';
	close(before);
	close(file);
	return text;
}

static void test_progress(void **state)
{
	const struct bench_options o = {
		.subject = &bench_subject_populate,
		.rounds = 3,
		.sizes = {2 * MiB},
		.size_count = 1,
		.threads = {1},
		.thread_count = 1,
		.backings = 1u << BENCH_ANON | 1u << BENCH_MEMFD,
		.mappings = 3,
		.methods = 1,
		.progress = true,
	};
	const struct bench_key first = {0}, later = {.backing = BENCH_MEMFD, .mapping = BENCH_SHARED};
	struct bench_progress p;

	(void)state;
	bench_progress_begin(&p, &o);
	assert_true(p.on && p.total == 4.0 * 2 * MiB * 3);
	p.terminal = false;
	assert_string_equal(progress_at(&p, &o, &first, 1, 0), "2M: round 2 of 3\n");
	assert_string_equal(progress_at(&p, &o, &first, 10, 0.5), "2M: round 2 of 3, about 10 s left\n");
	assert_string_equal(progress_at(&p, &o, &first, 100, 0.25), "2M: round 2 of 3, about 5 min left\n");
	assert_string_equal(progress_at(&p, &o, &later, 10, 0.5), ""); /* a line for each round will do */
	assert_true(p.done == p.total * 0.5 + 2 * MiB);
	p.terminal = true;
	assert_string_equal(progress_at(&p, &o, &later, 1.9, 0.5),
	                    "\r\033[K2M: round 2 of 3, shared memfd\r\033[K");
	assert_string_equal(progress_at(&p, &o, &later, 3, 0.75),
	                    "\r\033[K2M: round 2 of 3, shared memfd, about 1 s left\r\033[K");
	p.on = p.terminal = false;
	assert_string_equal(progress_at(&p, &o, &first, 10, 0.5), "");
}

/* ---- rounds in which something fails ----------------------------------------------------- */

static unsigned runs;

static int fail_second(struct bench_memory *m, size_t offset, size_t length)
{
	(void)m;
	(void)offset;
	(void)length;
	return ++runs == 2 ? -ENOSPC : 0;
}

/* From the second time on the memory cannot be emptied. */
static int spoil(struct bench_memory *m, size_t offset, size_t length)
{
	(void)offset;
	(void)length;
	m->base[0] = 1;
	if (++runs == 2)
		fail_from(0, EAGAIN, true);
	return 0;
}

/* Others have taken all memory meanwhile. */
static int take_all(struct bench_memory *m, size_t offset, size_t length)
{
	(void)m;
	(void)offset;
	(void)length;
	machine.no_meminfo = true;
	return 0;
}

static void check_rounds(int (*run_it)(struct bench_memory *m, size_t offset, size_t length), unsigned done,
                         const char *why)
{
	const struct bench_method method = {.name = "it", .run = run_it};
	const struct bench_subject subject = {.name = "s", .methods = &method, .method_count = 1};
	const struct bench_options o = {
		.subject = &subject,
		.rounds = 4,
		.sizes = {2 * MiB},
		.size_count = 1,
		.threads = {1},
		.thread_count = 1,
		.backings = 1u << BENCH_ANON,
		.mappings = 1u << BENCH_PRIVATE,
		.methods = 1,
	};
	struct bench b = {.options = &o, .space = {.memory = GiB}};
	struct bench_progress progress = {0};
	unsigned descriptors = own_descriptors();

	runs = 0;
	b.cells = test_calloc(bench_cell_count(&o), sizeof(*b.cells));
	bench_measure_size(&b, 0, &progress);
	all_well(NULL);
	assert_int_equal(b.measured, 0);
	assert_int_equal(b.cells[0].rounds, done);
	assert_non_null(b.cells[0].why);
	if (strstr(b.cells[0].why, why) != b.cells[0].why)
		fail_msg("%s", b.cells[0].why);
	assert_int_equal(own_descriptors(), descriptors);
	free(b.cells[0].ns);
	test_free(b.cells);
	bench_notes_free(&b.notes);
}

static void test_rounds_fail(void **state)
{
	(void)state;
	check_rounds(fail_second, 1, "it failed in round 2: there was no page left");
	check_rounds(fail_at_end, 0, "it failed in round 1: Cannot allocate memory");
	check_rounds(spoil, 2, "it failed in round 3: Cannot allocate memory");
	check_rounds(take_all, 1, "in round 2 it needs 2 MiB, half of the available memory is 0 B");
}

/* ---- directories --------------------------------------------------------------------------- */

static void test_directories(void **state)
{
	static const char *const given[] = {"/dev/shm", "/dev/shm"};
	struct bench_space space;

	(void)state;
	assert_true(bench_space_find(&space, given, 1));
	assert_string_equal(space.directory[BENCH_TMPFS], "/dev/shm");
	assert_true(space.memory > 0);
	bench_space_free(&space);
	assert_false(bench_space_find(&space, given, 2));
	assert_non_null(strstr(said, "'/dev/shm' and '/dev/shm' are of the same kind (file on tmpfs)"));
	bench_space_free(&space);
	fail_from(0, EOPNOTSUPP, true);
	assert_false(bench_space_find(&space, given, 1));
	assert_string_equal(said,
	                    "--directory: the file system of '/dev/shm' makes no unnamed files (O_TMPFILE)");
	bench_space_free(&space);
	fail_from(0, EACCES, true);
	assert_false(bench_space_find(&space, given, 1));
	assert_string_equal(said, "--directory: no file can be made in '/dev/shm': Permission denied");
	bench_space_free(&space);
	/* Nobody named one: each kind is left out. */
	assert_true(bench_space_find(&space, NULL, 0));
	for (unsigned i = 0; i < BENCH_BACKINGS; i++)
		assert_null(space.directory[i]);
	bench_space_free(&space);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_stats, all_well),
		cmocka_unit_test_setup(test_stats_of_few, all_well),
		cmocka_unit_test_setup(test_stats_of_large, all_well),
		cmocka_unit_test_setup(test_shares, all_well),
		cmocka_unit_test_setup(test_failure, all_well),
		cmocka_unit_test_setup(test_sigbus, all_well),
		cmocka_unit_test_setup(test_cells, all_well),
		cmocka_unit_test_setup(test_memory, all_well),
		cmocka_unit_test_setup(test_refused, all_well),
		cmocka_unit_test_setup(test_few_threads, all_well),
		cmocka_unit_test_setup(test_open_fails, all_well),
		cmocka_unit_test_setup(test_reasons, all_well),
		cmocka_unit_test_setup(test_no_holes, all_well),
		cmocka_unit_test_setup(test_no_room_in_file, all_well),
		cmocka_unit_test_setup(test_fill, all_well),
		cmocka_unit_test_setup(test_refused_by_machine, all_well),
		cmocka_unit_test_setup(test_warm_up, all_well),
		cmocka_unit_test_setup(test_progress, all_well),
		cmocka_unit_test_setup(test_rounds_fail, all_well),
		cmocka_unit_test_setup(test_directories, all_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
