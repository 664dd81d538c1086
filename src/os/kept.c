/* SPDX-License-Identifier: BSD-2-Clause */
/* Files that stay open and are read again and again. */
#define _GNU_SOURCE
#include "os/os.h"
#include "os/retry.h"

#include <errno.h>
#include <unistd.h>

/* pread(2) without EINTR; the number of bytes, or -errno with errno untouched. */
static ssize_t read_at(int fd, void *buffer, size_t length, size_t offset)
{
	int saved_errno = errno;
	int tries = 0;
	ssize_t n;

	do {
		n = pread(fd, buffer, length, (off_t)offset);
	} while (n < 0 && errno == EINTR && ++tries < RETRIES);
	if (n < 0)
		n = -errno;
	errno = saved_errno;
	return n;
}

/* The files meant here are made anew with each read from their start, and fit into one. */
static int read_whole(int fd, char *buffer, size_t capacity)
{
	size_t used = 0;
	ssize_t n;

	do {
		n = read_at(fd, buffer + used, capacity - 1 - used, used);
		used += n > 0 ? (size_t)n : 0;
	} while (n > 0 && used < capacity - 1 && buffer[used - 1] != '\n');
	buffer[used] = '\0';
	return n < 0 ? (int)n : 0;
}

/* Looked at before, since reading from a stranger may take something away from it; and
 * after, since another thread may close all descriptors in between. */
int os_read_kept(const struct os_file *file, char *buffer, size_t capacity)
{
	int r;

	buffer[0] = '\0';
	if (!os_is_same_file(file))
		return -ESTALE;
	r = read_whole(file->fd, buffer, capacity);
	if (os_is_same_file(file))
		return r;
	buffer[0] = '\0';
	return -ESTALE;
}
