/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exhausted BLOCK: fills the heap with blocks of BLOCK bytes until malloc returns
 * NULL, and prints the nanoseconds of each further failing malloc (median of 2,001
 * samples of 16), for sizes that are refused at that point; then fills the rest.
 */
#include "bench.h"

#define SAMPLES 2001
#define CALLS 16

static double sample[SAMPLES];

/* In place, since qsort(3) may call malloc. */
static void sort_samples(void)
{
	for (size_t gap = SAMPLES / 2; gap; gap /= 2) {
		for (size_t i = gap; i < SAMPLES; i++) {
			double v = sample[i];
			size_t at = i;
			for (; at >= gap && sample[at - gap] > v; at -= gap)
				sample[at] = sample[at - gap];
			sample[at] = v;
		}
	}
}

static size_t fill(size_t block)
{
	size_t count = 0;
	for (char *p; (p = malloc(block)); count++)
		*(volatile char *)p = 1;
	return count;
}

static double sample_ns(size_t size)
{
	double start = bench_ns();
	for (int i = 0; i < CALLS; i++) {
		if (malloc(size)) {
			dprintf(STDERR_FILENO, "bench: a malloc of %zu succeeded at the limit\n", size);
			_exit(1);
		}
	}
	return (bench_ns() - start) / CALLS;
}

static void measure(size_t size)
{
	char name[48];
	for (size_t i = 0; i < SAMPLES; i++)
		sample[i] = sample_ns(size);
	sort_samples();
	snprintf(name, sizeof name, "%zu", size);
	bench_print(name, sample[SAMPLES / 2]);
	snprintf(name, sizeof name, "%zu-99.9%%", size);
	bench_print(name, sample[SAMPLES * 999 / 1000]);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	size_t block = bench_number(argv[1]);
	memset(sample, 0, sizeof sample);
	bench_print("MiB-filled", (double)(fill(block) * block) / (double)BENCH_MIB);
	measure(BENCH_MIB);
	if (block <= 65536)
		measure(65536);
	fill(4096);
	fill(100);
	measure(100);
	measure(4096);
	return 0;
}
