/* SPDX-License-Identifier: BSD-2-Clause */
/* A thread of the library's own, and the bell that it is woken by. */
#ifndef SPARENA_OS_THREAD_H
#define SPARENA_OS_THREAD_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#define OS_FOREVER UINT64_MAX

/*
 * Starts a thread of this name (15 letters) on a small stack, with all signals blocked: the
 * program's handlers do not run in it. Allocates, as pthread_create(3) does. Returns 0, or
 * -EAGAIN: no memory for it, RLIMIT_NPROC, the cgroup's pids.max; or -EPERM, -EINVAL, which
 * only sandboxes answer.
 */
int os_thread_start(pthread_t *out, void *(*run)(void *context), void *context, const char *name);

/* Whether a child of fork(2) can start one, where it had other threads: the runtimes of
 * AddressSanitizer and ThreadSanitizer cannot, since locks of theirs may be held in it for good. */
bool os_thread_after_fork(void);

/* Waits until it has returned from run(). */
void os_thread_join(pthread_t thread);

/* One thread waits, any may ring: also with locks held, in a signal handler, and before the
 * other one waits. */
struct os_bell {
	sem_t rings;
};

void os_bell_init(struct os_bell *b);
void os_bell_ring(struct os_bell *b);

/* Waits for a ring, so many milliseconds at most, or OS_FOREVER. It may return early. */
void os_bell_wait(struct os_bell *b, uint64_t ms);

#endif
