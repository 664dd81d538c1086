/* SPDX-License-Identifier: BSD-2-Clause */
/* Making swap, and using it: swapon(2). */
#define _GNU_SOURCE
#include "os/machine.h"
#include "os/result.h"
#include "os/retry.h"

#include <fcntl.h>
#include <string.h>
#include <sys/swap.h>
#include <unistd.h>

/* The first page of a swap area, as mkswap(8) writes it. */
#define SIGNATURE "SWAPSPACE2"
#define SIGNATURE_LENGTH 10
#define HEADER_OFFSET 1024 /* what is before it is for boot loaders */
#define PAGE_MAX ((size_t)64 << 10)

struct header {
	uint32_t version;
	uint32_t last_page; /* its number, counted from 0 */
	uint32_t bad_pages;
};

/* O_EXCL: of a block device that is in use, as a file system or as swap, -EBUSY. */
static int open_area(const char *path)
{
	int saved_errno = errno;
	int tries = 0;
	int fd;

	do {
		fd = open(path, O_RDWR | O_EXCL | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	} while (fd < 0 && errno == EINTR && ++tries < RETRIES);
	if (fd < 0)
		fd = -errno;
	errno = saved_errno;
	return fd;
}

/* swapon(2) reads what the device has, and not what is on its way there. */
static int flush(int fd)
{
	int saved_errno = errno;
	int tries = 0;
	int r;

	do {
		r = os_result(fsync(fd), saved_errno);
	} while (r == -EINTR && ++tries < RETRIES);
	return r;
}

int os_swap_format(const char *path, size_t size)
{
	static const char zeros[PAGE_MAX];
	size_t page = os_page_size();
	struct header header = {.version = 1, .last_page = (uint32_t)(size / page - 1)};
	int fd, r;

	if (page > PAGE_MAX || size / page < 2 || size / page > UINT32_MAX)
		return -EINVAL;
	fd = open_area(path);
	if (fd < 0)
		return fd;
	r = os_write_all(fd, zeros, HEADER_OFFSET);
	if (r == 0)
		r = os_write_all(fd, &header, sizeof(header));
	if (r == 0)
		r = os_write_all(fd, zeros, page - HEADER_OFFSET - sizeof(header) - SIGNATURE_LENGTH);
	if (r == 0)
		r = os_write_all(fd, SIGNATURE, SIGNATURE_LENGTH);
	if (r == 0)
		r = flush(fd);
	os_close_fd(fd);
	return r;
}

int os_swap_on(const char *path)
{
	int flags = SWAP_FLAG_PREFER | (SWAP_FLAG_PRIO_MASK << SWAP_FLAG_PRIO_SHIFT & SWAP_FLAG_PRIO_MASK);

	return os_result(swapon(path, flags), errno);
}

int os_swap_off(const char *path)
{
	int saved_errno = errno;
	int tries = 0;
	int r;

	do {
		r = os_result(swapoff(path), saved_errno);
	} while (r == -EINTR && ++tries < RETRIES);
	return r;
}
