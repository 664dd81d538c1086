/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "os/os.h"
#include "pages/pages.h"
#include "../support/backings.h"
#include "../support/random.h"

#define DATA_SIZE size_max(data_size, 4 * G)
#define META_SIZE (64 * MiB)

/* ---- failures of the floor below --------------------------------------------- */

static unsigned fail_one_in; /* one populate in so many fails; 0: none */
static atomic_uint calls;    /* of what asks the kernel for pages */

int __real_os_populate(void *addr, size_t size);
int __wrap_os_populate(void *addr, size_t size);
int __wrap_os_populate(void *addr, size_t size)
{
	size_t there = 0;
	calls++;
	if (!fail_one_in || random_below(fail_one_in))
		return __real_os_populate(addr, size);
	if (os_resident(addr, size, &there, NULL) || there) /* backs what is in use again */
		return __real_os_populate(addr, size);
	__real_os_populate(addr, size_down(size / 2, PAGE));
	return -ENOMEM;
}

/* Room for new pages, by a descriptor. */
int __real_os_allocate(int fd, size_t offset, size_t length);
int __wrap_os_allocate(int fd, size_t offset, size_t length);
int __wrap_os_allocate(int fd, size_t offset, size_t length)
{
	calls++;
	if (!fail_one_in || random_below(fail_one_in))
		return __real_os_allocate(fd, offset, length);
	__real_os_allocate(fd, offset, size_down(length / 2, PAGE));
	return -ENOSPC;
}

/* ---- pages to test -------------------------------------------------------------- */

/* On the backing that the environment names (each_backing.sh); private memory has huge
 * chunks beside its granules. */
static struct test_backing kind;
static size_t granule;
#define G granule

static size_t data_size = 256 * MiB;
static struct budget budget;
static struct region data, meta;
static struct pages pages;

static bool has_huge_zone(void) { return kind.ops == &backing_anon; }

/* The clock that ages are told by stands still once a test has set it. */
uint64_t __real_os_clock_ms(void);
uint64_t __wrap_os_clock_ms(void);
static uint64_t stopped_ms;

uint64_t __wrap_os_clock_ms(void) { return stopped_ms ? stopped_ms : __real_os_clock_ms(); }

static void pass_ms(unsigned ms) { stopped_ms = __wrap_os_clock_ms() + ms; }

static void make_with(size_t limit, enum pages_thp thp, int64_t decay_ms)
{
	stopped_ms = 0;
	fail_one_in = 0;
	budget_init(&budget, limit);
	if (!has_huge_zone())
		thp = PAGES_THP_NEVER;
	struct region_config c = {
		.backing = kind.ops, .size = DATA_SIZE, .size_min = DATA_SIZE, .granule = size_min(G, SMALL_GRANULE),
		.huge_in = thp == PAGES_THP_NEVER ? 0 : 2, .closed = true, .piece = CHUNK_SIZE, .budget = &budget,
		.page = kind.page, .path = kind.path, .touch = kind.touch,
	};
	assert_int_equal(region_init(&data, &c), 0);
	assert_int_equal(data.granule, G);
	c = (struct region_config){
		.backing = &backing_anon, .size = META_SIZE, .size_min = META_SIZE, .granule = PAGE,
		.closed = true, .piece = CHUNK_SIZE, .budget = &budget,
	};
	assert_int_equal(region_init(&meta, &c), 0);
	struct pages_config p = {
		.region = &data, .size = data.size, .meta = &meta, .index_at = pages_first_index_bytes(data.granule),
		.thp = thp, .commit_ahead = 2 * MiB, .decay_ms = decay_ms,
	};
	assert_int_equal(pages_init(&pages, &p), 0);
}

static int make(void **state)
{
	(void)state;
	make_with(SIZE_MAX, PAGES_THP_AUTO, PAGES_DECAY_NEVER);
	return 0;
}

static int make_decaying(void **state)
{
	(void)state;
	make_with(SIZE_MAX, PAGES_THP_AUTO, 80);
	return 0;
}

static int make_small_decaying(void **state)
{
	(void)state;
	make_with(SIZE_MAX, PAGES_THP_NEVER, 80);
	return 0;
}

