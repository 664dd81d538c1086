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

/* ---- rings: blocks on their way from one thread to another ------------------------- */

#define BATCH 64
#define RING_SLOTS 32

struct batch {
	struct block blocks[BATCH];
};

struct ring {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t first, count;
	struct batch slots[RING_SLOTS];
};

static struct ring *ring_new(void)
{
	struct ring *r = bench_map(sizeof *r);

	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	return r;
}

static void ring_put(struct ring *r, const struct batch *b)
{
	pthread_mutex_lock(&r->lock);
	while (r->count == RING_SLOTS)
		pthread_cond_wait(&r->changed, &r->lock);
	r->slots[(r->first + r->count++) % RING_SLOTS] = *b;
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

static void ring_get(struct ring *r, struct batch *b)
{
	pthread_mutex_lock(&r->lock);
	while (!r->count)
		pthread_cond_wait(&r->changed, &r->lock);
	*b = r->slots[r->first];
	r->first = (r->first + 1) % RING_SLOTS;
	r->count--;
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

static void batch_take(struct batch *b, uint64_t *state)
{
	for (size_t i = 0; i < BATCH; i++)
		block_take(&b->blocks[i], size_power_law(state, 16, 8));
}

/* ---- exchange: each thread of a circle frees what the one before it allocated ------- */

#define CIRCLE 4

struct member {
	pthread_t thread;
	struct ring *from, *to;
	size_t batches;
	uint64_t state;
};

static void *pass_on(void *argument)
{
	struct member *m = argument;
	struct batch b;

	for (size_t i = 0; i < m->batches; i++) {
		batch_take(&b, &m->state);
		ring_put(m->to, &b);
		ring_get(m->from, &b);
		block_drop_all(b.blocks, BATCH);
	}
	return NULL;
}

static void run_exchange(unsigned scale)
{
	struct member members[CIRCLE];
	struct ring *rings[CIRCLE];

	for (size_t i = 0; i < CIRCLE; i++)
		rings[i] = ring_new();
	for (size_t i = 0; i < CIRCLE; i++) {
		members[i] = (struct member){.from = rings[i],
		                             .to = rings[(i + 1) % CIRCLE],
		                             .batches = scale * (size_t)8000,
		                             .state = 0x1f83d9abu + i};
		start(&members[i].thread, pass_on, &members[i]);
	}
	for (size_t i = 0; i < CIRCLE; i++)
		join(members[i].thread);
}

/* ---- freers: threads that never allocate --------------------------------------------- */

#define FREERS 3

struct freer {
	pthread_t thread;
	struct ring *from;
	size_t batches;
};

static void *only_free(void *argument)
{
	const struct freer *f = argument;
	struct batch b;

	for (size_t i = 0; i < f->batches; i++) {
		ring_get(f->from, &b);
		block_drop_all(b.blocks, BATCH);
	}
	return NULL;
}

static void run_freers(unsigned scale)
{
	struct freer freers[FREERS];
	size_t batches = scale * (size_t)8000;
	uint64_t state = 0x5be0cd19u;
	struct batch b;

	for (size_t i = 0; i < FREERS; i++) {
		freers[i] = (struct freer){.from = ring_new(), .batches = batches};
		start(&freers[i].thread, only_free, &freers[i]);
	}
	for (size_t i = 0; i < FREERS * batches; i++) {
		batch_take(&b, &state);
		ring_put(freers[i % FREERS].from, &b);
	}
	for (size_t i = 0; i < FREERS; i++)
		join(freers[i].thread);
}

/* ---- storm: threads that come and go, and leave blocks behind ------------------------- */

#define STORM_AT_ONCE 4
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
	struct visitor *visitors = bench_map(STORM_AT_ONCE * sizeof *visitors);

	for (size_t round = 0; round < scale * (size_t)300; round++) {
		for (size_t i = 0; i < STORM_AT_ONCE; i++) {
			visitors[i].state = 0x428a2f98u + round * STORM_AT_ONCE + i;
			start(&visitors[i].thread, visit, &visitors[i]);
		}
		for (size_t i = 0; i < STORM_AT_ONCE; i++) {
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
