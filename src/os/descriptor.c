/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "os/os.h"
#include "os/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef MFD_HUGE_SHIFT
#define MFD_HUGE_SHIFT 26
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

/* Descriptors from here on, where there can be so many. */
#define DESCRIPTOR_FROM 100

/* Runs `call` until it is not interrupted; `r` is its result or -errno, errno untouched. */
#define RETRY(r, call)                                                         \
	do {                                                                   \
		int saved_errno = errno, tries = 0;                            \
		do {                                                           \
			(r) = (call);                                          \
			if ((r) < 0)                                           \
				(r) = -errno;                                  \
		} while (((r) == -EINTR || (r) == -EAGAIN) && ++tries < RETRIES); \
		errno = saved_errno;                                           \
	} while (0)

/* A copy with a number that others don't expect, in the descriptor's place. */
static int move_up(int fd)
{
	int moved;

	RETRY(moved, fcntl(fd, F_DUPFD_CLOEXEC, DESCRIPTOR_FROM));
	if (moved < 0 && fd > STDERR_FILENO)
		return fd;
	if (moved < 0)
		RETRY(moved, fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
	os_close_fd(fd);
	return moved;
}

static int identify(int fd, struct os_file *out)
{
	struct stat st;
	int r;

	RETRY(r, fstat(fd, &st));
	if (r == 0)
		*out = (struct os_file){fd, st.st_dev, st.st_ino};
	return r;
}

/* Ends the making of a descriptor: fd is one, or an error. */
static int finish(int fd, struct os_file *out)
{
	int r;

	if (fd < 0)
		return fd;
	fd = move_up(fd);
	if (fd < 0)
		return fd;
	r = identify(fd, out);
	if (r != 0)
		os_close_fd(fd);
	return r;
}

int os_adopt(int fd, struct os_file *out)
{
	return finish(fd, out);
}

int os_memfd(const char *name, size_t page, struct os_file *out)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd;

	if (page != 0)
		flags |= MFD_HUGETLB | (unsigned)__builtin_ctzl(page) << MFD_HUGE_SHIFT;
	RETRY(fd, memfd_create(name, flags | MFD_NOEXEC_SEAL));
	if (fd == -EINVAL) /* before Linux 6.3 */
		RETRY(fd, memfd_create(name, flags));
	return finish(fd, out);
}

int os_unnamed_file(const char *directory, struct os_file *out)
{
	int fd;

	RETRY(fd, open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	return finish(fd, out);
}

int os_keep(const char *path, struct os_file *out)
{
	int fd;

	RETRY(fd, open(path, O_RDONLY | O_CLOEXEC));
	return finish(fd, out);
}

static int check_named(int fd)
{
	struct stat st;
	int r;

	RETRY(r, fstat(fd, &st));
	if (r != 0)
		return r;
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		return -EINVAL;
	if (st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return -EPERM;
	return st.st_size != 0 ? -EEXIST : 0;
}

/* A file of that name that is there already. O_NONBLOCK: a FIFO must be refused, not
 * waited for. */
static int open_named(const char *path, struct os_file *out)
{
	int fd, r;

	RETRY(fd, open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
	if (fd < 0)
		return fd;
	r = check_named(fd);
	if (r == 0)
		return finish(fd, out);
	os_close_fd(fd);
	return r;
}

int os_named_file(const char *path, struct os_file *out)
{
	int fd, r;

	RETRY(fd, open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
	if (fd == -EEXIST)
		return open_named(path, out);
	r = finish(fd, out);
	if (r != 0 && fd >= 0) {
		int ignored;

		RETRY(ignored, unlink(path)); /* just made, and ours alone */
	}
	return r;
}

int os_unlink(const char *path, const struct os_file *file)
{
	struct stat st;
	int r;

	RETRY(r, lstat(path, &st));
	if (r == 0 && (st.st_dev != file->device || st.st_ino != file->inode))
		r = -ESTALE;
	if (r == 0)
		RETRY(r, unlink(path));
	return r;
}

bool os_is_same_file(const struct os_file *file)
{
	struct os_file now;

	return file->fd >= 0 && identify(file->fd, &now) == 0 && now.device == file->device &&
	       now.inode == file->inode;
}

void os_close_file(struct os_file *file)
{
	if (os_is_same_file(file))
		os_close_fd(file->fd);
	file->fd = -1;
}

int os_filesystem(int fd, enum os_filesystem *kind, size_t *page)
{
	struct statfs st;
	int r;

	RETRY(r, fstatfs(fd, &st));
	if (r != 0)
		return r;
	*page = os_page_size();
	*kind = OS_FS_DISK;
	if (st.f_type == HUGETLBFS_MAGIC) {
		*kind = OS_FS_HUGE;
		*page = (size_t)st.f_bsize;
	} else if (st.f_type == TMPFS_MAGIC) {
		*kind = OS_FS_MEMORY;
	}
	return 0;
}

int os_filesystem_room(int fd, size_t *bytes)
{
	struct statfs st;
	int r;

	RETRY(r, fstatfs(fd, &st));
	if (r != 0)
		return r;
	if (st.f_blocks == 0 || __builtin_mul_overflow((size_t)st.f_bavail, (size_t)st.f_bsize, bytes))
		*bytes = SIZE_MAX;
	return 0;
}

bool os_is_directory(const char *path)
{
	struct stat st;
	int r;

	RETRY(r, stat(path, &st));
	return r == 0 && S_ISDIR(st.st_mode);
}

int os_resize(int fd, size_t size)
{
	struct rlimit limit;
	int r;

	RETRY(r, getrlimit(RLIMIT_FSIZE, &limit));
	if (r == 0 && limit.rlim_cur != RLIM_INFINITY && size > limit.rlim_cur)
		return -EFBIG;
	if (size > INT64_MAX)
		return -EFBIG;
	RETRY(r, ftruncate(fd, (off_t)size));
	return r;
}

int os_seal_size(int fd)
{
	int r;

	RETRY(r, fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
	return r < 0 ? r : 0;
}

int os_file_bytes(int fd, size_t *bytes)
{
	struct stat st;
	int r;

	RETRY(r, fstat(fd, &st));
	if (r == 0)
		*bytes = (size_t)st.st_blocks * 512;
	return r;
}

int os_allocate(int fd, size_t offset, size_t length)
{
	int saved_errno = errno;
	int r = fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length);

	if (r != 0)
		r = -errno;
	errno = saved_errno;
	return r;
}

int os_punch(int fd, size_t offset, size_t length)
{
	int r;

	RETRY(r, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length));
	return r;
}

/* The next place from `at` on that is data, or a hole; `end` when there is none before. */
static int seek(int fd, size_t at, size_t end, int whence, size_t *out)
{
	int64_t place;

	RETRY(place, lseek(fd, (off_t)at, whence));
	if (place == -ENXIO)
		place = (int64_t)end;
	if (place < 0)
		return (int)place;
	*out = (size_t)place < end ? (size_t)place : end;
	return 0;
}

int os_data_bytes(int fd, size_t offset, size_t length, size_t *bytes)
{
	size_t end = offset + length, data = end, hole = end;

	*bytes = 0;
	for (size_t at = offset; at < end; at = hole) {
		int r = seek(fd, at, end, SEEK_DATA, &data);

		if (r == 0)
			r = seek(fd, data, end, SEEK_HOLE, &hole);
		if (r != 0)
			return r;
		if (data >= end)
			break;
		*bytes += hole - data;
	}
	return 0;
}
