/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE /* process_vm_readv */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "conf/about.h"
#include "os/os.h"
#include "region/region.h"
#include "sparena/region.h"
#include "../support/backings.h"
#include "../support/faults.h"
#include "../support/random.h"

/* ---- failures of the floor below --------------------------------------------- */

static int fail_with;          /* what the next failing call returns */
static unsigned fail_one_in;   /* one call in so many fails; 0: none */
static unsigned fail_after;    /* counts down to the one that fails */

static bool now_fails(void)
{
	if (fail_after && --fail_after == 0)
		return true;
	return fail_one_in && random_below(fail_one_in) == 0;
}

int __real_os_populate(void *addr, size_t size);
int __wrap_os_populate(void *addr, size_t size);
int __wrap_os_populate(void *addr, size_t size)
{
	if (!now_fails())
		return __real_os_populate(addr, size);
	/* The kernel leaves the pages before the failing one populated. */
	__real_os_populate(addr, size_down(size / 2, 4096));
	return fail_with;
}

/* Nor does it give the room back that was taken for a part. */
int __real_os_allocate(int fd, size_t offset, size_t length);
int __wrap_os_allocate(int fd, size_t offset, size_t length);
int __wrap_os_allocate(int fd, size_t offset, size_t length)
{
	if (!now_fails())
		return __real_os_allocate(fd, offset, length);
	__real_os_allocate(fd, offset, size_down(length / 2, 4096));
	return fail_with;
}

static bool discards_fail;

int __real_os_discard(void *addr, size_t size);
int __wrap_os_discard(void *addr, size_t size);
int __wrap_os_discard(void *addr, size_t size)
{
	return discards_fail ? -EPERM : __real_os_discard(addr, size);
}

int __real_os_remove(void *addr, size_t size);
int __wrap_os_remove(void *addr, size_t size);
int __wrap_os_remove(void *addr, size_t size)
{
	return discards_fail ? -EPERM : __real_os_remove(addr, size);
}

static bool old_kernel;

bool __real_os_can_populate(void);
bool __wrap_os_can_populate(void);
bool __wrap_os_can_populate(void) { return !old_kernel && __real_os_can_populate(); }

/* ---- a region to test --------------------------------------------------------- */

#define MOST_GRANULES 1024

/* On the backing that the environment names (each_backing.sh); on private memory there
 * is a huge zone too. */
static struct test_backing kind;
static size_t granule, granules;
#define G granule
#define SIZE (granules * granule)
#define HUGE_FROM (8 * MiB)

static struct budget budget;
static struct region region;

static bool has_huge_zone(void) { return kind.ops == &backing_anon; }

/* Small enough that the model fills a backing of bounded size now and then. */
static void choose_size(void)
{
	granule = size_max(SMALL_GRANULE, kind.page);
	granules = size_min(3 * kind.most / granule, MOST_GRANULES);
	if (!kind.most)
		granules = 16 * MiB / SMALL_GRANULE;
	granules = size_max(granules, 16);
}

static bool traps; /* the next region */

static void make_with(size_t limit, unsigned huge_in, bool closed)
{
	budget_init(&budget, limit);
	struct region_config config = {
		.backing = kind.ops, .size = SIZE, .size_min = SIZE, .granule = SMALL_GRANULE,
		.huge_in = has_huge_zone() ? huge_in : 0, .closed = closed, .piece = CHUNK_SIZE, .budget = &budget,
		.page = kind.page, .path = kind.path, .touch = kind.touch, .traps = traps,
	};
	assert_int_equal(region_init(&region, &config), 0);
	assert_int_equal(region.granule, granule);
	assert_int_equal(region.size, SIZE);
	fail_one_in = fail_after = 0;
}

static int make(void **state)
{
	(void)state;
	traps = kind.trap;
	make_with(SIZE_MAX, 2, true);
	return 0;
}

static int make_trapping(void **state)
{
	(void)state;
	traps = true;
	make_with(SIZE_MAX, 2, true);
	return 0;
}

#define NEEDS(n) SKIP_UNLESS(!kind.most || (n) * G <= kind.least, "the pool has fewer than " #n " pages")
#define NEEDS_HUGE_ZONE() SKIP_UNLESS(has_huge_zone(), "only private memory has a huge zone")

static int drop(void **state)
{
	(void)state;
	fail_one_in = 0;
	discards_fail = false;
	region_check(&region);
	region_destroy(&region);
	assert_int_equal(budget_charged(&budget), 0);
	return 0;
}

static size_t resident(size_t offset, size_t length)
{
	size_t bytes = 0;
	assert_int_equal(region_resident(&region, offset, length, &bytes), 0);
	return bytes;
}

/* ---- one thing at a time ------------------------------------------------------- */

static void commit_is_resident_and_charged(void **state)
{
	(void)state;
	NEEDS(3);
	assert_int_equal(region_commit(&region, G, 3 * G), 0);
	assert_int_equal(resident(0, SIZE), 3 * G);
	assert_int_equal(budget_charged(&budget), 3 * G);
	assert_true(region_is_committed(&region, G, 3 * G));
	assert_false(region_is_committed(&region, 0, G));
}

