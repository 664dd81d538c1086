/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An allocator of pages over 4 GiB of private memory, whose clock stands still, for tests of
 * what it does with time and threads. To be linked with -Wl,--wrap=os_clock_ms.
 */
#ifndef SPARENA_TESTS_UNIT_PAGES_FIXTURE_H
#define SPARENA_TESTS_UNIT_PAGES_FIXTURE_H

#include <pthread.h>

#include "os/os.h"
#include "pages/pages.h"

#define DECAY_MS 800
#define EPOCH_MS (DECAY_MS / PAGES_EPOCHS_PER_DECAY)

static struct budget budget;
static struct region data, meta;
static struct pages pages;

/* Stands still; 0 never comes, since an epoch of 0 is none. */
static uint64_t now_ms;
uint64_t __wrap_os_clock_ms(void);
uint64_t __wrap_os_clock_ms(void) { return now_ms; }

static void make_with(int64_t decay_ms)
{
	now_ms = 100000;
	budget_init(&budget, SIZE_MAX);
	struct region_config c = {
		.backing = &backing_anon, .size = 4ul << 30, .size_min = 4ul << 30, .granule = SMALL_GRANULE, .huge_in = 2,
		.closed = true, .piece = CHUNK_SIZE, .budget = &budget,
	};
	assert_int_equal(region_init(&data, &c), 0);
	c = (struct region_config){
		.backing = &backing_anon, .size = 64 * MiB, .size_min = 64 * MiB, .granule = PAGE,
		.closed = true, .piece = CHUNK_SIZE, .budget = &budget,
	};
	assert_int_equal(region_init(&meta, &c), 0);
	struct pages_config p = {
		.region = &data, .size = data.size, .meta = &meta, .index_at = pages_first_index_bytes(data.granule),
		.commit_ahead = 2 * MiB, .decay_ms = decay_ms,
	};
	assert_int_equal(pages_init(&pages, &p), 0);
}

/* As if others had the lock each time. */
static void contend(unsigned times)
{
	while (times--) {
		pages_lock_contended(&pages);
		pthread_mutex_unlock(&pages.lock);
	}
}

static int drop(void **state)
{
	(void)state;
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

#endif
