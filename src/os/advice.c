/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel is told of memory that is mapped already: madvise(2). */
#define _GNU_SOURCE
#include "os/os.h"
#include "os/result.h"
#include "os/retry.h"

#include <sys/mman.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#ifndef MADV_COLD
#define MADV_COLD 20
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

int os_advise(void *addr, size_t size, int advice)
{
	int saved_errno = errno;
	int tries = 0;
	int r;

	do {
		r = os_result(madvise(addr, size, advice), saved_errno);
	} while ((r == -EINTR || r == -EAGAIN) && ++tries < RETRIES);
	return r;
}

int os_populate(void *addr, size_t size)
{
	return os_advise(addr, size, MADV_POPULATE_WRITE);
}

int os_populate_read(void *addr, size_t size)
{
	return os_advise(addr, size, MADV_POPULATE_READ);
}

/* An atomic read-modify-write, as another thread may be using the byte: which ThreadSanitizer
 * takes for a race. Of a zero that it knew of, Clang would make a mere read. */
__attribute__((no_sanitize("thread"))) void os_touch(void *addr, size_t size, size_t page_size)
{
	volatile unsigned char *p = addr;
	unsigned char nothing = 0;

	__asm__("" : "+r"(nothing));
	for (size_t offset = 0; offset < size; offset += page_size)
		__atomic_fetch_or(p + offset, nothing, __ATOMIC_RELAXED);
}

int os_advise_dontneed(void *addr, size_t size)
{
	return os_advise(addr, size, MADV_DONTNEED);
}

int os_discard(void *addr, size_t size)
{
	int r = os_advise_dontneed(addr, size);

	return r == -EINVAL ? os_advise(addr, size, MADV_DONTNEED_LOCKED) : r;
}

/* Of no length, it tells a kernel that knows the advice. */
bool os_is_locked(void *addr, size_t size)
{
	return os_advise_cold(addr, size) == -EINVAL && os_advise_cold(addr, 0) == 0;
}

int os_remove(void *addr, size_t size)
{
	return os_advise(addr, size, MADV_REMOVE);
}

int os_advise_huge(void *addr, size_t size, bool huge)
{
	return os_advise(addr, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

int os_advise_random(void *addr, size_t size)
{
	return os_advise(addr, size, MADV_RANDOM);
}

int os_advise_cold(void *addr, size_t size)
{
	return os_advise(addr, size, MADV_COLD);
}

int os_advise_pageout(void *addr, size_t size)
{
	return os_advise(addr, size, MADV_PAGEOUT);
}

int os_advise_willneed(void *addr, size_t size)
{
	return os_advise(addr, size, MADV_WILLNEED);
}

int os_advise_merge(void *addr, size_t size, bool merge)
{
	return os_advise(addr, size, merge ? MADV_MERGEABLE : MADV_UNMERGEABLE);
}

int os_dont_fork(void *addr, size_t size)
{
	return os_advise(addr, size, MADV_DONTFORK);
}

int os_wipe_on_fork(void *addr, size_t size)
{
	return os_advise(addr, size, MADV_WIPEONFORK);
}

int os_dump(void *addr, size_t size, bool dump)
{
	return os_advise(addr, size, dump ? MADV_DODUMP : MADV_DONTDUMP);
}
