/* SPDX-License-Identifier: BSD-2-Clause */
/* What a child of fork(2) gets of a region on a shared backing. */
#include <errno.h>
#include <string.h>

#include "os/os.h"
#include "region/region.h"

/* Calls fn on each run of bits of a map, as bytes of the region. */
static int each_run(struct region *r, const uint64_t *map, size_t unit,
                    int (*fn)(struct region *r, size_t offset, size_t length, const char *from), const char *from)
{
	size_t bits = (r->size + unit - 1) / unit, past;
	for (size_t at = 0; (at = bitmap_next_set(map, at, bits)) < bits; at = past) {
		past = bitmap_next_clear(map, at, bits);
		size_t offset = at * unit, end = size_min(past * unit, r->size);
		int err = fn(r, offset, end - offset, from);
		if (err)
			return err;
	}
	return 0;
}

static int open_run(struct region *r, size_t offset, size_t length, const char *unused)
{
	(void)unused;
	return r->backing.ops->unlock(&r->backing, offset, length);
}

/* As it was for the parent: pieces, or from end to end. */
static int open_as_before(struct region *r)
{
	if (!r->piece)
		return r->backing.ops->unlock(&r->backing, 0, r->size);
	return each_run(r, r->opened_map, r->piece, open_run, NULL);
}

static int copy_run(struct region *r, size_t offset, size_t length, const char *from)
{
	int err = r->backing.ops->populate(&r->backing, offset, length);
	if (!err)
		memcpy(r->base + offset, from + offset, length);
	return err;
}

/* What would not go from the parent's memory is not in ours. */
static void forget_lingering(struct region *r)
{
	if (!r->lingering)
		return;
	bitmap_clear(r->lingering_map, 0, r->size / r->granule);
	budget_uncharge(r->budget, r->lingering);
	r->lingering = 0;
}

int region_fork_copy(struct region *r)
{
	void *source = NULL;
	int err = backing_leave(&r->backing, &source);
	if (!err)
		err = open_as_before(r);
	if (!err)
		err = each_run(r, r->committed_map, r->granule, copy_run, source);
	if (source)
		os_release(source, r->size);
	if (err)
		region_fork_forget(r);
	else
		forget_lingering(r);
	return err;
}

static int view_run(struct region *r, size_t offset, size_t length, const char *unused)
{
	(void)unused;
	return backing_view_range(&r->backing, offset, length);
}

int region_fork_view(struct region *r)
{
	int err = backing_view(&r->backing);
	if (!err)
		err = open_as_before(r);
	if (!err)
		err = each_run(r, r->committed_map, r->granule, view_run, NULL);
	os_close_file(&r->backing.file); /* a child of this one copies on write, as usual */
	if (err)
		region_fork_forget(r);
	else
		forget_lingering(r);
	return err;
}

void region_fork_forget(struct region *r)
{
	(void)backing_leave(&r->backing, NULL); /* at worst there is no mapping at all */
}
