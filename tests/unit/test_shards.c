/* SPDX-License-Identifier: BSD-2-Clause */
/* Shards of pages: when there are some, what they hold, and that nothing stays in them. */
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

#include "pages_fixture.h"
#include "../support/random.h"

static int make(void **state)
{
	(void)state;
	make_with(DECAY_MS);
	contend(10);
	assert_true(pages_is_sharding(&pages));
	return 0;
}

static int make_quiet(void **state)
{
	(void)state;
	make_with(DECAY_MS);
	return 0;
}

static bool is_free_in_sets(size_t offset, size_t bytes)
{
	pthread_mutex_lock(&pages.lock);
	pages_recent_flush(&pages);
	bool is = pages_is_resident(&pages, offset, bytes);
	pthread_mutex_unlock(&pages.lock);
	return is;
}

static void next_epoch(void)
{
	now_ms += EPOCH_MS;
	pages_tick(&pages);
}

/* Grows past what is kept in small granules, so that chunks can be shared out. */
static void grow(void) { pages_free(&pages, take(8 * MiB), 8 * MiB); }

/* In another thread, which has another shard. */
static void *take_elsewhere(void *bytes)
{
	size_t *offset = bytes;
	*offset = take(*offset);
	return NULL;
}

static size_t take_in_a_thread(size_t bytes)
{
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, take_elsewhere, &bytes), 0);
	pthread_join(thread, NULL);
	return bytes;
}

/* ---- one thing at a time ----------------------------------------------------------- */

static void begin_where_the_lock_is_contended(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++)
		pages_free(&pages, take(16 * PAGE), 16 * PAGE);
	assert_false(pages_has_shards(&pages));
	contend(1); /* once is nothing */
	assert_false(pages_has_shards(&pages));
	next_epoch();
	contend(3); /* in another epoch: forgotten */
	assert_false(pages_is_sharding(&pages));
	contend(1);
	assert_true(pages_is_sharding(&pages));
}

static void nothing_stays_nothing_is_shared_out(void **state)
{
	(void)state;
	drop(NULL);
	make_with(0);
	contend(100);
	assert_false(pages_has_shards(&pages));
}

static void freed_runs_stay_with_their_shard(void **state)
{
	(void)state;
	grow();
	size_t a = take(64 * PAGE), b = take(64 * PAGE);
	pages_free(&pages, a, 64 * PAGE);
	assert_false(is_free_in_sets(a, 64 * PAGE));
	assert_int_equal(take(32 * PAGE), a);
	assert_int_equal(take(32 * PAGE), a + 32 * PAGE);
	pages_free(&pages, a, 64 * PAGE);
	pages_free(&pages, b, 64 * PAGE);
}

static void threads_get_chunks_of_their_own(void **state)
{
	(void)state;
	grow();
	size_t mine = take(4 * PAGE), other = take_in_a_thread(4 * PAGE);
	assert_int_not_equal(mine / CHUNK_SIZE, other / CHUNK_SIZE);
	pages_free(&pages, other, 4 * PAGE); /* into the other's shard */
	assert_false(is_free_in_sets(other, 4 * PAGE));
	assert_int_not_equal(take(4 * PAGE), other);
	pages_free(&pages, mine, 8 * PAGE);
	pages_shards_drain(&pages); /* from now on they are nobody's */
	assert_true(is_free_in_sets(mine, 8 * PAGE));
	assert_int_equal(take_in_a_thread(8 * PAGE), mine);
	pages_free(&pages, mine, 8 * PAGE);
	assert_false(is_free_in_sets(mine, 8 * PAGE));
}

static void grows_in_place_inside_its_part(void **state)
{
	(void)state;
	grow();
	size_t a = take(16 * PAGE), b = take(16 * PAGE);
	assert_int_equal(b, a + 16 * PAGE);
	assert_int_equal(pages_alloc_at(&pages, b, 16 * PAGE), -ENOMEM);
	pages_free(&pages, b, 16 * PAGE);
	assert_int_equal(pages_alloc_at(&pages, b, 16 * PAGE), 0);
	pages_free(&pages, a, 32 * PAGE);
}

/* Two threads' parts are drained where one thread needs what both have. */
static void all_of_it_is_there_at_the_limit(void **state)
{
	(void)state;
	grow();
	size_t mine = take(4 * PAGE), other = take_in_a_thread(4 * PAGE), offset;
	bool zeroed;
	budget_set_limit(&budget, budget_charged(&budget));
	pages_free(&pages, other, 4 * PAGE);
	pages_free(&pages, mine, 4 * PAGE);
	assert_int_equal(pages_alloc(&pages, 6 * MiB, PAGE, 0, &offset, &zeroed), 0);
	pages_free(&pages, offset, 6 * MiB);
}

