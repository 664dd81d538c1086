/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The process heap with lazy_above, by jemalloc's prefixed names: what is charged and not
 * populated. Runs with SPARENA_CONF=limit:64M,lazy_above:512K.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heap/heap.h"
#include "os/os.h"
#include "../support/random.h"

#define LIMIT (64 * MiB)
#define MOST 256

static struct heap *const h = &heap_process;

/* ---- discards that fail ------------------------------------------------------------ */

static _Atomic int refusals; /* so many are to come */

int __real_os_discard(void *addr, size_t size);
int __wrap_os_discard(void *addr, size_t size);
int __wrap_os_discard(void *addr, size_t size)
{
	return refusals && refusals-- ? -ENOMEM : __real_os_discard(addr, size);
}

/* ---- the books ----------------------------------------------------------------------- */

static size_t charged(void) { return budget_charged(&h->budget); }
static size_t lazy(void) { return region_committed(&h->lazy); }

/* What of the lazy blocks was touched. */
static size_t touched(void)
{
	size_t bytes = 0, end = pages_frontier(&h->lazy_pages, PAGES_SMALL);
	EXPECT(!end || region_resident(&h->lazy, 0, end, &bytes) == 0);
	return bytes;
}

/* Charged is what is populated, and what is charged only: exactly what blocks take. */
static void books_balance(void)
{
	struct sparena_stats s;
	size_t backed = region_committed(&h->data) + region_committed(&h->meta);
	heap_stats(h, &s, true);
	EXPECT(charged() == backed + lazy());
	EXPECT(charged() <= budget_limit(&h->budget));
	EXPECT(s.lazy == lazy() && s.committed + s.metadata == backed);
	EXPECT(touched() <= lazy());
	EXPECT(s.resident == backed + touched());
	EXPECT(lazy() == h->lazy_pages.allocated + h->lazy_pages.resident_free);
	heap_each_pages(h, pages_check);
	heap_each_region(h, region_check);
}

static bool is_lazy(const void *p) { return heap_has(&h->lazy, p); }

static bool is_zero(const unsigned char *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (p[i])
			return false;
	return true;
}

static int before(void **state)
{
	(void)state;
	sparena_je_free(sparena_je_malloc(1)); /* the heap is there */
	return 0;
}

/* Every test leaves nothing behind. */
static int after(void **state)
{
	(void)state;
	refusals = 0;
	budget_set_limit(&h->budget, LIMIT);
	heap_purge(h);
	books_balance();
	return lazy() == 0 && touched() == 0 && h->lazy_pages.allocated == 0 ? 0 : -1;
}

static size_t fill(size_t size, void *blocks[], size_t most)
{
	size_t n = 0;
	errno = 0;
	while (n < most && (blocks[n] = sparena_je_malloc(size)))
		n++;
	assert_true(n == most || errno == ENOMEM);
	return n;
}

