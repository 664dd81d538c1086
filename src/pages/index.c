/* SPDX-License-Identifier: BSD-2-Clause */
/* The index: where it lies, and how it grows with the frontiers. */
#include <errno.h>
#include <string.h>

#include "pages/pages.h"
#include "pages/shards.h"

/*
 * A heap that stays small has a small index: of the first bytes of its small zone, and nothing of
 * the huge one, in a page or two. In the index of everything each array begins in a page of its
 * own, and mostly in a piece of meta's: some 10 us each when a process starts.
 */
#define FIRST_BYTES (64 * MiB)

static size_t first_described(size_t granule) { return size_max(FIRST_BYTES, granule); }

static size_t stamps_bytes(size_t size, size_t granule)
{
	return size_up(size / granule * sizeof(uint16_t), 64);
}

/* Without the resident sets. */
static size_t common_bytes(size_t size, size_t granule)
{
	return runset_bytes(size / granule) + runset_bytes(size / CHUNK_SIZE) + stamps_bytes(size, granule);
}

size_t pages_first_index_bytes(size_t granule)
{
	size_t size = first_described(granule);
	return size_up(runset_bytes(size / PAGE) + runset_bytes(CHUNK_SIZE / PAGE) + common_bytes(size, granule), PAGE);
}

/* Both zones' resident sets, however the size is divided between them. */
size_t pages_index_bytes(size_t size, size_t granule)
{
	return runset_bytes(size / PAGE) + 2 * runset_bytes(size / 2 / PAGE + RUNSET_LEAF) +
	       common_bytes(size, granule) + sizeof(struct shards);
}

/* ---- where the arrays lie ---------------------------------------------------- */

struct arrays {
	struct runset resident[PAGES_KINDS];
	struct runset absent[PAGES_KINDS];
	uint16_t *stamps;
};

static char *lay_out_set(struct runset *s, char *at, size_t units)
{
	runset_init(s, at, units);
	return at + runset_bytes(units);
}

/* For so many bytes of the zones, and of all. Returns where they end. */
static char *lay_out(const struct pages *p, struct arrays *a, char *at, size_t small, size_t huge, size_t all)
{
	at = lay_out_set(&a->resident[PAGES_SMALL], at, small / PAGE);
	at = lay_out_set(&a->absent[PAGES_SMALL], at, all / p->zone[PAGES_SMALL].unit);
	at = lay_out_set(&a->resident[PAGES_HUGE], at, huge / PAGE);
	at = lay_out_set(&a->absent[PAGES_HUGE], at, all / p->zone[PAGES_HUGE].unit);
	a->stamps = (uint16_t *)(void *)at;
	return at + stamps_bytes(all, p->granule);
}

static void lay_out_first(const struct pages *p, struct arrays *a)
{
	size_t size = first_described(p->granule);
	lay_out(p, a, p->meta->base + p->first_at, size, CHUNK_SIZE, size);
}

static size_t zone_size(const struct pages_zone *z) { return size_max(z->end - z->start, CHUNK_SIZE); }

static char *lay_out_full(const struct pages *p, struct arrays *a)
{
	return lay_out(p, a, p->meta->base + p->index_at, zone_size(&p->zone[PAGES_SMALL]),
	               zone_size(&p->zone[PAGES_HUGE]), p->size);
}

static void use(struct pages *p, const struct arrays *a)
{
	for (int kind = 0; kind < PAGES_KINDS; kind++) {
		p->zone[kind].resident = a->resident[kind];
		p->zone[kind].absent = a->absent[kind];
	}
	p->stamps = a->stamps;
}

/* ---- what of them is committed ------------------------------------------------- */

/* Commits a part of the index, in whole granules of meta's region. */
static int need_index(void *context, void *addr, size_t bytes)
{
	struct pages *p = context;
	size_t offset = (size_t)((char *)addr - p->meta->base);
	size_t from = size_down(offset, p->meta->granule), length = size_up(offset + bytes, p->meta->granule) - from;
	int err = region_commit(p->meta, from, length);
	return err == -EHWPOISON ? region_commit(p->meta, from, length) : err; /* the broken page is gone */
}

/* What describes the bytes [from, end) of a zone. */
static int cover(struct pages *p, const struct arrays *a, enum pages_kind kind, size_t from, size_t end)
{
	const struct pages_zone *z = &p->zone[kind];
	int err = runset_cover(&a->resident[kind], pages_page(z, from), pages_page(z, end), need_index, p);
	for (int other = 0; other < PAGES_KINDS && !err; other++) {
		size_t unit = p->zone[other].unit;
		err = runset_cover(&a->absent[other], from / unit, end / unit, need_index, p);
	}
	if (!err)
		err = need_index(p, a->stamps + from / p->granule, (end - from) / p->granule * sizeof *a->stamps);
	return err;
}

