/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "os/os.h"
#include "os/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

/* open(2) without EINTR; the descriptor, or -errno with errno untouched. */
static int open_file(const char *path, int flags)
{
	int saved_errno = errno;
	int tries = 0;
	int fd;

	do {
		fd = open(path, flags | O_CLOEXEC, 0600);
	} while (fd < 0 && errno == EINTR && ++tries < RETRIES);
	if (fd < 0)
		fd = -errno;
	errno = saved_errno;
	return fd;
}

void os_close_fd(int fd)
{
	int saved_errno = errno;

	close(fd);
	errno = saved_errno;
}

/* read(2) without EINTR; the number of bytes, or -errno with errno untouched. */
static ssize_t read_some(int fd, void *buffer, size_t length)
{
	int saved_errno = errno;
	int tries = 0;
	ssize_t n;

	do {
		n = read(fd, buffer, length);
	} while (n < 0 && errno == EINTR && ++tries < RETRIES);
	if (n < 0)
		n = -errno;
	errno = saved_errno;
	return n;
}

int os_read_file(const char *path, char *buffer, size_t capacity, size_t *length)
{
	size_t used = 0;
	ssize_t n = 1;
	int fd;

	buffer[0] = '\0';
	fd = open_file(path, O_RDONLY);
	if (fd < 0)
		return fd;
	while (n > 0 && used < capacity - 1) {
		n = read_some(fd, buffer + used, capacity - 1 - used);
		used += n > 0 ? (size_t)n : 0;
	}
	os_close_fd(fd);
	buffer[used] = '\0';
	if (n < 0)
		return (int)n;
	if (length != NULL)
		*length = used;
	return 0;
}

/* Cuts what was read into lines. */
struct splitter {
	char *buffer;
	size_t capacity;
	size_t used;   /* bytes of a line whose end has not been read yet */
	bool skipping; /* this line was too long: its rest is left out too */
	bool (*each)(char *line, void *context);
	void *context;
};

/* What remains at the buffer's start is a part of a line. False: no more are wanted. */
static bool splitter_feed(struct splitter *s, size_t length)
{
	char *line = s->buffer;
	char *end = s->buffer + s->used + length;
	char *newline;
	bool more = true;

	while (more && (newline = memchr(line, '\n', (size_t)(end - line))) != NULL) {
		*newline = '\0';
		more = s->skipping || s->each(line, s->context);
		s->skipping = false;
		line = newline + 1;
	}
	s->used = (size_t)(end - line);
	memmove(s->buffer, line, s->used);
	if (s->used == s->capacity - 1) {
		s->skipping = true;
		s->used = 0;
	}
	return more;
}

/* The last line, when no newline follows it. */
static void splitter_end(struct splitter *s)
{
	s->buffer[s->used] = '\0';
	if (s->used > 0 && !s->skipping)
		s->each(s->buffer, s->context);
}

int os_read_lines(const char *path, char *buffer, size_t capacity, bool (*each)(char *line, void *context),
                  void *context)
{
	struct splitter s = {buffer, capacity, 0, false, each, context};
	bool more = true;
	ssize_t n;
	int fd;

	fd = open_file(path, O_RDONLY);
	if (fd < 0)
		return fd;
	do {
		n = read_some(fd, buffer + s.used, capacity - 1 - s.used);
		if (n > 0)
			more = splitter_feed(&s, (size_t)n);
	} while (n > 0 && more);
	os_close_fd(fd);
	if (n < 0)
		return (int)n;
	if (more)
		splitter_end(&s);
	return 0;
}

int os_write_all(int fd, const void *data, size_t length)
{
	int saved_errno = errno;
	const char *p = data;
	int tries = 0;

	while (length > 0) {
		ssize_t n = write(fd, p, length);

		if (n < 0 && errno == EINTR && ++tries < RETRIES)
			continue;
		if (n < 0) {
			int r = -errno;

			errno = saved_errno;
			return r;
		}
		p += n;
		length -= (size_t)n;
	}
	errno = saved_errno;
	return 0;
}

int os_read_at(int fd, size_t offset, void *buffer, size_t length)
{
	int saved_errno = errno;
	char *p = buffer;
	int tries = 0;
	int r = 0;

	while (length > 0) {
		ssize_t n = pread(fd, p, length, (off_t)offset);

		if (n < 0 && errno == EINTR && ++tries < RETRIES)
			continue;
		if (n <= 0) {
			r = n < 0 ? -errno : -EIO;
			break;
		}
		p += n;
		offset += (size_t)n;
		length -= (size_t)n;
	}
	errno = saved_errno;
	return r;
}

static int is_regular(int fd)
{
	int saved_errno = errno;
	struct stat st;
	int r = 0;

	if (fstat(fd, &st) != 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = -EINVAL;
	errno = saved_errno;
	return r;
}

int os_write_file(const char *path, const void *data, size_t length)
{
	/* O_NONBLOCK: a FIFO must be refused, not waited for. */
	int fd = open_file(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK);
	int r;

	if (fd < 0)
		return fd;
	r = is_regular(fd);
	if (r == 0)
		r = os_write_all(fd, data, length);
	os_close_fd(fd);
	return r;
}

/* Looks for one variable in a stream of NAME=VALUE entries that end in NUL. */
struct finder {
	const char *name;
	char *buffer;
	size_t capacity;
	size_t matched; /* characters of `name=` seen in this entry; SIZE_MAX: another variable */
	size_t used;
	bool done, found;
};

static void finder_feed(struct finder *f, char c)
{
	size_t length = strlen(f->name);

	if (f->matched <= length) {
		char want = f->matched == length ? '=' : f->name[f->matched];

		f->matched = c == want ? f->matched + 1 : SIZE_MAX;
		if (c == '\0')
			f->matched = 0;
	} else if (f->matched == SIZE_MAX) {
		if (c == '\0')
			f->matched = 0;
	} else if (f->used == f->capacity) {
		f->done = true;
	} else {
		f->buffer[f->used++] = c;
		f->done = f->found = c == '\0';
	}
}

static const char *from_proc(const char *name, char *buffer, size_t capacity)
{
	struct finder f = {.name = name, .buffer = buffer, .capacity = capacity};
	char chunk[512];
	ssize_t n;
	int fd;

	fd = open_file("/proc/self/environ", O_RDONLY);
	if (fd < 0)
		return NULL;
	do {
		n = read_some(fd, chunk, sizeof(chunk));
		for (ssize_t i = 0; i < n && !f.done; i++)
			finder_feed(&f, chunk[i]);
	} while (n > 0 && !f.done);
	os_close_fd(fd);
	return f.found ? buffer : NULL;
}

const char *os_environment(const char *name, char *buffer, size_t capacity)
{
	size_t length = strlen(name);

	if (environ == NULL)
		return from_proc(name, buffer, capacity);
	for (char **entry = environ; *entry != NULL; entry++)
		if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=')
			return *entry + length + 1;
	return NULL;
}

bool os_is_secure(void)
{
	return getauxval(AT_SECURE) != 0;
}

void os_random_of_start(uint64_t out[2])
{
	const void *random = (const void *)getauxval(AT_RANDOM);

	memset(out, 0, 2 * sizeof out[0]);
	if (random != NULL)
		memcpy(out, random, 2 * sizeof out[0]);
}
