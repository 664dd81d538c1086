/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "os/os.h"

#include <errno.h>
#include <string.h>
#include <fcntl.h>
#include <pthread.h>
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

int os_hold_cancel(void)
{
	int before = PTHREAD_CANCEL_ENABLE;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	return before;
}

void os_allow_cancel(int before)
{
	int unused;

	(void)pthread_setcancelstate(before, &unused);
}

void os_exit(int status)
{
	_exit(status);
}

static const char victim_file[] = "/proc/self/oom_score_adj";

int os_get_victim(char score[OS_VICTIM_SIZE])
{
	return os_read_file(victim_file, score, OS_VICTIM_SIZE, NULL);
}

int os_set_victim(const char *score)
{
	int saved_errno = errno;
	int fd = open(victim_file, O_WRONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : 0;

	if (r == 0) {
		r = os_write_all(fd, score, strlen(score));
		close(fd);
	}
	errno = saved_errno;
	return r;
}
