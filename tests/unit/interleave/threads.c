/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The C library's locks and conditions, wrapped: the schedule decides who gets what, and the
 * real lock is then free. Threads that are not the schedule's have the real ones alone.
 */
#include "threads.h"

#include <errno.h>

#include "schedule.h"

int __real_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	if (schedule_is_on())
		threads_lock(m);
	return __real_pthread_mutex_lock(m);
}

int __real_pthread_mutex_trylock(pthread_mutex_t *m);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *m);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *m)
{
	if (schedule_is_on() && !threads_try_lock(m))
		return EBUSY;
	return __real_pthread_mutex_trylock(m);
}

int __real_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m)
{
	if (schedule_is_on())
		threads_unlock(m);
	return __real_pthread_mutex_unlock(m);
}

/* In a child nobody is there who would wake it. */
int __real_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	SOUND(!threads_in_child());
	if (!schedule_is_on())
		return __real_pthread_cond_wait(c, m);
	threads_begin_wait(c, m);
	__real_pthread_mutex_unlock(m);
	threads_end_wait(m);
	return __real_pthread_mutex_lock(m);
}

int __real_pthread_cond_broadcast(pthread_cond_t *c);
int __wrap_pthread_cond_broadcast(pthread_cond_t *c);
int __wrap_pthread_cond_broadcast(pthread_cond_t *c)
{
	if (!schedule_is_on())
		return __real_pthread_cond_broadcast(c);
	threads_wake(c, true);
	return 0;
}

int __real_pthread_cond_signal(pthread_cond_t *c);
int __wrap_pthread_cond_signal(pthread_cond_t *c);
int __wrap_pthread_cond_signal(pthread_cond_t *c)
{
	if (!schedule_is_on())
		return __real_pthread_cond_signal(c);
	threads_wake(c, false);
	return 0;
}
