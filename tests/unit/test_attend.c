/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages that somebody in the background attends to: what he does, what is left to him, and when
 * he is rung for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pages_fixture.h"

static struct os_bell bell;
static unsigned rings;
void __wrap_os_bell_ring(struct os_bell *b);
void __wrap_os_bell_ring(struct os_bell *b)
{
	assert_ptr_equal(b, &bell);
	rings++;
}

static int make(void **state)
{
	(void)state;
	make_with(DECAY_MS);
	os_bell_init(&bell);
	pages_attend_begin(&pages, &bell);
	rings = 0;
	return 0;
}

static int make_without_age(void **state)
{
	(void)state;
	make_with(PAGES_DECAY_NEVER);
	pages_attend_begin(&pages, &bell);
	rings = 0;
	return 0;
}

static uint64_t attend(void) { return pages_attend(&pages, 0); }

/* Until there is nothing to come. */
static void attend_to_the_end(void)
{
	uint64_t ms;
	for (int i = 0; (ms = attend()) != OS_FOREVER; i++) {
		assert_true(i < 1000);
		now_ms += ms;
	}
	rings = 0;
}

/* ---- by age -------------------------------------------------------------------------- */

static void who_frees_gives_nothing_back(void **state)
{
	(void)state;
	size_t a = take(8 * MiB), b = take(8 * MiB), committed = region_committed(&data);
	pages_free(&pages, a, 8 * MiB);
	now_ms += 2 * DECAY_MS;
	pages_free(&pages, b, 8 * MiB);
	pages_tick(&pages);
	assert_int_equal(region_committed(&data), committed);
	attend();
	assert_int_equal(region_committed(&data), 8 * MiB);
	pages_attend_end(&pages);
	now_ms += 2 * DECAY_MS;
	pages_tick(&pages); /* everybody's again */
	assert_int_equal(region_committed(&data), 0);
}

static void looks_each_epoch_while_something_is_to_come(void **state)
{
	(void)state;
	pages_free(&pages, take(8 * MiB), 8 * MiB);
	uint64_t passed = 0;
	for (uint64_t ms; (ms = attend()) != OS_FOREVER; passed += ms) {
		assert_in_range(ms, 1, EPOCH_MS);
		now_ms += ms;
	}
	assert_int_equal(region_committed(&data), 0);
	assert_in_range(passed, DECAY_MS, DECAY_MS + 4 * EPOCH_MS);
}

static void is_rung_for_once_when_it_sleeps(void **state)
{
	(void)state;
	size_t a = take(8 * MiB), b = take(8 * MiB), c = take(PAGE);
	attend_to_the_end();
	now_ms += 100 * DECAY_MS;
	pages_free(&pages, a, 8 * MiB);
	assert_int_equal(rings, 1);
	pages_free(&pages, b, 8 * MiB);
	assert_int_equal(rings, 1);
	attend_to_the_end();
	assert_int_equal(region_committed(&data), CHUNK_SIZE);
	now_ms += 100 * DECAY_MS;
	pages_free(&pages, c, PAGE); /* whose stamp is old */
	assert_int_equal(rings, 1);
	attend_to_the_end();
	assert_int_equal(region_committed(&data), 0);
}

/* What a growing heap commits beyond its need comes of age without ever being freed. */
static void what_was_committed_ahead_goes_too(void **state)
{
	(void)state;
	size_t a = take(40 * MiB);
	attend_to_the_end();
	size_t b = take(PAGE);
	assert_true(rings > 0);
	assert_true(region_committed(&data) > 40 * MiB + SMALL_GRANULE);
	attend_to_the_end();
	assert_int_equal(region_committed(&data), 40 * MiB + CHUNK_SIZE);
	pages_free(&pages, a, 40 * MiB);
	pages_free(&pages, b, PAGE);
}

static void shards_keep_it_awake(void **state)
{
	(void)state;
	pages_free(&pages, take(8 * MiB), 8 * MiB);
	contend(10);
	size_t a = take(4 * PAGE);
	attend_to_the_end();
	assert_int_equal(region_committed(&data), CHUNK_SIZE);
	assert_false(pages_shards_hold(&pages));
	contend(10);
	size_t b = take(4 * PAGE); /* with more of the chunk, into a shard */
	assert_true(pages_shards_hold(&pages));
	assert_int_equal(rings, 1);
	pages_free(&pages, a, 4 * PAGE);
	pages_free(&pages, b, 4 * PAGE);
	attend_to_the_end();
	assert_int_equal(region_committed(&data), 0);
}

