/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plant: a directory tree with files as /proc and /sys have them, for readers that take
 * the root directory as a parameter. Include after cmocka.h.
 */
#ifndef TESTS_SUPPORT_PLANT_H
#define TESTS_SUPPORT_PLANT_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef PLANT_IN /* whoever plants again and again wants memory, not a disk */
#define PLANT_IN "/tmp"
#endif

static char plant_root[] = PLANT_IN "/sparena-plant-XXXXXX";

static inline void plant_parents(char *path)
{
	for (char *p = path + strlen(plant_root) + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
		*p = '/';
	}
}

/* A file below the root, with its directories; it may be there already. */
static inline void plant(const char *path, const char *text)
{
	char full[8192];
	int fd;

	snprintf(full, sizeof(full), "%s/%s", plant_root, path);
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 && errno == ENOENT) {
		plant_parents(full);
		fd = open(full, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	}
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	errno = 0;
}

/* A file whose directory is known by another name. */
static inline void plant_in(const char *directory, const char *name, const char *text)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", directory, name) > 0);
	plant(path, text);
	free(path);
}

static inline int plant_unlink(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	return ftw->level == 0 ? 0 : remove(path);
}

/* Everything below the root goes, or one path below it. */
static inline void unplant(const char *path)
{
	char full[8192];

	snprintf(full, sizeof(full), "%s/%s", plant_root, path);
	nftw(full, plant_unlink, 16, FTW_DEPTH | FTW_PHYS);
	if (path[0] != '\0')
		remove(full);
	errno = 0;
}

/* Group setup, setup of each test, group teardown. */
static inline int plant_make(void **state)
{
	(void)state;
	/* Another user may look too, when root tries what a user may not read. */
	return mkdtemp(plant_root) == NULL || chmod(plant_root, 0755) != 0;
}

static inline int plant_clear(void **state)
{
	(void)state;
	unplant("");
	return 0;
}

static inline int plant_remove(void **state)
{
	unplant("");
	(void)state;
	return rmdir(plant_root);
}

#endif
