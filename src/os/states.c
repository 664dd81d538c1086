/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "os/states.h"
#include "os/result.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

/* ---- a file system that is soon full ------------------------------------------- */

/* In a new user namespace nobody owns a new file until it is said who is who. */
static int map_ids(unsigned uid, unsigned gid)
{
	char line[64];
	int n, r;

	r = os_write_file("/proc/self/setgroups", "deny", 4);
	if (r != 0)
		return r;
	n = snprintf(line, sizeof(line), "%u %u 1", uid, uid);
	r = os_write_file("/proc/self/uid_map", line, (size_t)n);
	if (r != 0)
		return r;
	n = snprintf(line, sizeof(line), "%u %u 1", gid, gid);
	return os_write_file("/proc/self/gid_map", line, (size_t)n);
}

/* A user namespace, in which the process may mount; not where it has threads. */
static int own_namespaces(void)
{
	unsigned uid = geteuid(), gid = getegid();
	int saved_errno = errno;
	int r = os_result(unshare(CLONE_NEWUSER | CLONE_NEWNS), saved_errno);

	return r != 0 ? r : map_ids(uid, gid);
}

/* From linux/mount.h, which does not go together with sys/mount.h. */
#define SET_STRING 1
#define CREATE 6
#define CLOSE_ON_EXEC 1

/* A mount that is in no place, fsopen(2): its descriptor, or -errno. */
static int mount_tmpfs(size_t size)
{
	int saved_errno = errno, mounted = -1, r;
	int fs = (int)syscall(SYS_fsopen, "tmpfs", CLOSE_ON_EXEC);
	char text[32];

	snprintf(text, sizeof(text), "%zu", size);
	if (fs >= 0 && syscall(SYS_fsconfig, fs, SET_STRING, "size", text, 0) == 0 &&
	    syscall(SYS_fsconfig, fs, CREATE, NULL, NULL, 0) == 0)
		mounted = (int)syscall(SYS_fsmount, fs, CLOSE_ON_EXEC, 0);
	r = mounted >= 0 ? mounted : -errno;
	if (fs >= 0)
		close(fs);
	errno = saved_errno;
	return r;
}

int os_small_file(size_t size, struct os_file *out)
{
	int fd = mount_tmpfs(size), r;
	char path[32];

	if (fd == -EPERM) {
		r = own_namespaces();
		if (r != 0)
			return r;
		fd = mount_tmpfs(size);
	}
	if (fd < 0)
		return fd;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = os_unnamed_file(path, out);
	os_close_fd(fd);
	return r;
}

/* ---- broken pages --------------------------------------------------------------- */

/* From linux/userfaultfd.h, which is older than that on the systems this must build on. */
#define UFFD_USER_MODE_ONLY 1
#define UFFD_API UINT64_C(0xaa)
#define UFFD_FEATURE_POISON (UINT64_C(1) << 14)
#define UFFD_REGISTER_MISSING UINT64_C(1)

struct uffd_api {
	uint64_t api, features, ioctls;
};

struct uffd_register {
	uint64_t start, length, mode, ioctls;
};

struct uffd_poison {
	uint64_t start, length, mode;
	int64_t updated;
};

#define UFFD_SET_API _IOWR(0xaa, 0x3f, struct uffd_api)
#define UFFD_REGISTER _IOWR(0xaa, 0x00, struct uffd_register)
#define UFFD_POISON _IOWR(0xaa, 0x08, struct uffd_poison)

static int poison_by(int fd, uint64_t start, uint64_t length)
{
	struct uffd_api api = {.api = UFFD_API, .features = UFFD_FEATURE_POISON};
	struct uffd_register range = {.start = start, .length = length, .mode = UFFD_REGISTER_MISSING};
	struct uffd_poison poison = {.start = start, .length = length};

	if (ioctl(fd, UFFD_SET_API, &api) != 0 || ioctl(fd, UFFD_REGISTER, &range) != 0 ||
	    ioctl(fd, UFFD_POISON, &poison) != 0)
		return -errno;
	return 0;
}

/* Faults of the process itself are all that it asks for, which needs no privilege; closed, the
 * descriptor asks for none. What it has poisoned remains so. */
int os_poison(void *addr, size_t size)
{
	int saved_errno = errno;
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	int r = fd < 0 ? -errno : poison_by(fd, (uintptr_t)addr, size);

	if (fd >= 0)
		close(fd);
	errno = saved_errno;
	return r;
}

int os_secret(struct os_file *out)
{
	int saved_errno = errno;
	int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
	int r = fd < 0 ? -errno : 0;

	errno = saved_errno;
	return r != 0 ? r : os_adopt(fd, out);
}

/* ---- what is in memory ----------------------------------------------------------- */

int os_uncache(int fd)
{
	int saved_errno = errno;
	int r = os_result(fdatasync(fd), saved_errno);

	return r != 0 ? r : -posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* ---- the kernel's own mappings --------------------------------------------------- */

bool os_parse_mapping(const char *line, uintptr_t *from, uintptr_t *to)
{
	char *end;

	*from = strtoul(line, &end, 16);
	if (end == line || *end != '-')
		return false;
	line = end + 1;
	*to = strtoul(line, &end, 16);
	return end != line && *end == ' ';
}

struct special {
	uintptr_t from, to;
};

static bool is_special(char *line, void *context)
{
	struct special *s = context;
	const char *name = strstr(line, "[vvar]");

	return name == NULL || !os_parse_mapping(line, &s->from, &s->to);
}

int os_special_mapping(void **addr, size_t *size)
{
	struct special s = {0};
	char buffer[4096];
	int r = os_read_lines("/proc/self/maps", buffer, sizeof(buffer), is_special, &s);

	if (r != 0 || s.to == 0)
		return r != 0 ? r : -ENOENT;
	*addr = (void *)s.from;
	*size = s.to - s.from;
	return 0;
}
