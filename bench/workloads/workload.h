/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the workloads share. Each does a fixed amount of work, the same in every run, so
 * that its time is the measure; it writes to all that it allocates (where it doesn't, it
 * says so), and checks before a block is freed that nobody else wrote to it. Beside its
 * time a workload may print lines of "metric value".
 */
#ifndef SPARENA_BENCH_WORKLOAD_H
#define SPARENA_BENCH_WORKLOAD_H

#include "../bench.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define SCALE_MOST 10u /* of the work: 1 is quick, this is all */

#define THREADS_MOST 64u

/* Of those that have several, at once: 4 unless told otherwise. */
extern size_t workload_threads;

struct workload {
	const char *name;
	const char *text; /* what it does, for people */
	size_t fixed_mib; /* it holds at most so much,... */
	size_t scale_mib; /* ...and so much more for each unit of scale */
	bool sparse;      /* asks for far more than it touches */
	void (*run)(unsigned scale);
};

/* By theme: small.c, sizes.c, threads.c, large.c, grow.c, latency.c. Each ends with a
 * workload without a name. */
extern const struct workload workloads_small[], workloads_sizes[], workloads_threads[], workloads_large[],
	workloads_grow[], workloads_latency[];

/* ---- blocks ------------------------------------------------------------------ */

/* Holds a mark at both ends that no other block has. */
struct block {
	char *p; /* NULL: none */
	size_t size;
};

#define BLOCK_LEAST sizeof(uint64_t)

/* Where blocks are kept: memory that is resident from the beginning, and not malloc's. */
static inline struct block *block_table(size_t count)
{
	return bench_map(count * sizeof(struct block));
}

static inline uint64_t block_mark(const struct block *b)
{
	return (uint64_t)(uintptr_t)b->p * 0x9e3779b97f4a7c15u ^ b->size;
}

/* Writes to each page, and the marks. */
static inline void block_write(const struct block *b)
{
	uint64_t mark = block_mark(b);

	if (b->size > BENCH_PAGE)
		bench_touch(b->p, b->size);
	__builtin_memcpy(b->p, &mark, sizeof mark);
	__builtin_memcpy(b->p + b->size - sizeof mark, &mark, sizeof mark);
}

/* Ends the process when somebody else wrote to the block. */
static inline void block_check(const struct block *b)
{
	uint64_t first, last, mark = block_mark(b);

	__builtin_memcpy(&first, b->p, sizeof first);
	__builtin_memcpy(&last, b->p + b->size - sizeof last, sizeof last);
	/* In a block of fewer bytes than two marks, the last one lies over the first. */
	if (last != mark || (b->size >= 2 * sizeof mark && first != mark)) {
		errno = EILSEQ;
		bench_die("a block was written over");
	}
}

/* Allocates `size` bytes, BLOCK_LEAST at least, and writes to them. */
static inline void block_take(struct block *b, size_t size)
{
	b->p = malloc(size);
	b->size = size;
	if (!b->p)
		bench_die("malloc");
	block_write(b);
}

/* Checks and frees a block, if there is one. */
static inline void block_drop(struct block *b)
{
	if (!b->p)
		return;
	block_check(b);
	free(b->p);
	b->p = NULL;
}

static inline void block_drop_all(struct block *table, size_t count)
{
	for (size_t i = 0; i < count; i++)
		block_drop(&table[i]);
}

/* ---- sizes ------------------------------------------------------------------- */

/* Between low and high, each as likely as the other. */
static inline size_t size_between(uint64_t *state, size_t low, size_t high)
{
	return low + (size_t)(bench_random(state) >> 16) % (high - low + 1);
}

/* A power of two times `least` and what follows it; each is half as likely as the one
 * before, down to that of `classes`. */
static inline size_t size_power_law(uint64_t *state, size_t least, unsigned classes)
{
	uint64_t r = bench_random(state) >> 8;
	unsigned class = (unsigned)__builtin_ctzll(r | (uint64_t)1 << (classes - 1));

	return size_between(state, least << class, (least << (class + 1)) - 1);
}

#endif
