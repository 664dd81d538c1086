/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The process heap under the private jemalloc, by its prefixed names: this program's
 * own malloc is the C library's. Runs with SPARENA_CONF=limit:64M.
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

static struct heap *const h = &heap_process;

static size_t resident(void)
{
	struct sparena_stats s;
	heap_stats(&heap_process, &s, true);
	return s.resident;
}

static size_t charges(void)
{
	return region_committed(&h->data) + region_committed(&h->meta) + region_committed(&h->lazy);
}

/* Of what is charged only, as much is resident as was touched. */
static void books_balance(void)
{
	size_t committed = charges(), touched = 0;
	size_t lazy_end = h->lazy.base ? pages_frontier(&h->lazy_pages, PAGES_SMALL) : 0;
	EXPECT(budget_charged(&h->budget) == committed);
	EXPECT(committed <= budget_limit(&h->budget));
	EXPECT(!lazy_end || region_resident(&h->lazy, 0, lazy_end, &touched) == 0);
	EXPECT(touched <= region_committed(&h->lazy));
	EXPECT(resident() == region_committed(&h->data) + region_committed(&h->meta) + touched);
	heap_each_pages(h, pages_check);
	heap_each_region(h, region_check);
}

static size_t address_space(void)
{
	char text[128] = "";
	size_t pages = 0;
	os_read_file("/proc/self/statm", text, sizeof text, NULL);
	sscanf(text, "%zu", &pages);
	return pages * 4096;
}

/* Takes blocks until there are no more; returns how many, linked through their first word. */
static size_t fill(size_t size, void **list)
{
	size_t n = 0;
	void *p;
	errno = 0;
	while ((p = sparena_je_malloc(size))) {
		*(void **)p = *list;
		*list = p;
		n++;
	}
	assert_int_equal(errno, ENOMEM);
	return n;
}

static void empty(void **list)
{
	while (*list) {
		void *next = *(void **)*list;
		sparena_je_free(*list);
		*list = next;
	}
}

/* Bytes of pages that blocks are in; free ones that threads share out among each other
 * count as handed out. */
static size_t handed_out(void)
{
	pages_shards_drain(&h->pages);
	return h->pages.allocated;
}

static int after(void **state)
{
	(void)state;
	heap_purge(&heap_process);
	books_balance();
	return 0;
}

/* ---- what is known to go wrong with jemalloc (each was seen to, once) ------------------- */

static void failed_mallocs_leak_no_address_space(void **state)
{
	(void)state;
	void *list = NULL;
	fill(MiB, &list);
	size_t before = address_space(), charged = budget_charged(&h->budget);
	for (int i = 0; i < 2000; i++)
		assert_null(sparena_je_malloc(100 * MiB));
	assert_int_equal(address_space(), before);
	assert_int_equal(budget_charged(&h->budget), charged);
	empty(&list);
}

static void power_of_two_takes_no_more(void **state)
{
	(void)state;
	size_t before = handed_out();
	void *p = sparena_je_malloc(MiB);
	assert_int_equal(handed_out() - before, MiB);
	assert_int_equal(sparena_je_malloc_usable_size(p), MiB);
	sparena_je_free(p);
	assert_int_equal(handed_out(), before);
}

static void large_blocks_come_back_to_pages(void **state)
{
	(void)state;
	size_t before = handed_out();
	for (size_t size = 16 * KiB; size <= 32 * MiB; size *= 2) {
		void *p = sparena_je_malloc(size);
		assert_non_null(p);
		sparena_je_free(p);
	}
	je_flush_thread_cache();
	assert_int_equal(handed_out(), before);
}

static void small_blocks_need_few_commits(void **state)
{
	(void)state;
	void *list = NULL;
	uint64_t before = h->data.counts.commits;
	for (size_t i = 0; i < 32 * MiB / 512; i++) {
		void *p = sparena_je_malloc(512);
		*(void **)p = list;
		list = p;
	}
	assert_in_range(h->data.counts.commits - before, 0, 128);
	empty(&list);
}

static void calloc_is_clean(void **state)
{
	(void)state;
	for (size_t size = 16; size <= 20 * MiB; size = size * 3 / 2 + 8) {
		unsigned char *p = sparena_je_malloc(size);
		assert_non_null(p);
		memset(p, 0xA5, size);
		sparena_je_free(p);
		p = sparena_je_calloc(1, size);
		assert_non_null(p);
		for (size_t i = 0; i < size; i++)
			if (p[i])
				fail_msg("byte %zu of calloc(1, %zu) is %d", i, size, p[i]);
		sparena_je_free(p);
	}
}

