/* SPDX-License-Identifier: BSD-2-Clause */
/* Address space: mapped, opened, given back. */
#define _GNU_SOURCE
#include "os/os.h"
#include "os/result.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif
#ifndef PR_GET_MEMORY_MERGE
#define PR_GET_MEMORY_MERGE 68
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

size_t os_page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* What mmap(2) is to put where. */
struct mapping {
	int protection;
	int flags;
	int fd;
	size_t offset;
};

/* At `where`, or anywhere when that is NULL. */
static int map(void *where, size_t size, const struct mapping *m, char **out)
{
	int saved_errno = errno;
	void *p = mmap(where, size, m->protection, m->flags | MAP_NORESERVE, m->fd, (off_t)m->offset);
	int r = p == MAP_FAILED ? -errno : 0;

	errno = saved_errno;
	*out = p;
	return r == -EAGAIN ? -ENOMEM : r; /* mlockall(MCL_FUTURE), and RLIMIT_MEMLOCK is used up */
}

int os_release(void *addr, size_t size)
{
	int saved_errno = errno;

	return os_result(munmap(addr, size), saved_errno);
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

/* Anonymous pages of `page` bytes: more than is wanted, with the ends cut off. */
static int map_aligned(size_t size, size_t align, size_t page, int flags, void **out)
{
	struct mapping m = {PROT_NONE, MAP_ANONYMOUS | flags, -1, 0};
	size_t total;
	char *p, *start;
	int r;

	if (size == 0 || align < page || (align & (align - 1)) != 0)
		return -EINVAL;
	if (size > SIZE_MAX - align - page)
		return -ENOMEM;
	size = (size + page - 1) & ~(page - 1);
	total = size + align - page;
	r = map(NULL, total, &m, &p);
	if (r != 0)
		return r;
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

int os_reserve(size_t size, size_t align, void **out)
{
	int r = map_aligned(size, align, os_page_size(), MAP_PRIVATE, out);

	/* Whatever else it says, as under Valgrind: the arguments are right. */
	return r == 0 || size == 0 || align < os_page_size() || (align & (align - 1)) != 0 ? r : -ENOMEM;
}

static int huge_flags(size_t page)
{
	return MAP_HUGETLB | __builtin_ctzl(page) << MAP_HUGE_SHIFT;
}

int os_reserve_huge(size_t size, size_t align, size_t page, void **out)
{
	return map_aligned(size, align, page, MAP_PRIVATE | huge_flags(page), out);
}

int os_reserve_shared_anonymous(size_t size, size_t align, size_t page, void **out)
{
	int flags = page == os_page_size() ? 0 : huge_flags(page);

	return map_aligned(size, align, page, MAP_SHARED | flags, out);
}

/* Over space that is aligned already: cutting ends off would shift the file's offsets. */
int os_reserve_shared(int fd, size_t size, size_t align, void **out)
{
	struct mapping m = {PROT_NONE, MAP_SHARED | MAP_FIXED, fd, 0};
	void *place;
	char *p;
	int r = os_reserve(size, align, &place);

	if (r != 0)
		return r;
	r = map(place, size, &m, &p);
	if (r == 0)
		*out = p;
	else
		os_release(place, size);
	return r;
}

static int replace(void *addr, size_t size, int protection)
{
	struct mapping m = {protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0};
	char *p;

	return map(addr, size, &m, &p);
}

int os_cover(void *addr, size_t size)
{
	return replace(addr, size, PROT_NONE);
}

int os_renew(void *addr, size_t size)
{
	return replace(addr, size, PROT_READ | PROT_WRITE);
}

int os_view(void *addr, size_t size, int fd, size_t offset)
{
	struct mapping m = {PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, offset};
	char *p;

	return map(addr, size, &m, &p);
}

static int protect(void *addr, size_t size, int protection)
{
	int saved_errno = errno;

	return os_result(mprotect(addr, size, protection), saved_errno);
}

int os_open(void *addr, size_t size)
{
	return protect(addr, size, PROT_READ | PROT_WRITE);
}

int os_close(void *addr, size_t size)
{
	return protect(addr, size, PROT_NONE);
}

/* What mremap(2) does with a shared mapping whose old size is 0: a second one of the same. */
int os_lend(void *addr, size_t size, void **out)
{
	int saved_errno = errno;
	void *p = mremap(addr, 0, size, MREMAP_MAYMOVE);
	int r = p == MAP_FAILED ? -errno : 0;

	errno = saved_errno;
	if (r != 0)
		return r;
	r = protect(p, size, PROT_READ);
	if (r == 0)
		r = os_advise(p, size, MADV_DOFORK);
	if (r == 0)
		*out = p;
	else
		os_release(p, size);
	return r;
}

int os_name(void *addr, size_t size, const char *name)
{
	int saved_errno = errno;

	return os_result(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, addr, size, name), saved_errno);
}

bool os_merges_all(void)
{
	int saved_errno = errno;
	int r = prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0);

	errno = saved_errno;
	return r == 1;
}

int os_lock(void *addr, size_t size, bool now)
{
	int saved_errno = errno;
	int r = os_result(mlock2(addr, size, now ? 0 : MLOCK_ONFAULT), saved_errno);

	return r == -EAGAIN ? -ENOMEM : r; /* some page could not be had */
}

int os_unlock(void *addr, size_t size)
{
	int saved_errno = errno;

	return os_result(munlock(addr, size), saved_errno);
}

int os_new_sparse(size_t size, void **out)
{
	void *p;
	int r = os_reserve(size, os_page_size(), &p);

	if (r != 0)
		return r;
	if (os_is_locked(p, os_page_size()))
		r = os_lock(p, size, false);
	if (r == 0)
		r = os_open(p, size);
	return os_settle_new(p, size, r, out);
}
