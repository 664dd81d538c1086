/* SPDX-License-Identifier: BSD-2-Clause */
/* Blocks of many pages. */
#include "workload.h"

/* ---- large: 1 to 64 MiB ------------------------------------------------------------- */

#define LARGE_LIVE 4

/* Each power of two from 1 to 32 MiB is as likely as the other, and what follows it. */
static size_t large_size(uint64_t *state)
{
	size_t low = MIB << (bench_random(state) >> 20) % 6;

	return size_between(state, low, 2 * low - 1);
}

static void run_large(unsigned scale)
{
	struct block live[LARGE_LIVE] = {{0}};
	uint64_t state = 0x71374491u;

	for (size_t i = 0; i < scale * (size_t)30; i++) {
		struct block *b = &live[i % LARGE_LIVE];

		block_drop(b);
		block_take(b, large_size(&state));
	}
	block_drop_all(live, LARGE_LIVE);
}

/* ---- pairs: allocated and freed at once --------------------------------------------- */

static void run_pairs(unsigned scale)
{
	struct block b;
	uint64_t state = 0xb5c0fbcfu;

	for (size_t i = 0; i < scale * (size_t)100000; i++) {
		block_take(&b, size_between(&state, 40 * KIB, 1 * MIB));
		block_drop(&b);
	}
}

/* ---- sparse: large tables of which little is used ----------------------------------- */

/* One page in ten is touched, and of malloc's memory nothing else. */
static void run_sparse(unsigned scale)
{
	size_t count = scale * (size_t)80;
	struct block *live = block_table(count);
	uint64_t state = 0xe9b5dba5u;

	for (size_t i = 0; i < count; i++) {
		size_t size = size_between(&state, MIB / 2, 3 * MIB / 2);

		live[i] = (struct block){malloc(size), size};
		if (!live[i].p)
			bench_die("malloc");
		for (size_t at = 0; at < size; at += 10 * BENCH_PAGE)
			live[i].p[at] = 1;
	}
	for (size_t i = 0; i < count; i++)
		free(live[i].p);
}

const struct workload workloads_large[] = {
	{"large", "1 to 64 MiB, four at a time", 256, 0, false, run_large},
	{"pairs", "40 KiB to 1 MiB, each freed before the next", 16, 0, false, run_pairs},
	{"sparse", "tables of 1 MiB, of which one page in ten is touched", 16, 100, true, run_sparse},
	{0},
};