static void commit_again_costs_nothing(void **state)
{
	(void)state;
	NEEDS(4);
	assert_int_equal(region_commit(&region, 0, 2 * G), 0);
	memset(region.base, 7, G);
	assert_int_equal(region_commit(&region, 0, 4 * G), 0);
	assert_int_equal(budget_charged(&budget), 4 * G);
	assert_int_equal(region.base[G - 1], 7);
}

static void decommit_gives_back_and_zeroes(void **state)
{
	(void)state;
	NEEDS(4);
	assert_int_equal(region_commit(&region, 0, 4 * G), 0);
	memset(region.base, 7, 4 * G);
	assert_int_equal(region_decommit(&region, G, 2 * G), 0);
	assert_int_equal(resident(0, SIZE), 2 * G);
	assert_int_equal(budget_charged(&budget), 2 * G);
	assert_int_equal(region_commit(&region, G, G), 0);
	assert_int_equal(region.base[G], 0);
	assert_int_equal(region.base[0], 7);
}

static void bad_ranges_are_refused(void **state)
{
	(void)state;
	struct { size_t offset, length; } bad[] = {
		{ 1, G }, { 0, G + 1 }, { 0, 0 }, { SIZE, G }, { 0, SIZE + G }, { SIZE_MAX - G + 1, G },
		{ G, SIZE_MAX - G + 1 }, { G / 2, G }, { 0, G / 2 },
		{ HUGE_FROM, G }, { HUGE_FROM + G, CHUNK_SIZE }, { HUGE_FROM - G, 2 * G }, /* of a huge zone */
	};
	size_t n = sizeof bad / sizeof *bad - (has_huge_zone() ? 0 : 3);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(region_commit(&region, bad[i].offset, bad[i].length), -EINVAL);
		assert_int_equal(region_decommit(&region, bad[i].offset, bad[i].length), -EINVAL);
	}
	assert_int_equal(budget_charged(&budget), 0);
}

static void limit_refuses_whole(void **state)
{
	(void)state;
	NEEDS(5);
	budget_set_limit(&budget, 5 * G);
	assert_int_equal(region_commit(&region, 0, 3 * G), 0);
	assert_int_equal(region_commit(&region, 2 * G, 4 * G), -ENOMEM);
	assert_int_equal(resident(0, SIZE), 3 * G);
	assert_int_equal(region_commit_keep(&region, 3 * G, G, 2 * G), -ENOMEM);
	assert_int_equal(region_commit_keep(&region, 3 * G, G, G), 0);
	budget_set_limit(&budget, G); /* below what is used: nothing more, nothing lost */
	assert_int_equal(region_commit(&region, 5 * G, G), -ENOMEM);
	assert_int_equal(region_commit(&region, 0, 4 * G), 0);
}

static void failed_populate_leaves_nothing(void **state)
{
	(void)state;
	NEEDS(6);
	int answers[] = { -ENOMEM, -EFAULT, -EHWPOISON, -ENOSPC };
	int expected[] = { -ENOMEM, -ENOMEM, -EHWPOISON, kind.shared ? -ENOMEM : -ENOSPC };
	assert_int_equal(region_commit(&region, 2 * G, G), 0);
	region.base[2 * G] = 7;
	for (unsigned i = 0; i < 4; i++) {
		int err = expected[i];
		unsigned nth = 0; /* call in the part before, or behind, what is there already */
		while (err == expected[i]) {
			fail_with = answers[i];
			fail_after = ++nth;
			err = region_commit(&region, 0, 5 * G);
			assert_int_equal(budget_charged(&budget), err ? G : 5 * G);
			assert_int_equal(resident(0, SIZE), err ? G : 5 * G);
			assert_true(test_file_holds(&kind, &region.backing, err ? G : 5 * G));
			assert_int_equal(region.base[2 * G], 7);
			region_check(&region);
		}
		assert_int_equal(err, 0);
		assert_true(nth > 2 || (kind.touch && !kind.shared)); /* touching cannot fail */
		fail_after = 0;
		assert_int_equal(region_decommit(&region, 0, 2 * G), 0);
		assert_int_equal(region_decommit(&region, 3 * G, 2 * G), 0);
	}
}

/* It gives nobody more room than there was; unless its charge, while it lasted, was in the way. */
static void failed_populate_is_no_free(void **state)
{
	(void)state;
	SKIP_UNLESS(kind.shared || !kind.touch, "touching cannot fail");
	size_t frees = budget_frees(&budget);
	fail_with = -ENOMEM;
	fail_after = 1;
	assert_int_equal(region_commit(&region, 0, G), -ENOMEM);
	assert_int_equal(budget_frees(&budget), frees);

	budget_set_limit(&budget, 3 * G);
	frees = budget_frees(&budget);
	size_t refused = budget_refused(&budget);
	assert_int_equal(budget_charge(&budget, 2 * G, 0), 0);
	assert_int_equal(budget_charge(&budget, 2 * G, 0), -ENOMEM);
	budget_take_back(&budget, 2 * G, refused);
	assert_int_equal(budget_frees(&budget), frees + 1);
	assert_int_equal(budget_charged(&budget), 0);
}

