/* SPDX-License-Identifier: BSD-2-Clause */
/* What one memory cgroup may use, and uses. */
#include "base/base.h"
#include "os/cgroup.h"

#include <errno.h>
#include <string.h>

/* Version 1 writes "no limit" as the largest number of pages, which depends on their size. */
#define UNLIMITED_FROM ((size_t)1 << 62)

/* What is read of one level, and the first thing that is wrong with it. */
struct reader {
	struct os_cgroup_files *files;
	char *text; /* OS_CGROUP_TEXT_MAX bytes */
	bool found; /* at least one file is there */
	int error;
};

/* A file that is not there is no error: not every cgroup has every file. One that is gone
 * (ENODEV) went with its cgroup. */
static void note(struct reader *r, int error)
{
	if (error == -ENOENT || error == -ENOTDIR)
		return;
	r->found = true;
	if (r->error == 0)
		r->error = error;
}

/* What a file says; NULL, with the reason noted, when that can't be had. */
static const char *read_text(struct reader *r, const struct os_file *file)
{
	int error = file->fd == OS_CGROUP_NO_FILE ? -ENOENT : os_read_kept(file, r->text, OS_CGROUP_TEXT_MAX);

	note(r, error);
	return error == 0 ? r->text : NULL;
}

static bool says_max(const char *text)
{
	return strcmp(text, "max\n") == 0 || strcmp(text, "max") == 0;
}

static size_t read_limit(struct reader *r, const struct os_file *file)
{
	const char *text = read_text(r, file);
	size_t value;
	int error;

	if (text == NULL)
		return OS_UNLIMITED;
	error = os_parse_number(text, &value);
	if (error == -ERANGE || (error == 0 && value >= UNLIMITED_FROM) || says_max(text))
		return OS_UNLIMITED;
	note(r, error);
	return error == 0 ? value : OS_UNLIMITED;
}

