/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Regions on shared memory, with every call for files and their room failing in turn:
 * all or nothing, and afterwards no descriptor, name, room or address space is lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "os/os.h"
#include "sparena/region.h"

#define PAGE 4096

enum call {
	MEMFD, UNNAMED, NAMED, FILESYSTEM, RESIZE, RESERVE, SEAL, ALLOCATE, PUNCH, FILE_BYTES, DATA_BYTES,
	ADVISE_RANDOM, ADVISE_HUGE, OPEN, POPULATE, REMOVE, SAME, CALLS
};

static const struct {
	const char *name;
	int errors[6]; /* 0 ends them */
} calls[CALLS] = {
	[MEMFD] = { "os_memfd", { EMFILE, ENOSYS, EINVAL } },
	[UNNAMED] = { "os_unnamed_file", { EOPNOTSUPP, ENFILE, EACCES } },
	[NAMED] = { "os_named_file", { EEXIST, EMFILE, EROFS } },
	[FILESYSTEM] = { "os_filesystem", { EIO } },
	[RESIZE] = { "os_resize", { EFBIG, EIO, EPERM } },
	[RESERVE] = { "os_reserve_shared", { ENOMEM, EACCES, ENODEV } },
	[SEAL] = { "os_seal_size", { EPERM } },
	[ALLOCATE] = { "os_allocate", { ENOSPC, EINTR, EOPNOTSUPP, EIO, EDQUOT, EROFS } },
	[PUNCH] = { "os_punch", { EIO, EOPNOTSUPP, EROFS } },
	[FILE_BYTES] = { "os_file_bytes", { EIO } },
	[DATA_BYTES] = { "os_data_bytes", { EIO } },
	[ADVISE_RANDOM] = { "os_advise_random", { EINVAL } },
	[ADVISE_HUGE] = { "os_advise_huge", { ENOMEM, EINVAL } },
	[OPEN] = { "os_open", { ENOMEM, EACCES } },
	[POPULATE] = { "os_populate", { EFAULT, ENOMEM, EHWPOISON, EINTR } },
	[REMOVE] = { "os_remove", { EIO, EINVAL, EROFS } },
	[SAME] = { "os_is_same_file", { EBADF } },
};

#include "points.h"

#define WRAP(call, type, name, parameters, ...)                 \
	type __real_##name parameters;                          \
	type __wrap_##name parameters;                          \
	type __wrap_##name parameters                           \
	{                                                       \
		int err = fails(call);                          \
		return err ? err : __real_##name(__VA_ARGS__);  \
	}

WRAP(MEMFD, int, os_memfd, (const char *name, size_t page, struct os_file *out), name, page, out)
WRAP(UNNAMED, int, os_unnamed_file, (const char *directory, struct os_file *out), directory, out)
WRAP(NAMED, int, os_named_file, (const char *path, struct os_file *out), path, out)
WRAP(FILESYSTEM, int, os_filesystem, (int fd, enum os_filesystem *kind, size_t *page), fd, kind, page)
WRAP(RESIZE, int, os_resize, (int fd, size_t size), fd, size)
WRAP(RESERVE, int, os_reserve_shared, (int fd, size_t size, size_t align, void **out), fd, size, align, out)
WRAP(SEAL, int, os_seal_size, (int fd), fd)
WRAP(PUNCH, int, os_punch, (int fd, size_t offset, size_t length), fd, offset, length)
WRAP(FILE_BYTES, int, os_file_bytes, (int fd, size_t *bytes), fd, bytes)
WRAP(DATA_BYTES, int, os_data_bytes, (int fd, size_t offset, size_t length, size_t *bytes), fd, offset, length, bytes)
WRAP(ADVISE_RANDOM, int, os_advise_random, (void *addr, size_t size), addr, size)
WRAP(ADVISE_HUGE, int, os_advise_huge, (void *addr, size_t size, bool huge), addr, size, huge)
WRAP(OPEN, int, os_open, (void *addr, size_t size), addr, size)
WRAP(REMOVE, int, os_remove, (void *addr, size_t size), addr, size)

/* A part is taken before the rest fails. */
int __real_os_allocate(int fd, size_t offset, size_t length);
int __wrap_os_allocate(int fd, size_t offset, size_t length);
int __wrap_os_allocate(int fd, size_t offset, size_t length)
{
	int err = fails(ALLOCATE);
	if (err && err != -EOPNOTSUPP && err != -EROFS && length > PAGE)
		__real_os_allocate(fd, offset, size_down(length / 2, PAGE));
	return err ? err : __real_os_allocate(fd, offset, length);
}

int __real_os_populate(void *addr, size_t size);
int __wrap_os_populate(void *addr, size_t size);
int __wrap_os_populate(void *addr, size_t size)
{
	int err = fails(POPULATE);
	if (err && size > PAGE)
		__real_os_populate(addr, size_down(size / 2, PAGE));
	return err ? err : __real_os_populate(addr, size);
}