/* Even then the charge covers what is resident, and it ends with the fault. */
static void what_cannot_be_undone_stays_charged(void **state)
{
	(void)state;
	NEEDS(5);
	SKIP_UNLESS(kind.shared || !kind.touch, "touching cannot fail");
	fail_with = -ENOMEM;
	fail_after = region.backing.allocates && !kind.touch ? 2 : 1; /* when something is populated */
	discards_fail = true;
	assert_int_equal(region_commit(&region, 0, 4 * G), -ENOMEM);
	assert_int_equal(region_committed(&region), 0);
	assert_true(resident(0, SIZE) > 0 || kind.touch);
	assert_true(budget_charged(&budget) >= resident(0, SIZE));
	assert_int_equal(region_commit(&region, G, G), -ENOMEM); /* not clean: not handed out */
	assert_int_equal(region_decommit(&region, G, G), 0);
	region_check(&region);
	discards_fail = false;
	assert_int_equal(region_commit(&region, 8 * G, G), 0); /* any operation tries again */
	assert_int_equal(resident(0, SIZE), G);
	assert_int_equal(budget_charged(&budget), G);
	assert_int_equal(region_commit(&region, 0, 4 * G), 0);
}

static void failed_decommit_changes_nothing(void **state)
{
	(void)state;
	NEEDS(3);
	assert_int_equal(region_commit(&region, 0, 2 * G), 0);
	region.base[0] = 7;
	discards_fail = true;
	assert_int_equal(region_decommit(&region, 0, 2 * G), -EPERM);
	discards_fail = false;
	assert_true(region_is_committed(&region, 0, 2 * G));
	assert_int_equal(region.base[0], 7);
	assert_int_equal(resident(0, SIZE), 2 * G);
}

static void failed_thinning_changes_nothing(void **state)
{
	(void)state;
	NEEDS_HUGE_ZONE();
	assert_int_equal(region_commit(&region, HUGE_FROM, CHUNK_SIZE), 0);
	discards_fail = true;
	assert_int_equal(region_thin(&region, HUGE_FROM, 1), -EPERM);
	discards_fail = false;
	assert_int_equal(region_unit(&region, HUGE_FROM), CHUNK_SIZE);
	assert_int_equal(resident(0, SIZE), CHUNK_SIZE);
}

static void failed_populate_of_many_pieces_leaves_nothing(void **state)
{
	(void)state;
	NEEDS_HUGE_ZONE();
	fail_with = -ENOMEM;
	SKIP_UNLESS(!kind.touch, "touching cannot fail");
	fail_after = 3;
	assert_int_equal(region_commit(&region, HUGE_FROM, 4 * CHUNK_SIZE), -ENOMEM);
	assert_int_equal(resident(0, SIZE), 0);
	assert_int_equal(budget_charged(&budget), 0);
}

static void old_kernel_is_touched(void **state)
{
	NEEDS_HUGE_ZONE();
	old_kernel = true;
	make(state);
	old_kernel = false;
	fail_with = -EINVAL; /* what such a kernel would say */
	fail_one_in = 1;
	assert_int_equal(region_commit(&region, 0, 2 * G), 0);
	assert_int_equal(resident(0, SIZE), 2 * G);
	assert_int_equal(region_decommit(&region, G, G), 0);
	assert_int_equal(resident(0, SIZE), G);
	drop(state);
}

static void thinned_chunk_keeps_what_it_must(void **state)
{
	(void)state;
	NEEDS_HUGE_ZONE();
	size_t chunk = HUGE_FROM + CHUNK_SIZE;
	uint32_t keep = 0x80000101;
	assert_int_equal(region_commit(&region, chunk, CHUNK_SIZE), 0);
	memset(region.base + chunk, 7, G); /* the others hold zeros: the split would unback them */
	assert_int_equal(region_thin(&region, chunk, keep), 0);
	assert_int_equal(budget_charged(&budget), 3 * G);
	assert_int_equal(resident(chunk, CHUNK_SIZE), 3 * G);
	assert_int_equal(region.base[chunk + G - 1], 7);
	assert_int_equal(region_unit(&region, chunk), G);
	assert_int_equal(region_commit(&region, chunk + G, G), 0);
	assert_int_equal(region_mend(&region, chunk), -EBUSY);
	assert_int_equal(region_decommit(&region, chunk, CHUNK_SIZE), 0);
	assert_int_equal(region_mend(&region, chunk), 0);
	assert_int_equal(region_unit(&region, chunk), CHUNK_SIZE);
}

static void thin_refuses_what_is_not_a_huge_chunk(void **state)
{
	(void)state;
	NEEDS_HUGE_ZONE();
	assert_int_equal(region_thin(&region, 0, 0), -EINVAL);
	assert_int_equal(region_thin(&region, HUGE_FROM, 0), -EINVAL);
	assert_int_equal(region_thin(&region, HUGE_FROM + G, 0), -EINVAL);
	assert_int_equal(region_mend(&region, 0), -EINVAL);
}