static int make_small(void **state)
{
	(void)state;
	make_with(SIZE_MAX, PAGES_THP_NEVER, PAGES_DECAY_NEVER);
	return 0;
}

static void choose_granule(void) { granule = size_max(SMALL_GRANULE, kind.page); }

/* In granules of a page where there can be such, as thread caches are. */
static int make_of_pages(void **state)
{
	if (has_huge_zone())
		granule = PAGE;
	return make_small(state);
}

static int drop(void **state)
{
	(void)state;
	choose_granule();
	pages_check(&pages);
	region_check(&data);
	region_check(&meta);
	pages_destroy(&pages);
	region_destroy(&data);
	region_destroy(&meta);
	assert_int_equal(budget_charged(&budget), 0);
	return 0;
}

static size_t take(size_t bytes)
{
	size_t offset;
	bool zeroed;
	assert_int_equal(pages_alloc(&pages, bytes, PAGE, 0, &offset, &zeroed), 0);
	return offset;
}

static int try_take(size_t bytes, size_t align, size_t *offset)
{
	bool zeroed;
	return pages_alloc(&pages, bytes, align, 0, offset, &zeroed);
}

static size_t resident(struct region *r)
{
	size_t bytes = 0;
	assert_int_equal(region_resident(r, 0, r->size, &bytes), 0);
	assert_true(r != &data || test_file_holds(&kind, &r->backing, bytes));
	return bytes;
}

#define NEEDS(bytes) SKIP_UNLESS(!kind.most || (bytes) <= kind.least, "the backing has less than " #bytes)
#define NEEDS_HUGE_ZONE() SKIP_UNLESS(has_huge_zone(), "only private memory has huge chunks")
#define NEEDS_SMALL_GRANULES() SKIP_UNLESS(G == SMALL_GRANULE, "its granules are larger")

/* ---- one thing at a time ---------------------------------------------------------- */

static void small_heap_grows_in_small_steps(void **state)
{
	(void)state;
	NEEDS_SMALL_GRANULES();
	take(PAGE);
	assert_int_equal(region_committed(&data), 64 * KiB);
	take(60 * KiB);
	assert_int_equal(region_committed(&data), 64 * KiB);
	take(PAGE);
	assert_int_equal(region_committed(&data), 128 * KiB);
}

static void large_heap_grows_in_huge_chunks(void **state)
{
	(void)state;
	NEEDS_HUGE_ZONE();
	take(8 * MiB);
	size_t before = region_committed(&data);
	take(64 * KiB);
	assert_int_equal(region_committed(&data) - before, 2 * MiB);
	take(MiB);
	assert_int_equal(region_committed(&data) - before, 2 * MiB);
}

/* Threads that start together would each commit as much again. */
static void one_goes_ahead_at_a_time(void **state)
{
	(void)state;
	NEEDS_SMALL_GRANULES();
	take(8 * MiB); /* a sixteenth of it is a step */
	while (pages.resident_free)
		take(PAGE);
	size_t before = region_committed(&data);
	pages.stepping_ahead = true;
	take(PAGE);
	assert_int_equal(region_committed(&data) - before, 64 * KiB);
	pages.stepping_ahead = false;
	while (pages.resident_free)
		take(PAGE);
	before = region_committed(&data);
	take(PAGE);
	assert_true(region_committed(&data) - before > 256 * KiB);
	assert_false(pages.stepping_ahead);
}

static void freed_runs_join_and_serve_again(void **state)
{
	(void)state;
	size_t a = take(5 * PAGE), b = take(3 * PAGE), c = take(7 * PAGE);
	take(G - 15 * PAGE); /* the rest of what was committed */
	size_t committed = region_committed(&data);
	pages_free(&pages, a, 5 * PAGE);
	pages_free(&pages, c, 7 * PAGE);
	pages_free(&pages, b, 3 * PAGE);
	assert_int_equal(take(15 * PAGE), a);
	assert_int_equal(region_committed(&data), committed);
}

