/* SPDX-License-Identifier: BSD-2-Clause */
/* Where there is room to measure in: memory, and directories on file systems of each kind. */
#define _GNU_SOURCE
#include "cli/bench.h"
#include "cli/cli.h"
#include "os/cgroup.h"

#include <errno.h>
#include <mntent.h>
#include <stdlib.h>
#include <string.h>

/* What kind of memory a file in a directory is: tried, as permissions and file systems
 * that make no unnamed files show only then. Returns 0 or -errno. */
static int try_directory(const char *directory, enum bench_backing *backing, size_t *page)
{
	static const enum bench_backing kinds[] = {
		[OS_FS_MEMORY] = BENCH_TMPFS,
		[OS_FS_HUGE] = BENCH_HUGETLBFS,
		[OS_FS_DISK] = BENCH_DISK,
	};
	enum os_filesystem kind = OS_FS_DISK;
	struct os_file file;
	int r;

	r = os_unnamed_file(directory, &file);
	if (r != 0)
		return r;
	r = os_filesystem(file.fd, &kind, page);
	os_close_file(&file);
	*backing = kinds[kind];
	return r;
}

static bool take_given(struct bench_space *s, const char *directory)
{
	enum bench_backing backing;
	size_t page;
	int r = try_directory(directory, &backing, &page);

	if (r == -EOPNOTSUPP) {
		cli_error("--directory: the file system of '%s' makes no unnamed files (O_TMPFILE)",
		          directory);
	} else if (r != 0) {
		cli_error("--directory: no file can be made in '%s': %s", directory, strerror(-r));
	} else if (s->directory[backing] != NULL) {
		cli_error("--directory: '%s' and '%s' are of the same kind (%s)", s->directory[backing],
		          directory, bench_backings[backing].title);
		r = -EEXIST;
	} else {
		s->directory[backing] = directory;
	}
	return r == 0;
}

/* Takes a directory for its kind if that has none yet. A huge page of the size that is
 * compared with is wanted where nobody chose. */
static bool take_usual(struct bench_space *s, const char *directory)
{
	enum bench_backing backing;
	size_t page;

	if (directory == NULL || try_directory(directory, &backing, &page) != 0 ||
	    s->directory[backing] != NULL || (backing == BENCH_HUGETLBFS && page != BENCH_HUGE_PAGE))
		return false;
	s->directory[backing] = directory;
	return true;
}

/* Looks for what is still missing among the mounts. */
static void search_mounts(struct bench_space *s)
{
	FILE *list = setmntent("/proc/self/mounts", "re");
	struct mntent *m;

	if (list == NULL)
		return;
	while ((m = getmntent(list)) != NULL) {
		enum bench_backing backing = BENCH_TMPFS;
		char *directory;

		if (strcmp(m->mnt_type, "hugetlbfs") == 0)
			backing = BENCH_HUGETLBFS;
		else if (strcmp(m->mnt_type, "tmpfs") != 0)
			continue;
		directory = s->directory[backing] == NULL ? strdup(m->mnt_dir) : NULL;
		if (take_usual(s, directory) && s->directory[backing] == directory)
			s->mounts[backing] = directory;
		else
			free(directory);
	}
	endmntent(list);
}

/* The least that this process's cgroup or one above it leaves: beyond it the kernel kills. */
static size_t cgroup_headroom(void)
{
	size_t least = SIZE_MAX;
	struct os_cgroup_level level;
	struct os_cgroup group;

	if (os_cgroup_find("", &group) != 0)
		return least;
	do {
		if (os_cgroup_read(&group, &level) == 0)
			least = size_min(least, os_cgroup_headroom(&level));
	} while (os_cgroup_up(&group));
	return least;
}

void bench_space_look(struct bench_space *s)
{
	char text[512]; /* MemAvailable is the third line */
	size_t available = 0;

	if (os_read_file("/proc/meminfo", text, sizeof(text), NULL) == 0)
		(void)os_field_bytes(text, "MemAvailable", &available);
	s->memory = size_min(available, cgroup_headroom()) / 2;
}

bool bench_space_find(struct bench_space *s, const char *const *dirs, size_t count)
{
	const char *usual[] = {"/dev/shm", getenv("TMPDIR"), "/var/tmp", "/tmp", getenv("HOME"), "."};

	*s = (struct bench_space){0};
	bench_space_look(s);
	for (size_t i = 0; i < count; i++)
		if (!take_given(s, dirs[i]))
			return false;
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		take_usual(s, usual[i]);
	search_mounts(s);
	return true;
}

const char *bench_space_refuse(const struct bench_space *s, size_t need, struct bench_notes *notes)
{
	char wanted[SIZE_TEXT_MAX], half[SIZE_TEXT_MAX];

	if (need <= s->memory)
		return NULL;
	size_format_human(need, wanted);
	size_format_human(s->memory, half);
	return bench_note(notes, "it needs %s, half of the available memory is %s", wanted, half);
}

void bench_space_free(struct bench_space *s)
{
	for (size_t i = 0; i < BENCH_BACKINGS; i++)
		free(s->mounts[i]);
	*s = (struct bench_space){0};
}
