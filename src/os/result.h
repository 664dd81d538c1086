/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the files of this room that ask for memory: what system calls answer. */
#ifndef SPARENA_OS_RESULT_H
#define SPARENA_OS_RESULT_H

#include <errno.h>
#include <stddef.h>

/* Turns the result of a system call into 0 or -errno, with errno put back. */
static inline int os_result(int r, int saved_errno)
{
	int error = errno;

	if (r != -1)
		return 0;
	errno = saved_errno;
	return -error;
}

/* madvise(2), again where it was interrupted (os/advice.c). */
int os_advise(void *addr, size_t size, int advice);

#endif
