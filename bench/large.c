/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * large LIVE ROUNDS: blocks of 1 to 64 MiB, of which LIVE are held at a time, are
 * allocated, touched and freed. Prints microseconds a block.
 */
#include "bench.h"

#define MOST_LIVE 64

/* Each power of two from 1 to 32 MiB is as likely as the other, and what follows it. */
static size_t next_size(uint64_t *state)
{
	size_t low = BENCH_MIB << bench_random(state) % 6;
	return low + bench_random(state) % low;
}

static void one_round(char **slot, uint64_t *state)
{
	free(*slot);
	size_t size = next_size(state);
	*slot = malloc(size);
	if (!*slot)
		bench_die("malloc");
	bench_touch(*slot, size);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	size_t live = bench_number(argv[1]), rounds = bench_number(argv[2]);
	char *slot[MOST_LIVE] = { NULL }, name[32];
	uint64_t state = 88172645463325252u;
	if (!live || live > MOST_LIVE || !rounds)
		return 2;
	bench_warm_up((live + 1) * 64 * BENCH_MIB);
	double start = bench_ns();
	for (size_t i = 0; i < rounds; i++)
		one_round(&slot[i % live], &state);
	double took = bench_ns() - start;
	snprintf(name, sizeof name, "%zu-live", live);
	bench_print_resident(name, took / 1e3 / (double)rounds);
	return 0;
}