static void errno_is_kept(void **state)
{
	(void)state;
	errno = 4711;
	for (size_t size = 8; size <= 8 * MiB; size *= 4) {
		void *p = sparena_je_malloc(size);
		p = sparena_je_realloc(p, size * 2);
		assert_non_null(p);
		sparena_je_free(p);
	}
	heap_tick();
	assert_int_equal(errno, 4711);
	assert_null(sparena_je_malloc(128 * MiB));
	assert_int_equal(errno, ENOMEM);
}

static void grows_in_place_into_free_pages(void **state)
{
	(void)state;
	void *a = sparena_je_malloc(4 * MiB);
	sparena_je_free(a);
	a = sparena_je_malloc(MiB);
	void *b = sparena_je_realloc(a, 2 * MiB);
	assert_ptr_equal(a, b);
	b = sparena_je_realloc(b, MiB / 2);
	assert_ptr_equal(a, b);
	sparena_je_free(b);
}

/* Nothing that arenas keep stands in the way of another size. */
static void all_of_it_serves_any_size(void **state)
{
	(void)state;
	size_t sizes[] = { MiB, 20000, 100, 5 * MiB, 40 * KiB, 3000 };
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		void *list = NULL;
		size_t n = fill(sizes[i], &list);
		assert_true(n * sizes[i] >= 48 * MiB);
		books_balance();
		empty(&list);
	}
}

static void environment_of_jemalloc_is_ignored(void **state)
{
	(void)state; /* main() set it before the first allocation */
	size_t most = 0, bytes = sizeof most;
	int sparena_je_mallctl(const char *, void *, size_t *, void *, size_t);


	assert_int_equal(sparena_je_mallctl("opt.tcache_max", &most, &bytes, NULL, 0), 0);
	assert_int_equal(most, 32 * KiB);
}

static void *first_malloc(void *arg)
{
	(void)arg;
	errno = 0;
	void *p = sparena_je_malloc(100);
	if (!p && errno != ENOMEM)
		return (void *)1;
	if (p)
		memset(p, 1, 100);
	sparena_je_free(p);
	return NULL;
}

/* What nobody has used for a while goes back when something else is done. */
static void idle_memory_goes_back(void **state)
{
	(void)state;
	sparena_je_free(sparena_je_malloc(20 * MiB));
	assert_true(region_committed(&h->data) >= 20 * MiB);
	usleep((useconds_t)h->conf.decay_ms * 1300);
	for (int i = 0; i < 100; i++)
		sparena_je_free(sparena_je_malloc(100 * KiB));
	assert_in_range(region_committed(&h->data), 0, 8 * MiB);
	assert_in_range(resident(), 0, 10 * MiB);
}

/* A thread's first malloc, at exhaustion: with no room for its cache, or for an arena. */
static void thread_starts_at_exhaustion(void **state)
{
	(void)state;
	void *list = NULL, *small = NULL;
	fill(64 * KiB, &list);
	fill(16, &small);
	for (int round = 0; round < 4; round++) {
		pthread_t threads[40];
		for (int i = 0; i < 40; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, first_malloc, NULL), 0);
		for (int i = 0; i < 40; i++) {
			void *failed;
			pthread_join(threads[i], &failed);
			assert_null(failed);
		}
		assert_true(budget_charged(&h->budget) <= 64 * MiB);
	}
	empty(&small);
	empty(&list);
}

static void *free_all(void *list)
{
	empty(&list);
	return NULL;
}

/* A thread that only frees never gets a cache; nothing is left behind when it ends. */
static void thread_that_only_frees_leaks_nothing(void **state)
{
	(void)state;
	size_t before = handed_out();
	for (int round = 0; round < 10; round++) {
		void *list = NULL;
		for (int i = 0; i < 10000; i++) {
			void *p = sparena_je_malloc(200);
			*(void **)p = list;
			list = p;
		}
		pthread_t thread;
		pthread_create(&thread, NULL, free_all, list);
		pthread_join(thread, NULL);
	}
	je_flush_thread_cache();
	assert_in_range(handed_out(), 0, before + 256 * KiB);
}

/* Frees, then allocates; what it gets is in place of its argument's first. */
static void *free_many(void *argument)
{
	void **blocks = argument;
	for (int i = 0; i < 100; i++)
		sparena_je_free(blocks[i]);
	blocks[0] = sparena_je_malloc(100);
	return NULL;
}

/* What it freed last is in its cache: without one it would get the lowest of a slab. */
static void thread_that_only_frees_has_a_cache(void **state)
{
	(void)state;
	void *blocks[100];
	for (int i = 99; i >= 0; i--)
		blocks[i] = sparena_je_malloc(100);
	void *last = blocks[99] = blocks[50]; /* neither the lowest nor the highest */
	blocks[50] = blocks[0];
	blocks[0] = NULL;
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, free_many, blocks), 0);
	pthread_join(thread, NULL);
	assert_ptr_equal(blocks[0], last);
	sparena_je_free(blocks[0]);
}

