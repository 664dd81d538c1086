/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls of os that fail at random, in the program that has the heap in itself. */
#include "../support/random.h"
#include "heap/heap.h"
#include "soak.h"

const bool faults_happen = true;

static atomic_uint rate;

/* Each thread's own, from its address: which calls it makes is not repeatable anyhow. */
static __thread uint64_t state;

static int failing(const int *errors, unsigned count)
{
	unsigned now = atomic_load_explicit(&rate, memory_order_relaxed);
	if (!now)
		return 0;
	if (!state)
		state = stream(1000) ^ (uintptr_t)&state;
	uint64_t r = random_step(&state);
	if (r % 65536 >= now)
		return 0;
	atomic_fetch_add(&counts.faults, 1);
	return -errors[(r >> 20) % count];
}

#include "../support/failing.h"

void faults_set(unsigned new) { atomic_store(&rate, new); }

static void settle(struct heap *h) { heap_each_region(h, region_settle); }

static size_t charged;

static void add_region(struct region *r)
{
	region_check(r);
	charged += region_committed(r);
	EXPECT(r->lingering == 0);
}

static void check(struct heap *h)
{
	charged = 0;
	heap_each_pages(h, pages_check);
	heap_each_region(h, add_region);
	EXPECT(charged == budget_charged(&h->budget));
}

void faults_end(void)
{
	faults_set(0);
	heap_each(heap_background_stop); /* the moment is to be quiet */
	settle(&heap_process);
	heap_each(settle);
	check(&heap_process);
	heap_each(check);
}
