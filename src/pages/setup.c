/* SPDX-License-Identifier: BSD-2-Clause */
/* The index: where it lies, how it grows with the frontiers; fork; the check. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "os/os.h"
#include "pages/pages.h"

#define RUNSET_PAGE (CHUNK_SIZE / RUNSET_LEAF)

static size_t stamps_bytes(size_t size, size_t granule)
{
	return size_up(size / granule * sizeof(uint16_t), RUNSET_PAGE);
}

size_t pages_index_bytes(size_t size, size_t granule)
{
	return runset_bytes(size / RUNSET_PAGE) + runset_bytes(size / granule) +
	       runset_bytes(size / CHUNK_SIZE) + stamps_bytes(size, granule);
}

/* Commits a part of the index, in whole granules of meta's region. */
static int need_index(void *context, void *addr, size_t bytes)
{
	struct pages *p = context;
	size_t offset = (size_t)((char *)addr - p->meta->base);
	size_t from = size_down(offset, p->meta->granule);
	return region_commit_keep(p->meta, from, size_up(offset + bytes, p->meta->granule) - from, 0);
}

/* The index of the bytes [from, end), relative to p->from. */
static int cover(struct pages *p, size_t from, size_t end)
{
	int err = runset_cover(&p->resident, from / RUNSET_PAGE, end / RUNSET_PAGE, need_index, p);
	for (int kind = 0; kind < PAGES_KINDS && !err; kind++) {
		struct pages_zone *z = &p->zone[kind];
		err = runset_cover(&z->absent, from / z->unit, end / z->unit, need_index, p);
	}
	if (!err)
		err = need_index(p, p->stamps + from / p->granule, (end - from) / p->granule * sizeof *p->stamps);
	return err;
}

static void lay_out_index(struct pages *p, char *at)
{
	runset_init(&p->resident, at, p->size / RUNSET_PAGE);
	at += runset_bytes(p->size / RUNSET_PAGE);
	for (int kind = 0; kind < PAGES_KINDS; kind++) {
		struct pages_zone *z = &p->zone[kind];
		runset_init(&z->absent, at, p->size / z->unit);
		at += runset_bytes(p->size / z->unit);
	}
	p->stamps = (uint16_t *)(void *)at;
}

int pages_init(struct pages *p, const struct pages_config *c)
{
	if (os_page_size() != RUNSET_PAGE || c->from % CHUNK_SIZE || c->size % CHUNK_SIZE || !c->size)
		return -EINVAL;
	memset(p, 0, sizeof *p);
	p->region = c->region;
	p->meta = c->meta;
	p->from = c->from;
	p->size = c->size;
	p->granule = c->region->granule;
	p->thp = c->thp;
	p->commit_ahead = c->commit_ahead;
	p->decay_ms = c->decay_ms;
	p->refused_bytes = SIZE_MAX;

	size_t huge_from = size_min(c->region->huge_from, c->from + c->size) - c->from;
	p->zone[PAGES_SMALL] = (struct pages_zone){ .unit = p->granule, .frontier = 0, .end = huge_from };
	p->zone[PAGES_HUGE] = (struct pages_zone){ .unit = CHUNK_SIZE, .frontier = huge_from, .end = p->size };
	lay_out_index(p, c->meta->base + c->index_at);

	pthread_mutex_init(&p->growing, NULL);
	pthread_mutex_init(&p->sweeping, NULL);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	return cover(p, 0, CHUNK_SIZE); /* the roots must be readable */
}

void pages_destroy(struct pages *p)
{
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	pthread_mutex_destroy(&p->sweeping);
	pthread_mutex_destroy(&p->growing);
	memset(p, 0, sizeof *p);
}