/* Thread sanitizer would take page faults of its own here. */
__attribute__((no_sanitize_thread)) static void zero_granule_stays_backed_after_thinning(void **state)
{
	(void)state;
	NEEDS_HUGE_ZONE();
	assert_int_equal(region_commit(&region, HUGE_FROM, CHUNK_SIZE), 0);
	assert_int_equal(region_thin(&region, HUGE_FROM, 1), 0);
	volatile char *p = region.base + HUGE_FROM;
	for (size_t i = 0; i < G; i += 4096)
		(void)p[i]; /* a sanitizer's shadow is there, then; the zero page would be read, too */
	long before = minor_faults();
	for (size_t i = 0; i < G; i += 4096)
		p[i] = 1;
	assert_int_equal(minor_faults(), before);
}

/* Whether the mapping at addr has a flag of smaps' VmFlags, proc(5). */
static bool has_vm_flag(const void *addr, const char *flag)
{
	char line[512];
	bool here = false, found = false;
	FILE *f = fopen("/proc/self/smaps", "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		uintptr_t from, to;
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = (uintptr_t)addr >= from && (uintptr_t)addr < to;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, flag) != NULL;
	}
	fclose(f);
	return found;
}

/* Otherwise the kernel makes resident what was never charged. */
static void zones_say_what_may_be_huge(void **state)
{
	(void)state;
	NEEDS_HUGE_ZONE();
	assert_true(has_vm_flag(region.base, " nh"));
	assert_true(has_vm_flag(region.base + HUGE_FROM, " hg"));
	assert_int_equal(region_commit(&region, HUGE_FROM, CHUNK_SIZE), 0);
	assert_int_equal(region_thin(&region, HUGE_FROM, 1), 0);
	assert_true(has_vm_flag(region.base + HUGE_FROM, " nh"));
	assert_int_equal(region_decommit(&region, HUGE_FROM, G), 0);
	assert_int_equal(region_mend(&region, HUGE_FROM), 0);
	assert_true(has_vm_flag(region.base + HUGE_FROM, " hg"));
}

static void closed_region_is_inaccessible(void **state)
{
	(void)state;
	SKIP_UNLESS(!region.traps, "a region that traps is not opened in pieces");
	assert_int_equal(region_commit(&region, 0, G), 0);
	region.base[0] = 1;
	/* A read of what was never opened would end the test: ask the kernel instead. */
	assert_int_equal(os_populate(region.base + region.piece, 4096), -EINVAL);
}

/* And nothing more: it is neither charged nor resident. */
static void what_is_opened_ahead_is_accessible(void **state)
{
	(void)state;
	SKIP_UNLESS(!region.traps, "a region that traps is not opened in pieces");
	size_t piece = region.piece, resident;
	SKIP_UNLESS(region.size >= 5 * piece, "so few pieces");
	region_open_ahead(&region, piece, 2 * piece);
	assert_false(has_vm_flag(region.base, " wr"));
	assert_true(has_vm_flag(region.base + piece, " wr"));
	assert_true(has_vm_flag(region.base + 3 * piece - 1, " wr"));
	assert_false(has_vm_flag(region.base + 3 * piece, " wr"));
	assert_int_equal(budget_charged(&budget), 0);
	assert_int_equal(region_resident(&region, 0, region.size, &resident), 0);
	assert_int_equal(resident, 0);
	region_open_ahead(&region, region.size - piece, SIZE_MAX);
	assert_true(has_vm_flag(region.base + region.size - 1, " wr"));
	region_open_ahead(&region, region.size, piece); /* there is nothing */
	assert_int_equal(region_commit(&region, piece, piece), 0);
	assert_int_equal(region_decommit(&region, piece, piece), 0);
}

/* ---- what traps ------------------------------------------------------------------ */

/* By the kernel, since a touch would end the test. */
static bool can_be_touched(const char *p)
{
	char byte;
	struct iovec here = { &byte, 1 }, there = { (void *)(uintptr_t)p, 1 };
	return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 1;
}

static void only_committed_granules_are_open(void)
{
	for (size_t g = 0; g < granules; g++)
		for (int end = 0; end < 2; end++) {
			const char *p = region.base + g * G + (end ? G - 1 : 0);
			if (can_be_touched(p) != region_is_committed(&region, g * G, G))
				fail_msg("granule %zu is %scommitted", g, can_be_touched(p) ? "open and not " : "closed and ");
		}
}

static void what_was_given_back_traps(void **state)
{
	(void)state;
	NEEDS(8);
	only_committed_granules_are_open();
	assert_int_equal(region_commit(&region, 2 * G, 5 * G), 0);
	memset(region.base + 2 * G, 1, 5 * G);
	only_committed_granules_are_open();
	assert_int_equal(region_decommit(&region, 3 * G, 2 * G), 0);
	only_committed_granules_are_open();
	assert_int_equal(region_commit(&region, 0, 8 * G), 0);
	assert_int_equal(region.base[2 * G], 1);
	assert_int_equal(region.base[3 * G], 0);
	only_committed_granules_are_open();
	assert_int_equal(region_decommit(&region, 0, 8 * G), 0);
	only_committed_granules_are_open();
}

