/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of operations, on the backing that the environment names: each_backing.sh. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/backings.h"
#include "../support/sanitized.h"
#include "os/os.h"

#define NOBODY 65534
#define UNITS 64

static struct test_backing kind;
static struct backing b;
static size_t unit; /* 64 KiB, or the page where that is larger */

static atomic_uint populates;

int __real_os_populate(void *addr, size_t size);
int __wrap_os_populate(void *addr, size_t size);
int __wrap_os_populate(void *addr, size_t size)
{
	populates++;
	return __real_os_populate(addr, size);
}

/* Kernels that are interrupted in a long fallocate(2) begin it anew. */
static size_t interrupted_above = SIZE_MAX;

int __real_os_allocate(int fd, size_t offset, size_t length);
int __wrap_os_allocate(int fd, size_t offset, size_t length);
int __wrap_os_allocate(int fd, size_t offset, size_t length)
{
	if (length <= interrupted_above)
		return __real_os_allocate(fd, offset, length);
	__real_os_allocate(fd, offset, size_down(length / 2, b.page_size));
	return -EINTR;
}

static struct backing_config config(void)
{
	return (struct backing_config){
		.size = UNITS * unit, .align = 2 * MiB, .page = kind.page, .path = kind.path, .touch = kind.touch,
	};
}

static int open_with(const struct backing_config *c)
{
	memset(&b, 0, sizeof b);
	b.ops = kind.ops;
	return b.ops->open(&b, c);
}

static int make(void **state)
{
	(void)state;
	struct backing_config c = config();
	populates = 0;
	assert_int_equal(open_with(&c), 0);
	assert_int_equal(b.ops->prefer_huge(&b, 0, b.size, false), 0);
	assert_int_equal(b.ops->unlock(&b, 0, b.size), 0);
	return 0;
}

static int drop(void **state)
{
	(void)state;
	interrupted_above = SIZE_MAX;
	if (b.base)
		b.ops->close(&b);
	return 0;
}

static int populate(size_t first, size_t count) { return b.ops->populate(&b, first * unit, count * unit); }
static int discard(size_t first, size_t count) { return b.ops->discard(&b, first * unit, count * unit); }

static size_t resident(size_t first, size_t count)
{
	size_t bytes = SIZE_MAX;
	assert_int_equal(b.ops->resident(&b, first * unit, count * unit, &bytes), 0);
	return bytes;
}

/* Bytes by all that the kernel tells. */
static void assert_holds(size_t units)
{
	assert_int_equal(resident(0, UNITS), units * unit);
	assert_true(test_file_holds(&kind, &b, units * unit));
}

static void fill(size_t first, size_t count, int value)
{
	for (size_t at = first * unit; at < (first + count) * unit; at += 4096)
		b.base[at] = b.base[at + 4095] = (char)value;
}

static void assert_reads(size_t first, size_t count, int value)
{
	for (size_t at = first * unit; at < (first + count) * unit; at += 4096)
		if (b.base[at] != (char)value || b.base[at + 4095] != (char)value)
			fail_msg("at %zu of unit %zu: %d, not %d", at % unit, at / unit, b.base[at], value);
}

/* How much of the backing a test may take without its being full. */
static bool has_room_for(size_t units)
{
	if (!kind.most || units * unit <= kind.least)
		return true;
	print_message("skipped: the pool has fewer than %zu pages\n", units);
	return false;
}

#define NEEDS(units) do { if (!has_room_for(units)) skip(); } while (0)
#define ONLY(condition, why) do { if (!(condition)) { print_message("does not apply: %s\n", why); skip(); } } while (0)

/* ---- one thing at a time --------------------------------------------------------- */

static void open_reserves_alone(void **state)
{
	(void)state;
	struct backing_config c = config();
	c.align = 16 * MiB;
	c.size -= unit - 4096;
	assert_int_equal(open_with(&c), 0);
	assert_int_equal((uintptr_t)b.base % (16 * MiB), 0);
	assert_int_equal(b.size, kind.page ? UNITS * unit : c.size);
	assert_int_equal(b.page_size, kind.page ? kind.page : 4096);
	assert_null(b.reason);
	assert_int_equal(__real_os_populate(b.base, b.page_size), -EINVAL); /* inaccessible */
	assert_int_equal(kind.shared, b.file.fd >= 0);
	size_t bytes = 1;
	assert_int_equal(b.ops->resident(&b, 0, b.size, &bytes), 0);
	assert_int_equal(bytes, 0);
	if (kind.shared) {
		assert_true(b.file.fd >= 100 && fcntl(b.file.fd, F_GETFD) & FD_CLOEXEC);
		assert_int_equal(os_file_bytes(b.file.fd, &bytes), 0);
		assert_int_equal(bytes, 0); /* what was tried is gone */
	}
	b.ops->close(&b);
}