static void empty(void *blocks[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		sparena_je_free(blocks[i]);
}

/* ---- one thing at a time ----------------------------------------------------------------- */

static void charged_and_not_resident(void **state)
{
	(void)state;
	sparena_je_free(sparena_je_malloc(8 * MiB)); /* its place is described: metadata is there */
	size_t was = charged();
	unsigned char *p = sparena_je_malloc(8 * MiB);
	assert_true(is_lazy(p));
	assert_int_equal(charged(), was + 8 * MiB);
	assert_int_equal(touched(), 0);
	assert_int_equal(sparena_je_malloc_usable_size(p), 8 * MiB);
	books_balance();
	p[0] = p[5 * MiB] = p[8 * MiB - 1] = 1;
	assert_int_equal(touched(), 3 * 4096);
	books_balance();
	sparena_je_free(p);
	assert_int_equal(charged(), was);
	assert_int_equal(touched(), 0);
}

/* Not by a byte more than they are: no granules around them. */
static void larger_blocks_alone(void **state)
{
	(void)state;
	void *p = sparena_je_malloc(512 * KiB), *q = sparena_je_malloc(512 * KiB + 1);
	assert_true(!is_lazy(p) && is_lazy(q));
	assert_int_equal(lazy(), 640 * KiB);
	books_balance();
	sparena_je_free(p);
	sparena_je_free(q);
	for (size_t size = 8; size <= 64 * KiB; size += size < 1024 ? 8 : 512) {
		p = sparena_je_malloc(size);
		assert_true(heap_has(&h->data, p));
		sparena_je_free(p);
	}
}

/* The least that the option takes is above any slab, and any block in one. */
static void no_slab_is_lazy(void **state)
{
	(void)state;
	size_t above = h->conf.lazy_above;
	h->conf.lazy_above = 64 * KiB;
	for (size_t size = 8; size <= 16 * KiB; size += 8) {
		void *blocks[40];
		size_t n = fill(size, blocks, 40);
		assert_int_equal(n, 40);
		for (size_t i = 0; i < n; i++)
			assert_false(is_lazy(blocks[i]));
		empty(blocks, n);
	}
	assert_int_equal(h->lazy_pages.allocated, 0);
	h->conf.lazy_above = above;
}

/* NULL at the limit, and what is freed is there for others at once, whoever they are. */
static void limit_holds_both_ways(void **state)
{
	(void)state;
	static void *blocks[MOST], *small[MOST * 8];
	size_t n = fill(MiB, blocks, 25);
	assert_int_equal(lazy(), n * MiB); /* nothing ahead of need */
	n += fill(MiB, blocks + n, MOST - n);
	assert_in_range(n, 58, 63);
	assert_int_equal(touched(), 0);
	books_balance();
	for (int i = 0; i < 1000; i++)
		assert_null(sparena_je_malloc(MiB));
	size_t frees = budget_frees(&h->budget);
	assert_null(sparena_je_malloc(2 * MiB));
	assert_int_equal(budget_frees(&h->budget), frees);

	sparena_je_free(blocks[--n]);
	void *backed = sparena_je_malloc(300 * KiB); /* in place of it, at once */
	assert_true(backed && !is_lazy(backed));
	sparena_je_free(backed);
	blocks[n] = sparena_je_malloc(MiB); /* and the other way: that one is still resident */
	assert_true(blocks[n] && is_lazy(blocks[n]));
	n++;
	books_balance();

	empty(blocks, n);
	assert_int_equal(lazy(), 0);
	size_t many = fill(100 * KiB, small, MOST * 8);
	assert_true(many * 112 * KiB >= 52 * MiB);
	assert_null(sparena_je_malloc(MiB));
	empty(small, many);
	assert_true(fill(MiB, blocks, n - 2) == n - 2);
	empty(blocks, n - 2);
}

static void limit_may_change(void **state)
{
	(void)state;
	void *blocks[MOST];
	budget_set_limit(&h->budget, 32 * MiB);
	size_t n = fill(MiB, blocks, MOST);
	assert_in_range(n, 26, 31);
	budget_set_limit(&h->budget, 16 * MiB);
	assert_null(sparena_je_malloc(MiB));
	empty(blocks, n);
	n = fill(MiB, blocks, MOST);
	assert_in_range(n, 10, 15);
	empty(blocks, n);
}

static void calloc_touches_nothing(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		unsigned char *p = sparena_je_calloc(1, 12 * MiB);
		assert_true(is_lazy(p));
		assert_true(is_zero(p, 12 * MiB));
		assert_int_equal(touched(), 0); /* reading takes nothing */
		memset(p, 0xA5, 12 * MiB);
		assert_int_equal(touched(), 12 * MiB);
		books_balance();
		sparena_je_free(p);
		assert_int_equal(touched(), 0);
	}
}

/* What the kernel would not take stays charged, is not taken for zero, and goes later. */
static void refused_discard(void **state)
{
	(void)state;
	unsigned char *p = sparena_je_malloc(2 * MiB);
	memset(p, 0xA5, 2 * MiB);
	size_t was = charged();
	refusals = 1;
	sparena_je_free(p);
	assert_int_equal(refusals, 0);
	assert_int_equal(charged(), was);
	assert_int_equal(touched(), 2 * MiB);
	books_balance();
	unsigned char *q = sparena_je_calloc(1, 2 * MiB);
	assert_ptr_equal(p, q);
	assert_true(is_zero(q, 2 * MiB));
	refusals = 1;
	sparena_je_free(q);
	assert_int_equal(touched(), 2 * MiB);
	sparena_je_free(sparena_je_malloc(3 * MiB)); /* the next free sees to it */
	assert_int_equal(touched(), 0);
	assert_int_equal(lazy(), 0);

	p = sparena_je_malloc(2 * MiB); /* or whoever needs the room */
	memset(p, 1, 2 * MiB);
	refusals = 1;
	sparena_je_free(p);
	void *blocks[MOST];
	size_t n = fill(500 * KiB, blocks, MOST);
	assert_int_equal(lazy(), 0);
	empty(blocks, n);
}

/* ---- blocks that change their size --------------------------------------------------------- */