static void lowest_run_is_taken(void **state)
{
	(void)state;
	NEEDS(100 * PAGE + G);
	pages_free(&pages, take(100 * PAGE), 100 * PAGE);
	size_t length = 20 * PAGE, a = take(length), b = take(length), c = take(length);
	pages_free(&pages, c, length);
	pages_free(&pages, a, length);
	assert_int_equal(take(length), a);
	assert_int_equal(take(length), c);
	(void)b;
}

static void alignment_is_of_the_address(void **state)
{
	(void)state;
	NEEDS(40 * MiB + G);
	size_t offset;
	take(PAGE);
	for (size_t align = PAGE; align <= 16 * MiB; align *= 2) {
		assert_int_equal(try_take(3 * PAGE, align, &offset), 0);
		assert_int_equal((uintptr_t)(data.base + offset) % align, 0);
	}
}

static void too_much_is_refused(void **state)
{
	(void)state;
	size_t offset;
	assert_int_equal(try_take(DATA_SIZE * 2, PAGE, &offset), -ENOMEM);
	assert_int_equal(try_take(SIZE_MAX - PAGE + 1, PAGE, &offset), -ENOMEM);
	assert_int_equal(try_take(PAGE, (size_t)1 << 62, &offset), -ENOMEM);
	assert_int_equal(pages.exhausted, 3);
	take(PAGE); /* which says nothing about what fits */
}

static void trim_gives_everything_free_back(void **state)
{
	(void)state;
	NEEDS(40 * MiB + G);
	size_t offset[40];
	for (int i = 0; i < 40; i++)
		offset[i] = take(MiB);
	for (int i = 0; i < 40; i++)
		pages_free(&pages, offset[i], MiB);
	size_t committed = region_committed(&data);
	assert_int_equal(pages_trim(&pages, SIZE_MAX), committed);
	assert_int_equal(resident(&data), 0);
	assert_int_equal(pages_trim(&pages, SIZE_MAX), 0);
}

static void old_free_runs_go_back_young_ones_stay(void **state)
{
	(void)state;
	NEEDS(20 * MiB + G);
	pass_ms(0);
	size_t a = take(20 * MiB);
	pages_free(&pages, a, 20 * MiB);
	pages_tick(&pages);
	assert_true(region_committed(&data) >= 20 * MiB);
	pass_ms(60);
	pages_tick(&pages);
	assert_true(region_committed(&data) >= 20 * MiB); /* not yet */
	pass_ms(60);
	for (int i = 0; i < 1000 && region_committed(&data); i++)
		pages_tick(&pages);
	assert_int_equal(region_committed(&data), 0);
}

/* Whoever comes by does not pay for all: single pages have their price. */
static void one_tick_gives_back_a_part(void **state)
{
	(void)state;
	NEEDS(64 * MiB + G);
	pages_free(&pages, take(64 * MiB), 64 * MiB);
	pass_ms(120);
	pages_tick(&pages);
	size_t left = region_committed(&data);
	assert_true(left < 64 * MiB);
	assert_true(left > 0 || G > SMALL_GRANULE); /* huge ones may all go at once */
}

static void used_part_keeps_its_huge_chunk(void **state)
{
	(void)state;
	NEEDS_HUGE_ZONE();
	size_t a = take(8 * MiB);
	pages_free(&pages, a + PAGE, 8 * MiB - PAGE);
	pages.decay_ms = 0; /* at once, but only whole chunks */
	pages_free(&pages, take(PAGE), PAGE);
	assert_int_equal(region_committed(&data), 2 * MiB);
	assert_int_equal(resident(&data), 2 * MiB);
	pages_trim(&pages, SIZE_MAX); /* every free granule */
	assert_int_equal(region_committed(&data), 64 * KiB);
	assert_int_equal(resident(&data), 64 * KiB);
}

/* ---- the index ------------------------------------------------------------------- */

#define FIRST_INDEX (64 * MiB) /* describes so much of the small zone */

static bool has_first_index(void)
{
	assert_int_equal(resident(&meta), region_committed(&meta)); /* no page by a touch */
	return region_is_committed(&meta, 0, PAGE);
}

