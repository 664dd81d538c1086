/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * extents COUNT: COUNT extents of 8 KiB, every second of them a hole, as far as an allocator
 * has such: a block of 8 KiB has a run of pages of its own in jemalloc. Then prints what a
 * malloc and a free cost there, in nanoseconds, "extents-16K/COUNT" and "extents-64K/COUNT":
 * 256 blocks, which are freed in random order, again and again.
 */
#include "bench.h"

#define EXTENT ((size_t)8192)
#define BATCH 256
#define BATCHES 200

static void shuffle(char **blocks, size_t count, uint64_t *state)
{
	for (size_t i = count; i > 1; i--) {
		size_t other = (bench_random(state) >> 16) % i;
		char *b = blocks[i - 1];
		blocks[i - 1] = blocks[other];
		blocks[other] = b;
	}
}

static char *take(size_t size)
{
	char *p = malloc(size);
	if (!p)
		bench_die("malloc");
	*(volatile char *)p = 1;
	return p;
}

static void make(char **extents, size_t count)
{
	for (size_t i = 0; i < count; i++)
		extents[i] = take(EXTENT);
	for (size_t i = 1; i < count; i += 2)
		free(extents[i]);
}

static double batches(size_t size, size_t count)
{
	static char *blocks[BATCH];
	uint64_t state = 88172645463325252u;
	double took = 0;
	for (size_t i = 0; i < count; i++) {
		double start = bench_ns();
		for (size_t j = 0; j < BATCH; j++)
			blocks[j] = take(size);
		took += bench_ns() - start;
		shuffle(blocks, BATCH, &state);
		start = bench_ns();
		for (size_t j = 0; j < BATCH; j++)
			free(blocks[j]);
		took += bench_ns() - start;
	}
	return took / (double)(count * BATCH);
}

static void measure(const char *name, size_t count, size_t size)
{
	char text[64];
	batches(size, 5);
	snprintf(text, sizeof text, "%s/%zu", name, count);
	bench_print(text, batches(size, BATCHES));
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	size_t count = bench_number(argv[1]);
	make(bench_map(count * sizeof(char *)), count);
	measure("extents-16K", count, 16384);
	measure("extents-64K", count, 65536);
	return 0;
}