/* Whether a block is backed goes by its size, however it came to it. */
static void realloc_across(void **state)
{
	(void)state;
	unsigned char *p = sparena_je_malloc(400 * KiB);
	memset(p, 7, 400 * KiB);
	p = sparena_je_realloc(p, 4 * MiB);
	assert_true(is_lazy(p));
	assert_true(p[0] == 7 && p[400 * KiB - 1] == 7 && is_zero(p + 400 * KiB, 4 * MiB - 400 * KiB));
	assert_in_range(touched(), 400 * KiB, 512 * KiB);
	books_balance();
	p = sparena_je_realloc(p, 100 * KiB);
	assert_false(is_lazy(p));
	assert_true(p[0] == 7 && p[100 * KiB - 1] == 7);
	assert_int_equal(lazy(), 0);
	books_balance();
	p = sparena_je_realloc(p, 450 * KiB); /* to the edge: where it is, or not */
	assert_false(is_lazy(p));
	p = sparena_je_realloc(p, 513 * KiB); /* free pages are behind it, and yet it moves */
	assert_true(is_lazy(p) && p[0] == 7);
	sparena_je_free(p);
}

/* Where a smaller one is not to be had, the larger one stays. */
static void shrinking_at_the_limit(void **state)
{
	(void)state;
	static void *blocks[MOST], *small[MOST * 16];
	size_t n = fill(MiB, blocks, MOST), many = fill(64 * KiB, small, MOST * 16);
	char *p = blocks[0];
	p[0] = 7;
	char *q = sparena_je_realloc(p, 300 * KiB);
	assert_true(!q || (!is_lazy(q) && q[0] == 7));
	if (q)
		blocks[0] = q;
	assert_int_equal(*(char *)blocks[0], 7);
	books_balance();
	empty(small, many);
	empty(blocks, n);
}

static void changes_in_place(void **state)
{
	(void)state;
	unsigned char *p = sparena_je_malloc(8 * MiB);
	memset(p, 7, 8 * MiB);
	assert_ptr_equal(sparena_je_realloc(p, 2 * MiB), p);
	assert_int_equal(lazy(), 2 * MiB);
	assert_int_equal(touched(), 2 * MiB); /* the tail went back at once */
	books_balance();
	assert_ptr_equal(sparena_je_realloc(p, 40 * MiB), p); /* beyond the frontier, too */
	assert_int_equal(lazy(), 40 * MiB);
	assert_int_equal(touched(), 2 * MiB);
	assert_true(p[2 * MiB - 1] == 7 && is_zero(p + 2 * MiB, 38 * MiB));
	books_balance();
	errno = 0;
	assert_null(sparena_je_realloc(p, 80 * MiB)); /* over the limit: nothing has changed */
	assert_int_equal(lazy(), 40 * MiB);
	assert_ptr_equal(sparena_je_realloc(p, 2 * MiB), p);
	void *next = sparena_je_malloc(MiB);
	assert_ptr_equal(next, p + 2 * MiB);
	unsigned char *q = sparena_je_realloc(p, 4 * MiB); /* in the way: it moves */
	assert_true(q != p && is_lazy(q) && q[0] == 7 && q[2 * MiB - 1] == 7);
	books_balance();
	sparena_je_free(next);
	sparena_je_free(q);
}

/* In place where a second block would not fit; what others have free makes room for it. */
static void grows_into_what_others_freed(void **state)
{
	(void)state;
	void *p = sparena_je_malloc(40 * MiB), *backed[MOST];
	size_t n = fill(256 * KiB, backed, 48);
	assert_int_equal(n, 48);
	empty(backed, n);
	assert_true(region_committed(&h->data) >= 12 * MiB); /* free, and resident */
	assert_ptr_equal(sparena_je_realloc(p, 56 * MiB), p);
	books_balance();
	sparena_je_free(p);
}

/* The last bytes are metadata's. */
static void growing_leaves_the_reserve(void **state)
{
	(void)state;
	void *p = sparena_je_realloc(sparena_je_malloc(10 * MiB), 8 * MiB);
	budget_set_limit(&h->budget, charged() + 2 * MiB + h->reserve / 2);
	assert_null(sparena_je_realloc(p, 10 * MiB));
	budget_set_limit(&h->budget, charged() + 2 * MiB + h->reserve);
	assert_ptr_equal(sparena_je_realloc(p, 10 * MiB), p);
	sparena_je_free(p);
}

