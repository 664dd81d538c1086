/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * threads COUNT WORK MS [bare]: so many threads replace blocks of their own for so long, a random
 * one at a time. Prints "WORK/COUNT pairs", the millions of a malloc and a free in a second, of all
 * threads together. WORK:
 *   small   16 bytes to 4 KiB, each doubling half as frequent; 4,096 blocks a thread
 *   mixed   the same, and one in eight of 16 to 256 KiB; 512 blocks a thread
 *   SIZE    so many bytes; 4 MiB a thread, 16 to 256 blocks
 * Each page of a new block is written to; `bare`: only its first byte, which leaves nothing but
 * the allocator.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "workloads/workload.h"

#define MOST_THREADS 256
#define MOST_BLOCKS 4096
#define KEPT (4 * MIB)    /* bytes of a thread, where all blocks have one size */
#define LOOK_EVERY 32     /* pairs between looks at the flag */

struct work {
	size_t size; /* 0: of many sizes */
	unsigned large_one_in; /* 0: none */
	size_t blocks;
};

/* On cache lines of its own. */
struct worker {
	_Alignas(128) pthread_t thread;
	uint64_t state;
	size_t pairs;
	char *block[MOST_BLOCKS];
};

static struct work work;
static bool bare;
static pthread_barrier_t all_start;
static _Atomic bool ended;

static size_t next_size(uint64_t *state)
{
	if (work.size)
		return work.size;
	if (work.large_one_in && (bench_random(state) >> 20) % work.large_one_in == 0)
		return size_between(state, 16 * KIB, 256 * KIB);
	return size_power_law(state, 16, 8);
}

static void replace(struct worker *w)
{
	char **b = &w->block[(bench_random(&w->state) >> 16) % work.blocks];
	size_t size = next_size(&w->state);
	free(*b);
	*b = malloc(size);
	if (!*b)
		bench_die("malloc");
	bench_touch(*b, bare ? 1 : size);
}

static void *run(void *argument)
{
	struct worker *w = argument;
	for (size_t i = 0; i < 2 * work.blocks; i++)
		replace(w);
	pthread_barrier_wait(&all_start);
	do {
		for (size_t i = 0; i < LOOK_EVERY; i++)
			replace(w);
		w->pairs += LOOK_EVERY;
	} while (!atomic_load_explicit(&ended, memory_order_relaxed));
	for (size_t i = 0; i < work.blocks; i++)
		free(w->block[i]);
	return NULL;
}

static struct work work_of(const char *name)
{
	if (!strcmp(name, "small"))
		return (struct work){ 0, 0, 4096 };
	if (!strcmp(name, "mixed"))
		return (struct work){ 0, 8, 512 };
	size_t size = bench_number(name), blocks = KEPT / (size ? size : 1);
	return (struct work){ size, 0, blocks < 16 ? 16 : blocks > 256 ? 256 : blocks };
}

static double all_pairs(struct worker *workers, size_t count, size_t ms)
{
	struct timespec pause = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };
	size_t pairs = 0;
	pthread_barrier_wait(&all_start);
	double start = bench_ns();
	nanosleep(&pause, NULL);
	atomic_store(&ended, true);
	double took = bench_ns() - start;
	for (size_t i = 0; i < count; i++) {
		pthread_join(workers[i].thread, NULL);
		pairs += workers[i].pairs;
	}
	return (double)pairs / took * 1000;
}

int main(int argc, char **argv)
{
	if (argc < 4 || argc > 5)
		return 2;
	size_t count = bench_number(argv[1]), ms = bench_number(argv[3]);
	if (!count || count > MOST_THREADS)
		return 2;
	work = work_of(argv[2]);
	bare = argc == 5;
	struct worker *workers = bench_map(count * sizeof *workers);
	pthread_barrier_init(&all_start, NULL, (unsigned)count + 1);
	for (size_t i = 0; i < count; i++) {
		workers[i].state = 0x9e3779b97f4a7c15u * (i + 1);
		errno = pthread_create(&workers[i].thread, NULL, run, &workers[i]);
		if (errno)
			bench_die("pthread_create");
	}
	char name[64];
	snprintf(name, sizeof name, "%s/%zu", argv[2], count);
	bench_print(name, all_pairs(workers, count, ms));
	return 0;
}
