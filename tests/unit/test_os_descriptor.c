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
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#define NOBODY 65534

static char directory[] = "/tmp/sparena-test-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static int reset(void **state)
{
	(void)state;
	errno = 0;
	return 0;
}

/* Every call leaves errno alone, whatever it returned. */
static int untouched(void **state)
{
	(void)state;
	assert_int_equal(errno, 0);
	return 0;
}

static void set_limit(int resource, size_t value)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(resource, &limit), 0);
	limit.rlim_cur = value < limit.rlim_max ? value : limit.rlim_max;
	assert_int_equal(setrlimit(resource, &limit), 0);
}

static void no_limit(int resource)
{
	set_limit(resource, SIZE_MAX);
}

static void assert_out_of_the_way(int fd, int least)
{
	assert_true(fd >= least);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

/* ---- making them ---------------------------------------------------------------- */

static void test_memfd(void **state)
{
	struct os_file file;
	struct stat st;

	(void)state;
	assert_int_equal(os_memfd("sparena-test", 0, &file), 0);
	assert_out_of_the_way(file.fd, 100);
	assert_int_equal(fstat(file.fd, &st), 0);
	assert_true(st.st_dev == file.device && st.st_ino == file.inode && st.st_size == 0);
	assert_int_equal(st.st_mode & 0111, 0);
	os_close_file(&file);
	assert_int_equal(file.fd, -1);
	assert_int_equal(os_memfd("sparena-test", 8192, &file), -ENODEV); /* no such huge pages */
}

/* The highest descriptor that may be had is the only one that is free. */
static void test_few_descriptors(void **state)
{
	struct os_file file;
	int first, most;

	(void)state;
	first = dup(0);
	assert_true(first > 2);
	close(first);
	set_limit(RLIMIT_NOFILE, (size_t)first + 1);
	assert_int_equal(os_memfd("sparena-test", 0, &file), 0);
	assert_out_of_the_way(file.fd, first);
	assert_int_equal(os_memfd("sparena-test", 0, &(struct os_file){0}), -EMFILE);
	os_close_file(&file);
	set_limit(RLIMIT_NOFILE, 50); /* fewer than where ours begin */
	assert_int_equal(os_memfd("sparena-test", 0, &file), 0);
	assert_out_of_the_way(file.fd, 3);
	os_close_file(&file);
	for (most = first; dup(0) >= 0; most++)
		;
	errno = 0;
	assert_int_equal(os_memfd("sparena-test", 0, &file), -EMFILE);
	assert_int_equal(os_unnamed_file(directory, &file), -EMFILE);
	assert_int_equal(os_named_file(path_of("none-left"), &file), -EMFILE);
	for (int fd = first; fd < most; fd++)
		close(fd);
	no_limit(RLIMIT_NOFILE);
	assert_int_equal(access(path_of("none-left"), F_OK), -1);
	errno = 0;
}

/* In a program that closed the standard ones, ours does not become its output. */
static void test_standard_ones_closed(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		struct os_file file;

		close(0), close(1), close(2);
		_exit(os_memfd("sparena-test", 0, &file) == 0 && file.fd > 2 && fcntl(0, F_GETFD) < 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_unnamed(void **state)
{
	struct os_file file;
	struct stat st;

	(void)state;
	umask(0);
	assert_int_equal(os_unnamed_file(directory, &file), 0);
	umask(022);
	assert_out_of_the_way(file.fd, 100);
	assert_int_equal(fstat(file.fd, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(st.st_nlink, 0);
	os_close_file(&file);
	assert_int_equal(os_unnamed_file(path_of("nowhere"), &file), -ENOENT);
	assert_int_equal(os_unnamed_file("/dev/null", &file), -ENOTDIR);
}

static void make_file(const char *name, const char *content)
{
	assert_int_equal(os_write_file(path_of(name), content, strlen(content)), 0);
}

static void assert_refused(const char *name, int err)
{
	struct os_file file;

	assert_int_equal(os_named_file(path_of(name), &file), err);
	errno = 0;
}

static void test_named(void **state)
{
	struct os_file file, again;
	struct stat st;

	(void)state;
	umask(0);
	assert_int_equal(os_named_file(path_of("new"), &file), 0);
	umask(022);
	assert_out_of_the_way(file.fd, 100);
	assert_int_equal(stat(path_of("new"), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_true(st.st_ino == file.inode);
	os_close_file(&file);
	assert_int_equal(os_named_file(path_of("new"), &again), 0); /* empty, and one's own */
	assert_true(st.st_ino == again.inode);
	assert_int_equal(os_resize(again.fd, PAGE), 0); /* a hole is something too */
	assert_refused("new", -EEXIST);
	os_close_file(&again);
	assert_int_equal(unlink(path_of("new")), 0);
	assert_refused("nowhere/new", -ENOENT);
}

static void test_named_refused(void **state)
{
	char other[128];

	(void)state;
	make_file("full", "x");
	assert_refused("full", -EEXIST);

	make_file("empty", "");
	snprintf(other, sizeof(other), "%s", path_of("empty"));
	assert_int_equal(symlink(other, path_of("link")), 0);
	assert_refused("link", -ELOOP);
	assert_int_equal(symlink("/nonexistent", path_of("dangling")), 0);
	assert_refused("dangling", -ELOOP);
	assert_int_equal(link(other, path_of("second")), 0);
	assert_refused("second", -EINVAL);
	assert_refused("empty", -EINVAL);
	assert_int_equal(unlink(path_of("second")), 0);

	assert_int_equal(chmod(other, 0640), 0);
	assert_refused("empty", -EPERM);
	assert_int_equal(chmod(other, 0600), 0);

	assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
	assert_refused("fifo", -EINVAL); /* and not waited for */
	assert_int_equal(mkdir(path_of("folder"), 0700), 0);
	assert_refused("folder", -EISDIR);
	assert_int_equal(access(path_of("full"), F_OK), 0);
}

static void test_named_by_others(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: only root can give files away\n");
		skip();
	}
	make_file("other", "");
	assert_int_equal(chown(path_of("other"), NOBODY, NOBODY), 0);
	assert_refused("other", -EPERM);
}

static void test_unlink(void **state)
{
	struct os_file file;
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s", path_of("gone"));
	assert_int_equal(os_named_file(path, &file), 0);
	os_close_file(&file);
	assert_int_equal(rename(path, path_of("moved")), 0);
	assert_int_equal(os_unlink(path, &file), -ENOENT);
	make_file("gone", "somebody else's");
	assert_int_equal(os_unlink(path, &file), -ESTALE);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(os_unlink(path_of("moved"), &file), 0);
	assert_int_equal(access(path_of("moved"), F_OK), -1);
	errno = 0;
}

/* ---- the number means another file by now ------------------------------------------ */

static void test_is_same(void **state)
{
	struct os_file file, none = {.fd = -1};
	int other, number;

	(void)state;
	assert_false(os_is_same_file(&none));
	os_close_file(&none);
	assert_int_equal(os_memfd("sparena-test", 0, &file), 0);
	assert_true(os_is_same_file(&file));
	number = file.fd;
	close(number);
	assert_false(os_is_same_file(&file));

	other = open("/dev/null", O_RDWR);
	assert_int_equal(dup2(other, number), number);
	assert_false(os_is_same_file(&file));
	os_close_file(&file);
	assert_true(fcntl(number, F_GETFD) >= 0); /* somebody else's stays open */
	close(number);
	close(other);
}

/* ---- what they are of ---------------------------------------------------------------- */

static void test_filesystem(void **state)
{
	enum os_filesystem kind = OS_FS_DISK;
	struct os_file file;
	size_t page = 0;

	(void)state;
	assert_int_equal(os_memfd("sparena-test", 0, &file), 0);
	assert_int_equal(os_filesystem(file.fd, &kind, &page), 0);
	assert_int_equal(kind, OS_FS_MEMORY);
	assert_int_equal(page, PAGE);
	os_close_file(&file);
	if (os_memfd("sparena-test", (size_t)2 << 20, &file) == 0) {
		assert_int_equal(os_filesystem(file.fd, &kind, &page), 0);
		assert_int_equal(kind, OS_FS_HUGE);
		assert_int_equal(page, (size_t)2 << 20);
		os_close_file(&file);
	}
	assert_int_equal(os_filesystem(-1, &kind, &page), -EBADF);
	assert_true(os_is_directory(directory));
	make_file("plain", "");
	assert_false(os_is_directory(path_of("plain")));
	assert_false(os_is_directory(path_of("nowhere")));
}

static void test_resize(void **state)
{
	struct os_file file;
	struct stat st;

	(void)state;
	assert_int_equal(os_memfd("sparena-test", 0, &file), 0);
	set_limit(RLIMIT_FSIZE, 10 * PAGE);
	assert_int_equal(os_resize(file.fd, 10 * PAGE), 0);
	assert_int_equal(os_resize(file.fd, 10 * PAGE + 1), -EFBIG); /* and no SIGXFSZ */
	no_limit(RLIMIT_FSIZE);
	assert_int_equal(os_resize(file.fd, (size_t)1 << 40), 0);
	assert_int_equal(os_resize(file.fd, SIZE_MAX), -EFBIG);
	assert_int_equal(fstat(file.fd, &st), 0);
	assert_true(st.st_size == (off_t)1 << 40);
	os_close_file(&file);
}

static void test_seal(void **state)
{
	struct os_file file;
	void *p;

	(void)state;
	assert_int_equal(os_memfd("sparena-test", 0, &file), 0);
	assert_int_equal(os_resize(file.fd, 4 * PAGE), 0);
	assert_int_equal(os_seal_size(file.fd), 0);
	assert_int_equal(os_resize(file.fd, PAGE), -EPERM);
	assert_int_equal(os_resize(file.fd, 8 * PAGE), -EPERM);
	assert_int_equal(os_seal_size(file.fd), -EPERM);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED); /* writing is not sealed off */
	munmap(p, PAGE);
	os_close_file(&file);
}

static void assert_room(int fd, size_t bytes)
{
	size_t taken = 0;

	assert_int_equal(os_file_bytes(fd, &taken), 0);
	assert_int_equal(taken, bytes);
}

static void assert_data(int fd, size_t offset, size_t length, size_t bytes)
{
	size_t data = 0;

	assert_int_equal(os_data_bytes(fd, offset, length, &data), 0);
	assert_int_equal(data, bytes);
}

static void test_room(void **state)
{
	struct os_file file;

	(void)state;
	assert_int_equal(os_memfd("sparena-test", 0, &file), 0);
	assert_int_equal(os_resize(file.fd, 64 * PAGE), 0);
	assert_room(file.fd, 0);
	assert_data(file.fd, 0, 64 * PAGE, 0);
	assert_int_equal(os_allocate(file.fd, 8 * PAGE, 4 * PAGE), 0);
	assert_room(file.fd, 4 * PAGE);
	assert_int_equal(pwrite(file.fd, "x", 1, 9 * PAGE), 1);
	assert_int_equal(pwrite(file.fd, "x", 1, 63 * PAGE), 1);
	assert_data(file.fd, 0, 64 * PAGE, 2 * PAGE); /* room alone is no data yet */
	assert_data(file.fd, 9 * PAGE, 54 * PAGE, PAGE);
	assert_data(file.fd, 10 * PAGE, 50 * PAGE, 0);
	assert_int_equal(pwrite(file.fd, "x", 1, 10 * PAGE), 1);
	assert_data(file.fd, 0, 10 * PAGE, PAGE); /* and no more than the range, where data goes on */
	assert_int_equal(os_punch(file.fd, 0, 16 * PAGE), 0);
	assert_room(file.fd, PAGE);
	os_close_file(&file);
	assert_int_equal(os_allocate(-1, 0, PAGE), -EBADF);
	assert_int_equal(os_punch(-1, 0, PAGE), -EBADF);
	assert_int_equal(os_data_bytes(-1, 0, PAGE, &(size_t){0}), -EBADF);
}

/* ---- mappings --------------------------------------------------------------------------- */

/* The first byte is the file's, whatever the alignment, and the last one is inside it. */
static void test_reserve_shared(void **state)
{
	size_t size = 6 * PAGE;
	struct os_file file;
	void *p[8];

	(void)state;
	assert_int_equal(os_memfd("sparena-test", 0, &file), 0);
	assert_int_equal(os_resize(file.fd, size), 0);
	for (size_t i = 0; i < 8; i++) {
		size_t align = (size_t)PAGE << (2 * i);

		assert_int_equal(os_reserve_shared(file.fd, size, align, &p[i]), 0);
		assert_int_equal((uintptr_t)p[i] % align, 0);
		assert_int_equal(os_populate(p[i], PAGE), -EINVAL); /* inaccessible */
		assert_int_equal(os_open(p[i], size), 0);
		assert_int_equal(pwrite(file.fd, &i, 1, 0), 1);
		assert_int_equal(pwrite(file.fd, &i, 1, (off_t)size - 1), 1);
		assert_int_equal(*(unsigned char *)p[i], i);
		assert_int_equal(((unsigned char *)p[i])[size - 1], i);
	}
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(os_release(p[i], size), 0);
	os_close_file(&file);
	assert_int_equal(os_reserve_shared(-1, size, PAGE, &p[0]), -EBADF);
}

/* Programs that lock all that is to come: what cannot be locked cannot be had. */
static void test_locked_to_come(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		struct os_file file;
		void *p;

		set_limit(RLIMIT_MEMLOCK, PAGE);
		if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) != 0)
			_exit(2);
		if (syscall(SYS_mlockall, MCL_FUTURE) != 0) /* sanitizers have an empty function */
			_exit(3);
		if (os_memfd("sparena-test", 0, &file) != 0 || os_resize(file.fd, 64 * PAGE) != 0)
			_exit(4);
		if (os_reserve(64 * PAGE, PAGE, &p) != -ENOMEM)
			_exit(5);
		_exit(os_reserve_shared(file.fd, 64 * PAGE, PAGE, &p) == -ENOMEM ? 0 : 6);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) == NULL;
}

static int remove_directory(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, reset, untouched)

/* ---- kept open -------------------------------------------------------------------- */

static void write_kept(const char *text)
{
	int fd = open(path_of("kept"), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void test_kept(void **state)
{
	struct os_file file, unknown = {-1, 0, 0};
	char text[16];

	(void)state;
	write_kept("one\n");
	assert_int_equal(os_keep(path_of("kept"), &file), 0);
	assert_out_of_the_way(file.fd, 100);
	assert_int_equal(os_read_kept(&file, text, sizeof(text)), 0);
	assert_string_equal(text, "one\n");
	write_kept("twenty-three characters");
	assert_int_equal(os_read_kept(&file, text, sizeof(text)), 0);
	assert_string_equal(text, "twenty-three ch");
	write_kept("");
	assert_int_equal(os_read_kept(&file, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	assert_int_equal(os_read_kept(&unknown, text, sizeof(text)), -ESTALE);
	os_close_file(&file);
	assert_int_equal(os_keep(path_of("nothing"), &file), -ENOENT);
	unlink(path_of("kept"));
	errno = 0;
}

/* Closed, or another file's by now: nothing of that is read, nor taken from a pipe. */
static void test_kept_lost(void **state)
{
	struct os_file file;
	char text[16] = "before", byte;
	int ends[2];

	(void)state;
	write_kept("one\n");
	assert_int_equal(os_keep(path_of("kept"), &file), 0);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(dup2(ends[0], file.fd), file.fd);
	assert_int_equal(os_read_kept(&file, text, sizeof(text)), -ESTALE);
	assert_string_equal(text, "");
	assert_int_equal(read(ends[0], &byte, 1), 1);
	close(file.fd);
	assert_int_equal(os_read_kept(&file, text, sizeof(text)), -ESTALE);
	close(ends[0]);
	close(ends[1]);
	unlink(path_of("kept"));
	errno = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_memfd),
		TEST(test_few_descriptors),
		TEST(test_standard_ones_closed),
		TEST(test_unnamed),
		TEST(test_named),
		TEST(test_named_refused),
		TEST(test_named_by_others),
		TEST(test_unlink),
		TEST(test_is_same),
		TEST(test_filesystem),
		TEST(test_resize),
		TEST(test_seal),
		TEST(test_room),
		TEST(test_reserve_shared),
		TEST(test_locked_to_come),
		TEST(test_kept),
		TEST(test_kept_lost),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
