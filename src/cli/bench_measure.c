/* SPDX-License-Identifier: BSD-2-Clause */
/* One measurement: a method on the whole of a memory, by one thread or by several. */
#define _GNU_SOURCE
#include "cli/bench.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>

#define WARM_PASSES 6

/* ---- SIGBUS ---------------------------------------------------------------------- */

static _Thread_local sigjmp_buf *guard; /* where to go on; NULL: nowhere */

static void on_sigbus(int number)
{
	if (guard != NULL)
		siglongjmp(*guard, 1);
	signal(number, SIG_DFL); /* and the same instruction raises it again */
}

void bench_catch_sigbus(void)
{
	struct sigaction action = {.sa_handler = on_sigbus};

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
}

int bench_prepare(const struct bench_subject *subject, struct bench_memory *m,
                  const struct bench_method *method)
{
	sigjmp_buf place;
	int r;

	if (subject->prepare == NULL)
		return 0;
	if (sigsetjmp(place, 1) != 0) {
		guard = NULL;
		return -EFAULT;
	}
	guard = &place;
	r = subject->prepare(m, method);
	guard = NULL;
	return r;
}

/* ---- threads --------------------------------------------------------------------- */

/* What all threads wait for, so that they start together. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t opened;
	enum { GATE_CLOSED, GATE_OPEN, GATE_CANCELLED } state;
};

/* A thread, and what it is to do. */
struct worker {
	pthread_t thread;
	struct gate *gate;
	struct bench_memory *memory;
	const struct bench_method *method;
	size_t offset, length;
	uint64_t begin, end;
	int error;
};

static void work(struct worker *w)
{
	sigjmp_buf place;

	if (sigsetjmp(place, 1) != 0) {
		guard = NULL;
		w->error = -EFAULT;
		return;
	}
	guard = &place;
	w->begin = os_clock_ns();
	w->error = w->method->run(w->memory, w->offset, w->length);
	w->end = os_clock_ns();
	guard = NULL;
}

static void *wait_and_work(void *argument)
{
	struct worker *w = argument;
	bool go;

	pthread_mutex_lock(&w->gate->lock);
	while (w->gate->state == GATE_CLOSED)
		pthread_cond_wait(&w->gate->opened, &w->gate->lock);
	go = w->gate->state == GATE_OPEN;
	pthread_mutex_unlock(&w->gate->lock);
	if (go)
		work(w);
	return NULL;
}

/* Starts all, lets them work and waits for them. -EAGAIN: there cannot be so many. */
static int work_together(struct worker *workers, unsigned count)
{
	struct gate gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, GATE_CLOSED};
	unsigned started = 0;
	int r = 0;

	while (r == 0 && started < count) {
		workers[started].gate = &gate;
		r = -pthread_create(&workers[started].thread, NULL, wait_and_work, &workers[started]);
		started += r == 0;
	}
	pthread_mutex_lock(&gate.lock);
	gate.state = r == 0 ? GATE_OPEN : GATE_CANCELLED;
	pthread_cond_broadcast(&gate.opened);
	pthread_mutex_unlock(&gate.lock);
	for (unsigned i = 0; i < started; i++)
		pthread_join(workers[i].thread, NULL);
	return r;
}

/* ---- the measurement --------------------------------------------------------------- */

size_t bench_unit(const struct bench_memory *m, const struct bench_method *method)
{
	if ((method->flags & BENCH_NEEDS_REGION) != 0 && m->region != NULL)
		return sparena_region_granule(m->region);
	return m->backing == BENCH_ANON_THP ? size_max(m->page, BENCH_HUGE_PAGE) : m->page;
}

/* Gives each its part: whole units, as many as its neighbour or one more. */
static void share_out(struct worker *workers, unsigned count, struct bench_memory *m,
                      const struct bench_method *method)
{
	size_t unit = bench_unit(m, method);
	size_t units = m->size / unit;

	for (unsigned i = 0; i < count; i++) {
		size_t from = units * i / count * unit;
		size_t to = i + 1 < count ? units * (i + 1) / count * unit : m->size;

		workers[i] =
			(struct worker){.memory = m, .method = method, .offset = from, .length = to - from};
	}
}

int bench_measure(struct bench_memory *m, const struct bench_method *method, unsigned threads, uint64_t *ns)
{
	struct worker workers[BENCH_THREADS_MOST];
	uint64_t begin, end, finish;
	int r = 0;

	share_out(workers, threads, m, method);
	if (threads == 1)
		work(&workers[0]);
	else
		r = work_together(workers, threads);
	begin = workers[0].begin;
	end = workers[0].end;
	for (unsigned i = 0; r == 0 && i < threads; i++) {
		r = workers[i].error;
		begin = workers[i].begin < begin ? workers[i].begin : begin;
		end = workers[i].end > end ? workers[i].end : end;
	}
	*ns = end - begin;
	if (r != 0 || method->finish == NULL)
		return r;
	finish = os_clock_ns();
	r = method->finish(m);
	*ns += os_clock_ns() - finish;
	return r;
}

/* ---- warming up --------------------------------------------------------------------- */

void bench_warm_pass(size_t bytes, uint64_t *ns)
{
	uint64_t start = os_clock_ns();
	void *p;

	if (os_reserve(bytes, BENCH_HUGE_PAGE, &p) == 0) {
		if (os_open(p, bytes) == 0) {
			(void)os_advise_huge(p, bytes, true); /* a kernel without them: slower */
			bench_write(p, bytes, os_page_size());
		}
		os_release(p, bytes);
	}
	*ns = os_clock_ns() - start;
}

void bench_warm_up(size_t bytes)
{
	uint64_t took, last;
	unsigned passes = 1;

	bench_warm_pass(bytes, &took);
	do {
		last = took;
		bench_warm_pass(bytes, &took);
	} while ((double)took < 0.7 * (double)last && ++passes < WARM_PASSES);
}
