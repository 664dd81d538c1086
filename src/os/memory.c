/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "os/os.h"
#include "os/retry.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef MADV_COLD
#define MADV_COLD 20
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

size_t os_page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* Turns the result of a system call into 0 or -errno, with errno put back. */
static int result(int r, int saved_errno)
{
	int error = errno;

	if (r != -1)
		return 0;
	errno = saved_errno;
	return -error;
}

static int advise(void *addr, size_t size, int advice)
{
	int saved_errno = errno;
	int tries = 0;
	int r;

	do {
		r = result(madvise(addr, size, advice), saved_errno);
	} while ((r == -EINTR || r == -EAGAIN) && ++tries < RETRIES);
	return r;
}

/* Returns NULL when there is no address space. */
static char *map(size_t size)
{
	int saved_errno = errno;
	void *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	errno = saved_errno;
	return p == MAP_FAILED ? NULL : p;
}

int os_release(void *addr, size_t size)
{
	int saved_errno = errno;

	return result(munmap(addr, size), saved_errno);
}

/* Cuts what lies outside [start, start + size) off a mapping of `total` bytes. */
static int trim(char *p, size_t total, char *start, size_t size)
{
	size_t before = (size_t)(start - p);
	size_t after = total - before - size;
	int r = 0;

	if (before != 0)
		r = os_release(p, before);
	if (r == 0 && after != 0)
		r = os_release(start + size, after);
	return r;
}

int os_reserve(size_t size, size_t align, void **out)
{
	size_t page = os_page_size();
	size_t total;
	char *p, *start;
	int r;

	if (size == 0 || align < page || (align & (align - 1)) != 0)
		return -EINVAL;
	if (size > SIZE_MAX - align - page)
		return -ENOMEM;
	size = (size + page - 1) & ~(page - 1);
	total = size + align - page;
	p = map(total);
	if (p == NULL)
		return -ENOMEM;
	start = p + (-(uintptr_t)p & (align - 1));
	r = trim(p, total, start, size);
	if (r != 0) {
		/* Ranges that are gone already do no harm in munmap(2). */
		os_release(p, total);
		return r;
	}
	*out = start;
	return 0;
}

static int protect(void *addr, size_t size, int protection)
{
	int saved_errno = errno;

	return result(mprotect(addr, size, protection), saved_errno);
}

int os_open(void *addr, size_t size)
{
	return protect(addr, size, PROT_READ | PROT_WRITE);
}

int os_close(void *addr, size_t size)
{
	return protect(addr, size, PROT_NONE);
}

int os_populate(void *addr, size_t size)
{
	return advise(addr, size, MADV_POPULATE_WRITE);
}

void os_touch(void *addr, size_t size, size_t page_size)
{
	volatile unsigned char *p = addr;

	/* An atomic read-modify-write, as another thread may be using the byte. */
	for (size_t offset = 0; offset < size; offset += page_size)
		__atomic_fetch_or(p + offset, 0, __ATOMIC_RELAXED);
}

int os_discard(void *addr, size_t size)
{
	int r = advise(addr, size, MADV_DONTNEED);

	return r == -EINVAL ? advise(addr, size, MADV_DONTNEED_LOCKED) : r;
}

int os_advise_huge(void *addr, size_t size, bool huge)
{
	return advise(addr, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

int os_advise_cold(void *addr, size_t size)
{
	return advise(addr, size, MADV_COLD);
}

int os_name(void *addr, size_t size, const char *name)
{
	int saved_errno = errno;

	return result(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, addr, size, name), saved_errno);
}
