/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Eight threads at the limit: each allocates until it is refused, frees half, and
 * goes on, while threads start and end (many with their first malloc at exhaustion)
 * and children are forked. Usage: stress_exhaustion [rounds]; SPARENA_TEST_OPS goes
 * before it; the limit comes from SPARENA_CONF.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/books.h"
#include "../support/random.h"
#include "../support/sanitized.h"

#define WORKERS 8
#define MOST_BLOCKS 4000
#define STACK ((size_t)256 << 10)

static atomic_long rounds_left;
static atomic_long refusals, threads_started, threads_refused, children;
static atomic_bool all_are_there, stop;

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	return *state ^= *state << 17;
}

static size_t some_size(uint64_t *state)
{
	static const size_t most[] = { 64, 1000, 5000, 70000, 600000 };
	uint64_t r = next(state);
	return (size_t)(r >> 8) % most[r % 5] + 1;
}

/* Refused only with ENOMEM; calloc never returns a dirty byte. */
static unsigned char *take(uint64_t *state, size_t *size)
{
	*size = some_size(state);
	int zeroed = next(state) % 4 == 0;
	errno = 0;
	unsigned char *p = zeroed ? calloc(1, *size) : malloc(*size);
	if (!p) {
		CHECK(errno == ENOMEM);
		atomic_fetch_add(&refusals, 1);
		return NULL;
	}
	for (size_t i = 0; zeroed && i < *size; i++)
		CHECK(p[i] == 0);
	memset(p, 0xEE, *size);
	p[0] = p[*size - 1] = (unsigned char)*size;
	return p;
}

struct blocks {
	unsigned char *p[MOST_BLOCKS];
	size_t size[MOST_BLOCKS];
	size_t count;
};

static void take_until_refused(struct blocks *b, uint64_t *state)
{
	while (b->count < MOST_BLOCKS && (b->p[b->count] = take(state, &b->size[b->count])))
		b->count++;
}

static void give_some(struct blocks *b, uint64_t *state, size_t count)
{
	while (count-- && b->count) {
		size_t i = next(state) % b->count;
		CHECK(b->p[i][0] == (unsigned char)b->size[i] && b->p[i][b->size[i] - 1] == (unsigned char)b->size[i]);
		free(b->p[i]);
		b->count--;
		b->p[i] = b->p[b->count];
		b->size[i] = b->size[b->count];
	}
}

static struct blocks held[WORKERS];

/* Where the system bounds what a process has (ulimit -d), who began at once would leave the others
 * no room for their stacks. */
static void wait_for_all(void)
{
	while (!atomic_load(&all_are_there))
		usleep(100);
}

static void *work(void *arg)
{
	uint64_t state = (uintptr_t)arg * 7919 + 1;
	struct blocks *b = &held[(uintptr_t)arg];
	wait_for_all();
	while (atomic_fetch_sub(&rounds_left, 1) > 0) {
		take_until_refused(b, &state);
		give_some(b, &state, next(&state) % 16 ? 4 : b->count / 2);
	}
	give_some(b, &state, b->count);
	return NULL;
}

static void *short_life(void *arg)
{
	uint64_t state = (uintptr_t)arg | 1;
	size_t size;
	for (int i = 0; i < 8; i++)
		free(take(&state, &size));
	return NULL;
}

static pthread_attr_t small_stack;

static void *start_threads(void *arg)
{
	(void)arg;
	wait_for_all();
	for (uintptr_t i = 1; !atomic_load(&stop); i++) {
		pthread_t thread;
		if (pthread_create(&thread, &small_stack, short_life, (void *)i)) {
			atomic_fetch_add(&threads_refused, 1); /* its own bookkeeping needs malloc, too */
			usleep(100);
			continue;
		}
		atomic_fetch_add(&threads_started, 1);
		pthread_join(thread, NULL);
	}
	return NULL;
}

static void child(void)
{
	uint64_t state = (uint64_t)getpid();
	size_t size;
	alarm(60); /* a deadlock here is a failure there */
	for (int i = 0; i < 200; i++)
		free(take(&state, &size));
	_exit(0);
}

static void *fork_children(void *arg)
{
	(void)arg;
	wait_for_all();
	while (!atomic_load(&stop)) {
		int status = -1;
		pid_t pid = fork();
		if (pid == 0)
			child();
		CHECK(pid > 0 || errno == ENOMEM || errno == EAGAIN);
		if (pid > 0) {
			CHECK(waitpid(pid, &status, 0) == pid);
			CHECK(status == 0);
			atomic_fetch_add(&children, 1);
		}
		usleep(20 * 1000);
	}
	return NULL;
}

static void run(long rounds)
{
	pthread_t workers[WORKERS], starter, forker;
	atomic_store(&rounds_left, rounds);
	atomic_store(&all_are_there, false);
	atomic_store(&stop, false);
	for (uintptr_t i = 0; i < WORKERS; i++)
		CHECK(pthread_create(&workers[i], &small_stack, work, (void *)i) == 0);
	CHECK(pthread_create(&starter, &small_stack, start_threads, NULL) == 0);
	CHECK(pthread_create(&forker, &small_stack, fork_children, NULL) == 0);
	atomic_store(&all_are_there, true);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(workers[i], NULL);
	atomic_store(&stop, true);
	pthread_join(starter, NULL);
	pthread_join(forker, NULL);
}

int main(int argc, char **argv)
{
	long rounds = (long)random_ops(argc > 1 ? strtoul(argv[1], NULL, 10) : 100000);
	pthread_attr_init(&small_stack);
	pthread_attr_setstacksize(&small_stack, STACK);

	run(rounds / 10);
	books_balance();
	long before = status_kib("VmSize:");
	run(rounds);
	struct sparena_stats s = books_balance();
	long grown = status_kib("VmSize:") - before;

	printf("%ld rounds: %ld refusals, %ld threads started (%ld could not), %ld children, %llu threads without "
	       "a cache; VmSize grew by %ld KiB; committed %llu, metadata %llu, limit %llu\n",
	       rounds, refusals, threads_started, threads_refused, children,
	       (unsigned long long)s.uncached_threads, grown, (unsigned long long)s.committed,
	       (unsigned long long)s.metadata, (unsigned long long)s.limit);
	CHECK(refusals > rounds / 10 && threads_started > 0 && children > 0);
	CHECK(grown < 2048 || SANITIZED);
	return 0;
}
