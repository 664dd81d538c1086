/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/faults.h"
#include "../support/sanitized.h"

#define MIB ((size_t)1 << 20)

/* ---- system calls that fail when told to ----------------------------------- */

/* The executable's own functions come before the C library's, so no linker flag
 * is needed to get between os and the kernel. */
static struct {
	int error;
	int times; /* how many calls fail; -1: all */
	int calls;
} fail_madvise, fail_ioctl, fail_munmap;

#define FAILS(f) ((f).calls++, (f).times != 0 && ((f).times -= (f).times > 0, errno = (f).error, true))

int madvise(void *addr, size_t size, int advice)
{
	return FAILS(fail_madvise) ? -1 : (int)syscall(SYS_madvise, addr, size, advice);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	return FAILS(fail_ioctl) ? -1 : (int)syscall(SYS_ioctl, fd, request, arg);
}

int munmap(void *addr, size_t size)
{
	return FAILS(fail_munmap) ? -1 : (int)syscall(SYS_munmap, addr, size);
}

static int reset(void **state)
{
	(void)state;
	memset(&fail_madvise, 0, sizeof(fail_madvise));
	memset(&fail_ioctl, 0, sizeof(fail_ioctl));
	memset(&fail_munmap, 0, sizeof(fail_munmap));
	errno = 0;
	return 0;
}

/* ---- memory ---------------------------------------------------------------- */

static char *reserve(size_t size, size_t align)
{
	void *p = NULL;

	assert_int_equal(os_reserve(size, align, &p), 0);
	assert_non_null(p);
	assert_int_equal((uintptr_t)p % align, 0);
	return p;
}

/* Opened memory in small pages, whatever THP is set to. */
static char *opened(size_t size)
{
	char *p = reserve(size, 2 * MIB);

	assert_int_equal(os_open(p, size), 0);
	os_advise_huge(p, size, false); /* -EINVAL without THP is as good */
	return p;
}

static size_t resident(const void *p, size_t size)
{
	size_t bytes = 1, swapped = 1;

	assert_int_equal(os_resident(p, size, &bytes, &swapped), 0);
	return bytes + swapped;
}

static bool is_mapped(const char *p)
{
	return msync((void *)(uintptr_t)p, os_page_size(), MS_ASYNC) == 0 || errno != ENOMEM;
}

static void test_reserve(void **state)
{
	size_t page = os_page_size();
	char *p;

	(void)state;
	for (size_t align = page; align <= 1024 * MIB; align *= 2) {
		p = reserve(3 * page, align);
		assert_int_equal(resident(p, 3 * page), 0);
		assert_int_equal(os_release(p, 3 * page), 0);
	}
	/* Not a terabyte: Valgrind and sanitizers have room for less. */
	p = reserve((size_t)16 << 30, 2 * MIB);
	assert_int_equal(os_release(p, (size_t)16 << 30), 0);
	assert_false(is_mapped(p));
}

static void test_reserve_refuses(void **state)
{
	void *p = &p;

	(void)state;
	assert_int_equal(os_reserve(0, 4096, &p), -EINVAL);
	assert_int_equal(os_reserve(4096, 0, &p), -EINVAL);
	assert_int_equal(os_reserve(4096, 1, &p), -EINVAL);
	assert_int_equal(os_reserve(4096, 3 * 4096, &p), -EINVAL);
	assert_int_equal(os_reserve(SIZE_MAX, 4096, &p), -ENOMEM);
	assert_int_equal(os_reserve(SIZE_MAX - 4096, 2 * MIB, &p), -ENOMEM);
	assert_int_equal(os_reserve((size_t)1 << 62, 4096, &p), -ENOMEM);
	assert_ptr_equal(p, &p);
	assert_int_equal(errno, 0);
}

/* How many mappings this process has. */
static size_t mappings(void)
{
	static char text[1 << 20];
	size_t length, lines = 0;

	assert_int_equal(os_read_file("/proc/self/maps", text, sizeof(text), &length), 0);
	for (size_t i = 0; i < length; i++)
		lines += text[i] == '\n';
	return lines;
}

/* A trim that fails gives everything back. */
static void test_reserve_trim_fails(void **state)
{
	size_t before = mappings();
	void *p = NULL;

	(void)state;
	fail_munmap.error = ENOMEM;
	fail_munmap.times = 1;
	assert_int_equal(os_reserve(2 * MIB, (size_t)1 << 36, &p), -ENOMEM);
	assert_null(p);
	assert_int_equal(errno, 0);
	assert_int_equal(mappings(), before);
}

/* Reserved memory faults; reading it by write(2) tells without dying. */
static bool is_readable(const char *p)
{
	int fds[2];
	bool readable;

	assert_int_equal(pipe(fds), 0);
	readable = write(fds[1], p, 1) == 1;
	close(fds[0]);
	close(fds[1]);
	return readable;
}