static void aligned(void **state)
{
	(void)state;
	for (size_t align = 4096; align <= 16 * MiB; align *= 4) {
		void *p = sparena_je_aligned_alloc(align, 3 * MiB), *q = NULL;
		assert_int_equal(sparena_je_posix_memalign(&q, align, 600 * KiB), 0);
		assert_true(is_lazy(p) && is_lazy(q));
		assert_int_equal(((uintptr_t)p | (uintptr_t)q) % align, 0);
		assert_true(sparena_je_malloc_usable_size(p) >= 3 * MiB);
		assert_int_equal(touched(), 0);
		books_balance();
		sparena_je_free(p);
		sparena_je_free(q);
	}
}

/* ---- threads and processes --------------------------------------------------------------------- */

static void *take_and_give(void *arg)
{
	uint64_t state = (uintptr_t)arg;
	unsigned char *blocks[8] = { NULL };
	for (int i = 0; i < 3000; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		unsigned char **b = &blocks[state >> 61];
		size_t size = (state >> 40) % (4 * MiB) + 1;
		if (*b && state >> 33 & 1) {
			unsigned char *p = sparena_je_realloc(*b, size);
			*b = p ? p : *b;
		} else {
			sparena_je_free(*b);
			*b = state >> 34 & 1 ? sparena_je_calloc(1, size) : sparena_je_malloc(size);
			if (*b && state >> 34 & 1)
				EXPECT(is_zero(*b, size < 70000 ? size : 70000));
		}
		if (*b)
			memset(*b, (int)(uintptr_t)arg, size_min(80000, sparena_je_malloc_usable_size(*b)));
		EXPECT(charged() <= LIMIT);
	}
	for (int i = 0; i < 8; i++)
		sparena_je_free(blocks[i]);
	return NULL;
}

static void threads_at_the_limit(void **state)
{
	(void)state;
	pthread_t threads[6];
	for (uintptr_t i = 0; i < 6; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, (void *)(i + 1)), 0);
	for (int i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	books_balance();
}

/* What one thread frees is not found resident by another, which would have to clear it. */
static void *take_fresh(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		char *p = sparena_je_calloc(1, 2 * MiB);
		size_t bytes = 1;
		EXPECT(p && is_lazy(p));
		EXPECT(region_resident(&h->lazy, (size_t)(p - h->lazy.base), 2 * MiB, &bytes) == 0 && bytes == 0);
		memset(p, 1, 64 * KiB);
		sparena_je_free(p);
	}
	return arg;
}

static void fresh_among_threads(void **state)
{
	(void)state;
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_fresh, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

/* Each has its own from then on. */
static void fork_copies_on_write(void **state)
{
	(void)state;
	char *p = sparena_je_malloc(4 * MiB);
	p[0] = p[MiB] = 1;
	pid_t child = fork();
	if (child == 0) {
		bool right = p[0] == 1 && p[2 * MiB] == 0;
		p[0] = p[2 * MiB] = 2;
		sparena_je_free(p);
		right = right && lazy() == 0;
		char *q = sparena_je_calloc(1, 4 * MiB);
		right = right && is_lazy(q) && is_zero((unsigned char *)q, 4 * MiB);
		heap_each_pages(h, pages_check);
		heap_each_region(h, region_check);
		_exit(right ? 0 : 1);
	}
	int status = -1;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_true(p[0] == 1 && p[MiB] == 1 && p[2 * MiB] == 0);
	sparena_je_free(p);
}

static void forks_among_threads(void **state)
{
	(void)state;
	pthread_t threads[3];
	for (uintptr_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, (void *)(i + 1)), 0);
	for (int i = 0; i < 30; i++) {
		pid_t child = fork();
		if (child == 0) {
			alarm(20);
			heap_each_pages(h, pages_check);
			heap_each_region(h, region_check);
			sparena_je_free(sparena_je_malloc(3 * MiB));
			_exit(0);
		}
		int status = -1;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, before, after)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(calloc_touches_nothing), /* first: what comes after a failure is confused by it */
		TEST(charged_and_not_resident),
		TEST(larger_blocks_alone),
		TEST(no_slab_is_lazy),
		TEST(limit_holds_both_ways),
		TEST(limit_may_change),
		TEST(refused_discard),
		TEST(realloc_across),
		TEST(shrinking_at_the_limit),
		TEST(changes_in_place),
		TEST(grows_into_what_others_freed),
		TEST(growing_leaves_the_reserve),
		TEST(aligned),
		TEST(threads_at_the_limit),
		TEST(fresh_among_threads),
		TEST(fork_copies_on_write),
		TEST(forks_among_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
