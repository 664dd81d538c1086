/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * processors.so, preloaded: the program sees a machine of PROCESSORS processors (64, unless
 * the environment says another number). Nothing but what it is told changes.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>

#include "bench.h"

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int get_nprocs(void);
EXPORTED int get_nprocs_conf(void);

static long processors(void)
{
	const char *text = getenv("PROCESSORS");
	return text ? (long)bench_number(text) : 64;
}

EXPORTED int get_nprocs(void) { return (int)processors(); }
EXPORTED int get_nprocs_conf(void) { return (int)processors(); }

/* glibc's own by another name. */
long __sysconf(int name);

EXPORTED long sysconf(int name)
{
	return name == _SC_NPROCESSORS_ONLN || name == _SC_NPROCESSORS_CONF ? processors() : __sysconf(name);
}

EXPORTED int sched_getaffinity(pid_t pid, size_t bytes, cpu_set_t *set)
{
	(void)pid;
	memset(set, 0, bytes);
	for (long i = 0; i < processors(); i++)
		CPU_SET_S((size_t)i, bytes, set);
	return 0;
}

EXPORTED int pthread_getaffinity_np(pthread_t thread, size_t bytes, cpu_set_t *set)
{
	(void)thread;
	return sched_getaffinity(0, bytes, set);
}
