/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Explicit heaps through their public interface, linked with libsparena.so and, the same
 * program, with the drop-in preloaded. SPARENA_TEST_HEAP holds further options of each
 * heap, such as "backing:memfd".
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sparena/heap.h"
#include "sparena/sparena.h"

#include "../support/heap_stats.h"
#include "../support/sanitized.h"
#include "../support/status.h"

#define MIB ((size_t)1 << 20)
#define LIMIT (16 * MIB)

static struct sparena_heap *create(const char *options)
{
	const char *more = getenv("SPARENA_TEST_HEAP");
	struct sparena_heap *h = NULL;
	char all[512];
	snprintf(all, sizeof all, "%s,%s", options, more ? more : "");
	int err = sparena_heap_create(all, &h);
	if (err)
		fail_msg("sparena_heap_create(\"%s\"): %d: %s", all, err, sparena_last_error());
	return h;
}

/* The books: never more than the limit, and what is charged is what is resident. */
static void check(struct sparena_heap *h)
{
	struct sparena_stats s = stats_of(h);
	assert_true(s.committed + s.metadata + s.lazy <= s.limit);
	assert_in_range(s.resident, s.committed + s.metadata, s.committed + s.metadata + s.lazy);
}

/* ---- a list of blocks ---------------------------------------------------------------- */

struct block {
	struct block *next;
	size_t size;
};

static bool push(struct sparena_heap *h, struct block **list, size_t size)
{
	struct block *b = sparena_heap_malloc(h, size);
	if (!b)
		return false;
	memset(b, 0x5a, size);
	*b = (struct block){ *list, size };
	*list = b;
	return true;
}

static void drop(struct sparena_heap *h, struct block **list)
{
	while (*list) {
		struct block *b = *list;
		*list = b->next;
		sparena_heap_free(h, b);
	}
}

/* Until there is no more. */
static size_t fill(struct sparena_heap *h, struct block **list, size_t size)
{
	size_t count = 0;
	errno = 0;
	while (push(h, list, size))
		count++;
	assert_int_equal(errno, ENOMEM);
	return count;
}

/* ---- tests ----------------------------------------------------------------------------- */

static void test_bad_input(void **state)
{
	struct sparena_heap *h = NULL;
	(void)state;
	assert_int_equal(sparena_heap_create("limit:16M", NULL), -EINVAL);
	assert_int_equal(sparena_heap_create("limit:1K", &h), -EINVAL);
	assert_non_null(strstr(sparena_last_error(), "below the 4M"));
	assert_int_equal(sparena_heap_create("lmit:16M", &h), -EINVAL);
	assert_non_null(strstr(sparena_last_error(), "did you mean \"limit\"?"));
	assert_int_equal(sparena_heap_create("stats_print:true", &h), -EINVAL);
	assert_int_equal(sparena_heap_create("backing:file,path:/nowhere/at/all", &h), -ENOENT);
	assert_non_null(strstr(sparena_last_error(), "no such directory"));
	assert_null(h);
	sparena_heap_destroy(NULL);

	h = create("limit:16M");
	errno = 0;
	assert_null(sparena_heap_malloc(h, SIZE_MAX));
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	assert_null(sparena_heap_calloc(h, SIZE_MAX / 2, 3));
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	assert_null(sparena_heap_aligned_alloc(h, 48, 100));
	assert_int_equal(errno, EINVAL);
	errno = 0;
	assert_null(sparena_heap_aligned_alloc(h, (size_t)1 << 62, 100));
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	char *p = sparena_heap_realloc(h, NULL, 100);
	assert_non_null(p);
	*p = 7;
	assert_null(sparena_heap_realloc(h, p, SIZE_MAX));
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(*p, 7);
	sparena_heap_free(h, p);
	sparena_heap_free(h, NULL);
	assert_int_equal(sparena_heap_usable_size(h, NULL), 0);
	assert_int_equal(sparena_stats_get(h, NULL, sizeof(struct sparena_stats)), -EINVAL);
	sparena_heap_destroy(h);
}

