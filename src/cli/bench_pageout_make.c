/* SPDX-License-Identifier: BSD-2-Clause */
/* Swap of the bench's own: a zram device, or a file. Made, used before all other, removed. */
#define _GNU_SOURCE
#include "cli/bench_pageout.h"
#include "cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOT_ADD "/sys/class/zram-control/hot_add"
#define HOT_REMOVE "/sys/class/zram-control/hot_remove"
#define CHUNK MiB
/* Programs that look at new devices, as udev's, hold them open for a moment. */
#define TRIES 50
#define PAUSE_US 20000

static bool explain(char *why, size_t capacity, const char *what, int error)
{
	snprintf(why, capacity, "%s: %s", what, strerror(-error));
	return false;
}

/* ---- using it -------------------------------------------------------------------- */

/* As the kernel lists it. */
static bool find_area(const struct pageout_swap *s, struct os_swap *area)
{
	struct os_swap areas[PAGEOUT_AREAS_MAX];
	size_t count = size_min(os_swaps("", areas, PAGEOUT_AREAS_MAX), PAGEOUT_AREAS_MAX);

	for (size_t i = 0; i < count; i++)
		if (strcmp(areas[i].name, s->path) == 0) {
			*area = areas[i];
			return true;
		}
	return false;
}

size_t pageout_used(const struct pageout_swap *s)
{
	struct os_swap area;

	return find_area(s, &area) ? area.used : 0;
}

static int use(struct pageout_swap *s, size_t size)
{
	int r = os_swap_format(s->path, size);

	if (r == 0)
		r = os_swap_on(s->path);
	s->on = r == 0;
	s->area_count = r == 0 && find_area(s, &s->areas[0]);
	return r;
}

/* ---- zram ------------------------------------------------------------------------- */

static int write_setting(const struct pageout_swap *s, const char *name, size_t value)
{
	char path[64], text[SIZE_TEXT_MAX];

	snprintf(path, sizeof(path), "/sys/block/zram%zu/%s", s->zram, name);
	snprintf(text, sizeof(text), "%zu", value);
	return os_write_file(path, text, strlen(text));
}

/* A new device, or the first one where that is not to be had and nobody uses it: a size can
 * be given once, so that of two who try one is refused. */
static int take_device(struct pageout_swap *s, size_t size)
{
	size_t number, there;
	int r = os_read_number(HOT_ADD, &number);

	s->added = r == 0;
	if (r == -ENOENT) {
		number = 0;
		r = os_read_number("/sys/block/zram0/disksize", &there);
		if (r == 0 && there != 0)
			r = -EBUSY;
	}
	if (r != 0)
		return r;
	s->zram = number;
	snprintf(s->path, sizeof(s->path), "/dev/zram%zu", number);
	return write_setting(s, "disksize", size);
}

bool pageout_make_zram(struct pageout_swap *s, size_t size, char *why, size_t capacity)
{
	int r;

	*s = (struct pageout_swap){.own = true, .zram = SIZE_MAX, .file.fd = -1};
	r = take_device(s, size);
	if (r == -ENOENT)
		return explain(why, capacity, "there is no zram in this kernel", r);
	if (r == 0) {
		r = use(s, size);
	} else if (!s->added) {
		s->path[0] = '\0'; /* somebody else's */
		s->zram = SIZE_MAX;
	}
	if (r == 0)
		return true;
	pageout_remove(s);
	return explain(why, capacity, "zram", r);
}

static int remove_device(struct pageout_swap *s)
{
	char number[SIZE_TEXT_MAX];
	int r = -EBUSY;

	snprintf(number, sizeof(number), "%zu", s->zram);
	for (unsigned i = 0; r == -EBUSY && i < TRIES; i++) {
		if (i > 0)
			usleep(PAUSE_US);
		r = write_setting(s, "reset", 1);
		if (r == 0 && s->added)
			r = os_write_file(HOT_REMOVE, number, strlen(number));
	}
	return r;
}

/* ---- a file ------------------------------------------------------------------------- */

static int write_zeros(int fd, size_t size)
{
	static const char zeros[CHUNK];
	int r = 0;

	for (size_t at = 0; r == 0 && at < size; at += CHUNK)
		r = pageout_interrupted() ? -EINTR : os_write_all(fd, zeros, size_min(CHUNK, size - at));
	return r;
}

/* No holes: blocks that nothing was written to do on most file systems, and not on all. */
static int fill_file(struct pageout_swap *s, size_t size)
{
	int r = os_allocate(s->file.fd, 0, size);

	if (r == 0)
		r = os_resize(s->file.fd, size);
	if (r == 0)
		r = use(s, size);
	if (r == -EINVAL || r == -EOPNOTSUPP || r == -EINTR) {
		r = write_zeros(s->file.fd, size);
		if (r == 0)
			r = use(s, size);
	}
	return r;
}

static int check_directory(const struct pageout_swap *s, size_t size)
{
	enum os_filesystem kind;
	size_t page, room;
	int r = os_filesystem(s->file.fd, &kind, &page);

	if (r == 0 && kind != OS_FS_DISK)
		return -EMEDIUMTYPE;
	if (r == 0)
		r = os_filesystem_room(s->file.fd, &room);
	return r == 0 && room < size ? -ENOSPC : r;
}

bool pageout_make_file(struct pageout_swap *s, const char *directory, size_t size, char *why, size_t capacity)
{
	char what[PATH_MAX + 32], *real = realpath(directory, NULL); /* as the kernel will list it */
	int r = real == NULL ? -errno : 0;

	*s = (struct pageout_swap){.own = true, .zram = SIZE_MAX, .file.fd = -1};
	if (r == 0 && snprintf(s->path, sizeof(s->path), "%s/sparena-bench-%d.swap", real, os_pid()) >=
	                      (int)sizeof(s->path))
		r = -ENAMETOOLONG;
	free(real);
	if (r == 0)
		r = os_named_file(s->path, &s->file);
	if (r != 0)
		s->path[0] = '\0';
	if (r == 0)
		r = check_directory(s, size);
	if (r == 0)
		r = fill_file(s, size);
	if (r == 0)
		return true;
	pageout_remove(s);
	snprintf(what, sizeof(what), "a file in %s", directory);
	if (r != -EMEDIUMTYPE)
		return explain(why, capacity, what, r);
	snprintf(why, capacity, "%s: it would be in memory itself", what);
	return false;
}

/* ---- removing ------------------------------------------------------------------------ */

/* What is in it comes back, or would be lost with the device. */
bool pageout_remove(struct pageout_swap *s)
{
	const char *what = "swapoff";
	int r = s->on ? os_swap_off(s->path) : 0;

	if (r == 0) {
		s->on = false;
		what = "reset";
		if (s->zram != SIZE_MAX)
			r = remove_device(s);
	}
	if (r == 0 && s->file.fd >= 0) {
		what = "rm";
		r = os_unlink(s->path, &s->file);
	}
	if (s->file.fd >= 0)
		os_close_file(&s->file);
	if (r != 0)
		cli_error("bench pageout: %s stays, to be removed by hand (%s: %s)", s->path, what,
		          strerror(-r));
	s->path[0] = '\0';
	s->zram = SIZE_MAX;
	s->on = s->added = false;
	return r == 0;
}