static void small_heap_has_a_small_index(void **state)
{
	(void)state;
	SKIP_UNLESS(G <= FIRST_INDEX, "its granules are larger");
	take(PAGE);
	assert_true(has_first_index());
	assert_true(region_committed(&meta) <= 2 * PAGE);
}

static void index_moves_before_the_first_huge_chunk(void **state)
{
	(void)state;
	NEEDS_HUGE_ZONE();
	size_t small = take(3 * PAGE);
	assert_true(has_first_index());
	take(8 * MiB);
	assert_false(has_first_index());
	pages_check(&pages);
	pages_free(&pages, small, 3 * PAGE);
	assert_int_equal(take(3 * PAGE), small);
}

/* As much of the small zone as the first index describes. */
static void fill_first_index(size_t *offset)
{
	pages.commit_ahead = 0; /* no further */
	for (size_t i = 0; i < FIRST_INDEX / MiB; i++)
		offset[i] = take(MiB);
	assert_true(has_first_index());
}

/* Free runs, which are there or were given back, and what lies between them. */
static void moved_index_knows_what_is_free(void **state)
{
	(void)state;
	NEEDS_SMALL_GRANULES();
	NEEDS(FIRST_INDEX + 4 * MiB);
	size_t offset[FIRST_INDEX / MiB];
	fill_first_index(offset);
	pages_free(&pages, offset[9], MiB);
	pages_trim(&pages, SIZE_MAX);
	pages_free(&pages, offset[30] + PAGE, 5 * PAGE);
	pages_free(&pages, offset[50], 3 * PAGE);
	size_t committed = region_committed(&data);

	take(2 * MiB);
	assert_false(has_first_index());
	pages_check(&pages);
	assert_int_equal(take(4 * PAGE), offset[30] + PAGE);
	assert_int_equal(take(3 * PAGE), offset[50]);
	assert_int_equal(pages.resident_free, PAGE);
	take(PAGE);
	assert_int_equal(region_committed(&data), committed + 2 * MiB);
	assert_int_equal(take(MiB), offset[9]);
}

static void moved_index_knows_what_is_young(void **state)
{
	(void)state;
	NEEDS_SMALL_GRANULES();
	NEEDS(FIRST_INDEX + 4 * MiB);
	size_t offset[FIRST_INDEX / MiB];
	pass_ms(0);
	fill_first_index(offset);
	pages_free(&pages, offset[20], MiB);
	take(2 * MiB);
	assert_false(has_first_index());
	size_t committed = region_committed(&data);
	pass_ms(20);
	pages_tick(&pages);
	assert_int_equal(region_committed(&data), committed);
	pass_ms(120);
	for (int i = 0; i < 1000; i++)
		pages_tick(&pages);
	assert_true(region_committed(&data) <= committed - MiB);
}

static void index_of_single_pages_is_committed_whole(void **state)
{
	(void)state;
	SKIP_UNLESS(G == PAGE, "its granules are larger");
	size_t offset[FIRST_INDEX / MiB];
	fill_first_index(offset);
	take(MiB);
	assert_false(has_first_index());
	pages_check(&pages);
}

static void index_stays_where_there_is_no_room_to_move(void **state)
{
	(void)state;
	NEEDS_SMALL_GRANULES();
	NEEDS(FIRST_INDEX + 4 * MiB);
	size_t offset[FIRST_INDEX / MiB], more;
	fill_first_index(offset);
	pages_free(&pages, offset[30], PAGE);
	fail_one_in = 1;
	assert_int_equal(try_take(2 * MiB, PAGE, &more), -ENOMEM);
	fail_one_in = 0;
	assert_true(has_first_index());
	pages_check(&pages);
	take(2 * MiB); /* the machine's refusal is asked about again */
	assert_false(has_first_index());
	assert_int_equal(take(PAGE), offset[30]);
}

/* A slab that goes and comes back is the same one; a longer run is made of several. */
static void just_freed_runs_come_back_and_join(void **state)
{
	(void)state;
	size_t offset[40];
	for (int i = 0; i < 40; i++)
		offset[i] = take(2 * PAGE);
	if (80 * PAGE % G)
		take(G - 80 * PAGE % G);
	size_t committed = region_committed(&data);
	for (int i = 0; i < 40; i++) /* more than are kept apart */
		pages_free(&pages, offset[i], 2 * PAGE);
	assert_int_equal(take(2 * PAGE), offset[39]);
	pages_free(&pages, offset[39], 2 * PAGE);
	assert_int_equal(take(80 * PAGE), offset[0]);
	assert_int_equal(region_committed(&data), committed);
}