/* The program closed it. */
bool __real_os_is_same_file(const struct os_file *file);
bool __wrap_os_is_same_file(const struct os_file *file);
bool __wrap_os_is_same_file(const struct os_file *file)
{
	return !fails(SAME) && __real_os_is_same_file(file);
}

/* ---- one region -------------------------------------------------------------------------- */

#define SIZE (8 * MiB)
#define G (64 * KiB)

static char directory[] = "/dev/shm/sparena-test-XXXXXX"; /* where st_blocks is exact */

static size_t entries(const char *path)
{
	size_t n = 0;
	DIR *d = opendir(path);
	MUST(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Bytes that the file takes, by its own descriptor. */
static size_t taken(const struct sparena_region *r)
{
	struct stat st;
	MUST(fstat(sparena_region_fd(r), &st) == 0);
	return (size_t)st.st_blocks * 512;
}

/* Nothing is half done; a part that cannot be undone yet stays charged. */
static void commit(struct sparena_region *r, size_t offset, size_t length)
{
	size_t before = sparena_region_committed(r);
	int err = sparena_region_commit(r, offset, length);
	size_t after = sparena_region_committed(r);
	MUST(after >= before);
	MUST(taken(r) <= after);
	if (err && point.which != CALLS)
		MUST_BE_EQUAL(after, before);
	if (!err)
		memset((char *)sparena_region_base(r) + offset, 7, length);
}

static void decommit(struct sparena_region *r, size_t offset, size_t length)
{
	size_t before = sparena_region_committed(r);
	if (sparena_region_decommit(r, offset, length) == 0)
		MUST(sparena_region_committed(r) <= before);
	MUST(taken(r) <= before);
}

/* With the fault over. */
static void check(struct sparena_region *r)
{
	const char *base = sparena_region_base(r);
	size_t bytes = 0;
	point.at = 0;
	MUST(sparena_region_commit(r, 0, G) == 0); /* which settles what lingers */
	MUST_BE_EQUAL(taken(r), sparena_region_committed(r));
	MUST(sparena_region_decommit(r, 0, SIZE) == 0);
	MUST_BE_EQUAL(taken(r), 0);
	MUST(sparena_region_commit(r, 0, SIZE) == 0);
	for (size_t at = 0; at < SIZE; at += PAGE)
		MUST(base[at] == 0);
	MUST(sparena_region_resident(r, 0, SIZE, &bytes) == 0);
	MUST_BE_EQUAL(bytes, SIZE);
}

static void use(const char *options)
{
	struct sparena_region *r;
	size_t bytes;
	if (sparena_region_reserve(options, SIZE, &r))
		return;
	commit(r, 0, 2 * G);
	commit(r, 4 * G, 2 * G);
	commit(r, 0, 8 * G);
	decommit(r, G, 4 * G);
	commit(r, 2 * MiB, 5 * MiB);
	(void)sparena_region_resident(r, 0, SIZE, &bytes);
	decommit(r, 3 * MiB, 3 * MiB);
	decommit(r, 0, G);
	check(r);
	sparena_region_release(r);
}

static void use_leaving_nothing(const char *options)
{
	size_t descriptors = entries("/proc/self/fd"), names = entries(directory);
	use(options);
	point.at = 0;
	MUST_BE_EQUAL(entries("/proc/self/fd"), descriptors);
	MUST_BE_EQUAL(entries(directory), names);
}

/* The guard keeps descriptors of its own, and has its own tests. */
static const char *file_options(const char *name)
{
	static char text[128];
	snprintf(text, sizeof text, "backing:file,guard:off,path:%s%s", directory, name);
	return text;
}

static void use_memfd(void) { use_leaving_nothing("backing:memfd,guard:off"); }
static void use_closed_memfd(void) { use_leaving_nothing("backing:memfd,closed:true,guard:off"); }
static void use_unnamed(void) { use_leaving_nothing(file_options("")); }
static void use_named(void) { use_leaving_nothing(file_options("/named")); }

static void memfd(void **state)
{
	(void)state;
	try_all(use_memfd, "memfd", 6);
}

static void closed_memfd(void **state)
{
	(void)state;
	try_all(use_closed_memfd, "closed memfd", 6);
}

static void unnamed_file(void **state)
{
	(void)state;
	try_all(use_unnamed, "unnamed file", 6);
}

static void named_file(void **state)
{
	(void)state;
	try_all(use_named, "named file", 6);
}

static int make_directory(void **state)
{
	(void)state;
	if (mkdtemp(directory))
		return 0;
	print_message("skipped: no directory can be made in /dev/shm\n");
	exit(77);
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memfd),
		cmocka_unit_test(closed_memfd),
		cmocka_unit_test(unnamed_file),
		cmocka_unit_test(named_file),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