static void test_family(void **state)
{
	struct sparena_heap *h = create("limit:64M");
	(void)state;
	for (size_t size = 0; size < 5 * MIB; size = size * 3 + 1) {
		errno = 42;
		char *p = sparena_heap_malloc(h, size), *z = sparena_heap_calloc(h, size, 2);
		assert_true(p && z);
		assert_int_equal(errno, 42);
		assert_true(sparena_heap_usable_size(h, p) >= size);
		memset(p, 7, size);
		for (size_t i = 0; i < 2 * size; i++)
			assert_int_equal(z[i], 0);
		p = sparena_heap_realloc(h, p, 2 * size + 1);
		assert_non_null(p);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(p[i], 7);
		memset(z, 9, 2 * size);
		sparena_heap_free(h, z);
		assert_null(sparena_heap_realloc(h, p, 0));
	}
	for (size_t align = 1; align <= 4 * MIB; align *= 2) {
		char *p = sparena_heap_aligned_alloc(h, align, 100);
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % align, 0);
		sparena_heap_free(h, p);
	}
	assert_int_equal(sparena_heap_purge(h), 0);
	assert_int_equal(stats_of(h).allocated, 0);
	check(h);
	sparena_heap_destroy(h);
}

/* Charged without being backed, by the same interface. */
static void test_lazy(void **state)
{
	struct sparena_heap *h = NULL, *other;
	struct block *list = NULL;
	void *blocks[64];
	size_t count = 0;
	(void)state;
	assert_int_equal(sparena_heap_create("lazy_above:1M,backing:memfd", &h), -EINVAL);
	assert_string_equal(sparena_last_error(), "lazy_above: is for backing:anon alone");
	if (getenv("SPARENA_TEST_HEAP"))
		skip(); /* other backings: that was all */
	h = create("limit:64M,lazy_above:1M");
	other = create("limit:64M");
	while (count < 64 && (blocks[count] = sparena_heap_malloc(h, 2 * MIB)))
		count++;
	assert_in_range(count, 28, 31);
	assert_int_equal(stats_of(h).lazy, count * 2 * MIB);
	assert_true(stats_of(h).resident < 4 * MIB);
	assert_true(stats_of(h).allocated >= count * 2 * MIB);
	check(h);
	for (size_t i = 0; i < count; i++) {
		memset(blocks[i], 1, MIB);
		assert_int_equal(sparena_heap_usable_size(h, blocks[i]), 2 * MIB);
	}
	assert_true(stats_of(h).resident >= count * MIB);
	check(h);
	assert_int_equal(sparena_heap_set_limit(h, 32 * MIB), 0);
	assert_null(sparena_heap_malloc(h, 2 * MIB));
	for (size_t i = 0; i < count; i++)
		sparena_heap_free(h, blocks[i]);
	assert_int_equal(stats_of(h).lazy, 0);
	assert_true(fill(h, &list, 100000) > 200); /* what they gave back serves others */
	check(h);
	drop(h, &list);
	sparena_heap_free(other, sparena_heap_malloc(other, 2 * MIB)); /* without the option */
	assert_int_equal(stats_of(other).lazy, 0);
	assert_true(stats_of(other).committed_peak >= 2 * MIB);
	assert_non_null(sparena_heap_calloc(h, 1, 20 * MIB)); /* goes with the heap */
	sparena_heap_destroy(other);
	sparena_heap_destroy(h);
}

