/* SPDX-License-Identifier: BSD-2-Clause */
/* The beginning and the end of an allocator; fork; the check. */
#include <errno.h>
#include <string.h>

#include "os/os.h"
#include "pages/pages.h"

/* A chunk lies fallow between the zones: granules of thinned chunks are in the same set as
 * those of the small zone, and no run may be in both. */
static size_t end_of_small(const struct pages *p, size_t huge_from)
{
	return huge_from == p->size ? huge_from : huge_from - size_min(huge_from, CHUNK_SIZE);
}

int pages_init(struct pages *p, const struct pages_config *c)
{
	size_t step = size_max(CHUNK_SIZE, c->region->granule);
	if (os_page_size() != PAGE || c->from % step || c->size % step || !c->size || c->size / PAGE > UINT32_MAX ||
	    c->meta->granule != PAGE)
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
	if (c->decay_ms && c->decay_ms != PAGES_DECAY_NEVER)
		p->epoch_ms = size_max((uint64_t)c->decay_ms / PAGES_EPOCHS_PER_DECAY, 1);
	p->refused_bytes = SIZE_MAX;
	p->wishes = PAGES_WISHES;

	size_t huge_from = size_min(c->region->huge_from, c->from + c->size) - c->from;
	p->zone[PAGES_SMALL] = (struct pages_zone){ .unit = p->granule, .end = end_of_small(p, huge_from) };
	p->zone[PAGES_HUGE] = (struct pages_zone){
		.unit = CHUNK_SIZE, .start = huge_from, .frontier = huge_from, .end = p->size,
	};

	pthread_mutex_init(&p->growing, NULL);
	pthread_mutex_init(&p->sweeping, NULL);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	return pages_index_init(p, c->first_at, c->index_at);
}

void pages_destroy(struct pages *p)
{
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	pthread_mutex_destroy(&p->sweeping);
	pthread_mutex_destroy(&p->growing);
	memset(p, 0, sizeof *p);
}

/* ---- fork ------------------------------------------------------------------ */

void pages_fork_prepare(struct pages *p)
{
	pthread_mutex_lock(&p->sweeping);
	pthread_mutex_lock(&p->growing);
	pages_shards_fork_prepare(p);
	pthread_mutex_lock(&p->lock);
	p->forking = true;
	while (p->in_flight)
		pages_wait(p);
}

static void fork_done(struct pages *p)
{
	p->forking = false;
	pthread_mutex_unlock(&p->lock);
	pages_shards_fork_done(p);
	pthread_mutex_unlock(&p->growing);
	pthread_mutex_unlock(&p->sweeping);
}

void pages_fork_parent(struct pages *p)
{
	pthread_cond_broadcast(&p->changed);
	fork_done(p);
}

/* Who was in the midst of something is not here. */
void pages_fork_child(struct pages *p)
{
	p->waiting = 0;
	p->stepping_ahead = false;
	atomic_store_explicit(&p->attending, false, memory_order_relaxed);
	pthread_cond_init(&p->changed, NULL);
	fork_done(p);
}

/* ---- check ----------------------------------------------------------------- */

static void expect(bool sound)
{
	if (!sound)
		__builtin_trap();
}

/* Leaves of `absent` that describe the zone's used part. */
static void check_absent(const struct pages_zone *z, const struct runset *absent, size_t unit)
{
	size_t leaf = RUNSET_LEAF * unit;
	runset_check(absent, z->start / leaf, (z->frontier + leaf - 1) / leaf);
}

static void check_sets(struct pages *p, const struct pages_zone *z)
{
	if (z->frontier == z->start)
		return;
	runset_check(&z->resident, 0, (z->frontier - z->start) / CHUNK_SIZE);
	for (int kind = 0; kind < PAGES_KINDS; kind++)
		check_absent(z, &p->zone[kind].absent, p->zone[kind].unit);
}

static bool is_retired(struct pages *p, size_t at)
{
	if (region_is_committed(p->region, p->from + at, p->granule))
		return false;
	size_t unit = size_max(pages_zone_at(p, at)->unit, p->granule);
	return region_is_broken(p->region, p->from + size_down(at, unit), unit);
}

/* Each unit of a zone's pages is committed exactly if it is not in `absent`, nor retired. */
static void check_states(struct pages *p, const struct pages_zone *z, size_t *handed_out, size_t *resident,
                         size_t *retired)
{
	struct pages_zone *small = &p->zone[PAGES_SMALL], *huge = &p->zone[PAGES_HUGE];
	for (size_t at = z->start; at < z->frontier; at += p->granule) {
		bool absent = runset_has(&small->absent, at / small->unit, 1) ||
		              runset_has(&huge->absent, at / huge->unit, 1);
		if (p->retired && !absent && is_retired(p, at)) {
			*retired += p->granule;
			continue;
		}
		expect(region_is_committed(p->region, p->from + at, p->granule) == !absent);
		size_t pages = p->granule / PAGE;
		size_t free = bitmap_count(z->resident.bits, pages_page(z, at), pages);
		expect(!absent || free == 0);
		*resident += free * PAGE;
		*handed_out += absent ? 0 : (pages - free) * PAGE;
	}
}

void pages_check(struct pages *p)
{
	pages_shards_drain(p);
	pthread_mutex_lock(&p->lock);
	expect(p->in_flight == 0);
	pages_recent_flush(p);
	size_t handed_out = 0, resident = 0, retired = 0;
	for (int kind = 0; kind < PAGES_KINDS; kind++) {
		check_sets(p, &p->zone[kind]);
		check_states(p, &p->zone[kind], &handed_out, &resident, &retired);
	}
	expect(handed_out == p->allocated && resident == p->resident_free && retired == p->retired);
	pthread_mutex_unlock(&p->lock);
}