static void populate_backs_exactly_that(void **state)
{
	(void)state;
	assert_int_equal(populate(3, 1), 0);
	assert_holds(1);
	assert_int_equal(resident(3, 1), unit);
	assert_int_equal(resident(0, 3) + resident(4, UNITS - 4), 0);
	assert_reads(3, 1, 0);
	assert_holds(1);
	assert_int_equal(populates == 0, kind.touch);
}

static long minor_faults(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

static long faults_of_writing(void)
{
	long before = minor_faults();
	for (size_t at = 0; at < unit; at += 4096)
		((volatile char *)b.base)[at] = 1;
	return minor_faults() - before;
}

/* The process's own memory may have a fault meanwhile: of what is not populated each time has many. */
static void populated_does_not_fault(void **state)
{
	(void)state;
	long faults = 1;
	for (int tries = 0; tries < 3 && faults; tries++) {
		assert_int_equal(discard(0, 1), 0);
		assert_int_equal(populate(0, 1), 0);
		assert_reads(5, 0, 0);
		faults = faults_of_writing();
	}
	assert_true(faults == 0 || SANITIZED); /* its shadow faults, too */
}

static void discard_gives_back_and_zeroes(void **state)
{
	(void)state;
	NEEDS(4);
	assert_int_equal(populate(0, 4), 0);
	fill(0, 4, 7);
	assert_int_equal(discard(1, 2), 0);
	assert_holds(2);
	assert_int_equal(populate(1, 1), 0);
	assert_reads(1, 1, 0);
	assert_reads(0, 1, 7);
	assert_reads(3, 1, 7);
	assert_holds(3);
	assert_int_equal(discard(0, UNITS), 0); /* what is not there may be given back too */
	assert_holds(0);
}

static void whole_pages_go(void **state)
{
	(void)state;
	assert_int_equal(populate(UNITS - 1, 1), 0);
	fill(UNITS - 1, 1, 7);
	assert_int_equal(discard(UNITS - 1, 1), 0);
	assert_holds(0);
	assert_int_equal(populate(UNITS - 1, 1), 0);
	assert_reads(UNITS - 1, 1, 0);
}

static void locked_range_goes(void **state)
{
	(void)state;
	struct rlimit limit;
	getrlimit(RLIMIT_MEMLOCK, &limit);
	ONLY(geteuid() == 0 || limit.rlim_cur >= unit, "RLIMIT_MEMLOCK is below a unit");
	assert_int_equal(populate(2, 1), 0);
	fill(2, 1, 7);
	/* sanitizers have an empty function */
	assert_int_equal(syscall(SYS_mlock, b.base + 2 * unit, unit), 0);
	assert_int_equal(discard(2, 1), 0);
	assert_holds(0);
	assert_int_equal(populate(2, 1), 0);
	assert_reads(2, 1, 0);
}

/* Where nothing tells whether there is a page, touching it would be a signal. */
static void touch_is_refused_where_it_kills(void **state)
{
	(void)state;
	bool huge_mount = strcmp(kind.name, "tmpfs-huge") == 0;
	ONLY(huge_mount || kind.ops == &backing_hugetlb, "pages can be touched");
	b.ops->close(&b);
	struct backing_config c = config();
	c.touch = true;
	assert_int_equal(open_with(&c), -EOPNOTSUPP);
	assert_non_null(strstr(b.reason, "MADV_POPULATE_WRITE"));
	assert_null(b.base);
}

/* ---- full --------------------------------------------------------------------------- */

static struct backing_config many_units(void)
{
	struct backing_config c = config();
	c.size = size_up(2 * kind.most, unit);
	return c;
}

/* Units that can be had, one after the other. */
static size_t fill_up(void)
{
	size_t n = 0;
	int err;
	while ((err = populate(n, 1)) == 0 && n * unit <= kind.most)
		n++;
	assert_int_equal(err, -ENOMEM);
	assert_int_equal(discard(n, 1), 0);
	return n;
}

static void full_backing_says_so(void **state)
{
	(void)state;
	ONLY(kind.most, "nothing but the machine's memory bounds it");
	b.ops->close(&b);
	struct backing_config c = many_units();
	size_t all = c.size / unit;
	assert_int_equal(open_with(&c), 0);
	assert_int_equal(b.ops->unlock(&b, 0, b.size), 0);
	assert_int_equal(b.ops->prefer_huge(&b, 0, b.size, false), 0);

	size_t n = fill_up();
	assert_true(n * unit >= kind.least && n * unit <= kind.most);
	assert_int_equal(resident(0, all), n * unit);
	fill(0, n, 7);
	assert_int_equal(discard(0, n / 2), 0);
	assert_int_equal(resident(0, all), (n - n / 2) * unit);
	assert_int_equal(populate(n, n / 2), 0); /* the same elsewhere */
	assert_reads(n, n / 2, 0);
	assert_reads(n / 2, n - n / 2, 7);
	assert_int_equal(resident(0, all), n * unit);
	assert_int_equal(discard(0, all), 0);

	assert_int_equal(populate(0, all), -ENOMEM); /* at once */
	assert_int_equal(discard(0, all), 0);
	assert_int_equal(resident(0, all), 0);
	assert_int_equal(populate(0, n), 0);
}

/* ---- closing ------------------------------------------------------------------------- */

static void close_leaves_nothing(void **state)
{
	(void)state;
	unsigned char there;
	char *base = b.base;
	int fd = b.file.fd;
	assert_int_equal(populate(0, 1), 0);
	b.ops->close(&b);
	assert_int_equal(mincore(base, 4096, &there), -1);
	assert_int_equal(errno, ENOMEM);
	if (fd >= 0)
		assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_null(b.base);
}

/* ---- descriptors that the program takes away ------------------------------------------- */

static void lost_descriptor_is_done_without(void **state)
{
	(void)state;
	ONLY(kind.shared, "it has no descriptor");
	NEEDS(2);
	assert_int_equal(populate(0, 1), 0);
	fill(0, 1, 7);
	close(b.file.fd);
	assert_int_equal(populate(1, 1), kind.touch ? -ENOMEM : 0);
	assert_int_equal(resident(0, UNITS), (kind.touch ? 1 : 2) * unit);
	assert_reads(0, 1, 7);
	assert_int_equal(discard(0, 2), 0);
	assert_int_equal(resident(0, UNITS), 0);
}

static void other_file_is_not_harmed(void **state)
{
	(void)state;
	ONLY(kind.shared, "it has no descriptor");
	NEEDS(2);
	char text[2 * 4096];
	size_t before = 0, after = 0;
	int other = memfd_create("other", 0), number = b.file.fd;
	memset(text, 'x', sizeof text);
	assert_int_equal(write(other, text, sizeof text), sizeof text);
	assert_int_equal(ftruncate(other, (off_t)(UNITS * unit)), 0);
	assert_int_equal(os_file_bytes(other, &before), 0);

	assert_int_equal(populate(0, 1), 0);
	assert_int_equal(dup3(other, number, O_CLOEXEC), number);
	assert_int_equal(populate(1, 1), kind.touch ? -ENOMEM : 0);
	assert_int_equal(syscall(SYS_mlock, b.base, unit), 0);
	int err = discard(0, 1);
	assert_true(err == 0 || err == -EINVAL); /* the lock may forbid the only other way */
	syscall(SYS_munlock, b.base, unit);
	assert_int_equal(discard(0, 2), 0);
	assert_int_equal(resident(0, UNITS), 0);
	b.ops->close(&b);

	assert_int_equal(os_file_bytes(other, &after), 0);
	assert_int_equal(after, before);
	memset(text, 0, sizeof text);
	assert_int_equal(pread(number, text, sizeof text, 0), sizeof text); /* still open */
	for (size_t i = 0; i < sizeof text; i++)
		assert_int_equal(text[i], 'x');
	close(number);
	close(other);
}

/* ---- another process ------------------------------------------------------------------- */

static void send_fd(int socket, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof fd)] = { 0 };
	struct iovec data = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control,
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	assert_int_equal(sendmsg(socket, &m, 0), 1);
}