/* The roots must be readable while the sets are empty. */
static int cover_roots(struct pages *p, const struct arrays *a)
{
	int err = 0;
	for (int kind = 0; kind < PAGES_KINDS && !err; kind++) {
		err = runset_cover(&a->resident[kind], 0, 1, need_index, p);
		if (!err)
			err = runset_cover(&a->absent[kind], 0, 1, need_index, p);
	}
	return err;
}

/* With the lock held: the trees become as high as the covered part needs. */
static void reach(struct pages *p, struct pages_zone *z, size_t end)
{
	runset_reach(&z->resident, pages_page(z, end));
	for (int kind = 0; kind < PAGES_KINDS; kind++)
		runset_reach(&p->zone[kind].absent, end / p->zone[kind].unit);
}

int pages_cover_shards(struct pages *p)
{
	return need_index(p, p->shards_memory, sizeof *p->shards_memory);
}

int pages_index_init(struct pages *p, size_t first_at, size_t index_at)
{
	struct arrays first, full;
	p->first_at = first_at;
	p->index_at = index_at;
	p->shards_memory = (struct shards *)(void *)lay_out_full(p, &full);
	lay_out_first(p, &first);
	use(p, &first);
	return cover_roots(p, &first);
}

/* ---- from the first index to that of everything --------------------------------- */

/* With the lock held. Of the huge zone there is nothing yet. */
static void copy(const struct pages *p, struct arrays *to, size_t end)
{
	const struct pages_zone *small = &p->zone[PAGES_SMALL];
	runset_copy(&to->resident[PAGES_SMALL], &small->resident, pages_page(small, end));
	for (int kind = 0; kind < PAGES_KINDS; kind++)
		runset_copy(&to->absent[kind], &p->zone[kind].absent, end / p->zone[kind].unit);
	memcpy(to->stamps, p->stamps, end / p->granule * sizeof *to->stamps);
}

/* With `growing` held. Who has the lock alone sees one or the other. */
static int outgrow(struct pages *p)
{
	struct arrays full;
	size_t end = p->zone[PAGES_SMALL].frontier;
	(void)lay_out_full(p, &full);
	int err = cover_roots(p, &full);
	if (!err && end)
		err = cover(p, &full, PAGES_SMALL, 0, end);
	if (err)
		return err;
	pthread_mutex_lock(&p->lock);
	if (end)
		copy(p, &full, end);
	use(p, &full);
	p->outgrown = true;
	pthread_mutex_unlock(&p->lock);
	(void)region_decommit(p->meta, p->first_at, pages_first_index_bytes(p->granule)); /* or it stays, charged */
	return 0;
}

static bool fits_first(const struct pages *p, enum pages_kind kind, size_t end)
{
	return kind == PAGES_SMALL && end <= first_described(p->granule);
}

/* What describes the bytes behind a frontier. With `growing` held. */
static int cover_next(struct pages *p, enum pages_kind kind, size_t from, size_t end)
{
	struct arrays now;
	int err = p->outgrown || fits_first(p, kind, end) ? 0 : outgrow(p);
	if (err)
		return err;
	if (p->outgrown)
		(void)lay_out_full(p, &now);
	else
		lay_out_first(p, &now);
	return cover(p, &now, kind, from, end);
}

/* ---- frontiers ------------------------------------------------------------- */

/* With `growing` held, so that it stays where it is. */
static int extend(struct pages *p, enum pages_kind kind, size_t bytes)
{
	struct pages_zone *z = &p->zone[kind];
	size_t most = size_min(bytes, z->frontier - z->start); /* before a zone there is nothing */
	pthread_mutex_lock(&p->lock);
	size_t below = runset_run_before(&z->absent, z->frontier / z->unit, most / z->unit) * z->unit;
	pthread_mutex_unlock(&p->lock);

	size_t more = size_up(size_max(bytes - below, 1), size_max(CHUNK_SIZE, z->unit));
	int err = more > z->end - z->frontier ? -ENOMEM : cover_next(p, kind, z->frontier, z->frontier + more);
	if (!err) {
		pthread_mutex_lock(&p->lock);
		reach(p, z, z->frontier + more);
		runset_add(&z->absent, z->frontier / z->unit, more / z->unit);
		z->frontier += more;
		pthread_mutex_unlock(&p->lock);
	}
	return err;
}

/* Who waited while another thread moved it may need no more, and at the zone's end there is
 * no more. */
int pages_extend(struct pages *p, enum pages_kind kind, size_t from, size_t bytes)
{
	pthread_mutex_lock(&p->growing);
	int err = p->zone[kind].frontier == from ? extend(p, kind, bytes) : 0;
	pthread_mutex_unlock(&p->growing);
	return err;
}

size_t pages_frontier(struct pages *p, enum pages_kind kind)
{
	pthread_mutex_lock(&p->lock);
	size_t frontier = p->zone[kind].frontier;
	pthread_mutex_unlock(&p->lock);
	return frontier;
}
