/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/base.h"
#include "os/os.h"
#include "os/retry.h"
#include "schedule.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static struct kernel_failures allowed;
static unsigned failed;
static unsigned failing_on[MOST_THREADS]; /* a call that goes on saying EAGAIN: so often */

void kernel_begin(const struct kernel_failures *failures)
{
	allowed = *failures;
	failed = 0;
	for (unsigned i = 0; i < MOST_THREADS; i++)
		failing_on[i] = 0;
}

static unsigned long calls;

unsigned long kernel_calls(void) { return calls; }

unsigned kernel_failed(void) { return failed; }

static bool fails(int error)
{
	if (!error || failed == allowed.most || !schedule_choose(2))
		return false;
	failed++;
	errno = error;
	return true;
}

/* The kernel leaves what is before the page that it has no memory for populated. */
static size_t half(size_t size) { return size_down(size / 2, os_page_size()); }

static bool is_populating(int advice) { return advice == MADV_POPULATE_WRITE; }

static bool is_giving_back(int advice) { return advice == MADV_DONTNEED || advice == MADV_REMOVE; }

static int error_for(int advice)
{
	if (is_populating(advice))
		return allowed.again ? EAGAIN : allowed.populate_error;
	return is_giving_back(advice) && allowed.discards ? EPERM : 0;
}

int __real_madvise(void *addr, size_t size, int advice);
int __wrap_madvise(void *addr, size_t size, int advice);

/* The same again is EAGAIN again, until os gives up. */
static bool goes_on_failing(void)
{
	unsigned *left = &failing_on[schedule_self()];
	if (!*left)
		return false;
	--*left;
	errno = EAGAIN;
	return true;
}

static int advise(void *addr, size_t size, int advice)
{
	calls++;
	return __real_madvise(addr, size, advice);
}

static int advise_by_halves(char *addr, size_t size, int advice)
{
	size_t first = half(size);
	if (!first || !(is_populating(advice) || is_giving_back(advice)))
		return advise(addr, size, advice);
	int r = advise(addr, first, advice);
	schedule_point("its second half");
	return r ? r : advise(addr + first, size - first, advice);
}

static const char *name_of(int advice)
{
	return is_populating(advice) ? "populate" : is_giving_back(advice) ? "discard" : "madvise";
}

int __wrap_madvise(void *addr, size_t size, int advice)
{
	if (!schedule_is_on())
		return __real_madvise(addr, size, advice);
	if (goes_on_failing())
		return -1;
	schedule_point(name_of(advice));
	int error = error_for(advice);
	if (!fails(error))
		return advise_by_halves(addr, size, advice);
	if (is_populating(advice) && half(size))
		(void)advise(addr, half(size), advice);
	if (error == EAGAIN && !allowed.again)
		failing_on[schedule_self()] = RETRIES - 1;
	errno = error;
	return -1;
}

int __real_mprotect(void *addr, size_t size, int protection);
int __wrap_mprotect(void *addr, size_t size, int protection);
int __wrap_mprotect(void *addr, size_t size, int protection)
{
	schedule_point("mprotect");
	calls++;
	return __real_mprotect(addr, size, protection);
}

int __real_fallocate(int fd, int mode, off_t offset, off_t length);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t length);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t length)
{
	bool punches = mode & FALLOC_FL_PUNCH_HOLE;
	schedule_point(punches ? "punch" : "fallocate");
	if (schedule_is_on() && !punches && fails(allowed.populate_error == ENOMEM ? ENOSPC : 0))
		return -1;
	calls++;
	return __real_fallocate(fd, mode, offset, length);
}

/* ---- the clock: what is done is not to depend on how long it takes -------------------- */

#define BEGINNING 1000000u

static uint64_t now_ms = BEGINNING;

void kernel_pass(unsigned ms) { now_ms += ms; }

uint64_t __wrap_os_clock_ms(void);
uint64_t __wrap_os_clock_ms(void) { return now_ms; }
uint64_t __wrap_os_clock_ns(void);
uint64_t __wrap_os_clock_ns(void) { return now_ms * 1000000; }
