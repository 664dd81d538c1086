/* SPDX-License-Identifier: BSD-2-Clause */
/* How long single blocks take, from malloc's call until they have been written to. */
#include "workload.h"

/* Counts by time: 64 steps between a power of two of nanoseconds and the next one. */
#define STEPS_BITS 6
#define STEPS (1u << STEPS_BITS)
#define BUCKETS (STEPS * (64 - STEPS_BITS))

struct histogram {
	uint64_t total, most;
	uint64_t count[BUCKETS];
};

static unsigned bucket_of(uint64_t ns)
{
	if (ns < STEPS)
		return (unsigned)ns;
	unsigned shift = 63 - STEPS_BITS - (unsigned)__builtin_clzll(ns);
	return (shift + 1) * STEPS + (unsigned)(ns >> shift & (STEPS - 1));
}

/* The middle of what a bucket counts. */
static double bucket_ns(unsigned bucket)
{
	if (bucket < STEPS)
		return bucket;
	unsigned shift = bucket / STEPS - 1;
	uint64_t low = (uint64_t)(STEPS + bucket % STEPS) << shift;
	return (double)low + (double)((uint64_t)1 << shift) / 2;
}

static void histogram_add(struct histogram *h, uint64_t ns)
{
	h->total++;
	h->count[bucket_of(ns)]++;
	if (ns > h->most)
		h->most = ns;
}

/* The time that a share of all took at most. */
static double histogram_at(const struct histogram *h, double share)
{
	uint64_t wanted = (uint64_t)((double)h->total * share), seen = 0;

	for (unsigned i = 0; i < BUCKETS; i++) {
		seen += h->count[i];
		if (seen > wanted)
			return bucket_ns(i);
	}
	return (double)h->most;
}

#define LATENCY_LIVE 8192

/* Mostly small ones; each 32nd is of 4 KiB to 1 MiB. The heap grows, then replaces. */
static void run_latency(unsigned scale)
{
	struct histogram *h = bench_map(sizeof *h);
	struct block *live = block_table(LATENCY_LIVE);
	uint64_t state = 0x3956c25bu;

	for (size_t i = 0; i < scale * (size_t)600000; i++) {
		struct block *b = &live[(bench_random(&state) >> 20) % LATENCY_LIVE];
		size_t size = i % 32 ? size_power_law(&state, 16, 8) : size_power_law(&state, 4 * KIB, 8);

		block_drop(b);
		double begin = bench_ns();
		block_take(b, size);
		histogram_add(h, (uint64_t)(bench_ns() - begin));
	}
	bench_print("p50_ns", histogram_at(h, 0.5));
	bench_print("p99_ns", histogram_at(h, 0.99));
	bench_print("p99.9_ns", histogram_at(h, 0.999));
	bench_print("max_ns", (double)h->most);
	block_drop_all(live, LATENCY_LIVE);
}

const struct workload workloads_latency[] = {
	{"latency", "the time of each malloc and touch, 16 bytes to 1 MiB", 32, 0, false, run_latency},
	{0},
};