/* On both sides of what is committed; the second half may fail when the first is there. */
static void what_could_not_be_committed_traps(void **state)
{
	(void)state;
	NEEDS(8);
	assert_int_equal(region_commit(&region, 2 * G, G), 0);
	fail_with = -ENOMEM;
	int failed = 0;
	for (unsigned n = 1; n <= 5; n++) {
		fail_after = n;
		int err = region_commit(&region, 0, 6 * G);
		fail_after = 0;
		assert_true(err == 0 || err == -ENOMEM);
		failed += err != 0;
		only_committed_granules_are_open();
		assert_int_equal(region_decommit(&region, 0, 2 * G), 0);
		assert_int_equal(region_decommit(&region, 3 * G, 3 * G), 0);
	}
	assert_true(failed >= 2 || kind.touch); /* by touching, private memory is had or the process ends */
}

static void what_was_thinned_traps(void **state)
{
	(void)state;
	NEEDS_HUGE_ZONE();
	assert_int_equal(region_commit(&region, HUGE_FROM, 2 * CHUNK_SIZE), 0);
	assert_int_equal(region_thin(&region, HUGE_FROM, 0x0ff0a001), 0);
	only_committed_granules_are_open();
	assert_int_equal(region_commit(&region, HUGE_FROM + G, 3 * G), 0);
	only_committed_granules_are_open();
	assert_int_equal(region_decommit(&region, HUGE_FROM, CHUNK_SIZE), 0);
	assert_int_equal(region_mend(&region, HUGE_FROM), 0);
	only_committed_granules_are_open();
	assert_int_equal(region_commit(&region, HUGE_FROM, CHUNK_SIZE), 0);
	only_committed_granules_are_open();
}

/* ---- many threads on overlapping ranges ----------------------------------------- */

static void *commit_and_decommit(void *arg)
{
	uint64_t state = (uintptr_t)arg;
	size_t times = size_max(3000 * SMALL_GRANULE / G, 100); /* large ones take time to clear */
	for (size_t i = 0; i < times; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		size_t first = (state >> 33) % 32, count = (state >> 40) % 8 + 1;
		if (state >> 63)
			region_commit(&region, first * G, count * G);
		else
			region_decommit(&region, first * G, count * G);
	}
	return NULL;
}

static void threads_on_overlapping_ranges(void **state)
{
	(void)state;
	NEEDS(30);
	pthread_t threads[4];
	budget_set_limit(&budget, 30 * G);
	for (uintptr_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, commit_and_decommit, (void *)(i + 1)), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	region_check(&region);
	assert_int_equal(resident(0, SIZE), region_committed(&region));
	assert_true(test_file_holds(&kind, &region.backing, region_committed(&region)));
}

/* ---- a million operations beside a model ----------------------------------------- */

static struct {
	bool committed[MOST_GRANULES];
	unsigned char value[MOST_GRANULES]; /* in the first and last byte */
	bool thinned[MOST_GRANULES / CHUNK_PARTS];
	size_t bytes;
	unsigned long full; /* commits that the backing had no room for */
} model;

static size_t unit_of(size_t at)
{
	bool huge = has_huge_zone() && at * G >= HUGE_FROM && !model.thinned[at / CHUNK_PARTS];
	return huge ? CHUNK_PARTS : 1;
}

/* A range that mostly is made of whole units. */
static void some_range(size_t *first, size_t *count)
{
	*first = random_below(granules);
	*count = random_below(6) + 1;
	if (unit_of(*first) != 1 && random_below(50)) {
		*first = size_down(*first, CHUNK_PARTS);
		*count = CHUNK_PARTS * (random_below(8) == 0 ? 2 : 1);
	}
	*count = size_min(*count, granules - *first);
}

static bool is_whole(size_t first, size_t count)
{
	size_t past = first + count;
	return first % unit_of(first) == 0 && past % unit_of(past - 1) == 0;
}

static void model_set(size_t g, bool committed)
{
	if (model.committed[g] == committed)
		return;
	model.committed[g] = committed;
	model.bytes += committed ? G : -G;
	if (committed) { /* new memory reads zero */
		char *p = region.base + g * G;
		EXPECT(p[0] == 0 && p[G - 1] == 0);
		p[0] = p[G - 1] = (char)(model.value[g] = (unsigned char)random_next());
	}
}

static void check_values(size_t first, size_t count)
{
	for (size_t g = first; g < first + count; g++) {
		unsigned char *p = (unsigned char *)region.base + g * G;
		EXPECT(!model.committed[g] || (p[0] == model.value[g] && p[G - 1] == model.value[g]));
	}
}