/* Moves a frontier so that a run of `bytes` can begin in the free units below it. */
int pages_extend(struct pages *p, enum pages_kind kind, size_t bytes)
{
	struct pages_zone *z = &p->zone[kind];
	pthread_mutex_lock(&p->growing);

	pthread_mutex_lock(&p->lock);
	size_t below = runset_run_before(&z->absent, z->frontier / z->unit, bytes / z->unit) * z->unit;
	pthread_mutex_unlock(&p->lock);

	size_t more = size_up(size_max(bytes - below, 1), CHUNK_SIZE);
	int err = more > z->end - z->frontier ? -ENOMEM : cover(p, z->frontier, z->frontier + more);
	if (!err) {
		pthread_mutex_lock(&p->lock);
		runset_add(&z->absent, z->frontier / z->unit, more / z->unit);
		z->frontier += more;
		pthread_mutex_unlock(&p->lock);
	}
	pthread_mutex_unlock(&p->growing);
	return err;
}

/* ---- fork ------------------------------------------------------------------ */

void pages_fork_prepare(struct pages *p)
{
	pthread_mutex_lock(&p->sweeping);
	pthread_mutex_lock(&p->growing);
	pthread_mutex_lock(&p->lock);
	p->forking = true;
	while (p->in_flight) {
		p->waiting++;
		pthread_cond_wait(&p->changed, &p->lock);
		p->waiting--;
	}
}

static void fork_done(struct pages *p)
{
	p->forking = false;
	pthread_mutex_unlock(&p->lock);
	pthread_mutex_unlock(&p->growing);
	pthread_mutex_unlock(&p->sweeping);
}

void pages_fork_parent(struct pages *p)
{
	pthread_cond_broadcast(&p->changed);
	fork_done(p);
}

void pages_fork_child(struct pages *p)
{
	p->waiting = 0;
	pthread_cond_init(&p->changed, NULL);
	fork_done(p);
}

/* ---- check ----------------------------------------------------------------- */

static void expect(bool sound)
{
	if (!sound)
		__builtin_trap();
}

static void check_zone(struct pages *p, enum pages_kind kind)
{
	struct pages_zone *z = &p->zone[kind];
	runset_check(&z->absent, 0, 1);
	size_t step = RUNSET_LEAF * z->unit;
	for (int other = 0; other < PAGES_KINDS; other++) {
		/* Thinned chunks of the huge zone are in the small zone's set. */
		size_t lo = other == PAGES_SMALL ? 0 : p->zone[PAGES_SMALL].end, hi = p->zone[other].frontier;
		for (size_t at = size_down(lo, step); at < hi; at += step)
			runset_check(&z->absent, at / step, at / step + 1);
	}
}

/* Each unit of a zone's pages is committed exactly if it is not in `absent`. */
static void check_states(struct pages *p, size_t lo, size_t hi, size_t *handed_out, size_t *resident)
{
	struct pages_zone *small = &p->zone[PAGES_SMALL], *huge = &p->zone[PAGES_HUGE];
	for (size_t at = lo; at < hi; at += p->granule) {
		bool absent = runset_has(&small->absent, at / small->unit, 1) ||
		              runset_has(&huge->absent, at / huge->unit, 1);
		expect(region_is_committed(p->region, p->from + at, p->granule) == !absent);
		size_t pages = p->granule / RUNSET_PAGE;
		size_t free = bitmap_count(p->resident.bits, at / RUNSET_PAGE, pages);
		expect(!absent || free == 0);
		*resident += free * RUNSET_PAGE;
		*handed_out += absent ? 0 : (pages - free) * RUNSET_PAGE;
	}
}

void pages_check(struct pages *p)
{
	pthread_mutex_lock(&p->lock);
	expect(p->in_flight == 0);
	size_t handed_out = 0, resident = 0;
	for (int kind = 0; kind < PAGES_KINDS; kind++) {
		size_t lo = kind == PAGES_SMALL ? 0 : p->zone[PAGES_SMALL].end, hi = p->zone[kind].frontier;
		check_zone(p, kind);
		if (lo < hi)
			runset_check(&p->resident, lo / CHUNK_SIZE, hi / CHUNK_SIZE);
		check_states(p, lo, hi, &handed_out, &resident);
	}
	expect(handed_out == p->allocated && resident == p->resident_free);
	pthread_mutex_unlock(&p->lock);
}
