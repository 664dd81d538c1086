/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork(2) that can fail where the heap is in shared memory: denied by the options, or
 * no memory for the child's copy. All else is done by the handlers (heap/fork.c), which
 * fork() of glibc's own callers, past this one, runs too.
 */
#include <errno.h>
#include <unistd.h>

#include "heap/heap.h"
#include "os/os.h"
#include "preload/preload.h"

/* glibc's fork() under its other name: it is there for static programs as well. */
extern pid_t __fork(void);

static pid_t no_memory(void)
{
	errno = ENOMEM;
	return -1;
}

EXPORT pid_t fork(void)
{
	if (!heap_may_fork())
		return no_memory();
	pid_t pid = __fork();
	if (pid > 0 && heap_lost_child()) {
		os_reap(pid);
		return no_memory();
	}
	return pid;
}
