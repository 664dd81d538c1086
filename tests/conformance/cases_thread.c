/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads: blocks that outlive them, what runs when they end, little stack. */
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

#include "cases.h"

static pthread_t start(void *(*f)(void *), void *arg)
{
	pthread_t thread;
	NEED(pthread_create(&thread, NULL, f, arg) == 0);
	return thread;
}

static void run(void *(*f)(void *), void *arg)
{
	pthread_join(start(f, arg), NULL);
}

/* ---- blocks that go from thread to thread -------------------------------------------------- */

enum { HANDED = 3000 };
static void *handed[HANDED];

static size_t handed_size(size_t i) { return 16 + i * 13 % 3000; }

static void *make_blocks(void *arg)
{
	for (size_t i = 0; i < HANDED; i++) {
		NEED(handed[i] = malloc(handed_size(i)));
		fill(handed[i], handed_size(i), (unsigned)i);
	}
	return arg;
}

static void *free_blocks(void *arg)
{
	for (size_t i = 0; i < HANDED; i++)
		free(handed[i]);
	return arg;
}

static void of_ended_thread(size_t with)
{
	size_t changed = 0;
	(void)with;
	run(make_blocks, NULL);
	for (size_t i = 0; i < HANDED; i++)
		changed += !is_filled(handed[i], handed_size(i), (unsigned)i);
	say(changed ? "%zu blocks changed" : "whole", changed);
	for (size_t i = 0; i < HANDED; i++) {
		NEED(handed[i] = realloc(handed[i], handed_size(i) * 2));
		changed += !is_filled(handed[i], handed_size(i), (unsigned)i);
	}
	say(changed ? "changed by realloc" : "realloc keeps them");
	free_blocks(NULL);
	say("freed");
}

/* 100 rounds of some 4.5 MB: 450 MB, if what a thread leaves or frees were lost with it. */
static void no_loss(size_t with)
{
	(void)with;
	for (int i = 0; i < 100; i++) {
		run(make_blocks, NULL);
		run(free_blocks, NULL);
	}
	say(resident_mib() < 100 ? "memory used again" : "memory lost");
}

static void *churn_thread(void *ok)
{
	for (unsigned i = 0; i < 20; i++)
		if (!churn(i))
			*(bool *)ok = false;
	return NULL;
}

static void at_once(size_t with)
{
	pthread_t threads[8];
	bool ok[COUNT(threads)];
	(void)with;
	for (size_t i = 0; i < COUNT(threads); i++) {
		ok[i] = true;
		threads[i] = start(churn_thread, &ok[i]);
	}
	for (size_t i = 0; i < COUNT(threads); i++) {
		pthread_join(threads[i], NULL);
		if (!ok[i])
			say("thread %zu: contents changed", i);
	}
	say("contents kept");
}

/* ---- the end of a thread -------------------------------------------------------------------- */

static pthread_key_t key;
static int destroyed;

/* Sets itself again, so that it runs after an allocator's own destructor, too. */
static void key_destructor(void *block)
{
	NEED(churn(1));
	free(block);
	if (++destroyed % 3)
		NEED(pthread_setspecific(key, malloc(50000)) == 0);
}

static void *keyed_thread(void *arg)
{
	NEED(pthread_setspecific(key, malloc(100)) == 0);
	if (arg)
		NEED(churn(2));
	return NULL;
}

static void key_destructors(size_t with)
{
	(void)with;
	NEED(pthread_key_create(&key, key_destructor) == 0);
	for (uintptr_t i = 0; i < 50; i++)
		run(keyed_thread, (void *)(i & 1));
	say("%d of 150 ran", destroyed);
}

static void cleanup(void *block)
{
	free(block);
	NEED(churn(3));
	say("clean-up handler ran");
}

static void *cancelled_thread(void *arg)
{
	void *block = malloc(100);
	NEED(block);
	pthread_cleanup_push(cleanup, block);
	for (;;)
		pause();
	pthread_cleanup_pop(0);
	return arg;
}

static void cancellation(size_t with)
{
	void *result;
	pthread_t thread = start(cancelled_thread, NULL);
	(void)with;
	NEED(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0);
	say(result == PTHREAD_CANCELED ? "cancelled" : "not cancelled");
}

