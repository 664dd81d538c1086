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
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What each madvise fails with; 0: none does. It comes before the C library's. */
static int madvise_error;

int madvise(void *addr, size_t size, int advice)
{
	errno = madvise_error;
	return madvise_error != 0 ? -1 : (int)syscall(SYS_madvise, addr, size, advice);
}

static int reset(void **state)
{
	(void)state;
	madvise_error = 0;
	errno = 0;
	return 0;
}

/* ---- files ------------------------------------------------------------------ */

static char directory[] = "/tmp/sparena-test-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static void test_files(void **state)
{
	char buffer[16];
	struct stat st;
	size_t length;

	(void)state;
	assert_int_equal(os_write_file(path_of("a"), "0123456789", 10), 0);
	assert_int_equal(stat(path_of("a"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(os_read_file(path_of("a"), buffer, sizeof(buffer), &length), 0);
	assert_int_equal(length, 10);
	assert_string_equal(buffer, "0123456789");
	assert_int_equal(os_read_file(path_of("a"), buffer, 5, &length), 0);
	assert_int_equal(length, 4);
	assert_string_equal(buffer, "0123");
	assert_int_equal(os_write_file(path_of("a"), "ab", 2), 0);
	assert_int_equal(os_read_file(path_of("a"), buffer, sizeof(buffer), NULL), 0);
	assert_string_equal(buffer, "ab");
	unlink(path_of("a"));
}

static void test_files_refuse(void **state)
{
	char buffer[16] = "x";

	(void)state;
	assert_int_equal(os_read_file(path_of("none"), buffer, sizeof(buffer), NULL), -ENOENT);
	assert_string_equal(buffer, "");
	assert_int_equal(os_read_file(directory, buffer, sizeof(buffer), NULL), -EISDIR);
	assert_int_equal(os_write_file(path_of("no/file"), "", 0), -ENOENT);
	assert_int_equal(os_write_file(directory, "", 0), -EISDIR);
	assert_int_equal(os_write_file("/dev/null", "x", 1), -EINVAL);
	assert_int_equal(symlink("target", path_of("link")), 0);
	assert_int_equal(os_write_file(path_of("link"), "x", 1), -ELOOP);
	assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
	assert_int_equal(os_write_file(path_of("fifo"), "x", 1), -ENXIO);
	assert_int_equal(os_write_all(-1, "x", 1), -EBADF);
	assert_int_equal(os_write_all(-1, "x", 0), 0);
	assert_int_equal(errno, 0);
	unlink(path_of("link"));
	unlink(path_of("fifo"));
}

/* A limit on the file's size makes the first write a short one, the second fail. */
static void test_write_short(void **state)
{
	struct rlimit old, small;
	char buffer[64];
	int fd = open(path_of("short"), O_RDWR | O_CREAT, 0600);

	(void)state;
	assert_true(fd >= 0);
	getrlimit(RLIMIT_FSIZE, &old);
	small = (struct rlimit){10, old.rlim_max};
	setrlimit(RLIMIT_FSIZE, &small);
	signal(SIGXFSZ, SIG_IGN);
	memset(buffer, 'x', sizeof(buffer));
	assert_int_equal(os_write_all(fd, buffer, sizeof(buffer)), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &old);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(lseek(fd, 0, SEEK_END), 10);
	close(fd);
	unlink(path_of("short"));
}

/* Never more than what statfs(2) has for those without privileges, and some on any disk. */
static void test_room(void **state)
{
	size_t room = 0, more = 0;
	int fd = open(directory, O_RDONLY | O_DIRECTORY);
	int proc = open("/proc", O_RDONLY | O_DIRECTORY);
	struct statvfs st;

	(void)state;
	assert_true(fd >= 0 && proc >= 0);
	assert_int_equal(os_filesystem_room(fd, &room), 0);
	assert_int_equal(fstatvfs(fd, &st), 0);
	more = (size_t)st.f_bavail * st.f_frsize;
	/* Others write there too, meanwhile. */
	assert_true(room > 0 && room / 2 <= more && more / 2 <= room);
	assert_int_equal(os_filesystem_room(proc, &room), 0); /* has no blocks: no bound */
	assert_true(room == SIZE_MAX);
	assert_int_equal(os_filesystem_room(-1, &room), -EBADF);
	assert_int_equal(errno, 0);
	close(fd);
	close(proc);
}

static void test_fields(void **state)
{
	static const char text[] = "MemTotal:       100 kB\nHugeMemFree: 5 kB\nMemFree:\t  7 kB\nThreads: 3\n"
				   "Bad: x\nHuge: 99999999999999999999 kB\nWide: 18446744073709551615 kB\n";
	size_t v = 1;

	(void)state;
	assert_int_equal(os_field_bytes(text, "MemTotal", &v), 0);
	assert_int_equal(v, 102400);
	assert_int_equal(os_field_bytes(text, "MemFree", &v), 0);
	assert_int_equal(v, 7168);
	assert_int_equal(os_field_bytes(text, "Threads", &v), 0);
	assert_int_equal(v, 3);
	assert_int_equal(os_field_bytes(text, "Mem", &v), -ENOENT);
	assert_int_equal(os_field_bytes("", "Mem", &v), -ENOENT);
	assert_int_equal(os_field_bytes(text, "Bad", &v), -EINVAL);
	assert_int_equal(os_field_bytes(text, "Huge", &v), -EINVAL);
	assert_int_equal(os_field_bytes(text, "Wide", &v), -EINVAL);
	assert_int_equal(v, 3);
}

static void test_environment(void **state)
{
	char **saved = environ;
	char buffer[4096];

	(void)state;
	setenv("SPARENA_TEST", "a=b", 1);
	setenv("SPARENA_TESTER", "other", 1);
	assert_string_equal(os_environment("SPARENA_TEST", buffer, 1), "a=b");
	assert_null(os_environment("SPARENA_TES", buffer, sizeof(buffer)));
	unsetenv("SPARENA_TEST");
	assert_null(os_environment("SPARENA_TEST", buffer, sizeof(buffer)));
	/* Before the C library has set it: what exec left. */
	environ = NULL;
	assert_string_equal(os_environment("SPARENA_AT_EXEC", buffer, sizeof(buffer)), "x:1,y=2");
	assert_string_equal(os_environment("SPARENA_AT_EXEC", buffer, 8), "x:1,y=2");
	assert_null(os_environment("SPARENA_AT_EXEC", buffer, 7));
	assert_null(os_environment("SPARENA_AT_EXE", buffer, sizeof(buffer)));
	assert_null(os_environment("PARENA_AT_EXEC", buffer, sizeof(buffer)));
	assert_string_equal(os_environment("SPARENA_EMPTY", buffer, sizeof(buffer)), "");
	environ = saved;
	assert_false(os_is_secure());
}

/* ---- clocks and probes ------------------------------------------------------- */

static void test_clocks(void **state)
{
	uint64_t ns = os_clock_ns(), ms = os_clock_ms();

	(void)state;
	usleep(30000);
	assert_in_range(os_clock_ns() - ns, 30000000, 5000000000);
	assert_in_range(os_clock_ms() - ms, 10, 5000);
	assert_true(ms <= os_clock_ns() / 1000000 && os_clock_ns() / 1000000 - ms < 60000);
}

static void test_probe(void **state)
{
	struct rlimit limit = {(size_t)1 << 46, RLIM_INFINITY};
	struct os_probe p;

	(void)state;
	memset(&p, 0xff, sizeof(p));
	setrlimit(RLIMIT_DATA, &limit);
	os_probe(&p);
	assert_int_equal(p.page_size, sysconf(_SC_PAGESIZE));
	assert_int_equal(p.memory_total, os_memory_total());
	assert_in_range(p.memory_available, 1, p.memory_total);
	assert_in_range(p.overcommit, 0, 2);
	assert_true(p.limit_data == (size_t)1 << 46);
	assert_int_equal(p.cpus, sysconf(_SC_NPROCESSORS_ONLN));
	assert_true(p.kernel[0] >= '1' && p.kernel[0] <= '9');
	assert_true(p.huge_page_size == 0 || p.thp != OS_THP_NONE);
	assert_int_equal(p.populate, syscall(SYS_madvise, NULL, 0, 23) == 0);
	assert_int_equal(p.dontneed_locked, syscall(SYS_madvise, NULL, 0, 24) == 0);
	errno = 0;
	madvise_error = EINVAL;
	os_probe(&p);
	assert_false(p.populate || p.dontneed_locked);
	/* A failure of the moment says nothing about the kernel. */
	madvise_error = ENOMEM;
	os_probe(&p);
	assert_true(p.populate && p.dontneed_locked);
	assert_int_equal(errno, 0);
}

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) == NULL;
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

/* What /proc/self/environ shows is what exec was given. */
static void exec_with_environment(char **argv)
{
	if (getenv("SPARENA_AT_EXEC") != NULL)
		return;
	setenv("SPARENA_EMPTY", "", 1);
	setenv("SPARENA_AT_EXEC", "x:1,y=2", 1);
	execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_files, reset),
		cmocka_unit_test_setup(test_files_refuse, reset),
		cmocka_unit_test_setup(test_write_short, reset),
		cmocka_unit_test_setup(test_room, reset),
		cmocka_unit_test_setup(test_fields, reset),
		cmocka_unit_test_setup(test_environment, reset),
		cmocka_unit_test_setup(test_clocks, reset),
		cmocka_unit_test_setup_teardown(test_probe, reset, reset),
	};

	(void)argc;
	exec_with_environment(argv);
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