static void commit_and_compare(size_t first, size_t count)
{
	size_t missing = 0;
	for (size_t g = first; g < first + count; g++)
		missing += model.committed[g] ? 0 : G;
	int err = region_commit(&region, first * G, count * G);
	if (!is_whole(first, count)) {
		EXPECT(err == -EINVAL);
		return;
	}
	EXPECT(err == 0 || err == -ENOMEM);
	EXPECT(err == 0 || missing);
	size_t bytes = model.bytes + missing;
	if (missing && (bytes > budget_limit(&budget) || (kind.most && bytes > kind.most)))
		EXPECT(err == -ENOMEM);
	else
		EXPECT(err == 0 || fail_one_in || (kind.most && bytes > kind.least));
	model.full += err && bytes <= budget_limit(&budget) && !fail_one_in;
	for (size_t g = first; g < first + count && !err; g++)
		model_set(g, true);
	check_values(first, count);
}

static void random_commit(void)
{
	size_t first, count;
	some_range(&first, &count);
	commit_and_compare(first, count);
}

static void random_decommit(void)
{
	size_t first, count;
	some_range(&first, &count);
	int err = region_decommit(&region, first * G, count * G);
	EXPECT(err == (is_whole(first, count) ? 0 : -EINVAL));
	for (size_t g = first; g < first + count && !err; g++)
		model_set(g, false);
}

static void random_thin(void)
{
	size_t chunk = HUGE_FROM / CHUNK_SIZE + random_below((SIZE - HUGE_FROM) / CHUNK_SIZE);
	uint32_t keep = (uint32_t)random_next();
	bool may = !model.thinned[chunk] && model.committed[chunk * CHUNK_PARTS];
	unsigned chance = fail_one_in;
	fail_one_in = 0; /* a populate that fails here leaves pages that are merely not backed */
	EXPECT(region_thin(&region, chunk * CHUNK_SIZE, keep) == (may ? 0 : -EINVAL));
	fail_one_in = chance;
	if (!may)
		return;
	model.thinned[chunk] = true;
	for (size_t i = 0; i < CHUNK_PARTS; i++)
		if (!(keep >> i & 1))
			model_set(chunk * CHUNK_PARTS + i, false);
	check_values(chunk * CHUNK_PARTS, CHUNK_PARTS);
}

static void random_mend(void)
{
	size_t chunk = HUGE_FROM / CHUNK_SIZE + random_below((SIZE - HUGE_FROM) / CHUNK_SIZE);
	if (random_below(2))
		for (size_t i = 0; i < CHUNK_PARTS && model.thinned[chunk]; i++) {
			EXPECT(region_decommit(&region, chunk * CHUNK_SIZE + i * G, G) == 0);
			model_set(chunk * CHUNK_PARTS + i, false);
		}
	bool empty = true;
	for (size_t i = 0; i < CHUNK_PARTS; i++)
		empty = empty && !model.committed[chunk * CHUNK_PARTS + i];
	EXPECT(region_mend(&region, chunk * CHUNK_SIZE) == (empty ? 0 : -EBUSY));
	if (empty)
		model.thinned[chunk] = false;
}

static void compare_books(void)
{
	EXPECT(region_committed(&region) == model.bytes);
	EXPECT(budget_charged(&budget) == model.bytes);
	if (random_op % 512 == 0) {
		EXPECT(resident(0, SIZE) == model.bytes);
		EXPECT(test_file_holds(&kind, &region.backing, model.bytes));
		region_check(&region);
		if (region.traps)
			only_committed_granules_are_open();
	}
}

/* Whatever the random operations met, a full backing is met here. */
static void fill_backing(void)
{
	budget_set_limit(&budget, SIZE_MAX);
	fail_one_in = 0;
	for (size_t at = 0, met = model.full; at < granules && model.full == met; at += CHUNK_PARTS) {
		commit_and_compare(at, size_min(CHUNK_PARTS, granules - at));
		compare_books();
	}
	print_message("%lu commits met a full backing\n", model.full);
	EXPECT(model.full);
}

static void random_operations(void **state)
{
	(void)state;
	memset(&model, 0, sizeof model);
	random_start(2);
	fail_with = -ENOMEM;
	for (unsigned long ops = random_ops(1000000); random_op < ops; random_op++) {
		size_t what = random_below(64);
		if ((what == 2 || what == 3) && !has_huge_zone())
			what = 4;
		switch (what) {
		case 0:
			budget_set_limit(&budget, random_below(4) ? SIZE_MAX : random_below(SIZE));
			break;
		case 1:
			fail_one_in = random_below(2) ? 10 : 0;
			break;
		case 2:
			random_thin();
			break;
		case 3:
			random_mend();
			break;
		default:
			if (random_below(2))
				random_commit();
			else
				random_decommit();
		}
		compare_books();
	}
	if (kind.most)
		fill_backing();
}

/* ---- the public interface --------------------------------------------------------- */

/* What a program would write to have this backing. */
static const char *options_for(const char *more)
{
	static char text[512];
	snprintf(text, sizeof text, "backing:%s,page:%s,path:%s,populate:%s,%s", kind.ops->name,
	         kind.page == GiB ? "1G" : kind.page && !kind.path ? "2M" : "auto", kind.path ? kind.path : "",
	         kind.touch ? "touch" : "auto", more);
	return text;
}