/* ---- exhaustion ---------------------------------------------------------------------- */

/* Whatever was freed can be had again, in another size. */
static void free_memory_of_one_size_serves_another(void **state)
{
	(void)state;
	NEEDS(32 * MiB);
	NEEDS_SMALL_GRANULES(); /* half used, a larger one stays */
	size_t offset[64], n = 0;
	budget_set_limit(&budget, 32 * MiB);
	while (n < 64 && try_take(MiB, PAGE, &offset[n]) == 0)
		n++;
	assert_true(n >= 30);
	for (size_t i = 0; i < n; i += 2) /* holes of 1 MiB, half of each huge chunk */
		pages_free(&pages, offset[i], MiB);
	for (size_t got = 0; got < n / 2 * MiB * 8 / 10; got += 3 * MiB)
		take(3 * MiB);
	assert_true(budget_charged(&budget) <= 32 * MiB);
}

/* A chunk that was run in small granules becomes huge again when it is empty. */
static void thinned_chunk_is_mended(void **state)
{
	(void)state;
	NEEDS_HUGE_ZONE();
	size_t a = take(8 * MiB);
	pages_free(&pages, a + PAGE, 8 * MiB - PAGE);
	pages_trim(&pages, SIZE_MAX);
	assert_int_equal(region_unit(&data, a), SMALL_GRANULE);
	pages_free(&pages, a, PAGE);
	pages_trim(&pages, SIZE_MAX);
	assert_int_equal(region_unit(&data, a), CHUNK_SIZE);
	assert_int_equal(take(8 * MiB), a);
}

/* Sizes of the tests at a limit: whole granules, and room for the index. */
#define U size_max(MiB, G)
#define LIMIT_OF(n) ((n) * U + MiB)

static void refusal_is_remembered_until_a_free(void **state)
{
	(void)state;
	NEEDS(8 * U);
	size_t a, b;
	budget_set_limit(&budget, LIMIT_OF(8));
	a = take(4 * U);
	assert_int_equal(try_take(6 * U, PAGE, &b), -ENOMEM);
	size_t commits = data.counts.commits;
	assert_int_equal(try_take(6 * U, PAGE, &b), -ENOMEM);
	assert_int_equal(data.counts.commits, commits);
	assert_int_equal(try_take(2 * U, PAGE, &b), 0); /* a smaller one may fit */
	pages_free(&pages, a, 4 * U);
	assert_int_equal(try_take(6 * U, PAGE, &b), 0);
}

static void raised_limit_is_noticed(void **state)
{
	(void)state;
	NEEDS(6 * U);
	size_t a;
	budget_set_limit(&budget, LIMIT_OF(4));
	assert_int_equal(try_take(6 * U, PAGE, &a), -ENOMEM);
	budget_set_limit(&budget, LIMIT_OF(16));
	assert_int_equal(try_take(6 * U, PAGE, &a), 0);
}

static void lasting_failure_ends_when_it_goes_away(void **state)
{
	(void)state;
	SKIP_UNLESS(kind.shared || !kind.touch, "touching cannot fail");
	size_t a, charged = budget_charged(&budget);
	fail_one_in = 1;
	for (int i = 0; i < 3; i++)
		assert_int_equal(try_take(MiB, PAGE, &a), -ENOMEM);
	assert_int_equal(region_committed(&data), 0);
	fail_one_in = 0;
	assert_int_equal(try_take(MiB, PAGE, &a), 0);
	assert_true(budget_charged(&budget) >= charged + MiB);
}