/* A failing realloc leaves the block alone; a full heap serves again what is freed. */
static void test_limit(void **state)
{
	struct sparena_heap *h = create("limit:16M");
	static const size_t sizes[] = { 48, 5000, 70000, MIB, 3 * MIB };
	struct block *list = NULL;
	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		size_t first = fill(h, &list, sizes[i]);
		assert_true(first * sizes[i] > LIMIT / 2);
		check(h);
		struct block *b = list;
		assert_null(sparena_heap_realloc(h, b, 32 * MIB));
		assert_int_equal(b->size, sizes[i]);
		drop(h, &list);
		assert_true(fill(h, &list, sizes[i]) >= first - first / 20);
		drop(h, &list);
		check(h);
	}
	assert_int_equal(sparena_heap_set_limit(h, 32 * MIB), 0);
	assert_true(fill(h, &list, MIB) > 20);
	assert_int_equal(sparena_heap_set_limit(h, 8 * MIB), 0);
	assert_null(sparena_heap_malloc(h, MIB));
	drop(h, &list);
	sparena_heap_purge(h);
	assert_true(fill(h, &list, MIB) <= 8);
	check(h);
	drop(h, &list);
	sparena_heap_destroy(h);
}

/* ---- the example of an eviction callback: a cache that gives up its oldest entries ---- */

struct cache {
	struct sparena_heap *heap;
	struct block *entries[4096]; /* a ring */
	size_t oldest, count, evicted;
};

static bool evict_oldest(void *context, size_t need)
{
	struct cache *c = context;
	size_t freed = 0;
	while (c->count && freed < need) {
		struct block *b = c->entries[c->oldest];
		freed += b->size;
		sparena_heap_free(c->heap, b);
		c->oldest = (c->oldest + 1) % 4096;
		c->count--;
		c->evicted++;
	}
	return freed > 0;
}

static void test_eviction(void **state)
{
	static struct cache c;
	(void)state;
	c = (struct cache){ .heap = create("limit:16M") };
	sparena_heap_on_exhausted(c.heap, evict_oldest, &c);
	for (size_t i = 0; i < 20000; i++) {
		size_t size = 10000 + i % 50 * 1000;
		struct block *b = sparena_heap_malloc(c.heap, size);
		assert_non_null(b);
		*b = (struct block){ NULL, size };
		if (c.count == 4096)
			evict_oldest(&c, 1);
		c.entries[(c.oldest + c.count++) % 4096] = b;
	}
	assert_true(c.evicted > 15000);
	/* More than all can give: it is emptied, and NULL is the answer. */
	errno = 0;
	assert_null(sparena_heap_malloc(c.heap, 64 * MIB));
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(c.count, 0);
	check(c.heap);
	sparena_heap_destroy(c.heap);
}

static bool allocates_itself(void *context, size_t need)
{
	struct cache *c = context;
	c->evicted++;
	assert_null(sparena_heap_malloc(c->heap, need)); /* fails at once, does not ask again */
	return false;
}

static void test_callback_that_allocates(void **state)
{
	struct cache c = { .heap = create("limit:16M") };
	struct block *list = NULL;
	(void)state;
	sparena_heap_on_exhausted(c.heap, allocates_itself, &c);
	fill(c.heap, &list, MIB);
	assert_int_equal(c.evicted, 1);
	sparena_heap_on_exhausted(c.heap, NULL, NULL);
	assert_null(sparena_heap_malloc(c.heap, MIB));
	assert_int_equal(c.evicted, 1);
	drop(c.heap, &list);
	sparena_heap_destroy(c.heap);
}

/* ---- many heaps, many threads ------------------------------------------------------------ */

enum { HEAPS = 64, THREADS = 4 };

static void *fill_and_drop(void *context)
{
	struct sparena_heap *h = context;
	struct block *list = NULL;
	for (size_t round = 0; round < 5; round++) {
		size_t size = 100 << 2 * round;
		while (push(h, &list, size))
			continue;
		struct sparena_stats s = stats_of(h);
		if (s.committed + s.metadata > s.limit)
			abort();
		drop(h, &list);
	}
	return NULL;
}

static size_t vm_size(void)
{
	long kib = status_kib("VmSize");
	assert_true(kib > 0);
	return (size_t)kib;
}