static void test_open_close(void **state)
{
	size_t page = os_page_size();
	char *p = reserve(2 * page, page);

	(void)state;
	assert_false(is_readable(p));
	assert_int_equal(os_open(p, page), 0);
	p[0] = 1;
	assert_true(is_readable(p));
	assert_false(is_readable(p + page));
	assert_int_equal(os_close(p, page), 0);
	assert_false(is_readable(p));
	assert_int_equal(os_release(p, 2 * page), 0);
	errno = 0;
	assert_int_equal(os_open(p, page), -ENOMEM);
	assert_int_equal(errno, 0);
}

/* Faults of writing to every page; a sanitizer's shadow memory has faults too. */
__attribute__((no_sanitize_address, no_sanitize_thread)) static long faults_of_writing(char *p, size_t size)
{
	long before = minor_faults();

	for (size_t i = 0; i < size; i += 4096)
		((volatile char *)p)[i] = 1;
	return minor_faults() - before;
}

static void check_populated(char *p, size_t size)
{
	/* A sanitizer's own thread may have one meanwhile; p has hundreds if it is not populated. */
	assert_in_range(faults_of_writing(p, size), 0, SANITIZED ? 2 : 0);
	assert_int_equal(resident(p, size), size);
}

static void test_populate_discard(void **state)
{
	char *p = opened(4 * MIB);

	(void)state;
	assert_int_equal(os_populate(p + MIB, MIB), 0);
	assert_int_equal(resident(p, 4 * MIB), MIB);
	check_populated(p + MIB, MIB);
	assert_int_equal(os_advise_cold(p + MIB, MIB), 0);
	assert_int_equal(os_discard(p + MIB, MIB), 0);
	assert_int_equal(resident(p, 4 * MIB), 0);
	assert_int_equal(p[MIB], 0);
	assert_int_equal(os_release(p, 4 * MIB), 0);
	assert_int_equal(os_populate(p, 4096), -ENOMEM);
	assert_int_equal(errno, 0);
}

/* Reading a private page gives the shared zero page, which is no memory; a shared one is some. */
static void test_populate_read(void **state)
{
	char *p = opened(2 * MIB);
	void *q;

	(void)state;
	assert_int_equal(os_populate_read(p, MIB), 0);
	assert_true(resident(p, 2 * MIB) <= MIB); /* before Linux 6.7 the zero page counts */
	assert_int_equal(os_populate(p, MIB), 0);
	assert_int_equal(resident(p, 2 * MIB), MIB);
	assert_int_equal(os_release(p, 2 * MIB), 0);
	assert_int_equal(os_reserve_shared_anonymous(4 * MIB, 2 * MIB, os_page_size(), &q), 0);
	assert_int_equal((uintptr_t)q % (2 * MIB), 0);
	assert_int_equal(os_populate_read(q, MIB), -EINVAL); /* not open yet */
	assert_int_equal(os_open(q, 4 * MIB), 0);
	assert_int_equal(os_populate_read(q, MIB), 0);
	assert_int_equal(resident(q, 4 * MIB), MIB);
	assert_int_equal(os_discard(q, MIB), 0); /* unmaps it, and no more */
	memset(q, 0x5a, 4096);
	assert_int_equal(os_remove(q, 4 * MIB), 0);
	assert_int_equal(resident(q, 4 * MIB), 0);
	assert_int_equal(*(char *)q, 0);
	assert_int_equal(os_release(q, 4 * MIB), 0);
	assert_int_equal(errno, 0);
}

