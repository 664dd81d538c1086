/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The calls of os by which a heap gets its memory and gives it back, put between the floors
 * by the linker's --wrap (sparena_failing() in tests/CMakeLists.txt): each fails when the
 * includer's failing() says so. munmap(2) and close(2) do not fail here: what they refuse
 * to take back is lost, whoever asks.
 */
#ifndef SPARENA_TESTS_FAILING_H
#define SPARENA_TESTS_FAILING_H

#include <errno.h>

#include "base/base.h"
#include "os/os.h"

/* 0, or one of the call's errors (`count` of them, as its manual page has them) as -errno. */
static int failing(const int *errors, unsigned count);

/* FAILING(name, parameters, (arguments), errors...): a call that fails as a whole. */
#define FAILING(name, parameters, arguments, ...)                                        \
	int __real_##name parameters;                                                    \
	int __wrap_##name parameters;                                                    \
	int __wrap_##name parameters                                                     \
	{                                                                                \
		static const int errors[] = { __VA_ARGS__ };                             \
		int err = failing(errors, sizeof errors / sizeof *errors);               \
		return err ? err : __real_##name arguments;                              \
	}

FAILING(os_reserve, (size_t size, size_t align, void **out), (size, align, out), ENOMEM)
FAILING(os_reserve_shared, (int fd, size_t size, size_t align, void **out), (fd, size, align, out), ENOMEM, ENODEV)
FAILING(os_open, (void *addr, size_t size), (addr, size), ENOMEM, EACCES)
FAILING(os_discard, (void *addr, size_t size), (addr, size), EINVAL, ENOMEM, EAGAIN)
FAILING(os_remove, (void *addr, size_t size), (addr, size), EIO, EINVAL, EROFS)
FAILING(os_punch, (int fd, size_t offset, size_t length), (fd, offset, length), EIO, EOPNOTSUPP)
FAILING(os_advise_huge, (void *addr, size_t size, bool huge), (addr, size, huge), ENOMEM, EINVAL, EAGAIN)
FAILING(os_advise_cold, (void *addr, size_t size), (addr, size), ENOMEM, EINVAL)
FAILING(os_dont_fork, (void *addr, size_t size), (addr, size), ENOMEM)
FAILING(os_memfd, (const char *name, size_t page, struct os_file *out), (name, page, out), EMFILE, ENFILE, ENOSYS)
FAILING(os_unnamed_file, (const char *directory, struct os_file *out), (directory, out), EOPNOTSUPP, ENFILE, EACCES)
FAILING(os_seal_size, (int fd), (fd), EPERM)
FAILING(os_resize, (int fd, size_t size), (fd, size), EFBIG, EIO, EPERM)
FAILING(os_file_bytes, (int fd, size_t *bytes), (fd, bytes), EIO)

/* The kernel leaves what precedes the failing page populated, or taken. */
int __real_os_populate(void *addr, size_t size);
int __wrap_os_populate(void *addr, size_t size);
int __wrap_os_populate(void *addr, size_t size)
{
	static const int errors[] = { ENOMEM, EFAULT, EHWPOISON, EINTR };
	int err = failing(errors, sizeof errors / sizeof *errors);
	if (err && size > os_page_size())
		(void)__real_os_populate(addr, size_down(size / 2, os_page_size()));
	return err ? err : __real_os_populate(addr, size);
}

int __real_os_allocate(int fd, size_t offset, size_t length);
int __wrap_os_allocate(int fd, size_t offset, size_t length);
int __wrap_os_allocate(int fd, size_t offset, size_t length)
{
	static const int errors[] = { ENOSPC, EINTR, EIO, EDQUOT };
	int err = failing(errors, sizeof errors / sizeof *errors);
	if (err && length > os_page_size())
		(void)__real_os_allocate(fd, offset, size_down(length / 2, os_page_size()));
	return err ? err : __real_os_allocate(fd, offset, length);
}

#endif
