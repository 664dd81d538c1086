/* SPDX-License-Identifier: BSD-2-Clause */
/* Several threads. */
#include <pthread.h>

#include "workload.h"

static void start(pthread_t *thread, void *(*run)(void *), void *argument)
{
	errno = pthread_create(thread, NULL, run, argument);
	if (errno)
		bench_die("pthread_create");
}

static void join(pthread_t thread)
{
	errno = pthread_join(thread, NULL);
	if (errno)
		bench_die("pthread_join");
}

/* ---- exchange: each thread of a circle frees what the one before it allocated ------- */

#define EXCHANGED 2048 /* blocks of one thread in one step */

struct member {
	pthread_t thread;
	pthread_barrier_t *steps_end;
	const struct member *before;
	struct block *blocks[2]; /* of this step, and of the one before */
	size_t steps;
	uint64_t state;
};

/* All allocate and free at once, and nobody waits for single blocks. */
static void *pass_on(void *argument)
{
	struct member *m = argument;

	for (size_t step = 0; step < m->steps; step++) {
		struct block *own = m->blocks[step % 2], *others = m->before->blocks[(step + 1) % 2];

		for (size_t i = 0; i < EXCHANGED; i++) {
			block_take(&own[i], size_power_law(&m->state, 16, 8));
			block_drop(&others[i]);
		}
		pthread_barrier_wait(m->steps_end);
	}
	block_drop_all(m->before->blocks[(m->steps + 1) % 2], EXCHANGED);
	return NULL;
}

static void run_exchange(unsigned scale)
{
	size_t circle = workload_threads;
	struct member *members = bench_map(circle * sizeof *members);
	pthread_barrier_t steps_end;

	pthread_barrier_init(&steps_end, NULL, (unsigned)circle);
	for (size_t i = 0; i < circle; i++)
		members[i] = (struct member){
			.steps_end = &steps_end,
			.before = &members[(i + circle - 1) % circle],
			.blocks = {block_table(EXCHANGED), block_table(EXCHANGED)},
			.steps = scale * (size_t)500,
			.state = 0x1f83d9abu + i,
		};
	for (size_t i = 0; i < circle; i++)
		start(&members[i].thread, pass_on, &members[i]);
	for (size_t i = 0; i < circle; i++)
		join(members[i].thread);
}

/* ---- freers: threads that never allocate --------------------------------------------- */

#define FREED 2048 /* blocks for each of them in one step */

struct freer {
	pthread_t thread;
	pthread_barrier_t *steps_end;
	struct block *blocks[2]; /* those that are allocated now, and those to be freed */
	size_t steps;
};

static void *only_free(void *argument)
{
	const struct freer *f = argument;

	for (size_t step = 0; step <= f->steps; step++) {
		block_drop_all(f->blocks[(step + 1) % 2], FREED);
		pthread_barrier_wait(f->steps_end);
	}
	return NULL;
}

/* In each step the blocks of the one before are freed. */
static void run_freers(unsigned scale)
{
	size_t count = workload_threads - 1;
	struct freer *freers = bench_map(count * sizeof *freers);
	pthread_barrier_t steps_end;
	size_t steps = scale * (size_t)250;
	uint64_t state = 0x5be0cd19u;

	pthread_barrier_init(&steps_end, NULL, (unsigned)count + 1);
	for (size_t i = 0; i < count; i++) {
		freers[i] = (struct freer){
			.steps_end = &steps_end,
			.blocks = {block_table(FREED), block_table(FREED)},
			.steps = steps,
		};
		start(&freers[i].thread, only_free, &freers[i]);
	}
	for (size_t step = 0; step <= steps; step++) {
		for (size_t i = 0; step < steps && i < count * FREED; i++)
			block_take(&freers[i % count].blocks[step % 2][i / count],
			           size_power_law(&state, 16, 8));
		pthread_barrier_wait(&steps_end);
	}
	for (size_t i = 0; i < count; i++)
		join(freers[i].thread);
}

/* ---- storm: threads that come and go, and leave blocks behind ------------------------- */

#define STORM_BLOCKS 128

struct visitor {
	pthread_t thread;
	uint64_t state;
	struct block blocks[STORM_BLOCKS];
};

/* The second half is freed by whoever waits for the thread. */
static void *visit(void *argument)
{
	struct visitor *v = argument;

	for (size_t i = 0; i < STORM_BLOCKS; i++)
		block_take(&v->blocks[i], size_power_law(&v->state, 16, 8));
	block_drop_all(v->blocks, STORM_BLOCKS / 2);
	return NULL;
}

static void run_storm(unsigned scale)
{
	size_t at_once = workload_threads;
	struct visitor *visitors = bench_map(at_once * sizeof *visitors);

	for (size_t round = 0; round < scale * (size_t)300; round++) {
		for (size_t i = 0; i < at_once; i++) {
			visitors[i].state = 0x428a2f98u + round * at_once + i;
			start(&visitors[i].thread, visit, &visitors[i]);
		}
		for (size_t i = 0; i < at_once; i++) {
			join(visitors[i].thread);
			block_drop_all(visitors[i].blocks, STORM_BLOCKS);
		}
	}
}

const struct workload workloads_threads[] = {
	{"exchange", "four threads in a circle, each frees what another one allocated", 32, 0, false,
         run_exchange},
	{"freers", "one thread allocates, three only free", 32, 0, false, run_freers},
	{"storm", "threads, four at a time, that allocate a little and end", 32, 0, false, run_storm},
	{0},
};
