/* SPDX-License-Identifier: BSD-2-Clause */
/* Between schedule.c and threads.c: what the threads do that has to do with others. */
#ifndef SPARENA_TESTS_INTERLEAVE_THREADS_H
#define SPARENA_TESTS_INTERLEAVE_THREADS_H

#include <pthread.h>
#include <stdbool.h>

void threads_lock(const pthread_mutex_t *m);
bool threads_try_lock(const pthread_mutex_t *m);
void threads_unlock(const pthread_mutex_t *m);

/* Lets go of the lock; and, when somebody has woken the thread, takes it again. */
void threads_begin_wait(const pthread_cond_t *c, const pthread_mutex_t *m);
void threads_end_wait(const pthread_mutex_t *m);
void threads_wake(const pthread_cond_t *c, bool all);

/* In a child of fork(2). */
bool threads_in_child(void);

#endif