/* What one process writes another one reads. */
static void test_shared_anonymous(void **state)
{
	void *p;
	pid_t child;

	(void)state;
	assert_int_equal(os_reserve_shared_anonymous(4096, 2 * MIB, os_page_size(), &p), 0);
	assert_int_equal(os_open(p, 4096), 0);
	child = fork();
	if (child == 0) {
		*(char *)p = 7;
		_exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(*(char *)p, 7);
	assert_int_equal(os_release(p, 4096), 0);
	assert_int_equal(os_reserve_shared_anonymous(0, 4096, 4096, &p), -EINVAL);
}

static void test_touch(void **state)
{
	char *p = opened(2 * MIB);

	(void)state;
	os_touch(p, MIB, 4096);
	check_populated(p, MIB);
	assert_int_equal(resident(p, 2 * MIB), MIB);
	memset(p, 0x5a, MIB);
	os_touch(p, MIB, 4096);
	for (size_t i = 0; i < MIB; i++)
		assert_int_equal(p[i], 0x5a);
	assert_int_equal(os_release(p, 2 * MIB), 0);
}

static void test_discard_locked(void **state)
{
	char *p = opened(2 * MIB);

	(void)state;
	/* Not mlock(3), which sanitizers make a no-op. */
	if (syscall(SYS_mlock, p, 65536) != 0)
		skip();
	assert_int_equal(resident(p, 2 * MIB), 65536);
	assert_int_equal(os_discard(p, 65536), 0);
	assert_int_equal(resident(p, 2 * MIB), 0);
	assert_int_equal(os_release(p, 2 * MIB), 0);
}

static void test_populate_retries(void **state)
{
	char *p = opened(2 * MIB);

	(void)state;
	fail_madvise.error = EINTR;
	fail_madvise.times = 3;
	fail_madvise.calls = 0;
	assert_int_equal(os_populate(p, 4096), 0);
	assert_int_equal(fail_madvise.calls, 4);
	fail_madvise.error = EAGAIN;
	fail_madvise.times = 2;
	assert_int_equal(os_populate(p, 4096), 0);
	fail_madvise.times = -1;
	assert_int_equal(os_populate(p, 4096), -EAGAIN);
	fail_madvise.error = EFAULT;
	fail_madvise.calls = 0;
	assert_int_equal(os_populate(p, 4096), -EFAULT);
	assert_int_equal(fail_madvise.calls, 1);
	fail_madvise.error = EINVAL;
	assert_int_equal(os_discard(p, 4096), -EINVAL);
	assert_int_equal(fail_madvise.calls, 3);
	assert_int_equal(errno, 0);
	fail_madvise.times = 0;
	assert_int_equal(os_release(p, 2 * MIB), 0);
}

/* ---- residency -------------------------------------------------------------- */

static void read_pages(const char *p, size_t size)
{
	for (size_t i = 0; i < size; i += 4096)
		(void)((const volatile char *)p)[i];
}

static void test_resident_scattered(void **state)
{
	size_t size = 8 * MIB;
	char *p = opened(size);
	size_t expected = 0;

	(void)state;
	for (size_t i = 0; i < size; i += 3 * 4096, expected += 4096)
		p[i] = 1;
	assert_int_equal(resident(p, size), expected);
	/* A part of a page counts as the page. */
	assert_int_equal(resident(p + 100, 1), 4096);
	assert_int_equal(resident(p + 4096, 2 * 4096), 0);
	/* Without the ioctl the entries are read, in more than one block. */
	fail_ioctl.error = ENOTTY;
	fail_ioctl.times = -1;
	assert_int_equal(resident(p, size), expected);
	assert_int_equal(resident(p + 4096, 2 * 4096), 0);
	assert_true(fail_ioctl.calls > 0);
	fail_ioctl.error = EPERM;
	assert_int_equal(os_resident(p, size, &expected, NULL), -EPERM);
	assert_int_equal(errno, 0);
	assert_int_equal(os_release(p, size), 0);
}

/* Whether this kernel has PAGEMAP_SCAN: a request of the right shape is not ENOTTY. */
static bool kernel_has_scan(void)
{
	uint64_t arg[12] = {96};
	int fd = open("/proc/self/pagemap", O_RDONLY);
	bool has = syscall(SYS_ioctl, fd, _IOWR('f', 16, uint64_t[12]), arg) >= 0 || errno != ENOTTY;

	close(fd);
	errno = 0;
	return has;
}

static void test_resident_zero_page(void **state)
{
	char *p = opened(4 * MIB);

	(void)state;
	if (!kernel_has_scan())
		skip();
	read_pages(p, 2 * MIB);
	assert_int_equal(resident(p, 4 * MIB), 0);
	p[4096] = 1;
	assert_int_equal(resident(p, 4 * MIB), 4096);
	/* The huge zero page too. */
	os_advise_huge(p + 2 * MIB, 2 * MIB, true);
	read_pages(p + 2 * MIB, 4096);
	assert_int_equal(resident(p, 4 * MIB), 4096);
	assert_int_equal(os_release(p, 4 * MIB), 0);
}

/* In more pages than it asks for at a time. */
static void test_in_memory(void **state)
{
	size_t page = os_page_size(), size = 9000 * page, bytes = 1;
	char *p = opened(size);

	(void)state;
	assert_int_equal(os_in_core(p, size, &bytes), 0);
	assert_int_equal(bytes, 0);
	p[0] = p[4095 * page] = p[4096 * page] = p[8999 * page] = 1;
	assert_int_equal(os_in_core(p, size, &bytes), 0);
	assert_int_equal(bytes, 4 * page);
	assert_int_equal(os_in_core(p, page + 1, &bytes), 0);
	assert_int_equal(bytes, page);
	assert_int_equal(os_release(p, size), 0);
	assert_int_equal(os_in_core(p, size, &bytes), -ENOMEM);
	assert_int_equal(errno, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_reserve, reset),
		cmocka_unit_test_setup(test_reserve_refuses, reset),
		cmocka_unit_test_setup_teardown(test_reserve_trim_fails, reset, reset),
		cmocka_unit_test_setup(test_open_close, reset),
		cmocka_unit_test_setup(test_populate_discard, reset),
		cmocka_unit_test_setup(test_populate_read, reset),
		cmocka_unit_test_setup(test_shared_anonymous, reset),
		cmocka_unit_test_setup(test_touch, reset),
		cmocka_unit_test_setup(test_discard_locked, reset),
		cmocka_unit_test_setup_teardown(test_populate_retries, reset, reset),
		cmocka_unit_test_setup_teardown(test_resident_scattered, reset, reset),
		cmocka_unit_test_setup(test_resident_zero_page, reset),
		cmocka_unit_test_setup(test_in_memory, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
