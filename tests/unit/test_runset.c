/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/base.h"
#include "pages/runset.h"
#include "../support/random.h"

#define UNITS (RUNSET_LEAF * 70) /* three levels, the last groups not full */

static struct runset set;
static unsigned char model[UNITS]; /* 1: member */

static int make(void **state)
{
	*state = calloc(1, runset_bytes(UNITS));
	runset_init(&set, *state, UNITS);
	runset_reach(&set, UNITS);
	memset(model, 0, sizeof model);
	return 0;
}

static int drop(void **state)
{
	free(*state);
	return 0;
}

/* The lowest run by looking at every unit. */
static bool model_find(size_t count, size_t *at)
{
	for (size_t i = 0, run = 0; i < UNITS; i++) {
		run = model[i] ? run + 1 : 0;
		if (run == count) {
			*at = i + 1 - count;
			return true;
		}
	}
	return false;
}

static void compare_find(size_t count)
{
	size_t expected = 0, found = 0;
	bool has = model_find(count, &expected);
	EXPECT(runset_find(&set, count, 1, 0, &found) == has);
	EXPECT(!has || found == expected);
}

static void compare_next_leaf(void)
{
	size_t leaf = random_below(UNITS / RUNSET_LEAF), end = leaf + random_below(UNITS / RUNSET_LEAF - leaf) + 1;
	size_t count = random_below(40) + 1, expected = leaf;
	while (expected < end && runset_leaf_longest(&set, expected) < count)
		expected++;
	EXPECT(runset_next_leaf(&set, leaf, end, count) == expected);
}

static size_t some_length(void)
{
	size_t most[] = { 4, 64, 600, 6000 };
	return random_below(most[random_below(4)]) + 1;
}

/* From a random place as far as all is there, or nothing is, or not so far: the other way round. */
static void change(void)
{
	size_t at = random_below(UNITS), most = size_min(some_length(), UNITS - at), count = 1;
	unsigned char add = !model[at];
	while (count < most && model[at + count] == model[at])
		count++;
	if (add)
		runset_add(&set, at, count);
	else
		runset_remove(&set, at, count);
	memset(model + at, add, count);
}

static void finds_what_a_walk_finds(void **state)
{
	(void)state;
	random_start(1);
	for (unsigned long ops = random_ops(1000000) / 20; random_op < ops; random_op++) {
		change();
		compare_find(some_length());
		compare_next_leaf();
		runset_check(&set, 0, UNITS / RUNSET_LEAF);
	}
}

static void empty_has_nothing(void **state)
{
	(void)state;
	size_t at;
	assert_false(runset_find(&set, 1, 1, 0, &at));
	assert_int_equal(runset_next_leaf(&set, 0, UNITS / RUNSET_LEAF, 1), UNITS / RUNSET_LEAF);
}

static void full_is_one_run(void **state)
{
	(void)state;
	size_t at = 1;
	runset_add(&set, 0, UNITS);
	assert_true(runset_find(&set, UNITS, 1, 0, &at));
	assert_int_equal(at, 0);
	assert_false(runset_find(&set, UNITS + 1, 1, 0, &at));
	assert_false(runset_find(&set, SIZE_MAX, 2, 0, &at));
}

static void run_over_a_border_is_found(void **state)
{
	(void)state;
	size_t at;
	size_t border = RUNSET_LEAF * RUNSET_FANOUT; /* of two parents */
	runset_add(&set, border - 3, 6);
	assert_true(runset_find(&set, 6, 1, 0, &at));
	assert_int_equal(at, border - 3);
	assert_int_equal(runset_run_before(&set, border + 3, 100), 6);
	assert_int_equal(runset_run_before(&set, border + 3, 4), 4);
}

static void alignment_counts_from_the_skew(void **state)
{
	(void)state;
	size_t at;
	runset_add(&set, 1, 100);
	assert_true(runset_find(&set, 4, 16, 0, &at));
	assert_int_equal(at, 16);
	assert_true(runset_find(&set, 4, 16, 3, &at));
	assert_int_equal(at, 13);
}

static void tree_grows_with_what_is_reached(void **state)
{
	size_t at = 0;
	runset_init(&set, *state, UNITS);
	runset_reach(&set, RUNSET_LEAF);
	runset_add(&set, 10, 20);
	assert_int_equal(set.levels, 1);
	assert_true(runset_find(&set, 20, 1, 0, &at));
	runset_reach(&set, UNITS);
	assert_int_equal(set.levels, 4);
	assert_true(runset_find(&set, 20, 1, 0, &at));
	assert_int_equal(at, 10);
	runset_check(&set, 0, UNITS / RUNSET_LEAF);
}

/* A set of a few leaves goes on in one of many. */
static void copy_goes_on_where_the_set_was(void **state)
{
	(void)state;
	struct runset few;
	size_t end = RUNSET_LEAF * 9, at;
	void *memory = calloc(1, runset_bytes(end));
	assert_non_null(memory);
	runset_init(&few, memory, end);
	runset_reach(&few, end);
	runset_add(&few, 7, 5);
	runset_add(&few, RUNSET_LEAF * 8 - 30, 60);
	runset_add(&few, end - 40, 40);

	memset(*state, 0, runset_bytes(UNITS));
	runset_init(&set, *state, UNITS);
	runset_copy(&set, &few, end);
	free(memory);
	assert_int_equal(set.levels, few.levels);
	runset_check(&set, 0, 9);
	runset_reach(&set, UNITS);
	runset_add(&set, end, 30); /* joins what was copied */
	runset_check(&set, 0, UNITS / RUNSET_LEAF);
	assert_true(runset_has(&set, 7, 5));
	assert_true(runset_find(&set, 60, 1, 0, &at));
	assert_int_equal(at, RUNSET_LEAF * 8 - 30);
	assert_true(runset_find(&set, 70, 1, 0, &at));
	assert_int_equal(at, end - 40);
	assert_false(runset_find(&set, 71, 1, 0, &at));
}

static int note_part(void *context, void *addr, size_t bytes)
{
	struct { char *from, *end; size_t calls; } *seen = context;
	(void)addr;
	(void)bytes;
	return ++seen->calls == 3 ? -5 : 0;
}

static void cover_stops_at_an_error(void **state)
{
	(void)state;
	struct { char *from, *end; size_t calls; } seen = { NULL, NULL, 0 };
	assert_int_equal(runset_cover(&set, 0, UNITS, note_part, &seen), -5);
	assert_int_equal(seen.calls, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(empty_has_nothing, make, drop),
		cmocka_unit_test_setup_teardown(full_is_one_run, make, drop),
		cmocka_unit_test_setup_teardown(run_over_a_border_is_found, make, drop),
		cmocka_unit_test_setup_teardown(alignment_counts_from_the_skew, make, drop),
		cmocka_unit_test_setup_teardown(tree_grows_with_what_is_reached, make, drop),
		cmocka_unit_test_setup_teardown(copy_goes_on_where_the_set_was, make, drop),
		cmocka_unit_test_setup_teardown(cover_stops_at_an_error, make, drop),
		cmocka_unit_test_setup_teardown(finds_what_a_walk_finds, make, drop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