static size_t descriptors(void)
{
	size_t open = 0;
	for (int fd = 0; fd < 1024; fd++)
		open += fcntl(fd, F_GETFD) >= 0;
	return open;
}

static void many_heaps(void)
{
	struct sparena_heap *heaps[HEAPS];
	pthread_t threads[HEAPS][THREADS];
	for (int i = 0; i < HEAPS; i++)
		heaps[i] = create("limit:5M");
	for (int i = 0; i < HEAPS; i++)
		for (int t = 0; t < THREADS; t++)
			assert_int_equal(pthread_create(&threads[i][t], NULL, fill_and_drop, heaps[i]), 0);
	for (int i = 0; i < HEAPS; i++)
		for (int t = 0; t < THREADS; t++)
			pthread_join(threads[i][t], NULL);
	for (int i = 0; i < HEAPS; i++) {
		assert_int_equal(stats_of(heaps[i]).allocated, 0);
		check(heaps[i]);
		sparena_heap_destroy(heaps[i]);
	}
}

static void test_many_heaps(void **state)
{
	(void)state;
	many_heaps();
	size_t size = vm_size(), open = descriptors();
	many_heaps();
	many_heaps();
	assert_true(vm_size() <= size + 16 * 1024 || SANITIZED); /* stacks of threads are kept, too */
	assert_int_equal(descriptors(), open);
}

/* One is full; its neighbour, and the process's malloc, do not notice. */
static void test_independence(void **state)
{
	struct sparena_heap *full = create("limit:16M"), *other = create("limit:16M");
	struct block *list = NULL, *others = NULL;
	(void)state;
	fill(full, &list, 1000);
	assert_true(push(other, &others, 8 * MIB));
	void *p = malloc(64 * MIB);
	assert_non_null(p);
	free(p);
	sparena_heap_destroy(full); /* with everything in it */
	assert_int_equal(others->size, 8 * MIB);
	check(other);
	drop(other, &others);
	sparena_heap_destroy(other);
}

/* ---- threads and their caches ------------------------------------------------------------- */

static void *take_one(void *context)
{
	struct sparena_heap *h = context;
	void *p = sparena_heap_malloc(h, 100);
	if (!p)
		abort();
	sparena_heap_free(h, p);
	return NULL;
}

/* Far more threads than there can be caches, one after the other. */
static void test_threads_end(void **state)
{
	struct sparena_heap *h = create("limit:16M");
	(void)state;
	for (int i = 0; i < 6000; i++) {
		pthread_t t;
		assert_int_equal(pthread_create(&t, NULL, take_one, h), 0);
		pthread_join(t, NULL);
	}
	assert_int_equal(stats_of(h).uncached_threads, 0);
	assert_int_equal(sparena_heap_purge(h), 0);
	assert_int_equal(stats_of(h).allocated, 0);
	assert_true(stats_of(h).metadata < MIB);
	sparena_heap_destroy(h);
}

/* ---- one comes and goes, while others are used ---------------------------------------- */

#define USERS 8 /* more than there are processors: each is stopped in the midst of a look now and then */
#define COMINGS (SANITIZED ? 100 : 1000)

static atomic_bool gone_for_good;

static void *use_own(void *heap)
{
	while (!atomic_load(&gone_for_good)) {
		void *p = sparena_heap_malloc(heap, 200000);
		if (p)
			sparena_heap_free(heap, p);
	}
	return heap;
}

/* The first of them is passed over by all who look for their own. */
static void test_others_come_and_go(void **state)
{
	(void)state;
	struct sparena_heap *first = create("limit:16M"), *heaps[USERS];
	pthread_t users[USERS];
	atomic_store(&gone_for_good, false);
	for (int i = 0; i < USERS; i++) {
		heaps[i] = create("limit:16M");
		assert_int_equal(pthread_create(&users[i], NULL, use_own, heaps[i]), 0);
	}
	for (int i = 0; i < COMINGS; i++) {
		sparena_heap_destroy(first);
		first = create("limit:16M");
	}
	atomic_store(&gone_for_good, true);
	for (int i = 0; i < USERS; i++) {
		pthread_join(users[i], NULL);
		check(heaps[i]);
		sparena_heap_destroy(heaps[i]);
	}
	sparena_heap_destroy(first);
}