static void *take_one(void *argument)
{
	size_t before = je_allocated();
	sparena_je_free(sparena_je_malloc(96));
	*(size_t *)argument = je_allocated() - before;
	return NULL;
}

/* A thread that needs one block does not take a hundred of them. */
static void new_thread_takes_few_blocks(void **state)
{
	(void)state;
	size_t taken = 0;
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, take_one, &taken), 0);
	pthread_join(thread, NULL);
	assert_in_range(taken, 96, 16 * 96);
}

/* Metadata has room that data cannot take: descriptors of extents can always be had. */
static void metadata_has_a_reserve(void **state)
{
	(void)state;
	void *list = NULL;
	fill(16 * KiB, &list);
	assert_true(budget_limit(&h->budget) - budget_charged(&h->budget) >= h->reserve / 2);
	assert_true(h->reserve >= 256 * KiB);
	empty(&list);
}

/* Metadata is committed as it is used: no whole blocks, no whole leaves. */
static void metadata_is_small(void **state)
{
	(void)state; /* the first test: after a few blocks */
	sparena_je_free(sparena_je_malloc(100));
	assert_in_range(region_committed(&h->meta), 64 * KiB, 1300 * KiB);
}

/* What thread caches took and gave back is there for data, too. */
static void memory_of_ended_threads_serves_data(void **state)
{
	(void)state;
	pthread_t threads[100];
	void *list = NULL;
	for (int i = 0; i < 100; i++)
		pthread_create(&threads[i], NULL, first_malloc, NULL);
	for (int i = 0; i < 100; i++)
		pthread_join(threads[i], NULL);
	pages_shards_drain(&h->meta_pages);
	assert_true(h->meta_pages.resident_free > 100 * KiB);
	fill(MiB, &list);
	fill(64 * KiB, &list);
	assert_in_range(h->meta_pages.resident_free, 0, 64 * KiB);
	empty(&list);
}

static void *allocate_and_free(void *stop)
{
	while (!__atomic_load_n((bool *)stop, __ATOMIC_RELAXED)) {
		void *blocks[30];
		for (int i = 0; i < 30; i++)
			blocks[i] = sparena_je_malloc((size_t)(i + 1) * 40 * KiB);
		for (int i = 0; i < 30; i++)
			sparena_je_free(blocks[i]);
		pages_trim(&h->pages, 8 * MiB);
	}
	return NULL;
}

static int forks = 100;

