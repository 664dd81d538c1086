/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "os/thread.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

/* Beside what the C library needs for itself and for the program's thread-local data. */
#define STACK_BYTES ((size_t)128 << 10)

static int set_stack(pthread_attr_t *attributes)
{
	long least = sysconf(_SC_THREAD_STACK_MIN);
	return pthread_attr_setstacksize(attributes, STACK_BYTES + (least > 0 ? (size_t)least : 0));
}

/* A new thread has the mask of the one that makes it. */
static int create(pthread_t *out, const pthread_attr_t *attributes, void *(*run)(void *), void *context)
{
	sigset_t all, before;
	sigfillset(&all);
	int err = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (err)
		return err;
	err = pthread_create(out, attributes, run, context);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* it was taken a moment ago */
	return err;
}

int os_thread_start(pthread_t *out, void *(*run)(void *context), void *context, const char *name)
{
	pthread_attr_t attributes;
	int err = pthread_attr_init(&attributes);
	if (err)
		return -err;
	err = set_stack(&attributes);
	if (!err)
		err = create(out, &attributes, run, context);
	pthread_attr_destroy(&attributes);
	if (!err)
		(void)pthread_setname_np(*out, name); /* for people only */
	return -err;
}

/* There where the program was built with one of them. */
extern void __asan_init(void) __attribute__((weak));
extern void __tsan_init(void) __attribute__((weak));

bool os_thread_after_fork(void) { return !__asan_init && !__tsan_init; }

void os_thread_join(pthread_t thread) { (void)pthread_join(thread, NULL); }

void os_bell_init(struct os_bell *b) { (void)sem_init(&b->rings, 0, 0); }

/* More rings than a semaphore counts are as good as one. */
void os_bell_ring(struct os_bell *b) { (void)sem_post(&b->rings); }

static struct timespec after(uint64_t ms)
{
	struct timespec t = {0};
	clock_gettime(CLOCK_MONOTONIC, &t);
	uint64_t ns = (uint64_t)t.tv_nsec + ms % 1000 * 1000000;
	t.tv_sec += (time_t)(ms / 1000 + ns / 1000000000);
	t.tv_nsec = (long)(ns % 1000000000);
	return t;
}

void os_bell_wait(struct os_bell *b, uint64_t ms)
{
	struct timespec until = after(ms == OS_FOREVER ? 0 : ms);
	if (ms == OS_FOREVER ? sem_wait(&b->rings) : sem_clockwait(&b->rings, CLOCK_MONOTONIC, &until))
		return;
	while (sem_trywait(&b->rings) == 0)
		; /* one answer to all of them */
}