static struct sparena_heap *all[HEAPS];
static pthread_barrier_t everyone;

static void *use_all(void *unused)
{
	(void)unused;
	for (int i = 0; i < HEAPS; i++)
		take_one(all[i]);
	pthread_barrier_wait(&everyone);
	for (int i = 0; i < HEAPS; i++)
		take_one(all[i]);
	return NULL;
}

/* 70 threads with a cache in each of 64 heaps are more than the 4,094 that there can be. */
static void test_too_many_caches(void **state)
{
	enum { MANY = 70 };
	pthread_t threads[MANY];
	uint64_t uncached = 0;
	(void)state;
	for (int i = 0; i < HEAPS; i++)
		all[i] = create("limit:8M");
	pthread_barrier_init(&everyone, NULL, MANY);
	for (int t = 0; t < MANY; t++)
		assert_int_equal(pthread_create(&threads[t], NULL, use_all, NULL), 0);
	for (int t = 0; t < MANY; t++)
		pthread_join(threads[t], NULL);
	for (int i = 0; i < HEAPS; i++) {
		uncached += stats_of(all[i]).uncached_threads;
		check(all[i]);
		sparena_heap_destroy(all[i]);
	}
	assert_true(uncached >= MANY * HEAPS - 4095);
	/* They are free again. */
	struct sparena_heap *h = create("limit:8M");
	take_one(h);
	assert_int_equal(stats_of(h).uncached_threads, 0);
	sparena_heap_destroy(h);
}

static void *outlive(void *context)
{
	take_one(context);
	pthread_barrier_wait(&everyone);
	pthread_barrier_wait(&everyone); /* the heap is gone */
	return NULL;
}

static void test_heap_ends_first(void **state)
{
	pthread_t t;
	(void)state;
	for (int i = 0; i < 50; i++) {
		struct sparena_heap *h = create("limit:8M");
		pthread_barrier_init(&everyone, NULL, 2);
		assert_int_equal(pthread_create(&t, NULL, outlive, h), 0);
		pthread_barrier_wait(&everyone);
		sparena_heap_destroy(h);
		pthread_barrier_wait(&everyone);
		pthread_join(t, NULL);
	}
}

/* A heap takes its caches along: far more heaps than there can be caches. */
static void test_heaps_end(void **state)
{
	(void)state;
	for (int i = 0; i < 4200; i++) {
		struct sparena_heap *h = create("limit:8M");
		take_one(h);
		assert_int_equal(stats_of(h).uncached_threads, 0);
		sparena_heap_destroy(h);
	}
}

/* ---- debug builds ------------------------------------------------------------------------- */

static void test_wrong_heap(void **state)
{
	(void)state;
	if (!getenv("SPARENA_TEST_DEBUG"))
		skip(); /* only debug builds look */
	struct sparena_heap *a = create("limit:8M"), *b = create("limit:8M");
	void *p = sparena_heap_malloc(a, 100);
	pid_t child = fork();
	if (child == 0) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(1);
		sparena_heap_free(b, p);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	sparena_heap_destroy(a);
	sparena_heap_destroy(b);
}

/* ---- heap NULL ------------------------------------------------------------------------------ */

static struct block *own;

static bool free_own(void *context, size_t need)
{
	(void)need;
	++*(int *)context;
	if (!own)
		return false;
	free(own);
	own = NULL;
	return true;
}

static void assert_refused(const void *p)
{
	assert_null(p);
	assert_int_equal(errno, EINVAL);
	errno = 0;
}

