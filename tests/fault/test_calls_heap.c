/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Explicit heaps, as libsparena.so has them, with every system call failing in turn: while
 * they are created, grow, are exhausted, while threads begin and end, over a fork, while they
 * are purged, their limit changes, and they are destroyed.
 */
#define _GNU_SOURCE
#include "heaps.h"

static const char *options;

static int create(void) { return sparena_heap_create(options, &heap); }

static void set_up_heap(void)
{
	look_begin();
	MUST(create() == 0);
	look_end();
}

static void destroy_heap(void)
{
	sparena_heap_destroy(heap);
	heap = NULL;
}

/* What making a heap and destroying it takes now, it takes for nothing. */
static void check_leaks(void)
{
	size_t before[2], after[2];
	look_begin();
	calm();
	for (int i = 0; i < 2; i++) {
		before[0] = address_space();
		before[1] = descriptors();
		MUST(create() == 0);
		destroy_heap();
		after[0] = address_space();
		after[1] = descriptors();
	}
	MUST_BE_EQUAL(after[0], before[0]);
	MUST_BE_EQUAL(after[1], before[1]);
	look_end();
}

static void use(const struct scenario *s)
{
	options = s->options;
	set_up_heap();
	run_phase(s->act);
	look_begin();
	destroy_heap();
	look_end();
}

/* It may succeed: what is answered by EINVAL for good, is done without. */
static void try_to_create(void)
{
	if (create() == 0)
		destroy_heap();
}

/* What failed once is had at the next try, and what goes on failing when the fault is over. */
static void create_at_last(void)
{
	int err = create();
	if (err && point.lasts == FOR_GOOD) {
		MUST(tries_leave_nothing(try_to_create) || may_lose());
		calm();
	}
	MUST(!err || create() == 0);
	MUST_BE_EQUAL(fork_handlers, 1);
}

static void use_creation(const struct scenario *s)
{
	options = s->options;
	create_at_last();
	run_phase(use_first_blocks);
	look_begin();
	destroy_heap();
	look_end();
	check_leaks();
}

static void use_destruction(const struct scenario *s)
{
	options = s->options;
	set_up_heap();
	look_begin();
	many_sizes(blocks, LARGEST);
	look_end();
	destroy_heap();
	check_leaks();
}

/* Of shared memory a child has nothing. */
static void fork_once(void)
{
	pid_t child = fork();
	MUST(child >= 0);
	if (child == 0) {
		struct block more;
		if (!strstr(options, "memfd")) {
			check_blocks(blocks);
			take(&more, 2 * MiB, 'c');
			give(&more);
			clean_block(100 * KiB);
			block_trim();
		}
		_exit(0);
	}
	look_at_end_of(child);
}

static void take_and_give(void)
{
	struct block one;
	take(&one, 100, 'o');
	give(&one);
}

/* The thread has nothing to do for so little: its calls would come at any time. */
static void use_background(const struct scenario *s)
{
	options = s->options;
	create_at_last();
	pid_t child = fork();
	MUST(child >= 0);
	if (child == 0) {
		take_and_give(); /* with a thread or without */
		_exit(0);
	}
	look_at_end_of(child);
	take_and_give();
	look_begin();
	destroy_heap();
	look_end();
	check_leaks();
}

#define ANON "limit:8M,thp:never,guard:off"
#define MEMFD "limit:8M,backing:memfd,guard:off"

static const struct scenario all[] = {
	{ "heap: create", use_creation, ANON, NULL, true, 8, 0 },
	{ "heap: create, memfd", use_creation, MEMFD, NULL, true, 10, 0 },
	{ "heap: create, guard", use_creation, "limit:8M,thp:never", NULL, true, 12, 0 },
	{ "heap: create, background", use_background, ANON ",background:true,decay_ms:never", NULL, true, 8, 0 },
	{ "heap: growth", use, ANON, grow, true, 1, 0 },
	{ "heap: growth, memfd", use, MEMFD, grow, true, 6, 0 },
	{ "heap: exhaustion", use, ANON, exhaust, true, 2, 0 },
	{ "heap: exhaustion, memfd", use, MEMFD, exhaust, true, 6, 0 },
	{ "heap: thread", use, ANON, run_thread, true, 1, 0 },
	{ "heap: fork", use, ANON, fork_once, true, 6, 0 },
	{ "heap: fork, memfd", use, MEMFD, fork_once, true, 1, 0 },
	{ "heap: purge", use, ANON, purge, true, 1, 0 },
	{ "heap: purge, memfd", use, MEMFD, purge, true, 1, 0 },
	{ "heap: limit", use, ANON, change_limit, true, 1, 0 },
	{ "heap: destroy", use_destruction, ANON, NULL, true, 1, 0 },
	{ "heap: destroy, memfd", use_destruction, MEMFD, NULL, true, 1, 0 },
};

int main(int argc, char **argv) { return points_main(argc, argv, all, sizeof all / sizeof *all); }