/* So little in the others' shards is not asked for before a heap grows; at the limit it is. */
static void the_last_of_it_is_there_at_the_limit(void **state)
{
	(void)state;
	size_t other, run[16 * MiB / (64 * PAGE)], count = 0;
	grow();
	other = take_in_a_thread(64 * PAGE);
	budget_set_limit(&budget, budget_charged(&budget));
	while (pages.resident_free >= 64 * PAGE) /* a refusal would empty the shards already */
		run[count++] = take(64 * PAGE);
	pages_free(&pages, other, 64 * PAGE);
	assert_false(is_free_in_sets(other, 64 * PAGE));
	run[count++] = take(64 * PAGE);
	while (count)
		pages_free(&pages, run[--count], 64 * PAGE);
}

static void *use_and_free(void *unused)
{
	size_t run[40];
	for (int i = 0; i < 40; i++)
		run[i] = take(16 * PAGE);
	for (int i = 0; i < 40; i++)
		pages_free(&pages, run[i], 16 * PAGE);
	return unused;
}

/* What another thread's shard has serves before more is committed. */
static void heap_does_not_grow_while_shards_have_plenty(void **state)
{
	(void)state;
	pthread_t thread;
	grow();
	assert_int_equal(pthread_create(&thread, NULL, use_and_free, NULL), 0);
	pthread_join(thread, NULL);
	size_t committed = region_committed(&data);
	pages_free(&pages, take(7 * MiB), 7 * MiB);
	assert_int_equal(region_committed(&data), committed);
}

/* A refusal is not believed after a free, wherever that went. */
static void refusal_ends_with_a_free_in_a_shard(void **state)
{
	(void)state;
	grow();
	size_t run[256], rest[1024], count = 0, single = 0, offset;
	bool zeroed;
	budget_set_limit(&budget, budget_charged(&budget));
	while (count < 256 && pages_alloc(&pages, 128 * PAGE, PAGE, 0, &run[count], &zeroed) == 0)
		count++;
	assert_in_range(count, 10, 20); /* of 8 MiB and the small zone */
	while (single < 1024 && pages_alloc(&pages, PAGE, PAGE, 0, &rest[single], &zeroed) == 0)
		single++;
	assert_int_equal(pages_alloc(&pages, 128 * PAGE, PAGE, 0, &offset, &zeroed), -ENOMEM);
	pages_free(&pages, run[0], 128 * PAGE);
	run[0] = take(120 * PAGE); /* too little is left of the run to be discarded */
	assert_int_equal(pages_alloc(&pages, 64 * PAGE, PAGE, 0, &offset, &zeroed), -ENOMEM);
	pages_free(&pages, take(PAGE), PAGE);
	pages_free(&pages, run[0], 120 * PAGE); /* into this thread's shard */
	run[0] = take_in_a_thread(128 * PAGE);
	while (count--)
		pages_free(&pages, run[count], 128 * PAGE);
	while (single--)
		pages_free(&pages, rest[single], PAGE);
}

static void unused_parts_go_back_and_decay(void **state)
{
	(void)state;
	grow();
	size_t a = take(4 * PAGE), other = take_in_a_thread(4 * PAGE);
	pages_free(&pages, a, 4 * PAGE);
	pages_free(&pages, other, 4 * PAGE);
	next_epoch(); /* notes that they were used */
	assert_false(is_free_in_sets(a, 4 * PAGE));
	next_epoch();
	assert_true(is_free_in_sets(a, 4 * PAGE));
	assert_true(is_free_in_sets(other, 4 * PAGE));
	for (int i = 0; i < PAGES_EPOCHS_PER_DECAY; i++)
		next_epoch();
	assert_int_equal(region_committed(&data), 0);
}

static void one_thread_alone_ends_it(void **state)
{
	(void)state;
	grow();
	size_t a = take(4 * PAGE);
	next_epoch(); /* contended a while ago */
	pages_free(&pages, a, 4 * PAGE);
	next_epoch();
	assert_false(pages_is_sharding(&pages));
	assert_true(is_free_in_sets(a, 4 * PAGE));
	contend(4);
	assert_true(pages_is_sharding(&pages));
}

/* Two of a shard may stay; the sets get the others back. */
static void chunks_that_are_all_free_go_back(void **state)
{
	(void)state;
	size_t run[16];
	grow();
	for (int i = 0; i < 16; i++)
		run[i] = take(256 * PAGE);
	for (int i = 0; i < 16; i++)
		pages_free(&pages, run[i], 256 * PAGE);
	assert_in_range(pages.allocated, CHUNK_SIZE, 2 * CHUNK_SIZE);
}

/* More chunks than a shard can have parts, all of them in use. */
static void many_chunks_are_no_trouble(void **state)
{
	(void)state;
	enum { RUNS = 200 };
	size_t run[RUNS];
	for (int i = 0; i < RUNS; i++)
		run[i] = take(255 * PAGE);
	for (int round = 0; round < 3; round++)
		for (int i = round % 2; i < RUNS; i += 2) {
			pages_free(&pages, run[i], 255 * PAGE);
			run[i] = take(250 * PAGE);
			pages_free(&pages, run[i], 250 * PAGE);
			run[i] = take(255 * PAGE);
		}
	for (int i = 0; i < RUNS; i++)
		pages_free(&pages, run[i], 255 * PAGE);
	pages_check(&pages);
	assert_int_equal(pages.allocated, 0);
}

