/* SPDX-License-Identifier: BSD-2-Clause */
/* What one memory cgroup may use, and uses. */
#include "os/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Version 1 writes "no limit" as the largest number of pages, which depends on their size. */
#define UNLIMITED_FROM ((size_t)1 << 62)

/* The files of a cgroup, and the first thing that is wrong with them. */
struct reader {
	const char *directory;
	bool found; /* at least one file is there */
	int error;
};

static int path_of(const struct reader *r, const char *name, char path[OS_CGROUP_PATH_MAX])
{
	int n = snprintf(path, OS_CGROUP_PATH_MAX, "%s/%s", r->directory, name);

	return n < 0 || n >= OS_CGROUP_PATH_MAX ? -ENAMETOOLONG : 0;
}

/* A file that is not there is no error: not every cgroup has every file. */
static void note(struct reader *r, int error)
{
	if (error == -ENOENT || error == -ENOTDIR)
		return;
	r->found = true;
	if (r->error == 0)
		r->error = error;
}

static bool says_max(const char *path)
{
	char word[8];

	if (os_read_file(path, word, sizeof(word), NULL) != 0)
		return false;
	return strcmp(word, "max\n") == 0 || strcmp(word, "max") == 0;
}

static int read_limit_file(const char *path, size_t *out)
{
	int error = os_read_number(path, out);

	if (error == -ERANGE || (error == 0 && *out >= UNLIMITED_FROM) ||
	    (error == -EINVAL && says_max(path))) {
		*out = OS_UNLIMITED;
		return 0;
	}
	return error;
}

static size_t read_limit(struct reader *r, const char *name)
{
	char path[OS_CGROUP_PATH_MAX];
	size_t value = OS_UNLIMITED;
	int error = path_of(r, name, path);

	if (error == 0)
		error = read_limit_file(path, &value);
	note(r, error);
	return error == 0 ? value : OS_UNLIMITED;
}

static size_t read_use(struct reader *r, const char *name)
{
	char path[OS_CGROUP_PATH_MAX];
	size_t value = 0;
	int error = path_of(r, name, path);

	if (error == 0)
		error = os_read_number(path, &value);
	note(r, error);
	return error == 0 ? value : 0;
}

/* "key 123" at the start of a line; 0 when there is none. */
static size_t stat_value(const char *stat, const char *key)
{
	size_t length = strlen(key), value = 0;

	while (stat != NULL) {
		if (strncmp(stat, key, length) == 0 && stat[length] == ' ')
			break;
		stat = strchr(stat, '\n');
		stat = stat == NULL ? NULL : stat + 1;
	}
	if (stat == NULL)
		return 0;
	for (const char *p = stat + length + 1; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (size_t)(*p - '0'), &value))
			return 0;
	return value;
}

size_t os_cgroup_file_bytes(enum os_cgroup_version version, const char *stat)
{
	bool total = version == OS_CGROUP_V1;
	size_t inactive = stat_value(stat, total ? "total_inactive_file" : "inactive_file");
	size_t active = stat_value(stat, total ? "total_active_file" : "active_file");
	size_t shmem = stat_value(stat, total ? "total_shmem" : "shmem");
	size_t sum;

	if (__builtin_add_overflow(inactive, active, &sum) || sum < shmem)
		return 0;
	return sum - shmem;
}

static void read_stat(struct reader *r, enum os_cgroup_version version, struct os_cgroup_level *out)
{
	char path[OS_CGROUP_PATH_MAX], text[8192];
	int error = path_of(r, "memory.stat", path);

	if (error == 0)
		error = os_read_file(path, text, sizeof(text), NULL);
	note(r, error);
	if (error != 0)
		return;
	out->file = os_cgroup_file_bytes(version, text);
	if (version == OS_CGROUP_V1)
		out->swap = stat_value(text, "total_swap");
}

/* Version 1 limits memory and swap together, which leaves this much to swap alone. */
static size_t swap_beyond(size_t both, size_t memory)
{
	if (both == OS_UNLIMITED || memory == OS_UNLIMITED)
		return both;
	return both > memory ? both - memory : 0;
}

int os_cgroup_read(const struct os_cgroup *g, struct os_cgroup_level *out)
{
	struct reader r = {.directory = g->directory};

	memset(out, 0, sizeof(*out));
	out->high = OS_UNLIMITED;
	if (g->version == OS_CGROUP_V1) {
		out->limit = read_limit(&r, "memory.limit_in_bytes");
		out->current = read_use(&r, "memory.usage_in_bytes");
		out->swap_limit = swap_beyond(read_limit(&r, "memory.memsw.limit_in_bytes"), out->limit);
	} else {
		out->limit = read_limit(&r, "memory.max");
		out->high = read_limit(&r, "memory.high");
		out->current = read_use(&r, "memory.current");
		out->swap_limit = read_limit(&r, "memory.swap.max");
		out->swap = read_use(&r, "memory.swap.current");
	}
	read_stat(&r, g->version, out);
	return r.found ? r.error : -ENOENT;
}

size_t os_cgroup_headroom(const struct os_cgroup_level *l)
{
	size_t held = l->current > l->file ? l->current - l->file : 0;

	if (l->limit == OS_UNLIMITED)
		return OS_UNLIMITED;
	return l->limit > held ? l->limit - held : 0;
}