static void keep_is_left_free(void **state)
{
	(void)state;
	NEEDS(8 * U);
	size_t a, limit = LIMIT_OF(8), granules = G + 128 * KiB;
	bool zeroed;
	budget_set_limit(&budget, limit);
	while (pages_alloc(&pages, 64 * KiB, PAGE, U, &a, &zeroed) == 0)
		;
	assert_true(budget_charged(&budget) <= limit - U);
	assert_true(budget_charged(&budget) > limit - U - granules);
	assert_int_equal(pages_alloc(&pages, 64 * KiB, PAGE, 0, &a, &zeroed), 0);
}

/* Not the limit but the backing: what is free, in whatever size, is used before. */
static void full_backing_refuses_and_recovers(void **state)
{
	(void)state;
	SKIP_UNLESS(kind.most, "nothing but the machine bounds it");
	size_t most = 2 * kind.most / (256 * KiB), n = 0;
	size_t *offset = calloc(most, sizeof *offset);
	while (n < most && try_take(256 * KiB, PAGE, &offset[n]) == 0)
		memset(data.base + offset[n++], 7, 256 * KiB);
	assert_true(n * 256 * KiB >= kind.least - (kind.least & (256 * KiB - 1)) && n < most);
	assert_int_equal(resident(&data), region_committed(&data));
	calls = 0;
	assert_int_equal(try_take(256 * KiB, PAGE, &offset[n]), -ENOMEM);
	assert_true(calls <= 4); /* asking again and again would make a full backing a slow one */
	for (size_t i = 0; i < n; i += 2)
		pages_free(&pages, offset[i], 256 * KiB);
	for (size_t i = 0; i < n; i += 2)
		assert_int_equal(try_take(256 * KiB, PAGE, &offset[i]), 0);
	assert_int_equal(resident(&data), region_committed(&data));
	for (size_t i = 0; i < n; i++)
		pages_free(&pages, offset[i], 256 * KiB);
	assert_int_equal(try_take(G, G, &offset[0]), 0); /* in a place of its own if need be */
	pages_free(&pages, offset[0], G);
	pages_trim(&pages, SIZE_MAX);
	assert_int_equal(resident(&data), 0);
	free(offset);
}

/* ---- a region that is full before any limit is reached --------------------------------- */

static int make_full(void **state)
{
	data_size = 32 * MiB;
	make(state);
	data_size = 256 * MiB;
	return 0;
}

/* Granules at the end of the small zone, and of a thinned chunk at the beginning of the
 * other: they are neighbours, and no run may be in both zones. */
static void no_run_is_in_two_zones(void **state)
{
	size_t offset, last = 0, first = data.size;
	(void)state;
	if (!has_huge_zone())
		return;
	while (try_take(G, PAGE, &offset) == 0) {
		if (offset < data.huge_from)
			last = size_max(last, offset);
		else
			first = size_min(first, offset);
	}
	assert_int_equal(first, data.huge_from);
	for (size_t i = 0; i < 4; i++) {
		pages_free(&pages, last - i * G, G);
		pages_free(&pages, first + i * G, G);
	}
	assert_int_equal(pages_trim(&pages, SIZE_MAX), 8 * G);
	assert_int_equal(try_take(6 * G, PAGE, &offset), -ENOMEM);
	assert_int_equal(try_take(4 * G, PAGE, &offset), 0);
	assert_int_equal(try_take(4 * G, PAGE, &offset), 0);
	pages_check(&pages);
}

/* ---- threads at exhaustion: what one gives back another gets --------------------------- */

static void *churn(void *arg)
{
	uint64_t state = (uintptr_t)arg;
	size_t held[16] = { 0 }, bytes[16] = { 0 };
	for (int i = 0; i < 4000; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		unsigned k = state >> 60;
		if (bytes[k]) {
			pages_free(&pages, held[k], bytes[k]);
			bytes[k] = 0;
		} else {
			size_t want = ((state >> 40) % 300 + 1) * PAGE;
			if (try_take(want, PAGE, &held[k]) == 0) {
				bytes[k] = want;
				memset(data.base + held[k], (int)k, want);
			}
		}
	}
	for (unsigned k = 0; k < 16; k++)
		if (bytes[k])
			pages_free(&pages, held[k], bytes[k]);
	return NULL;
}

