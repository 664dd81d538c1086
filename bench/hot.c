/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hot SIZE BATCHES: 100 mallocs, then their 100 frees, again and again. Prints the
 * nanoseconds of a pair. The instructions of the same are counted from outside.
 */
#include "bench.h"

#define BATCH 100

static void batches(size_t size, size_t count)
{
	char *blocks[BATCH];
	while (count--) {
		for (size_t i = 0; i < BATCH; i++) {
			blocks[i] = malloc(size);
			*(volatile char *)blocks[i] = 1;
		}
		for (size_t i = 0; i < BATCH; i++)
			free(blocks[i]);
	}
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	size_t size = bench_number(argv[1]), count = bench_number(argv[2]);
	batches(size, 20); /* caches of the allocator are filled */
	double start = bench_ns();
	batches(size, count);
	double took = bench_ns() - start;
	char name[32];
	snprintf(name, sizeof name, "%zu", size);
	bench_print_resident(name, took / (double)(count * BATCH));
	return 0;
}
