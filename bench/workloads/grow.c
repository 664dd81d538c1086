/* SPDX-License-Identifier: BSD-2-Clause */
/* A heap that grows: each block is new memory, and is written to when it is there. */
#include "workload.h"

#define GROW_SCALE (90 * MIB)

/* Blocks are chained by what is in them, so that nothing but malloc holds memory. */
struct link {
	struct link *before;
	uint64_t number;
};

static void grow(unsigned scale, size_t size)
{
	struct link *last = NULL;
	uint64_t count = scale * GROW_SCALE / size;

	for (uint64_t i = 0; i < count; i++) {
		struct link *l = malloc(size);

		if (!l)
			bench_die("malloc");
		bench_touch((char *)l, size);
		*l = (struct link){last, i};
		last = l;
	}
	for (uint64_t i = count; i-- > 0;) {
		struct link *l = last;

		if (l->number != i) {
			errno = EILSEQ;
			bench_die("a block was written over");
		}
		last = l->before;
		free(l);
	}
}

static void grow_100(unsigned scale)
{
	grow(scale, 100);
}

static void grow_4k(unsigned scale)
{
	grow(scale, 4 * KIB);
}

static void grow_64k(unsigned scale)
{
	grow(scale, 64 * KIB);
}

static void grow_1m(unsigned scale)
{
	grow(scale, MIB);
}

const struct workload workloads_grow[] = {
	{"grow-100", "new memory in blocks of 100 bytes", 8, 106, false, grow_100},
	{"grow-4k", "new memory in blocks of 4 KiB", 8, 94, false, grow_4k},
	{"grow-64k", "new memory in blocks of 64 KiB", 8, 94, false, grow_64k},
	{"grow-1m", "new memory in blocks of 1 MiB", 8, 94, false, grow_1m},
	{0},
};