/* Where malloc is somebody else's. */
static void use_no_process_heap(void)
{
	struct sparena_stats s;
	char *p = malloc(10);
	errno = 0;
	assert_refused(sparena_heap_malloc(NULL, 100));
	assert_refused(sparena_heap_calloc(NULL, 10, 10));
	assert_refused(sparena_heap_aligned_alloc(NULL, 64, 100));
	assert_refused(sparena_heap_realloc(NULL, p, 100));
	sparena_heap_free(NULL, p);
	assert_int_equal(sparena_heap_usable_size(NULL, p), 0);
	free(p);
	assert_int_equal(sparena_heap_purge(NULL), -EINVAL);
	assert_int_equal(sparena_heap_pageout(NULL), -EINVAL);
	assert_int_equal(sparena_heap_set_limit(NULL, 64 * MIB), -EINVAL);
	assert_non_null(strstr(sparena_last_error(), "malloc is not sparena's"));
	sparena_heap_on_exhausted(NULL, free_own, NULL);
	assert_int_equal(sparena_stats_get(NULL, &s, sizeof s), -ENOENT);
	assert_int_equal(sparena_stats_print(NULL, STDOUT_FILENO, "text"), -ENOENT);
}

/* Its blocks are malloc's. */
static void use_process_heap(void)
{
	void *p = sparena_heap_malloc(NULL, 100);
	assert_non_null(p);
	free(p);
	p = sparena_heap_realloc(NULL, sparena_heap_calloc(NULL, 10, 10), 1000);
	assert_true(sparena_heap_usable_size(NULL, p) >= 1000);
	free(p);
	p = sparena_heap_aligned_alloc(NULL, 4096, 100);
	assert_int_equal((uintptr_t)p % 4096, 0);
	sparena_heap_free(NULL, p);
	assert_int_equal(sparena_heap_purge(NULL), 0);
	assert_int_equal(sparena_heap_pageout(NULL), 0);
	assert_int_equal(sparena_stats_print(NULL, STDOUT_FILENO, "text"), 0);
}

/* And so do its kin. */
static void malloc_asks_before_it_fails(void)
{
	void *p;
	int asked = 0;
	sparena_heap_on_exhausted(NULL, free_own, &asked);
	size_t most = stats_of(NULL).limit;
	own = malloc(most / 4 * 3);
	assert_non_null(own);
	assert_non_null(p = malloc(most / 2));
	free(p);
	assert_int_equal(asked, 1);
	own = malloc(most / 4 * 3);
	assert_non_null(p = calloc(most / 2, 1));
	free(p);
	own = malloc(most / 4 * 3);
	assert_non_null(p = aligned_alloc(4096, most / 2));
	p = realloc(p, 100);
	own = malloc(most / 4 * 3);
	assert_non_null(p = realloc(p, most / 2));
	free(p);
	assert_int_equal(asked, 4);
	assert_null(malloc(2 * most));
	assert_int_equal(asked, 5);
	sparena_heap_on_exhausted(NULL, NULL, NULL);
}

static void test_process_heap(void **state)
{
	(void)state;
	if (!getenv("SPARENA_CONF")) {
		use_no_process_heap();
		return;
	}
	use_process_heap();
	malloc_asks_before_it_fails();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_input),
		cmocka_unit_test(test_family),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_lazy),
		cmocka_unit_test(test_eviction),
		cmocka_unit_test(test_callback_that_allocates),
		cmocka_unit_test(test_many_heaps),
		cmocka_unit_test(test_independence),
		cmocka_unit_test(test_threads_end),
		cmocka_unit_test(test_others_come_and_go),
		cmocka_unit_test(test_too_many_caches),
		cmocka_unit_test(test_heap_ends_first),
		cmocka_unit_test(test_heaps_end),
		cmocka_unit_test(test_wrong_heap),
		cmocka_unit_test(test_process_heap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
