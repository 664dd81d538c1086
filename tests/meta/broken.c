/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linked into copies of the drop-in and of the unit tests: switches off the promise that
 * the environment variable BROKEN names, by coming between floors, or between os and the
 * C library (the linker's --wrap). Without BROKEN a copy does what the original does.
 * What was switched off in effect is noted in the file that BROKEN_MARK names.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "pages/pages.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* ---- what is switched off -------------------------------------------------------- */

enum what {
	UNKNOWN, NOTHING,
	POPULATE, /* P1: populating succeeds, and nothing is populated */
	LIMIT,    /* P2: twice the limit can be had */
	KILL,     /* P2: who asks for too much is killed, as by the kernel's OOM killer */
	ERROR,    /* P2: what is over the limit is refused with EIO */
	ERRNO,    /* P2: the program's errno is left alone */
	GUARD,    /* P2: there is always room, whatever the machine and its cgroups have */
	ADDRESS,  /* P2: address space is never given back */
	KEEP,     /* P3: what is discarded reads zero, and stays */
	CLOCK,    /* P3: time stands still, so that nothing ever gets old */
	REMAINS,  /* P4: of what is discarded, the last page stays */
	HUGE,     /* P4: what is not to be huge may be so all the same */
	DIRTY,    /* P5: new pages are full of what somebody else left there */
	WHATS
};

static const char *const names[WHATS] = {
	[NOTHING] = "nothing", [POPULATE] = "populate", [LIMIT] = "limit", [KILL] = "kill", [ERROR] = "error",
	[ERRNO] = "errno", [GUARD] = "guard", [ADDRESS] = "address", [KEEP] = "keep", [CLOCK] = "clock", [REMAINS] = "remains",
	[HUGE] = "huge", [DIRTY] = "dirty",
};

static enum what named(const char *name)
{
	if (!name)
		return NOTHING;
	for (int i = NOTHING; i < WHATS; i++)
		if (strcmp(name, names[i]) == 0)
			return (enum what)i;
	_exit(99); /* a slip in the table: no test may take this for a promise broken */
}

static _Atomic enum what broken;

static bool is_broken(enum what what)
{
	enum what now = atomic_load_explicit(&broken, memory_order_relaxed);
	if (now == UNKNOWN && environ) { /* the first allocation may come before the environment */
		now = named(getenv("BROKEN"));
		atomic_store_explicit(&broken, now, memory_order_relaxed);
	}
	return now == what;
}

/* Once for each process. By system calls alone: no allocation, nothing that is wrapped. */
static void mark(void)
{
	static atomic_bool marked;
	const char *path = getenv("BROKEN_MARK");
	if (atomic_exchange(&marked, true) || !path)
		return;
	long fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0)
		return;
	const char *name = names[atomic_load(&broken)];
	syscall(SYS_write, fd, name, strlen(name));
	syscall(SYS_write, fd, "\n", 1);
	syscall(SYS_close, fd);
}

/* ---- between os and the C library ------------------------------------------------ */

int __real_madvise(void *addr, size_t size, int advice);
int __wrap_madvise(void *addr, size_t size, int advice);

/* Zeros in its place, as if it were gone. False: it can't be written. */
static bool clear(char *addr, size_t size)
{
	if (__real_madvise(addr, size, MADV_POPULATE_WRITE))
		return false;
	memset(addr, 0, size);
	return true;
}

static int discard_most(char *addr, size_t size, int advice)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	if (!clear(addr + size - page, page))
		return __real_madvise(addr, size, advice);
	mark();
	return size > page ? __real_madvise(addr, size - page, advice) : 0;
}

int __wrap_madvise(void *addr, size_t size, int advice)
{
	bool discards = advice == MADV_DONTNEED && size, populates = advice == MADV_POPULATE_WRITE && size;
	if (is_broken(KEEP) && discards && clear(addr, size)) {
		mark();
		return 0;
	}
	if (is_broken(REMAINS) && discards)
		return discard_most(addr, size, advice);
	if ((is_broken(POPULATE) && populates) || (is_broken(HUGE) && advice == MADV_NOHUGEPAGE)) {
		mark();
		return 0;
	}
	return __real_madvise(addr, size, advice);
}

int __real_munmap(void *addr, size_t size);
int __wrap_munmap(void *addr, size_t size);
int __wrap_munmap(void *addr, size_t size)
{
	if (!is_broken(ADDRESS))
		return __real_munmap(addr, size);
	mark();
	return 0;
}

int __real_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
	if (!is_broken(CLOCK) || clock != CLOCK_MONOTONIC_COARSE)
		return __real_clock_gettime(clock, t);
	*t = (struct timespec){ .tv_sec = 1000 };
	mark();
	return 0;
}

