/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

int os_pid(void)
{
	return getpid();
}

int os_pipe(int ends[2])
{
	int saved_errno = errno;
	int r = pipe2(ends, O_CLOEXEC) == 0 ? 0 : -errno;

	errno = saved_errno;
	return r;
}

void os_close_fd(int fd)
{
	int saved_errno = errno;

	close(fd);
	errno = saved_errno;
}

int os_wait_byte(int fd)
{
	int saved_errno = errno;
	ssize_t n;
	char byte;
	int r;

	/* Not given up after some tries, as elsewhere: what is waited for surely comes. */
	do {
		n = read(fd, &byte, 1);
	} while (n < 0 && errno == EINTR);
	r = n < 0 ? -errno : (int)n;
	errno = saved_errno;
	return r;
}

void os_reap(int pid)
{
	int saved_errno = errno;

	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	errno = saved_errno;
}

void os_exit(int status)
{
	_exit(status);
}