static void free_in_a_shard_rings(void **state)
{
	(void)state;
	pages_free(&pages, take(8 * MiB), 8 * MiB);
	contend(10);
	size_t a = take(512 * PAGE / 2);
	pages_attend_begin(&pages, &bell);
	atomic_fetch_and(&pages.wishes, ~PAGES_WISH_AGE); /* as if it slept */
	rings = 0;
	pages_free(&pages, a, 512 * PAGE / 2);
	assert_int_equal(rings, 1);
}

static void without_age_there_is_nothing_to_look_for(void **state)
{
	(void)state;
	pages_free(&pages, take(8 * MiB), 8 * MiB);
	assert_true(attend() == OS_FOREVER);
	now_ms += 1000000;
	assert_true(attend() == OS_FOREVER);
	assert_int_equal(region_committed(&data), 8 * MiB);
}

/* ---- ahead ------------------------------------------------------------------------------ */

static unsigned long commits(void)
{
	struct region_counts c;
	region_get_counts(&data, &c);
	return c.commits;
}

static void next_step_is_there_before_it_is_needed(void **state)
{
	(void)state;
	size_t all = take(64 * MiB), run[4];
	assert_int_equal(rings, 1);
	size_t before = region_committed(&data);
	attend();
	size_t step = region_committed(&data) - before;
	assert_int_equal(step, 4 * MiB); /* a sixteenth */
	unsigned long so_far = commits();
	rings = 0;
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(rings, i > 2);
		run[i] = take(MiB);
	}
	assert_int_equal(commits(), so_far);
	attend();
	assert_true(commits() > so_far);
	pages_free(&pages, all, 64 * MiB);
	for (unsigned i = 0; i < 4; i++)
		pages_free(&pages, run[i], MiB);
}

/* A heap that is too large for steps of small granules, and too small for one of a chunk. */
static void a_step_that_is_over_is_not_asked_for_again(void **state)
{
	(void)state;
	size_t small = take(3 * MiB);
	attend();
	size_t step[3], large = take(8 * MiB);
	for (int i = 0; i < 3; i++)
		step[i] = take(SMALL_GRANULE); /* of what was ahead */
	attend();
	rings = 0;
	for (int i = 0; i < 100; i++) {
		pages_free(&pages, step[2], SMALL_GRANULE);
		step[2] = take(SMALL_GRANULE);
		attend();
	}
	assert_int_equal(rings, 0);
	for (int i = 0; i < 3; i++)
		pages_free(&pages, step[i], SMALL_GRANULE);
	pages_free(&pages, small, 3 * MiB);
	pages_free(&pages, large, 8 * MiB);
}

/* What lies at the end of a step by chance is no reason for the next one. */
static void a_step_that_is_left_is_enough(void **state)
{
	(void)state;
	size_t a = take(64 * MiB);
	attend();
	size_t committed = region_committed(&data);
	rings = 0;
	size_t low = take(2 * MiB), high = take(PAGE);
	assert_int_equal(rings, 1);
	pages_free(&pages, low, 2 * MiB);
	attend();
	assert_int_equal(region_committed(&data), committed);
	pages_free(&pages, high, PAGE);
	pages_free(&pages, a, 64 * MiB);
}

/* What is left of a step is free for ever where all requests are larger. */
static void a_small_step_that_is_left_is_not_enough(void **state)
{
	(void)state;
	size_t small = take(5 * MiB / 4);
	attend();
	assert_int_equal(region_committed(&data), 5 * MiB / 4 + SMALL_GRANULE);
	size_t large = take(64 * MiB), committed = region_committed(&data);
	attend();
	assert_int_equal(region_committed(&data), committed + 4 * MiB);
	pages_free(&pages, small, 5 * MiB / 4);
	pages_free(&pages, large, 64 * MiB);
}

static void goes_not_ahead_of_nobody(void **state)
{
	(void)state;
	size_t a = take(64 * MiB);
	attend_to_the_end();
	size_t before = region_committed(&data);
	for (int i = 0; i < 10; i++)
		attend();
	assert_int_equal(region_committed(&data), before);
	pages_free(&pages, a, 64 * MiB);
}