/* Of the drop-in alone: errno there is another than the program's. */
int *__real___errno_location(void);
int *__wrap___errno_location(void);
#pragma weak __real___errno_location
int *__wrap___errno_location(void)
{
	static _Thread_local int nobodys;
	if (!is_broken(ERRNO))
		return __real___errno_location();
	mark();
	return &nobodys;
}

/* ---- between floors -------------------------------------------------------------- */

int __real_budget_charge(struct budget *b, size_t n, size_t keep);
int __wrap_budget_charge(struct budget *b, size_t n, size_t keep);
#pragma weak __real_budget_charge
int __wrap_budget_charge(struct budget *b, size_t n, size_t keep)
{
	int err = __real_budget_charge(b, n, keep);
	if (!err || !(is_broken(LIMIT) || is_broken(ERROR)))
		return err;
	if (is_broken(LIMIT)) {
		size_t most = 2 * budget_limit(b); /* the machine's memory is not ours to use up */
		if (n > most || budget_charged(b) > most - n)
			return err;
		atomic_fetch_add(&b->charged, n);
		err = 0;
	} else {
		err = -EIO;
	}
	mark();
	return err;
}

int __real_pages_alloc(struct pages *p, size_t bytes, size_t align, size_t keep, size_t *offset, bool *zeroed);
int __wrap_pages_alloc(struct pages *p, size_t bytes, size_t align, size_t keep, size_t *offset, bool *zeroed);
#pragma weak __real_pages_alloc
int __wrap_pages_alloc(struct pages *p, size_t bytes, size_t align, size_t keep, size_t *offset, bool *zeroed)
{
	int err = __real_pages_alloc(p, bytes, align, keep, offset, zeroed);
	if (err && is_broken(KILL)) {
		mark();
		syscall(SYS_kill, getpid(), SIGKILL);
	}
	return err;
}

/* Page by page are committed metadata, and what lazy_above is given. */
#pragma weak backing_lazy
static bool may_be_dirty(const struct region *r)
{
	return r->granule > PAGE || (&backing_lazy && r->backing.ops == &backing_lazy);
}

/* Makes the granules dirty that are not committed yet. Only those of data: sparena may
 * rely on zeros in its own metadata. */
static int commit_dirty(struct region *r, size_t offset, size_t length, size_t keep,
                        int (*commit)(struct region *, size_t, size_t, size_t))
{
	static _Thread_local bool was[4096];
	size_t granules = length / r->granule;
	if (!may_be_dirty(r) || length % r->granule || granules > sizeof was)
		return commit(r, offset, length, keep);
	for (size_t i = 0; i < granules; i++)
		was[i] = region_is_committed(r, offset + i * r->granule, r->granule);
	int err = commit(r, offset, length, keep);
	for (size_t i = 0; !err && i < granules; i++)
		if (!was[i]) {
			memset(r->base + offset + i * r->granule, 0xDB, r->granule);
			mark();
		}
	return err;
}

size_t __real_guard_ask(struct guard *g, const struct guard_request *q);
size_t __wrap_guard_ask(struct guard *g, const struct guard_request *q);
#pragma weak __real_guard_ask
size_t __wrap_guard_ask(struct guard *g, const struct guard_request *q)
{
	if (!is_broken(GUARD))
		return __real_guard_ask(g, q);
	mark();
	return q->bytes;
}

void __real_guard_done(struct guard *g, size_t granted);
void __wrap_guard_done(struct guard *g, size_t granted);
#pragma weak __real_guard_done
void __wrap_guard_done(struct guard *g, size_t granted)
{
	if (!is_broken(GUARD))
		__real_guard_done(g, granted);
}

int __real_region_commit_keep(struct region *r, size_t offset, size_t length, size_t keep);
int __wrap_region_commit_keep(struct region *r, size_t offset, size_t length, size_t keep);
#pragma weak __real_region_commit_keep
#pragma weak region_is_committed
int __wrap_region_commit_keep(struct region *r, size_t offset, size_t length, size_t keep)
{
	if (!is_broken(DIRTY))
		return __real_region_commit_keep(r, offset, length, keep);
	return commit_dirty(r, offset, length, keep, __real_region_commit_keep);
}

int __real_region_commit(struct region *r, size_t offset, size_t length);
int __wrap_region_commit(struct region *r, size_t offset, size_t length);
#pragma weak __real_region_commit
int __wrap_region_commit(struct region *r, size_t offset, size_t length)
{
	return is_broken(DIRTY) ? __wrap_region_commit_keep(r, offset, length, 0) : __real_region_commit(r, offset, length);
}
