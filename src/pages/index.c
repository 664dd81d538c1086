/* SPDX-License-Identifier: BSD-2-Clause */
/* The index: where it lies, and how it grows with the frontiers. */
#include <errno.h>

#include "pages/pages.h"
#include "pages/shards.h"

static size_t stamps_bytes(size_t size, size_t granule)
{
	return size_up(size / granule * sizeof(uint16_t), 64);
}

/* Both zones' resident sets, however the size is divided between them. */
size_t pages_index_bytes(size_t size, size_t granule)
{
	return runset_bytes(size / PAGE) + 2 * runset_bytes(size / 2 / PAGE + RUNSET_LEAF) +
	       runset_bytes(size / granule) + runset_bytes(size / CHUNK_SIZE) + stamps_bytes(size, granule) +
	       sizeof(struct shards);
}

/* Commits a part of the index, in whole granules of meta's region. */
static int need_index(void *context, void *addr, size_t bytes)
{
	struct pages *p = context;
	size_t offset = (size_t)((char *)addr - p->meta->base);
	size_t from = size_down(offset, p->meta->granule), length = size_up(offset + bytes, p->meta->granule) - from;
	int err = region_commit(p->meta, from, length);
	return err == -EHWPOISON ? region_commit(p->meta, from, length) : err; /* the broken page is gone */
}

/* The index of the bytes [from, end) of a zone. */
static int cover(struct pages *p, struct pages_zone *z, size_t from, size_t end)
{
	int err = runset_cover(&z->resident, pages_page(z, from), pages_page(z, end), need_index, p);
	for (int kind = 0; kind < PAGES_KINDS && !err; kind++) {
		struct pages_zone *other = &p->zone[kind];
		err = runset_cover(&other->absent, from / other->unit, end / other->unit, need_index, p);
	}
	if (!err)
		err = need_index(p, p->stamps + from / p->granule, (end - from) / p->granule * sizeof *p->stamps);
	return err;
}

/* With the lock held: the trees become as high as the covered part needs. */
static void reach(struct pages *p, struct pages_zone *z, size_t end)
{
	runset_reach(&z->resident, pages_page(z, end));
	for (int kind = 0; kind < PAGES_KINDS; kind++)
		runset_reach(&p->zone[kind].absent, end / p->zone[kind].unit);
}

static void lay_out_zone(struct pages_zone *z, size_t region_size, char **at)
{
	size_t pages = size_max(z->end - z->start, CHUNK_SIZE) / PAGE;
	runset_init(&z->resident, *at, pages);
	*at += runset_bytes(pages);
	runset_init(&z->absent, *at, region_size / z->unit);
	*at += runset_bytes(region_size / z->unit);
}

static void lay_out_index(struct pages *p, char *at)
{
	for (int kind = 0; kind < PAGES_KINDS; kind++)
		lay_out_zone(&p->zone[kind], p->size, &at);
	p->stamps = (uint16_t *)(void *)at;
	p->shards_memory = (struct shards *)(void *)(at + stamps_bytes(p->size, p->granule));
}

int pages_cover_shards(struct pages *p)
{
	return need_index(p, p->shards_memory, sizeof *p->shards_memory);
}

/* The roots must be readable while the sets are empty. */
static int cover_roots(struct pages *p)
{
	int err = 0;
	for (int kind = 0; kind < PAGES_KINDS && !err; kind++) {
		struct pages_zone *z = &p->zone[kind];
		err = runset_cover(&z->resident, 0, 1, need_index, p);
		if (!err)
			err = runset_cover(&z->absent, 0, 1, need_index, p);
	}
	return err;
}

int pages_index_init(struct pages *p, size_t at)
{
	lay_out_index(p, p->meta->base + at);
	return cover_roots(p);
}

/* ---- frontiers ------------------------------------------------------------- */

/* With `growing` held, so that it stays where it is. */
static int extend(struct pages *p, struct pages_zone *z, size_t bytes)
{
	pthread_mutex_lock(&p->lock);
	size_t below = runset_run_before(&z->absent, z->frontier / z->unit, bytes / z->unit) * z->unit;
	pthread_mutex_unlock(&p->lock);

	size_t more = size_up(size_max(bytes - below, 1), size_max(CHUNK_SIZE, z->unit));
	int err = more > z->end - z->frontier ? -ENOMEM : cover(p, z, z->frontier, z->frontier + more);
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
	struct pages_zone *z = &p->zone[kind];
	pthread_mutex_lock(&p->growing);
	int err = z->frontier == from ? extend(p, z, bytes) : 0;
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