static int receive_fd(int socket)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec data = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control,
	};
	int fd = -1;
	if (recvmsg(socket, &m, 0) == 1 && CMSG_FIRSTHDR(&m))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
	return fd;
}

/* Sees 7 in unit 1 and zeros behind it, and writes 9 there. */
static int other_process(int socket)
{
	int fd = receive_fd(socket);
	char *p = mmap(NULL, 3 * unit, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (p == MAP_FAILED)
		return 1;
	for (size_t at = unit; at < 2 * unit; at += 4096)
		if (p[at] != 7)
			return 2;
	p[2 * unit - 1] = 9;
	return 0;
}

static void other_process_sees_the_same(void **state)
{
	(void)state;
	ONLY(kind.shared, "private memory");
	b.ops->close(&b);
	int sockets[2], status;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	pid_t pid = fork(); /* first, so that it has the descriptor from the socket alone */
	if (pid == 0)
		_exit(other_process(sockets[1]));
	make(NULL);
	assert_int_equal(populate(1, 1), 0);
	fill(1, 1, 7);
	send_fd(sockets[0], b.file.fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(b.base[2 * unit - 1], 9);
	assert_holds(1);
	close(sockets[0]);
	close(sockets[1]);
}

static void memory_file_is_sealed(void **state)
{
	(void)state;
	ONLY(kind.shared && !kind.path, "no memory file");
	int seals = fcntl(b.file.fd, F_GET_SEALS);
	assert_int_equal(seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	assert_int_equal(ftruncate(b.file.fd, 0), -1);
	assert_int_equal(ftruncate(b.file.fd, (off_t)(2 * UNITS * unit)), -1);
}

/* What cannot be held: the bytes. What can: an error and no signal in our own calls. */
static void truncated_file_refuses(void **state)
{
	(void)state;
	ONLY(kind.path, "no file that others could open");
	NEEDS(2);
	assert_int_equal(populate(0, 1), 0);
	assert_int_equal(ftruncate(b.file.fd, 0), 0);
	int err = kind.touch ? 0 : populate(1, 1);
	assert_true(err == -ENOMEM || err == 0); /* hugetlbfs takes room behind the end */
	assert_int_equal(discard(0, 2), 0);
	assert_int_equal(resident(0, UNITS), 0);
}

/* ---- signals ---------------------------------------------------------------------------- */

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
	(void)number;
	signals++;
}

static void long_ranges_are_taken_by_parts(void **state)
{
	(void)state;
	ONLY(b.allocates, "no fallocate");
	NEEDS(7);
	interrupted_above = unit;
	assert_int_equal(populate(1, 6), 0);
	assert_holds(6);
	interrupted_above = 0; /* nor is there an end for the shortest: an error, and no hang */
	assert_int_equal(populate(7, 1), -EINTR);
	assert_int_equal(discard(7, 1), 0);
	assert_holds(6);
}

/* However fast they come. */
static void signals_do_not_keep_it_from_ending(void **state)
{
	(void)state;
	b.ops->close(&b);
	struct backing_config c = config();
	c.size = kind.most ? size_max(kind.least, unit) : 256 * MiB;
	assert_int_equal(open_with(&c), 0);
	assert_int_equal(b.ops->prefer_huge(&b, 0, b.size, false), 0);
	assert_int_equal(b.ops->unlock(&b, 0, b.size), 0);
	size_t n = c.size / unit;
	struct itimerval often = { { 0, 200 }, { 0, 200 } }, never = { 0 };
	struct sigaction count = { .sa_handler = count_signal }; /* system calls are not begun anew */
	assert_int_equal(sigaction(SIGALRM, &count, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	int err = 0;
	for (int i = 0; i < 3 && !err; i++) {
		err = populate(0, n);
		if (!err)
			err = discard(0, n);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_DFL);
	assert_int_equal(err, 0);
	assert_int_equal(resident(0, n), 0);
	print_message("%d signals\n", (int)signals);
}

/* ---- names and places -------------------------------------------------------------------- */

static const char *in_path(const char *name)
{
	static char path[256];
	snprintf(path, sizeof path, "%s/%s", kind.path ? kind.path : "", name);
	return path;
}

static void assert_refused(const char *path, int err, const char *reason)
{
	struct backing_config c = config();
	c.path = path;
	assert_int_equal(open_with(&c), err);
	assert_non_null(b.reason);
	if (!strstr(b.reason, reason))
		fail_msg("%s: \"%s\", not \"%s\"", path, b.reason, reason);
	assert_null(b.base);
}

static void named_file_goes_or_stays(void **state)
{
	(void)state;
	ONLY(kind.path, "no file");
	b.ops->close(&b);
	struct backing_config c = config();
	struct stat st;
	char path[256];
	snprintf(path, sizeof path, "%s", in_path("named"));
	c.path = path;
	assert_int_equal(open_with(&c), 0);
	assert_int_equal(b.ops->unlock(&b, 0, b.size), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(populate(0, 1), 0);
	b.ops->close(&b);
	assert_int_equal(stat(path, &st), -1);

	c.keep = true;
	assert_int_equal(open_with(&c), 0);
	assert_int_equal(b.ops->unlock(&b, 0, b.size), 0);
	assert_int_equal(populate(0, 1), 0);
	fill(0, 1, 7);
	b.ops->close(&b);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size == (off_t)(UNITS * unit));
	assert_refused(path, -EEXIST, "something in it"); /* a second one */
	assert_int_equal(unlink(path), 0);
}

/* Somebody else's file that has the name by now stays. */
static void name_of_another_stays(void **state)
{
	(void)state;
	ONLY(kind.path, "no file");
	b.ops->close(&b);
	struct backing_config c = config();
	char path[256];
	snprintf(path, sizeof path, "%s", in_path("moved"));
	c.path = path;
	assert_int_equal(open_with(&c), 0);
	assert_int_equal(rename(path, in_path("elsewhere")), 0);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	b.ops->close(&b);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(unlink(in_path("elsewhere")), 0);
}

static void bad_files_are_refused(void **state)
{
	(void)state;
	ONLY(kind.path, "no file");
	b.ops->close(&b);
	char path[256];
	snprintf(path, sizeof path, "%s", in_path("bad"));
	int fd = open(path, O_CREAT | O_RDWR, 0600);
	assert_int_equal(ftruncate(fd, (off_t)unit), 0);
	assert_refused(path, -EEXIST, "something in it");
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(link(path, in_path("second")), 0);
	assert_refused(path, -EINVAL, "one name");
	assert_int_equal(unlink(in_path("second")), 0);
	assert_int_equal(fchmod(fd, 0666), 0);
	assert_refused(path, -EPERM, "0600");
	if (geteuid() == 0) {
		assert_int_equal(fchmod(fd, 0600), 0);
		assert_int_equal(fchown(fd, NOBODY, NOBODY), 0);
		assert_refused(path, -EPERM, "another user");
	}
	close(fd);
	assert_int_equal(unlink(path), 0);
	if (symlink("/etc/passwd", path) == 0) { /* hugetlbfs has none */
		assert_refused(path, -ELOOP, "symbolic link");
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_refused(path, -EINVAL, "not a regular file");
	assert_int_equal(unlink(path), 0);
	assert_refused(in_path("no/where"), -ENOENT, "no such directory");
	struct backing_config c = config();
	c.page = kind.page == 4 * MiB ? 8 * MiB : 4 * MiB;
	assert_int_equal(open_with(&c), -EINVAL);
	assert_non_null(strstr(b.reason, "page"));
}

static void no_permission_is_said(void **state)
{
	(void)state;
	ONLY(kind.path && geteuid() == 0, "no directory, or not root");
	b.ops->close(&b);
	int status;
	assert_int_equal(chmod(kind.path, 0700), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct backing_config c = config();
		if (setresuid(NOBODY, NOBODY, NOBODY))
			_exit(2);
		int err = open_with(&c);
		_exit(err == -EACCES && b.reason && strstr(b.reason, "permission") && !b.base ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(chmod(kind.path, 01777), 0);
	assert_int_equal(status, 0);
}

static void read_only_is_said(void **state)
{
	(void)state;
	ONLY(kind.path, "no file system");
	b.ops->close(&b);
	assert_int_equal(mount(NULL, kind.path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
	assert_refused(kind.path, -EROFS, "read-only");
	assert_refused(in_path("new"), -EROFS, "read-only");
	assert_int_equal(mount(NULL, kind.path, NULL, MS_REMOUNT | MS_BIND, NULL), 0);
}

static void no_descriptor_is_said(void **state)
{
	(void)state;
	ONLY(kind.shared, "it needs no descriptor");
	b.ops->close(&b);
	struct rlimit limit, none;
	struct backing_config c = config();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	int err = open_with(&c);
	setrlimit(RLIMIT_NOFILE, &limit);
	assert_int_equal(err, -EMFILE);
	assert_non_null(strstr(b.reason, "ulimit -n"));
	assert_int_equal(open_with(&c), 0);
}

/* A file that may not be so large is less address space, not a signal. */
static void file_size_limit_is_address_space(void **state)
{
	(void)state;
	ONLY(kind.shared, "no file");
	b.ops->close(&b);
	struct rlimit limit, less;
	struct backing_config c = config();
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	less = limit;
	less.rlim_cur = UNITS / 2 * unit;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
	assert_int_equal(open_with(&c), -ENOMEM);
	assert_non_null(strstr(b.reason, "ulimit -f"));
	c.size /= 2;
	assert_int_equal(open_with(&c), 0);
	assert_int_equal(b.ops->unlock(&b, 0, b.size), 0);
	less.rlim_cur = 4096; /* afterwards: it is as large as it gets */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
	int err = populate(1, 1);
	setrlimit(RLIMIT_FSIZE, &limit);
	assert_int_equal(err, 0);
}

/* Of what lazy_above is given nothing is backed before it is touched, whatever is asked. */
static void lazy_populates_nothing(void **state)
{
	(void)state;
	struct backing lazy = { .ops = &backing_lazy };
	struct backing_config c = { .size = 16 * MiB, .align = BACKING_HUGE_SIZE };
	size_t bytes = 1;
	unsigned before = populates;
	assert_int_equal(lazy.ops->open(&lazy, &c), 0);
	assert_int_equal(__real_os_populate(lazy.base, 4096), -EINVAL); /* inaccessible */
	assert_int_equal(lazy.file.fd, -1);
	assert_int_equal(lazy.ops->prefer_huge(&lazy, 0, lazy.size, true), 0);
	assert_int_equal(lazy.ops->unlock(&lazy, 0, lazy.size), 0);
	assert_int_equal(lazy.ops->populate(&lazy, 0, lazy.size), 0);
	assert_int_equal(populates, before);
	assert_int_equal(lazy.ops->resident(&lazy, 0, lazy.size, &bytes), 0);
	assert_int_equal(bytes, 0);
	lazy.base[5 * MiB] = 1; /* one page, and no huge one */
	assert_int_equal(lazy.ops->resident(&lazy, 0, lazy.size, &bytes), 0);
	assert_int_equal(bytes, 4096);
	assert_int_equal(lazy.ops->discard(&lazy, 4 * MiB, 2 * MiB), 0);
	assert_int_equal(lazy.ops->resident(&lazy, 0, lazy.size, &bytes), 0);
	assert_int_equal(bytes, 0);
	assert_int_equal(lazy.base[5 * MiB], 0);
	lazy.ops->close(&lazy);
	assert_null(lazy.base);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(open_reserves_alone, drop),
		TEST(populate_backs_exactly_that),
		TEST(populated_does_not_fault),
		TEST(discard_gives_back_and_zeroes),
		TEST(whole_pages_go),
		TEST(locked_range_goes),
		TEST(touch_is_refused_where_it_kills),
		TEST(full_backing_says_so),
		TEST(close_leaves_nothing),
		TEST(lost_descriptor_is_done_without),
		TEST(other_file_is_not_harmed),
		TEST(other_process_sees_the_same),
		TEST(memory_file_is_sealed),
		TEST(truncated_file_refuses),
		TEST(long_ranges_are_taken_by_parts),
		TEST(signals_do_not_keep_it_from_ending),
		TEST(named_file_goes_or_stays),
		TEST(name_of_another_stays),
		TEST(bad_files_are_refused),
		TEST(no_permission_is_said),
		TEST(read_only_is_said),
		TEST(no_descriptor_is_said),
		TEST(file_size_limit_is_address_space),
		cmocka_unit_test(lazy_populates_nothing),
	};
	kind = test_backing_get();
	unit = size_max(64 * KiB, kind.page);
	return cmocka_run_group_tests_name(kind.name, tests, NULL, NULL);
}