static void public_region_on_this_backing(void **state)
{
	(void)state;
	NEEDS(1);
	SKIP_UNLESS(strcmp(kind.name, "anon-8M") != 0, "no backing that a program could name");
	struct sparena_region *r;
	size_t bytes = 1;
	assert_int_equal(sparena_region_reserve(options_for("limit:1G"), 10 * MiB + 1, &r), 0);
	size_t g = sparena_region_granule(r), size = sparena_region_size(r);
	assert_int_equal(g, kind.shared && !kind.page ? 4 * KiB : G);
	assert_int_equal(size, size_up(10 * MiB + 1, g));
	assert_int_equal(sparena_region_fd(r) >= 0, kind.shared);
	assert_int_equal(sparena_region_commit(r, size - g, g), 0);
	memset((char *)sparena_region_base(r) + size - g, 7, g);
	assert_int_equal(sparena_region_commit(r, size - g, 2 * g), -EINVAL);
	assert_int_equal(sparena_region_commit(r, size, g), -EINVAL);
	assert_int_equal(sparena_region_commit(r, g / 2, g), -EINVAL);
	assert_int_equal(sparena_region_resident(r, 0, size, &bytes), 0);
	assert_int_equal(bytes, g);
	assert_int_equal(sparena_region_set_limit(r, g), 0);
	if (size > g)
		assert_int_equal(sparena_region_commit(r, 0, g), -ENOMEM);
	assert_int_equal(sparena_region_decommit(r, 0, size), 0);
	assert_int_equal(sparena_region_resident(r, 0, size, &bytes), 0);
	assert_int_equal(bytes, 0);
	sparena_region_release(r);
}

/* What is not committed gets no page by it, of a memory file neither. */
static void advice_is_for_what_is_committed(void **state)
{
	(void)state;
	NEEDS(2);
	SKIP_UNLESS(strcmp(kind.name, "anon-8M") != 0, "no backing that a program could name");
	struct sparena_region *r;
	size_t bytes, g;
	assert_int_equal(sparena_region_reserve(options_for("limit:1G"), 4 * G, &r), 0);
	g = sparena_region_granule(r);
	char *base = sparena_region_base(r);
	bool stays = kind.page != 0;
	assert_int_equal(sparena_region_commit(r, 0, g), 0);
	assert_int_equal(sparena_region_commit(r, 2 * g, g), 0);
	memset(base, 3, g);
	memset(base + 2 * g, 4, g);
	assert_int_equal(sparena_region_cold(r, 0, 4 * g), stays ? -EOPNOTSUPP : 0);
	assert_int_equal(sparena_region_pageout(r, 0, 4 * g), stays ? -EOPNOTSUPP : 0);
	assert_int_equal(sparena_region_prefetch(r, 0, 4 * g, false), 0);
	assert_int_equal(sparena_region_prefetch(r, 0, 4 * g, true), 0);
	assert_int_equal(sparena_region_populate_read(r, 0, 4 * g), 0);
	assert_int_equal(sparena_region_resident(r, 0, 4 * g, &bytes), 0);
	assert_int_equal(bytes, 2 * g);
	assert_int_equal(sparena_region_committed(r), 2 * g);
	assert_int_equal(sparena_region_swapped(r, 0, 4 * g, &bytes), 0);
	assert_true(bytes <= 2 * g);
	for (size_t i = 0; i < g; i += 512)
		assert_true(base[i] == 3 && base[2 * g + i] == 4);

	assert_int_equal(sparena_region_pageout(r, g / 2, g), -EINVAL);
	assert_int_equal(sparena_region_cold(r, 0, sparena_region_size(r) + g), -EINVAL);
	assert_int_equal(sparena_region_prefetch(r, 0, 0, true), -EINVAL);
	assert_int_equal(sparena_region_swapped(r, 0, SIZE_MAX, &bytes), -EINVAL);
	assert_int_equal(sparena_region_swapped(r, 0, g, NULL), -EINVAL);
	sparena_region_release(r);
}

static void public_region_works(void **state)
{
	(void)state;
	struct sparena_region *r;
	size_t bytes = 1;
	assert_int_equal(sparena_region_reserve("limit:256K", 10 * MiB + 1, &r), 0);
	size_t g = sparena_region_granule(r);
	assert_int_equal(g, 64 * KiB);
	assert_int_equal(sparena_region_size(r), 10 * MiB + g);
	assert_int_equal(sparena_region_fd(r), -1);
	assert_int_equal(sparena_region_commit(r, 10 * MiB, g), 0);
	assert_int_equal(sparena_region_commit(r, 0, 3 * g), 0);
	assert_int_equal(sparena_region_commit(r, 4 * g, g), -ENOMEM);
	assert_int_equal(sparena_region_commit(r, 10 * MiB, 2 * g), -EINVAL);
	assert_int_equal(sparena_region_commit(r, 1, g), -EINVAL);
	assert_non_null(strstr(sparena_last_error(), "multiples"));
	assert_int_equal(sparena_region_resident(r, 0, 10 * MiB, &bytes), 0);
	assert_int_equal(bytes, 3 * g);
	assert_int_equal(sparena_region_resident(r, 0, SIZE_MAX, &bytes), -EINVAL);
	memset(sparena_region_base(r), 1, 3 * g);
	assert_int_equal(sparena_region_decommit(r, 0, 10 * MiB), 0);
	assert_int_equal(sparena_region_committed(r), g);
	assert_int_equal(sparena_region_set_limit(r, g), 0);
	assert_int_equal(sparena_region_commit(r, 0, g), -ENOMEM);
	sparena_region_release(r);
	sparena_region_release(NULL);
}

