/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "base/base.h"
#include "os/machine.h"
#include "os/os.h"
#include "os/result.h"
#include "os/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Linux 6.7's ioctl on /proc/PID/pagemap, which tells the zero page apart. From
 * linux/fs.h, which is older than that on the systems this must build on. */
#define SCAN_PRESENT (UINT64_C(1) << 3)
#define SCAN_SWAPPED (UINT64_C(1) << 4)
#define SCAN_ZERO (UINT64_C(1) << 5)

struct scan_range {
	uint64_t start, end, categories;
};

struct scan_arg {
	uint64_t size, flags;
	uint64_t start, end, walk_end;
	uint64_t vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN_IOCTL _IOWR('f', 16, struct scan_arg)

#define ENTRY_PRESENT (UINT64_C(1) << 63)
#define ENTRY_SWAPPED (UINT64_C(1) << 62)

/* What was found in the range so far. */
struct found {
	size_t resident, swapped;
};

/* One ioctl; returns how many ranges it filled in, or -1. */
static int scan_some(int fd, struct scan_arg *arg)
{
	int tries = 0;
	int n;

	do {
		n = ioctl(fd, SCAN_IOCTL, arg);
	} while (n < 0 && errno == EINTR && ++tries < RETRIES);
	return n;
}

/* Counts [start, end) by PAGEMAP_SCAN: what is present or swapped, and not the
 * zero page. */
static int by_scan(int fd, uint64_t start, uint64_t end, struct found *f)
{
	struct scan_range ranges[64] = {0}; /* Valgrind does not know that the call fills it in */
	struct scan_arg arg = {
		.size = sizeof(arg),
		.start = start,
		.end = end,
		.vec = (uintptr_t)ranges,
		.vec_len = sizeof(ranges) / sizeof(ranges[0]),
		.category_inverted = SCAN_ZERO,
		.category_mask = SCAN_ZERO,
		.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
		.return_mask = SCAN_PRESENT | SCAN_SWAPPED,
	};

	while (arg.start < end) {
		int n = scan_some(fd, &arg);

		if (n < 0)
			return -errno;
		for (int i = 0; i < n; i++) {
			size_t bytes = (size_t)(ranges[i].end - ranges[i].start);

			if (ranges[i].categories & SCAN_PRESENT)
				f->resident += bytes;
			else
				f->swapped += bytes;
		}
		if (arg.walk_end <= arg.start)
			return -EIO;
		arg.start = arg.walk_end;
	}
	return 0;
}

bool os_can_scan_pagemap(void)
{
	uint64_t page = os_page_size(), start = (uintptr_t)&page & ~(page - 1);
	int saved_errno = errno;
	struct found f = {0};
	bool can = false;
	int fd;

	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		can = by_scan(fd, start, start + page, &f) == 0;
		close(fd);
	}
	errno = saved_errno;
	return can;
}

static ssize_t read_at(int fd, void *buffer, size_t length, uint64_t offset)
{
	int tries = 0;
	ssize_t n;

	do {
		n = pread(fd, buffer, length, (off_t)offset);
	} while (n < 0 && errno == EINTR && ++tries < RETRIES);
	return n;
}

/*
 * Counts by reading one entry a page, for kernels before 6.7. Zero pages, which
 * only reading memory that was never populated makes, count as resident here:
 * nothing tells them apart without privileges.
 */
static int by_entries(int fd, uint64_t start, uint64_t end, size_t page, struct found *f)
{
	uint64_t entries[512];

	while (start < end) {
		uint64_t want = (end - start) / page * sizeof(entries[0]);
		ssize_t n = read_at(fd, entries, want < sizeof(entries) ? want : sizeof(entries),
		                    start / page * sizeof(entries[0]));

		if (n < 0)
			return -errno;
		if (n < (ssize_t)sizeof(entries[0]))
			return -EIO;
		n /= (ssize_t)sizeof(entries[0]);
		for (ssize_t i = 0; i < n; i++) {
			f->resident += entries[i] & ENTRY_PRESENT ? page : 0;
			f->swapped += entries[i] & ENTRY_SWAPPED ? page : 0;
		}
		start += (uint64_t)n * page;
	}
	return 0;
}

int os_resident(const void *addr, size_t size, size_t *resident, size_t *swapped)
{
	size_t page = os_page_size();
	uint64_t start = (uintptr_t)addr & ~(page - 1);
	uint64_t end = ((uintptr_t)addr + size + page - 1) & ~(page - 1);
	int saved_errno = errno;
	struct found f = {0};
	int fd, r;

	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		r = -errno;
		errno = saved_errno;
		return r;
	}
	r = by_scan(fd, start, end, &f);
	if (r == -ENOTTY || r == -EINVAL) {
		f = (struct found){0};
		r = by_entries(fd, start, end, page, &f);
	}
	close(fd);
	errno = saved_errno;
	if (r != 0)
		return r;
	*resident = f.resident;
	if (swapped != NULL)
		*swapped = f.swapped;
	return 0;
}

int os_core_pages(const void *addr, size_t size, unsigned char *pages)
{
	int saved_errno = errno;

	return os_result(mincore((char *)(uintptr_t)addr, size, pages), saved_errno);
}

int os_in_core(const void *addr, size_t size, size_t *bytes)
{
	unsigned char pages[1024];
	size_t page = os_page_size(), step = sizeof(pages) * page;

	*bytes = 0;
	for (size_t done = 0; done < size; done += step) {
		size_t length = size_min(size - done, step);
		int r = os_core_pages((const char *)addr + done, length, pages);

		if (r != 0)
			return r;
		for (size_t i = 0; i * page < length; i++)
			*bytes += pages[i] & 1 ? page : 0;
	}
	return 0;
}

size_t os_merged(void)
{
	size_t pages = 0;

	return os_read_number("/proc/self/ksm_merging_pages", &pages) == 0 ? pages * os_page_size() : 0;
}
