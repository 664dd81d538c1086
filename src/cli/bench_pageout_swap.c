/* SPDX-License-Identifier: BSD-2-Clause */
/* Which swap is measured: the system's, or one of the bench's own. */
#define _GNU_SOURCE
#include "cli/bench_pageout.h"
#include "cli/cli.h"

#include <unistd.h>

#define SPARE (16 * MiB) /* others swap too */
/* Of one of our own: where more than half is used the kernel drops what it has in swap and
 * in memory as well, which then has to be written again. */
#define TIMES 3

size_t pageout_free(const struct os_swap *areas, size_t count)
{
	size_t bytes = 0;

	for (size_t i = 0; i < count; i++)
		bytes += areas[i].size > areas[i].used ? areas[i].size - areas[i].used : 0;
	return bytes;
}

static bool take_system(struct pageout_swap *s, size_t size)
{
	*s = (struct pageout_swap){.zram = SIZE_MAX, .file.fd = -1};
	s->area_count = size_min(os_swaps("", s->areas, PAGEOUT_AREAS_MAX), PAGEOUT_AREAS_MAX);
	return pageout_free(s->areas, s->area_count) >= size + SPARE;
}

static bool say_no_swap(const struct pageout_swap *s, size_t size, const char *and)
{
	char wanted[SIZE_TEXT_MAX], free[SIZE_TEXT_MAX];

	size_format_human(size + SPARE, wanted);
	size_format_human(pageout_free(s->areas, s->area_count), free);
	if (s->area_count == 0)
		cli_error("bench pageout: there is no swap%s", and);
	else
		cli_error("bench pageout: %s of swap are needed, %s are free%s", wanted, free, and);
	return false;
}

/* zram is there first: it writes to nobody's disk. */
static bool make_any(struct pageout_swap *s, const char *directory, size_t size)
{
	char of_zram[256], of_file[1400];

	if (pageout_make_zram(s, size, of_zram, sizeof(of_zram)) ||
	    pageout_make_file(s, directory, size, of_file, sizeof(of_file)))
		return true;
	cli_error("bench pageout: no swap can be made: %s; %s", of_zram, of_file);
	return false;
}

bool pageout_find_swap(struct pageout_swap *s, const struct pageout_options *o, size_t size)
{
	size_t own = TIMES * size + SPARE;
	char why[1400];

	if (o->swap == PAGEOUT_AUTO || o->swap == PAGEOUT_SYSTEM) {
		if (take_system(s, size))
			return true;
		if (o->swap == PAGEOUT_SYSTEM)
			return say_no_swap(s, size, "");
		if (geteuid() != 0)
			return say_no_swap(s, size, "; root would have some made");
		return make_any(s, o->directory, own);
	}
	if (o->swap == PAGEOUT_ZRAM ? pageout_make_zram(s, own, why, sizeof(why))
	                            : pageout_make_file(s, o->directory, own, why, sizeof(why)))
		return true;
	cli_error("bench pageout: no swap can be made: %s", why);
	return false;
}