/* A child finds no lock held and no operation half done, whatever other threads do. */
static void fork_under_load(void **state)
{
	(void)state;
	bool stop = false;
	pthread_t threads[3];
	sparena_je_free(sparena_je_malloc(1)); /* the heap is there */
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, allocate_and_free, &stop);
	for (int i = 0; i < forks; i++) {
		int status = -1;
		pid_t child = fork();
		if (child == 0) {
			alarm(20);
			heap_each_pages(h, pages_check);
			heap_each_region(h, region_check);
			sparena_je_free(sparena_je_malloc(3 * MiB));
			_exit(0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

static void fork_in_the_middle(void **state)
{
	(void)state;
	void *list = NULL;
	fill(64 * KiB, &list);
	pid_t child = fork();
	if (child == 0) {
		empty(&list);
		heap_purge(&heap_process);
		_exit(fill(64 * KiB, &list) > 700 ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	empty(&list);
}

/* Without lazy_above there is nothing of it. */
static void nothing_is_reserved_for_lazy_blocks(void **state)
{
	(void)state;
	sparena_je_free(sparena_je_malloc(8 * MiB));
	assert_null(h->lazy.base);
	assert_int_equal(h->lazy.size + heap_spans[2].size + h->lazy_pages.size, 0);
	assert_true(!h->pages.sibling || h->pages.sibling->sibling == &h->pages);
}

static void foreign_addresses_are_not_freed(void **state)
{
	(void)state;
	static char here[64];
	uint64_t before = h->foreign_frees;
	void *volatile foreign[] = { here + 16, (void *)4096, (char *)h->data.base - 4096 };
	for (size_t i = 0; i < 3; i++)
		sparena_je_free(foreign[i]);
	sparena_je_free(NULL);
	assert_int_equal(h->foreign_frees, before + 3);
}

/* ---- a million operations beside a model ---------------------------------------------------- */

#define BLOCKS 3000

static struct block {
	unsigned char *p;
	size_t size;
	unsigned char value;
} blocks[BLOCKS];

static size_t some_size(void)
{
	size_t most[] = { 64, 64, 512, 4096, 20000, 300000, 3 * MiB };
	return random_below(most[random_below(7)]) + 1;
}

static void mark(struct block *b, unsigned char *p, size_t size)
{
	b->p = p;
	b->size = size;
	b->value = (unsigned char)random_next();
	p[0] = p[size / 2] = p[size - 1] = b->value;
}

static void check_block(const struct block *b)
{
	EXPECT(b->p[0] == b->value && b->p[b->size / 2] == b->value && b->p[b->size - 1] == b->value);
}

static void random_block(struct block *b)
{
	size_t size = some_size(), align = (size_t)16 << random_below(12);
	unsigned kind = (unsigned)random_below(8);
	errno = 0;
	unsigned char *p = kind == 0   ? sparena_je_calloc(1, size)
	                   : kind == 1 ? sparena_je_aligned_alloc(align, size)
	                               : sparena_je_malloc(size);
	if (!p) {
		EXPECT(errno == ENOMEM);
		return;
	}
	EXPECT(sparena_je_malloc_usable_size(p) >= size);
	EXPECT(kind != 1 || (uintptr_t)p % align == 0);
	for (size_t i = 0; kind == 0 && i < size; i += 61)
		EXPECT(p[i] == 0 && p[size - 1] == 0);
	mark(b, p, size);
}

static void random_resize(struct block *b)
{
	size_t size = some_size(), both = size_min(size, b->size);
	b->p[both - 1] = b->p[0];
	unsigned char *p = sparena_je_realloc(b->p, size);
	if (!p) {
		EXPECT(b->p[0] == b->value); /* untouched */
		b->p[b->size - 1] = b->value;
		return;
	}
	EXPECT(p[0] == b->value && p[both - 1] == b->value);
	mark(b, p, size);
}

static void random_operations(void **state)
{
	(void)state;
	random_start(4);
	for (unsigned long ops = random_ops(1000000); random_op < ops; random_op++) {
		struct block *b = &blocks[random_below(BLOCKS)];
		if (!b->p) {
			random_block(b);
		} else if (random_below(6) == 0) {
			check_block(b);
			random_resize(b);
		} else {
			check_block(b);
			sparena_je_free(b->p);
			b->p = NULL;
		}
		if (random_op % 1024 == 0)
			budget_set_limit(&h->budget, (24 + random_below(40)) * MiB);
		EXPECT(budget_charged(&h->budget) == charges());
		if (random_op % 16384 == 0) {
			budget_set_limit(&h->budget, 64 * MiB);
			books_balance();
		}
	}
	budget_set_limit(&h->budget, 64 * MiB);
	for (int i = 0; i < BLOCKS; i++)
		sparena_je_free(blocks[i].p);
}

int main(int argc, char **argv)
{
	setenv("SPARENA_JE_MALLOC_CONF", "tcache_max:4096,confirm_conf:true", 1);
	setenv("MALLOC_CONF", "tcache_max:4096", 1);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(metadata_is_small, after),
		cmocka_unit_test_teardown(failed_mallocs_leak_no_address_space, after),
		cmocka_unit_test_teardown(power_of_two_takes_no_more, after),
		cmocka_unit_test_teardown(large_blocks_come_back_to_pages, after),
		cmocka_unit_test_teardown(small_blocks_need_few_commits, after),
		cmocka_unit_test_teardown(calloc_is_clean, after),
		cmocka_unit_test_teardown(errno_is_kept, after),
		cmocka_unit_test_teardown(grows_in_place_into_free_pages, after),
		cmocka_unit_test_teardown(all_of_it_serves_any_size, after),
		cmocka_unit_test_teardown(environment_of_jemalloc_is_ignored, after),
		cmocka_unit_test_teardown(idle_memory_goes_back, after),
		cmocka_unit_test_teardown(thread_starts_at_exhaustion, after),
		cmocka_unit_test_teardown(thread_that_only_frees_leaks_nothing, after),
		cmocka_unit_test_teardown(thread_that_only_frees_has_a_cache, after),
		cmocka_unit_test_teardown(new_thread_takes_few_blocks, after),
		cmocka_unit_test_teardown(metadata_has_a_reserve, after),
		cmocka_unit_test_teardown(memory_of_ended_threads_serves_data, after),
		cmocka_unit_test_teardown(fork_under_load, after),
		cmocka_unit_test_teardown(fork_in_the_middle, after),
		cmocka_unit_test_teardown(nothing_is_reserved_for_lazy_blocks, after),
		cmocka_unit_test_teardown(foreign_addresses_are_not_freed, after),
		cmocka_unit_test_teardown(random_operations, after),
	};
	if (argc > 1) {
		cmocka_set_test_filter(argv[1]);
		forks = 30; /* on shared memory each is a copy */
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