/* A step has to leave as much again: it must never be what makes a request wait or fail. */
static void stays_away_from_the_limit(void **state)
{
	(void)state;
	size_t a = take(64 * MiB);
	size_t charged = budget_charged(&budget);
	budget_set_limit(&budget, charged + 2 * 4 * MiB - 1);
	attend();
	assert_int_equal(budget_charged(&budget), charged);
	size_t b = take(PAGE); /* who grows rings again */
	pages_free(&pages, b, PAGE);
	budget_set_limit(&budget, SIZE_MAX);
	attend();
	assert_true(budget_charged(&budget) >= charged + 4 * MiB);
	pages_free(&pages, a, 64 * MiB);
}

/* At the limit what lies ahead is there for who needs it. */
static void all_of_it_is_there_at_the_limit(void **state)
{
	(void)state;
	size_t a = take(64 * MiB), offset;
	bool zeroed;
	attend();
	budget_set_limit(&budget, budget_charged(&budget));
	assert_int_equal(pages_alloc(&pages, 4 * MiB, PAGE, 0, &offset, &zeroed), 0);
	pages_free(&pages, a, 64 * MiB);
	pages_free(&pages, offset, 4 * MiB);
}

/* The parent was in the midst of a step, whose thread the child lacks. */
static void child_goes_ahead_by_itself(void **state)
{
	(void)state;
	size_t a = take(64 * MiB);
	pthread_mutex_lock(&pages.lock);
	pages.stepping_ahead = true;
	pthread_mutex_unlock(&pages.lock);
	atomic_store(&pages.attending, true);
	pages_fork_prepare(&pages);
	pages_fork_child(&pages); /* in one process, which is both */
	size_t before = region_committed(&data), b = take(SMALL_GRANULE);
	assert_true(region_committed(&data) >= before + CHUNK_SIZE);
	contend(10);
	assert_true(pages_is_sharding(&pages));
	attend();
	assert_true(region_committed(&data) >= before + CHUNK_SIZE + 4 * MiB);
	pages_free(&pages, a, 64 * MiB);
	pages_free(&pages, b, SMALL_GRANULE);
}

static void nobody_is_rung_for_when_it_has_ended(void **state)
{
	(void)state;
	size_t a = take(64 * MiB);
	attend_to_the_end();
	attend();
	pages_attend_end(&pages);
	size_t b = take(64 * MiB);
	pages_free(&pages, a, 64 * MiB);
	pages_free(&pages, b, 64 * MiB);
	assert_int_equal(rings, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_frees_gives_nothing_back, make, drop),
		cmocka_unit_test_setup_teardown(looks_each_epoch_while_something_is_to_come, make, drop),
		cmocka_unit_test_setup_teardown(is_rung_for_once_when_it_sleeps, make, drop),
		cmocka_unit_test_setup_teardown(what_was_committed_ahead_goes_too, make, drop),
		cmocka_unit_test_setup_teardown(shards_keep_it_awake, make, drop),
		cmocka_unit_test_setup_teardown(free_in_a_shard_rings, make, drop),
		cmocka_unit_test_setup_teardown(without_age_there_is_nothing_to_look_for, make_without_age, drop),
		cmocka_unit_test_setup_teardown(next_step_is_there_before_it_is_needed, make, drop),
		cmocka_unit_test_setup_teardown(a_step_that_is_over_is_not_asked_for_again, make, drop),
		cmocka_unit_test_setup_teardown(a_step_that_is_left_is_enough, make, drop),
		cmocka_unit_test_setup_teardown(a_small_step_that_is_left_is_not_enough, make, drop),
		cmocka_unit_test_setup_teardown(goes_not_ahead_of_nobody, make, drop),
		cmocka_unit_test_setup_teardown(stays_away_from_the_limit, make, drop),
		cmocka_unit_test_setup_teardown(all_of_it_is_there_at_the_limit, make, drop),
		cmocka_unit_test_setup_teardown(child_goes_ahead_by_itself, make, drop),
		cmocka_unit_test_setup_teardown(nobody_is_rung_for_when_it_has_ended, make, drop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
