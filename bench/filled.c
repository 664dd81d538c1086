/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filled MIB: a heap of so many MiB, half of them in blocks of 512 bytes to 1 KiB, half in
 * blocks of 64 KiB. Prints
 *   heap-fill/MIB    milliseconds of malloc and first touch, for a GiB
 *   heap-small/MIB   nanoseconds of a malloc and a free: a random small block is replaced
 *   heap-large/MIB   the same of a large one
 * What is looked up at random is a table of the program's own beside the heap, so that each
 * step has cache misses that are not the allocator's; the same for all of them.
 */
#include "bench.h"

#define SMALL ((size_t)768) /* on average */
#define LARGE ((size_t)65536)
#define OPS 200000

struct heap_blocks {
	char **small, **large;
	size_t smalls, larges;
	uint64_t state;
};

static size_t small_size(struct heap_blocks *h) { return 512 + (bench_random(&h->state) >> 16) % 513; }

static char *take(size_t size)
{
	char *p = malloc(size);
	if (!p)
		bench_die("malloc");
	bench_touch(p, size);
	return p;
}

static double fill(struct heap_blocks *h)
{
	size_t per_large = h->smalls / h->larges, small = 0;
	double start = bench_ns();
	for (size_t i = 0; i < h->larges; i++) {
		h->large[i] = take(LARGE);
		for (size_t j = 0; j < per_large; j++)
			h->small[small++] = take(small_size(h));
	}
	h->smalls = small;
	return bench_ns() - start;
}

static void replace(char **at, size_t size)
{
	free(*at);
	*at = malloc(size);
	if (!*at)
		bench_die("malloc");
	*(volatile char *)*at = 1;
}

static double replace_small(struct heap_blocks *h, size_t ops)
{
	double start = bench_ns();
	for (size_t i = 0; i < ops; i++)
		replace(&h->small[(bench_random(&h->state) >> 16) % h->smalls], small_size(h));
	return (bench_ns() - start) / (double)ops;
}

static double replace_large(struct heap_blocks *h, size_t ops)
{
	double start = bench_ns();
	for (size_t i = 0; i < ops; i++)
		replace(&h->large[(bench_random(&h->state) >> 16) % h->larges], LARGE);
	return (bench_ns() - start) / (double)ops;
}

static void say(const char *what, size_t mib, double value)
{
	char name[64];
	snprintf(name, sizeof name, "heap-%s/%zu", what, mib);
	bench_print(name, value);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	size_t mib = bench_number(argv[1]), half = mib * BENCH_MIB / 2;
	struct heap_blocks h = { .smalls = half / SMALL, .larges = half / LARGE, .state = 88172645463325252u };
	if (!h.larges)
		return 2;
	h.small = bench_map(h.smalls * sizeof(char *));
	h.large = bench_map(h.larges * sizeof(char *));
	if (mib < 2048)
		bench_warm_up(mib * BENCH_MIB);
	else
		bench_warm_pass(mib * BENCH_MIB); /* more of them would take minutes */
	say("fill", mib, fill(&h) / 1e6 / ((double)mib / 1024));
	replace_small(&h, OPS / 10);
	say("small", mib, replace_small(&h, OPS));
	replace_large(&h, OPS / 100);
	say("large", mib, replace_large(&h, OPS / 10));
	return 0;
}
