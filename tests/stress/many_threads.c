/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thousand live threads, each with its first malloc at exhaustion. Each must work:
 * without a thread cache if need be, and with memory once there is some again.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/books.h"

#define THREADS 1000

static pthread_barrier_t started, exhausted, tried, freed, done;
static atomic_int refused, served, failed_after;

static void *first_malloc_at_exhaustion(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&started);
	pthread_barrier_wait(&exhausted);
	errno = 0;
	char *p = malloc(100);
	CHECK(p || errno == ENOMEM);
	atomic_fetch_add(p ? &served : &refused, 1);
	free(p);
	pthread_barrier_wait(&tried);
	pthread_barrier_wait(&freed);
	p = malloc(3000);
	if (p)
		memset(p, 1, 3000);
	else
		atomic_fetch_add(&failed_after, 1);
	free(p);
	pthread_barrier_wait(&done);
	return NULL;
}

static void *fill(size_t size, void *list)
{
	void **p;
	while ((p = malloc(size))) {
		*p = list;
		list = p;
	}
	return list;
}

int main(void)
{
	static pthread_t threads[THREADS];
	pthread_barrier_t *barriers[] = { &started, &exhausted, &tried, &freed, &done };
	pthread_attr_t attr;
	for (int i = 0; i < 5; i++)
		pthread_barrier_init(barriers[i], NULL, THREADS + 1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, (size_t)64 << 10);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], &attr, first_malloc_at_exhaustion, NULL) == 0);
	pthread_barrier_wait(&started);

	void *list = fill(16, fill(1000, fill(100000, NULL)));
	books_balance();
	pthread_barrier_wait(&exhausted);
	pthread_barrier_wait(&tried);
	struct sparena_stats s = books_balance();
	while (list) {
		void *next = *(void **)list;
		free(list);
		list = next;
	}
	pthread_barrier_wait(&freed);
	pthread_barrier_wait(&done);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);

	printf("at exhaustion %d threads were served, %d refused, %llu without a cache; committed %llu + metadata %llu "
	       "<= limit %llu; afterwards %d failed\n",
	       served, refused, (unsigned long long)s.uncached_threads, (unsigned long long)s.committed,
	       (unsigned long long)s.metadata, (unsigned long long)s.limit, failed_after);
	CHECK(served + refused == THREADS && s.uncached_threads > THREADS / 2 && failed_after == 0);
	books_balance();
	return 0;
}