/* ---- many threads --------------------------------------------------------------------- */

#define THREADS 8
#define HELD 24

struct held {
	size_t offset, bytes;
	unsigned char mark;
};

static void release(struct held *h)
{
	char *p = data.base + h->offset;
	for (size_t at = 0; at < h->bytes; at += PAGE)
		assert_int_equal((unsigned char)p[at], h->mark);
	pages_free(&pages, h->offset, h->bytes);
	h->bytes = 0;
}

static void acquire(struct held *h, uint64_t state)
{
	size_t bytes = ((state >> 40) % (state >> 50 & 1 ? 20 : 300) + 1) * PAGE, offset;
	bool zeroed;
	if (pages_alloc(&pages, bytes, PAGE, 0, &offset, &zeroed))
		return;
	*h = (struct held){ offset, bytes, (unsigned char)(state >> 33) };
	for (size_t at = 0; at < bytes; at += PAGE)
		data.base[offset + at] = (char)h->mark;
}

static void *churn(void *seed)
{
	uint64_t state = (uintptr_t)seed;
	struct held held[HELD] = { { 0 } };
	for (int i = 0; i < 20000; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		struct held *h = &held[(state >> 56) % HELD];
		if (h->bytes)
			release(h);
		else
			acquire(h, state);
		if (i % 500 == 0)
			contend(2); /* on two processors threads seldom meet */
	}
	for (int i = 0; i < HELD; i++)
		if (held[i].bytes)
			release(&held[i]);
	return NULL;
}

static void run_threads(void)
{
	pthread_t threads[THREADS];
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pages_check(&pages);
	assert_int_equal(pages.allocated, 0);
}

static void blocks_of_many_threads_are_their_own(void **state)
{
	(void)state;
	run_threads();
}

static void many_threads_at_exhaustion(void **state)
{
	(void)state;
	budget_set_limit(&budget, 40 * MiB);
	run_threads();
	pages_trim(&pages, SIZE_MAX);
	assert_int_equal(region_committed(&data), 0);
}

/* The child has what a thread alone could have left behind. */
static void fork_once(void)
{
	pages_fork_prepare(&pages);
	region_fork_prepare(&data);
	region_fork_prepare(&meta);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		alarm(20);
		region_fork_child(&meta);
		region_fork_child(&data);
		pages_fork_child(&pages);
		pages_check(&pages);
		_exit(0);
	}
	region_fork_parent(&meta);
	region_fork_parent(&data);
	pages_fork_parent(&pages);
	int status = -1;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void *fork_now_and_then(void *stop)
{
	while (!atomic_load((atomic_bool *)stop))
		fork_once();
	return NULL;
}

static void fork_in_the_midst_of_it(void **state)
{
	(void)state;
#ifdef __SANITIZE_THREAD__
	print_message("skipped: ThreadSanitizer's runtime has locks of its own, for which the child would wait\n");
	skip();
#endif
	atomic_bool stop = false;
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, fork_now_and_then, &stop), 0);
	run_threads();
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(begin_where_the_lock_is_contended, make_quiet, drop),
		cmocka_unit_test_setup_teardown(nothing_stays_nothing_is_shared_out, make_quiet, drop),
		cmocka_unit_test_setup_teardown(freed_runs_stay_with_their_shard, make, drop),
		cmocka_unit_test_setup_teardown(threads_get_chunks_of_their_own, make, drop),
		cmocka_unit_test_setup_teardown(grows_in_place_inside_its_part, make, drop),
		cmocka_unit_test_setup_teardown(all_of_it_is_there_at_the_limit, make, drop),
		cmocka_unit_test_setup_teardown(the_last_of_it_is_there_at_the_limit, make, drop),
		cmocka_unit_test_setup_teardown(heap_does_not_grow_while_shards_have_plenty, make, drop),
		cmocka_unit_test_setup_teardown(refusal_ends_with_a_free_in_a_shard, make, drop),
		cmocka_unit_test_setup_teardown(unused_parts_go_back_and_decay, make, drop),
		cmocka_unit_test_setup_teardown(one_thread_alone_ends_it, make, drop),
		cmocka_unit_test_setup_teardown(chunks_that_are_all_free_go_back, make, drop),
		cmocka_unit_test_setup_teardown(many_chunks_are_no_trouble, make, drop),
		cmocka_unit_test_setup_teardown(blocks_of_many_threads_are_their_own, make, drop),
		cmocka_unit_test_setup_teardown(many_threads_at_exhaustion, make, drop),
		cmocka_unit_test_setup_teardown(fork_in_the_midst_of_it, make, drop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