/* The handler takes what the thread itself has in its thread-local variables. */
static __thread char *of_thread;

static void tls_destructor(void *block)
{
	NEED(of_thread == block && is_filled(of_thread, 100, 4));
	free(of_thread);
	of_thread = NULL;
	destroyed++;
}

static void *tls_thread(void *arg)
{
	NEED(of_thread = malloc(100));
	fill(of_thread, 100, 4);
	NEED(pthread_setspecific(key, of_thread) == 0);
	return arg;
}

static void tls(size_t with)
{
	(void)with;
	NEED(pthread_key_create(&key, tls_destructor) == 0);
	for (int i = 0; i < 50; i++)
		run(tls_thread, NULL);
	say("%d of 50 freed", destroyed);
}

/* ---- the end of the main thread -------------------------------------------------------------- */

static void *after_main_thread(void *main_thread)
{
	NEED(pthread_join(*(pthread_t *)main_thread, NULL) == 0);
	free_blocks(NULL);
	say(churn(5) ? "its blocks freed by another" : "refused");
	exit(0);
}

static void main_thread_first(size_t with)
{
	static pthread_t self;
	(void)with;
	self = pthread_self();
	make_blocks(NULL);
	start(after_main_thread, &self);
	pthread_exit(NULL);
}

static void *churn_for_ever(void *arg)
{
	for (;;)
		NEED(churn(6));
	return arg;
}

static void exit_meanwhile(size_t with)
{
	(void)with;
	for (int i = 0; i < 4; i++)
		NEED(pthread_detach(start(churn_for_ever, NULL)) == 0);
	usleep(50000);
	say("exits");
}

/* ---- many, and small ones -------------------------------------------------------------------- */

static void *one_block(void *arg)
{
	free(malloc(100));
	return arg;
}

static void one_after_another(size_t with)
{
	(void)with;
	for (int i = 0; i < 2000; i++)
		run(one_block, NULL);
	say(resident_mib() < 50 ? "memory used again" : "memory lost");
}

/* With hardly any stack of its own. */
static void *few_blocks(void *ok)
{
	*(bool *)ok = true;
	for (size_t size = 16; size < 4 * MIB; size *= 3) {
		char *p = calloc(1, size);
		if (!p || !is_zero(p, size))
			*(bool *)ok = false;
		free(p);
	}
	return NULL;
}

static void *churn_once(void *ok)
{
	*(bool *)ok = churn(7);
	return NULL;
}

static void with_stack(size_t size, void *(*f)(void *))
{
	pthread_attr_t attr;
	pthread_t threads[10];
	bool ok[COUNT(threads)];
	NEED(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, size) == 0);
	for (size_t i = 0; i < COUNT(threads); i++)
		NEED(pthread_create(&threads[i], &attr, f, &ok[i]) == 0);
	for (size_t i = 0; i < COUNT(threads); i++) {
		pthread_join(threads[i], NULL);
		if (!ok[i])
			say("refused or changed");
	}
	say("contents kept");
}

/* By sysconf(3), since it depends on the processor. */
static void least_stack(size_t with)
{
	long least = sysconf(_SC_THREAD_STACK_MIN);
	(void)with;
	with_stack(least > 0 ? (size_t)least : PTHREAD_STACK_MIN, few_blocks);
}

static void little_stack(size_t with)
{
	with_stack(with, churn_once);
}

const struct conformance_case thread_cases[] = {
	{ "threads/blocks of one that ended", of_ended_thread, 0 },
	{ "threads/made in one, freed in another", no_loss, 0 },
	{ "threads/eight at once", at_once, 0 },
	{ "threads/2,000 one after another", one_after_another, 0 },
	{ "threads/destructors of keys that allocate and free", key_destructors, 0 },
	{ "threads/thread-local pointers freed at the end", tls, 0 },
	{ "threads/cancelled, with a clean-up handler", cancellation, 0 },
	{ "threads/the main thread ends first", main_thread_first, 0 },
	{ "threads/exit while others allocate", exit_meanwhile, 0 },
	{ "threads/the least stack", least_stack, 0 },
	{ "threads/a stack of 32 KiB", little_stack, 32 * KIB },
	{ NULL, NULL, 0 },
};
