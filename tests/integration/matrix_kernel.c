/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "matrix_kernel.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_DESCRIPTORS 1024

/* What a disk's file system needs to find a file's parts counts as the file's. */
#define BLOCK_MAP (1024 * 1024)

static const char *way = "own";
static const char *where = "";
static size_t pool_before;
static int ours = -1;

void fail(const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	int length = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	text[length < (int)sizeof text - 1 ? length : (int)sizeof text - 2] = '\n';
	ssize_t written = write(2, text, strlen(text));
	_exit(written > 0 ? 1 : 3);
}

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

static size_t pool_free(void)
{
	char path[128], text[32] = "";
	snprintf(path, sizeof path, "/sys/kernel/mm/hugepages/hugepages-%skB/free_hugepages", where);
	int fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	CHECK(read(fd, text, sizeof text - 1) > 0);
	close(fd);
	return strtoul(text, NULL, 10);
}

void kernel_begin(const char *how)
{
	if (!how)
		return;
	way = how;
	where = strchr(how, ':') ? strchr(how, ':') + 1 : "";
	if (begins(way, "pool:"))
		pool_before = pool_free();
}

static bool leads_there(int fd)
{
	char link[64], target[512] = "";
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	return readlink(link, target, sizeof target - 1) > 0 &&
	       (begins(target, "/memfd:sparena") || (*where && begins(target, where)));
}

void kernel_find_ours(void)
{
	if (!begins(way, "room:") && !begins(way, "data:"))
		return;
	for (int fd = 3; fd < MOST_DESCRIPTORS && ours < 0; fd++)
		if (leads_there(fd))
			ours = fd;
	CHECK(ours >= 0);
}

static size_t data_bytes(void)
{
	size_t bytes = 0;
	for (off_t hole, data = 0; (data = lseek(ours, data, SEEK_DATA)) >= 0; data = hole) {
		hole = lseek(ours, data, SEEK_HOLE);
		bytes += (size_t)(hole - data);
	}
	return bytes;
}

void kernel_check(size_t bytes)
{
	struct stat st = { 0 };
	if (begins(way, "pool:")) {
		size_t held = (pool_before - pool_free()) * strtoul(where, NULL, 10) * 1024;
		if (held != bytes)
			fail("%zu of the pool, not %zu", held, bytes);
	} else if (strcmp(way, "own") != 0) {
		size_t more = begins(way, "data:") ? BLOCK_MAP : 0;
		CHECK(fstat(ours, &st) == 0);
		size_t held = (size_t)st.st_blocks * 512;
		if (held < bytes || held > bytes + more)
			fail("the file takes %zu, not %zu", held, bytes);
		if (more && data_bytes() != bytes)
			fail("the file has data in %zu, not %zu", data_bytes(), bytes);
	}
}

void kernel_check_gone(void)
{
	if (begins(way, "pool:"))
		kernel_check(0);
	CHECK(ours < 0 || fcntl(ours, F_GETFD) < 0);
}
