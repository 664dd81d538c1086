/* SPDX-License-Identifier: BSD-2-Clause */
/* What a child of fork(2) gets of a region on a shared backing, which is not mapped in it. */
#include <errno.h>

#include "os/os.h"
#include "region/span.h"

/* Calls fn on each run of bits of a map, as bytes of the region. */
static int each_run(struct region *r, const uint64_t *map, size_t unit,
                    int (*fn)(struct region *r, size_t offset, size_t length, struct backing_source *source),
                    struct backing_source *source)
{
	size_t bits = (r->size + unit - 1) / unit, past;
	for (size_t at = 0; (at = bitmap_next_set(map, at, bits)) < bits; at = past) {
		past = bitmap_next_clear(map, at, bits);
		size_t offset = at * unit, end = size_min(past * unit, r->size);
		int err = fn(r, offset, end - offset, source);
		if (err)
			return err;
	}
	return 0;
}

static int open_run(struct region *r, size_t offset, size_t length, struct backing_source *unused)
{
	(void)unused;
	return r->backing.ops->unlock(&r->backing, offset, length);
}

/* As it was for the parent: what is committed, pieces, or from end to end. */
static int open_as_before(struct region *r)
{
	if (r->traps)
		return each_run(r, r->committed_map, r->granule, open_run, NULL);
	if (!r->piece)
		return r->backing.ops->unlock(&r->backing, 0, r->size);
	return each_run(r, r->opened_map, r->piece, open_run, NULL);
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

static int finish(struct region *r, struct backing_source *source, int err)
{
	backing_close_source(source);
	if (!err)
		forget_lingering(r);
	else /* at worst there is no mapping at all */
		(void)os_cover(r->base, r->size);
	return err;
}

/* ---- a copy -------------------------------------------------------------------------- */

static int fetch_part(struct region *r, size_t offset, size_t length, struct backing_source *source)
{
	int err = backing_fetch(&r->backing, offset, length, source);
	span_tell_guard(r, length);
	return err;
}

static int fetch_run(struct region *r, size_t offset, size_t length, struct backing_source *source)
{
	int err = 0;
	for (size_t done = 0, step; done < length && !err; done += step) {
		step = span_ask_guard(r, length - done, r->granule, 0);
		err = step ? fetch_part(r, offset + done, step, source) : -ENOMEM;
	}
	return err;
}

int region_fork_copy(struct region *r)
{
	struct backing_source source;
	int err = backing_leave(&r->backing, &source);
	if (!err)
		err = open_as_before(r);
	if (!err)
		err = each_run(r, r->committed_map, r->granule, fetch_run, &source);
	return finish(r, &source, err);
}

/* ---- a view, or nothing ---------------------------------------------------------------- */

static int view_run(struct region *r, size_t offset, size_t length, struct backing_source *source)
{
	return backing_view(&r->backing, offset, length, source);
}

int region_fork_view(struct region *r)
{
	struct backing_source source;
	int err = backing_leave_for_view(&r->backing, &source);
	if (!err)
		err = open_as_before(r);
	if (!err)
		err = each_run(r, r->committed_map, r->granule, view_run, &source);
	return finish(r, &source, err);
}

void region_fork_forget(struct region *r)
{
	struct backing_source source;
	int err = backing_leave(&r->backing, &source);
	(void)finish(r, &source, err);
}
