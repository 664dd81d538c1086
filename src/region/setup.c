/* SPDX-License-Identifier: BSD-2-Clause */
/* A region's beginning, end, and way through fork(2). */
#include <errno.h>
#include <string.h>

#include "os/os.h"
#include "region/span.h"

static bool config_is_sound(const struct region_config *c)
{
	return c->size && c->size % CHUNK_SIZE == 0 && size_is_pow2(c->granule) && c->granule >= os_page_size() &&
	       c->granule <= CHUNK_SIZE && (c->granule <= SMALL_GRANULE || !c->huge_in) &&
	       c->piece % CHUNK_SIZE == 0 && (!c->closed || c->piece) && c->huge_in <= 2 && c->budget;
}

static int reserve_halving(struct region *r, const struct region_config *c)
{
	size_t least = size_up(size_max(c->size_min, CHUNK_SIZE), CHUNK_SIZE);
	struct backing_config memory = {
		.size = c->size,
		.align = CHUNK_SIZE,
		.page = c->page,
		.need = c->need,
		.path = c->path,
		.keep = c->keep,
		.touch = c->touch,
	};
	for (;;) {
		r->backing.reason = NULL;
		int err = r->backing.ops->open(&r->backing, &memory);
		if (err != -ENOMEM || memory.size <= least)
			return err;
		memory.size = size_max(size_up(memory.size / 2, CHUNK_SIZE), least);
	}
}

static size_t map_bytes_for(size_t bits) { return size_up(BITMAP_WORDS(bits) * sizeof(uint64_t), 64); }

/*
 * The maps, a bit or two a granule, in a mapping of their own: untouched parts take
 * no memory, and touched ones a 250,000th of what they describe, which is why they
 * are not charged.
 */
static int make_maps(struct region *r)
{
	size_t granules = map_bytes_for(r->size / r->granule);
	size_t chunks = map_bytes_for(r->size / CHUNK_SIZE);
	size_t bytes = size_up(4 * granules + 2 * chunks, os_page_size());

	void *maps;
	int err = os_new_sparse(bytes, &maps);
	if (err)
		return err;
	char *at = maps;
	r->map_bytes = bytes;
	r->committed_map = (uint64_t *)(void *)at;
	r->busy_map = (uint64_t *)(void *)(at + granules);
	r->lingering_map = (uint64_t *)(void *)(at + 2 * granules);
	r->broken_map = (uint64_t *)(void *)(at + 3 * granules);
	r->opened_map = (uint64_t *)(void *)(at + 4 * granules);
	r->thinned_map = (uint64_t *)(void *)(at + 4 * granules + chunks);
	return 0;
}

static size_t huge_zone_start(size_t size, unsigned huge_in)
{
	switch (huge_in) {
	case 0:
		return size;
	case 1:
		return 0;
	default:
		return size_up(size / 2, CHUNK_SIZE);
	}
}

/* Says of each zone whether huge pages may serve it, once, while it is empty. */
static int set_zones(struct region *r)
{
	int err = 0;
	if (r->huge_from > 0)
		err = r->backing.ops->prefer_huge(&r->backing, 0, r->huge_from, false);
	if (!err && r->huge_from < r->size)
		err = r->backing.ops->prefer_huge(&r->backing, r->huge_from, r->size - r->huge_from, true);
	return err;
}

/* A child of fork(2) could only corrupt shared memory; a core dump would populate all of
 * it, which is tried to be avoided (huge pages refuse, before Linux 4.19). */
static int keep_to_ourselves(struct region *r)
{
	(void)os_dump(r->base, r->size, false);
	return os_dont_fork(r->base, r->size);
}

/*
 * Now that the backing's page is known. Mappings of huge pages (hugetlb) never join, so
 * that each piece remains one of its own: larger ones, so that they stay few enough.
 */
static void take_granule(struct region *r, const struct region_config *c)
{
	size_t piece = c->piece;
	if (r->backing.page_size > os_page_size())
		piece = size_max(piece, r->backing.size / REGION_MOST_PIECES);
	r->granule = size_max(c->granule, r->backing.page_size);
	r->traps = c->traps;
	r->lock_mode = c->lock;
	r->merges = c->merges;
	r->piece = c->closed && !c->traps ? size_up(piece, size_max(r->granule, CHUNK_SIZE)) : 0;
}

static int open_all(struct region *r)
{
	int err = span_lock_opened(r, 0, r->size);
	return err ? err : r->backing.ops->unlock(&r->backing, 0, r->size);
}

int region_init(struct region *r, const struct region_config *c)
{
	if (!config_is_sound(c))
		return -EINVAL;
	memset(r, 0, sizeof *r);
	r->backing.ops = c->backing;
	r->budget = c->budget;
	r->guard = c->guard;
	r->guard_terms = c->guard_terms;

	int err = reserve_halving(r, c);
	if (err)
		return err;
	take_granule(r, c);
	/* Pages of a pool are there already, and a lack of them kills nobody. */
	r->guarded = c->guard && !c->unguarded && !backing_is_of_pool(&r->backing);
	r->exact = c->exact && r->guarded && c->backing == &backing_memfd && r->backing.allocates;
	r->base = r->backing.base;
	r->size = r->backing.size;
	r->huge_from = huge_zone_start(r->size, c->huge_in);
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->quiet, NULL);

	if (c->name)
		(void)os_name(r->base, r->size, c->name); /* a convenience: old kernels refuse */
	err = set_zones(r);
	if (!err && region_is_shared(r))
		err = keep_to_ourselves(r);
	if (!err)
		err = region_choose_merging(r);
	if (!err)
		err = make_maps(r);
	if (!err && !r->piece && !r->traps)
		err = open_all(r);
	if (err)
		region_destroy(r);
	return err;
}

void region_destroy(struct region *r)
{
	budget_uncharge(r->budget, r->committed + r->lingering);
	r->backing.ops->close(&r->backing);
	if (r->committed_map)
		os_release(r->committed_map, r->map_bytes);
	pthread_cond_destroy(&r->quiet);
	pthread_mutex_destroy(&r->lock);
	memset(r, 0, sizeof *r);
}

/*
 * Granules that another thread is working on would stay busy for ever in the child,
 * where that thread does not exist.
 */
void region_fork_prepare(struct region *r)
{
	pthread_mutex_lock(&r->lock);
	r->forking = true;
	while (r->in_flight) {
		r->waiting++;
		pthread_cond_wait(&r->quiet, &r->lock);
		r->waiting--;
	}
}

void region_fork_parent(struct region *r)
{
	r->forking = false;
	if (r->waiting)
		pthread_cond_broadcast(&r->quiet);
	pthread_mutex_unlock(&r->lock);
}

void region_fork_child(struct region *r)
{
	r->forking = false;
	r->waiting = 0;
	pthread_cond_init(&r->quiet, NULL);
	pthread_mutex_unlock(&r->lock);
}