static size_t read_use(struct reader *r, const struct os_file *file)
{
	const char *text = read_text(r, file);
	size_t value = 0;
	int error;

	if (text == NULL)
		return 0;
	error = os_parse_number(text, &value);
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

/* Pages of tmpfs and shared memory are not among these: they are on the lists of anonymous ones. */
size_t os_cgroup_file_bytes(enum os_cgroup_version version, const char *stat)
{
	bool total = version == OS_CGROUP_V1;
	size_t inactive = stat_value(stat, total ? "total_inactive_file" : "inactive_file");
	size_t active = stat_value(stat, total ? "total_active_file" : "active_file");
	size_t sum;

	return __builtin_add_overflow(inactive, active, &sum) ? 0 : sum;
}

static void read_stat(struct reader *r, struct os_cgroup_level *out)
{
	const char *text = read_text(r, &r->files->stat);

	if (text == NULL)
		return;
	out->file = os_cgroup_file_bytes(r->files->version, text);
	if (r->files->version == OS_CGROUP_V1)
		out->swap = stat_value(text, "total_swap");
}

/* Version 1 limits memory and swap together, which leaves this much to swap alone. */
static size_t swap_beyond(size_t both, size_t memory)
{
	if (both == OS_UNLIMITED || memory == OS_UNLIMITED)
		return both;
	return both > memory ? both - memory : 0;
}

static void read_swap(struct reader *r, struct os_cgroup_level *out)
{
	size_t limit = read_limit(r, &r->files->swap_limit);

	if (r->files->version == OS_CGROUP_V1) {
		out->swap_limit = swap_beyond(limit, out->limit);
	} else {
		out->swap_limit = limit;
		out->swap = read_use(r, &r->files->swap);
	}
}

/* Whether there is at least so much without what the kernel can take back. */
static bool is_ample(const struct os_cgroup_level *l, size_t enough)
{
	size_t limit = l->limit < l->high ? l->limit : l->high;

	if (enough == OS_UNLIMITED)
		return false;
	return limit == OS_UNLIMITED || (limit > l->current && limit - l->current >= enough);
}

int os_cgroup_reread(struct os_cgroup_files *files, char text[OS_CGROUP_TEXT_MAX], size_t enough,
                     struct os_cgroup_level *out)
{
	struct reader r = {.files = files, .text = text};

	memset(out, 0, sizeof(*out));
	out->limit = read_limit(&r, &files->limit);
	out->high = read_limit(&r, &files->high);
	out->current = read_use(&r, &files->current);
	out->swap_limit = OS_UNLIMITED;
	if (!is_ample(out, enough)) {
		read_swap(&r, out);
		read_stat(&r, out);
	}
	return r.found ? r.error : -ENOENT;
}

/* ---- keeping them open ------------------------------------------------------------ */

static int keep(struct os_cgroup *g, const char *name, struct os_file *out)
{
	size_t length = strlen(g->directory);
	bool fits = text_join(g->directory + length, sizeof(g->directory) - length, "/", name);
	int r = fits ? os_keep(g->directory, out) : -ENAMETOOLONG;

	g->directory[length] = '\0';
	if (r != 0)
		out->fd = OS_CGROUP_NO_FILE;
	return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

/* A file that not every version has: no name. */
static int keep_any(struct os_cgroup *g, const char *v1, const char *v2, struct os_file *out)
{
	const char *name = g->version == OS_CGROUP_V1 ? v1 : v2;

	return name != NULL ? keep(g, name, out) : 0;
}

int os_cgroup_keep_limits(struct os_cgroup *g, struct os_cgroup_files *out)
{
	struct os_file none = {.fd = OS_CGROUP_NO_FILE};
	int r, s;

	*out = (struct os_cgroup_files){g->version, none, none, none, none, none, none};
	r = keep_any(g, "memory.limit_in_bytes", "memory.max", &out->limit);
	s = keep_any(g, NULL, "memory.high", &out->high);
	return r != 0 ? r : s;
}

int os_cgroup_keep_uses(struct os_cgroup *g, bool swap, struct os_cgroup_files *out)
{
	int r = keep_any(g, "memory.usage_in_bytes", "memory.current", &out->current);
	int s = keep_any(g, "memory.stat", "memory.stat", &out->stat);

	r = r != 0 ? r : s;
	if (!swap)
		return r;
	s = keep_any(g, "memory.memsw.limit_in_bytes", "memory.swap.max", &out->swap_limit);
	r = r != 0 ? r : s;
	s = keep_any(g, NULL, "memory.swap.current", &out->swap);
	return r != 0 ? r : s;
}

void os_cgroup_let_go(struct os_cgroup_files *files)
{
	os_close_file(&files->limit);
	os_close_file(&files->high);
	os_close_file(&files->current);
	os_close_file(&files->stat);
	os_close_file(&files->swap_limit);
	os_close_file(&files->swap);
}

int os_cgroup_read(struct os_cgroup *g, struct os_cgroup_level *out)
{
	struct os_cgroup_files files;
	char text[OS_CGROUP_TEXT_MAX];
	int error = os_cgroup_keep_limits(g, &files), r;

	r = os_cgroup_keep_uses(g, true, &files);
	error = error != 0 ? error : r;
	r = os_cgroup_reread(&files, text, OS_UNLIMITED, out);
	os_cgroup_let_go(&files);
	return error != 0 ? error : r;
}

/* ---- what is left ------------------------------------------------------------------ */

static size_t held_by(const struct os_cgroup_level *l)
{
	return l->current > l->file ? l->current - l->file : 0;
}

size_t os_cgroup_headroom(const struct os_cgroup_level *l)
{
	size_t held = held_by(l);

	if (l->limit == OS_UNLIMITED)
		return OS_UNLIMITED;
	return l->limit > held ? l->limit - held : 0;
}

/* Swap beyond its own limit is of what version 1 limits together with memory. */
size_t os_cgroup_room(const struct os_cgroup_level *l, bool high, size_t swap_free)
{
	size_t limit = high && l->high < l->limit ? l->high : l->limit;
	size_t held = held_by(l), more = 0;

	if (limit == OS_UNLIMITED)
		return OS_UNLIMITED;
	if (l->swap_limit >= l->swap)
		more = l->swap_limit - l->swap < swap_free ? l->swap_limit - l->swap : swap_free;
	else
		held += l->swap - l->swap_limit;
	if (__builtin_add_overflow(limit, more, &limit))
		return OS_UNLIMITED;
	return limit > held ? limit - held : 0;
}
