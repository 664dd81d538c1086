/* SPDX-License-Identifier: BSD-2-Clause */
/* How long single blocks take, from malloc's call until they have been written to. */
#include "../histogram.h"
#include "workload.h"

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