static void public_region_of_huge_pages(void **state)
{
	(void)state;
	struct sparena_region *r;
	assert_int_equal(sparena_region_reserve("thp:always,closed:true", 8 * MiB, &r), 0);
	assert_int_equal(sparena_region_granule(r), 2 * MiB);
	assert_int_equal(sparena_region_commit(r, 64 * KiB, 64 * KiB), -EINVAL);
	assert_int_equal(sparena_region_commit(r, 4 * MiB, 2 * MiB), 0);
	memset((char *)sparena_region_base(r) + 4 * MiB, 1, 2 * MiB);
	sparena_region_release(r);
}

static void public_errors_say_why(void **state)
{
	(void)state;
	struct sparena_region *r;
	assert_int_equal(sparena_region_reserve("limt:1M", MiB, &r), -EINVAL);
	assert_non_null(strstr(sparena_last_error(), "limt"));
	assert_int_equal(sparena_region_reserve(NULL, 0, &r), -EINVAL);
	assert_int_equal(sparena_region_reserve(NULL, SIZE_MAX, &r), -EINVAL);
	assert_int_equal(sparena_region_reserve(NULL, SIZE_MAX / 4, &r), -ENOMEM);
	assert_int_equal(sparena_region_reserve(NULL, SIZE_MAX / 2 + 2, &r), -ENOMEM);
	assert_non_null(strstr(sparena_last_error(), "address space"));
	assert_int_equal(sparena_region_reserve(NULL, MiB, NULL), -EINVAL);
	assert_int_equal(sparena_region_reserve("limit:0%", MiB, &r), -EINVAL);

	size_t bytes;
	assert_int_equal(sparena_region_reserve("limit:50%", MiB, &r), 0);
	assert_int_equal(sparena_region_resident(r, 0, MiB, NULL), -EINVAL);
	assert_int_equal(sparena_region_resident(r, MiB / 2, MiB, &bytes), -EINVAL);
	assert_int_equal(sparena_region_resident(r, MiB, SIZE_MAX, &bytes), -EINVAL);
	assert_non_null(strstr(sparena_last_error(), "outside the region"));
	sparena_region_release(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(commit_is_resident_and_charged, make, drop),
		cmocka_unit_test_setup_teardown(commit_again_costs_nothing, make, drop),
		cmocka_unit_test_setup_teardown(decommit_gives_back_and_zeroes, make, drop),
		cmocka_unit_test_setup_teardown(bad_ranges_are_refused, make, drop),
		cmocka_unit_test_setup_teardown(limit_refuses_whole, make, drop),
		cmocka_unit_test_setup_teardown(failed_populate_leaves_nothing, make, drop),
		cmocka_unit_test_setup_teardown(failed_populate_is_no_free, make, drop),
		cmocka_unit_test_setup_teardown(what_cannot_be_undone_stays_charged, make, drop),
		cmocka_unit_test_setup_teardown(failed_decommit_changes_nothing, make, drop),
		cmocka_unit_test_setup_teardown(failed_thinning_changes_nothing, make, drop),
		cmocka_unit_test_setup_teardown(failed_populate_of_many_pieces_leaves_nothing, make, drop),
		cmocka_unit_test(old_kernel_is_touched),
		cmocka_unit_test_setup_teardown(thinned_chunk_keeps_what_it_must, make, drop),
		cmocka_unit_test_setup_teardown(thin_refuses_what_is_not_a_huge_chunk, make, drop),
		cmocka_unit_test_setup_teardown(zero_granule_stays_backed_after_thinning, make, drop),
		cmocka_unit_test_setup_teardown(zones_say_what_may_be_huge, make, drop),
		cmocka_unit_test_setup_teardown(closed_region_is_inaccessible, make, drop),
		cmocka_unit_test_setup_teardown(what_is_opened_ahead_is_accessible, make, drop),
		cmocka_unit_test_setup_teardown(what_was_given_back_traps, make_trapping, drop),
		cmocka_unit_test_setup_teardown(what_could_not_be_committed_traps, make_trapping, drop),
		cmocka_unit_test_setup_teardown(what_was_thinned_traps, make_trapping, drop),
		cmocka_unit_test_setup_teardown(threads_on_overlapping_ranges, make, drop),
		cmocka_unit_test_setup_teardown(random_operations, make, drop),
		cmocka_unit_test(public_region_on_this_backing),
		cmocka_unit_test(advice_is_for_what_is_committed),
		cmocka_unit_test(public_region_works),
		cmocka_unit_test(public_region_of_huge_pages),
		cmocka_unit_test(public_errors_say_why),
	};
	kind = test_backing_get();
	choose_size();
	return cmocka_run_group_tests_name(kind.name, tests, NULL, NULL);
}