static void threads_at_exhaustion(void **state)
{
	(void)state;
	pthread_t threads[4];
	budget_set_limit(&budget, 12 * MiB + (G > MiB ? G : 0));
	for (uintptr_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	pages_check(&pages);
	assert_int_equal(resident(&data), region_committed(&data));
	assert_int_equal(pages.allocated, 0);
	pages_trim(&pages, SIZE_MAX);
	assert_int_equal(region_committed(&data), 0);
}

/* ---- a million operations beside a model -------------------------------------------------- */

static unsigned long most_ops = 1000000;

#define RUNS 200
#define MOST_RUN (4 * MiB)

static struct run {
	size_t offset;
	size_t bytes; /* 0: none */
	unsigned char value;
} runs[RUNS];
static unsigned char owner[4 * GiB / PAGE]; /* 1: some run has the page */

static void own(size_t offset, size_t bytes, unsigned char whose)
{
	for (size_t i = offset / PAGE; i < (offset + bytes) / PAGE; i++) {
		EXPECT(owner[i] != whose);
		owner[i] = whose;
	}
}

static void fill(struct run *run, size_t offset, size_t bytes)
{
	for (size_t at = offset; at < offset + bytes; at += PAGE)
		data.base[at] = data.base[at + PAGE - 1] = (char)run->value;
}

static void check_run(const struct run *run)
{
	const unsigned char *base = (const unsigned char *)data.base;
	for (size_t at = run->offset; at < run->offset + run->bytes; at += PAGE)
		EXPECT(base[at] == run->value && base[at + PAGE - 1] == run->value);
}

static size_t some_bytes(void)
{
	size_t most[] = { 4, 4, 4, 40, 40, 300, MOST_RUN / PAGE };
	return (random_below(most[random_below(7)]) + 1) * PAGE;
}

static void random_take(struct run *run)
{
	size_t align = random_below(20) ? PAGE : PAGE << random_below(12), bytes = some_bytes();
	bool zeroed;
	if (pages_alloc(&pages, bytes, align, random_below(3) * MiB, &run->offset, &zeroed))
		return;
	run->bytes = bytes;
	run->value = (unsigned char)(random_next() | 1);
	EXPECT((uintptr_t)(data.base + run->offset) % align == 0);
	EXPECT(region_is_committed(&data, size_down(run->offset, G), G));
	own(run->offset, bytes, 1);
	for (size_t at = run->offset; zeroed && at < run->offset + bytes; at += PAGE)
		EXPECT(data.base[at] == 0 && data.base[at + PAGE - 1] == 0);
	fill(run, run->offset, bytes);
}

static void random_free(struct run *run)
{
	check_run(run);
	size_t part = random_below(4) ? run->bytes : (random_below(run->bytes / PAGE) + 1) * PAGE;
	size_t at = run->offset + run->bytes - part;
	own(at, part, 0);
	pages_free(&pages, at, part);
	run->bytes -= part;
}

static void random_extend(struct run *run)
{
	size_t bytes = some_bytes(), at = run->offset + run->bytes;
	if (pages_alloc_at(&pages, at, bytes))
		return;
	own(at, bytes, 1);
	fill(run, at, bytes);
	run->bytes += bytes;
}

static void compare_books(void)
{
	EXPECT(budget_charged(&budget) == region_committed(&data) + region_committed(&meta));
	if (random_op % 4096)
		return;
	size_t held = 0;
	for (int i = 0; i < RUNS; i++)
		held += runs[i].bytes;
	EXPECT(held == pages.allocated);
	EXPECT(resident(&data) == region_committed(&data));
	EXPECT(resident(&meta) == region_committed(&meta));
	pages_check(&pages);
}

static void set_random_limit(void)
{
	budget_set_limit(&budget, random_below(3) ? (8 + random_below(60)) * MiB : SIZE_MAX);
}

static void random_operations(void **state)
{
	(void)state;
	memset(runs, 0, sizeof runs);
	memset(owner, 0, sizeof owner);
	random_start(3);
	for (unsigned long ops = random_ops(most_ops); random_op < ops; random_op++) {
		struct run *run = &runs[random_below(RUNS)];
		switch (random_below(256)) {
		case 0:
			set_random_limit();
			break;
		case 1:
			fail_one_in = random_below(2) ? 10 : 0;
			break;
		case 2:
			pages_trim(&pages, random_below(4) ? random_below(MiB) : SIZE_MAX);
			break;
		case 3:
			pages_tick(&pages);
			break;
		default:
			if (!run->bytes)
				random_take(run);
			else if (random_below(8) == 0)
				random_extend(run);
			else
				random_free(run);
		}
		compare_books();
	}
	fail_one_in = 0;
	for (int i = 0; i < RUNS; i++)
		if (runs[i].bytes)
			pages_free(&pages, runs[i].offset, runs[i].bytes);
	pages_trim(&pages, SIZE_MAX);
	assert_int_equal(region_committed(&data), 0);
}

/* Where address space is short, most requests are refused. */
static void random_operations_in_a_full_region(void **state)
{
	most_ops = 100000;
	random_operations(state);
	most_ops = 1000000;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(small_heap_grows_in_small_steps, make, drop),
		cmocka_unit_test_setup_teardown(large_heap_grows_in_huge_chunks, make, drop),
		cmocka_unit_test_setup_teardown(one_goes_ahead_at_a_time, make_small, drop),
		cmocka_unit_test_setup_teardown(freed_runs_join_and_serve_again, make, drop),
		cmocka_unit_test_setup_teardown(just_freed_runs_come_back_and_join, make_small, drop),
		cmocka_unit_test_setup_teardown(lowest_run_is_taken, make, drop),
		cmocka_unit_test_setup_teardown(alignment_is_of_the_address, make, drop),
		cmocka_unit_test_setup_teardown(too_much_is_refused, make, drop),
		cmocka_unit_test_setup_teardown(trim_gives_everything_free_back, make, drop),
		cmocka_unit_test_setup_teardown(old_free_runs_go_back_young_ones_stay, make_decaying, drop),
		cmocka_unit_test_setup_teardown(one_tick_gives_back_a_part, make_small_decaying, drop),
		cmocka_unit_test_setup_teardown(used_part_keeps_its_huge_chunk, make, drop),
		cmocka_unit_test_setup_teardown(small_heap_has_a_small_index, make, drop),
		cmocka_unit_test_setup_teardown(index_moves_before_the_first_huge_chunk, make, drop),
		cmocka_unit_test_setup_teardown(moved_index_knows_what_is_free, make_small, drop),
		cmocka_unit_test_setup_teardown(moved_index_knows_what_is_young, make_small_decaying, drop),
		cmocka_unit_test_setup_teardown(index_of_single_pages_is_committed_whole, make_of_pages, drop),
		cmocka_unit_test_setup_teardown(index_stays_where_there_is_no_room_to_move, make_small, drop),
		cmocka_unit_test_setup_teardown(free_memory_of_one_size_serves_another, make, drop),
		cmocka_unit_test_setup_teardown(free_memory_of_one_size_serves_another, make_small, drop),
		cmocka_unit_test_setup_teardown(thinned_chunk_is_mended, make, drop),
		cmocka_unit_test_setup_teardown(refusal_is_remembered_until_a_free, make, drop),
		cmocka_unit_test_setup_teardown(raised_limit_is_noticed, make, drop),
		cmocka_unit_test_setup_teardown(lasting_failure_ends_when_it_goes_away, make, drop),
		cmocka_unit_test_setup_teardown(keep_is_left_free, make_small, drop),
		cmocka_unit_test_setup_teardown(full_backing_refuses_and_recovers, make_small, drop),
		cmocka_unit_test_setup_teardown(no_run_is_in_two_zones, make_full, drop),
		cmocka_unit_test_setup_teardown(threads_at_exhaustion, make, drop),
		cmocka_unit_test_setup_teardown(random_operations, make_decaying, drop),
		cmocka_unit_test_setup_teardown(random_operations, make_small, drop),
		cmocka_unit_test_setup_teardown(random_operations_in_a_full_region, make_full, drop),
	};
	kind = test_backing_get();
	choose_granule();
	return cmocka_run_group_tests_name(kind.name, tests, NULL, NULL);
}
