/* SPDX-License-Identifier: BSD-2-Clause */
/* sparena/region.h over region.h: options, and a place for the structure. */
#include <errno.h>
#include <string.h>

#include "conf/about.h"
#include "conf/conf.h"
#include "os/os.h"
#include "region/region.h"
#include "sparena/region.h"

/* Scattered openings are mappings each: at most this many of them. */
#define MOST_PIECES 1024

struct sparena_region {
	struct region region;
	struct budget budget;
	size_t size; /* as asked for, in whole granules; the reservation is in whole chunks */
	size_t granule;
};

static int refuse(int err, const char *reason)
{
	about_set_error(reason);
	return err;
}

static int read_options(struct conf *c, const char *options)
{
	char error[CONF_ERROR_MAX];
	conf_default(c);
	if (conf_parse(c, options, CONF_SCOPE_REGION, os_memory_total(), error))
		return refuse(-EINVAL, error);
	return 0;
}

static int reserve(struct sparena_region *r, const struct conf *c, bool closed)
{
	size_t size = size_up(r->size, CHUNK_SIZE);
	return region_init(&r->region, &(struct region_config){
		.backing = &backing_anon,
		.size = size,
		.size_min = size,
		.granule = SMALL_GRANULE,
		.huge_in = c->thp == CONF_THP_ALWAYS,
		.closed = closed,
		.piece = size_up(size_max(size / MOST_PIECES, 1), CHUNK_SIZE),
		.budget = &r->budget,
		.name = "sparena: region",
	});
}

/* An open region is charged as a whole where the kernel does not overcommit. */
static int reserve_open_or_closed(struct sparena_region *r, const struct conf *c)
{
	int err = reserve(r, c, c->closed);
	return err == -ENOMEM && !c->closed ? reserve(r, c, true) : err;
}

static size_t own_bytes(void) { return size_up(sizeof(struct sparena_region), os_page_size()); }

static int make(const struct conf *c, size_t size, size_t granule, struct sparena_region **out)
{
	void *memory;
	int err = os_reserve(own_bytes(), os_page_size(), &memory);
	if (err)
		return err;
	err = os_open(memory, own_bytes());
	if (!err) {
		struct sparena_region *r = memory;
		r->size = size;
		r->granule = granule;
		budget_init(&r->budget, c->limit);
		err = reserve_open_or_closed(r, c);
		*out = r;
	}
	if (err)
		os_release(memory, own_bytes());
	return err;
}

int sparena_region_reserve(const char *options, size_t size, struct sparena_region **out)
{
	struct conf c;
	size_t whole;
	if (!out)
		return refuse(-EINVAL, "no place for the region: out is NULL");
	int err = read_options(&c, options);
	if (err)
		return err;
	size_t granule = c.thp == CONF_THP_ALWAYS ? CHUNK_SIZE : SMALL_GRANULE;
	if (!size || !size_up_checked(size, granule, &whole))
		return refuse(-EINVAL, "a region has at least one byte, and fewer than SIZE_MAX");
	if (whole > PTRDIFF_MAX)
		return refuse(-ENOMEM, "no machine has so much address space");
	err = make(&c, whole, granule, out);
	return err ? refuse(err, "address space for the region is not to be had: see ulimit -v") : 0;
}

void sparena_region_release(struct sparena_region *r)
{
	if (!r)
		return;
	region_destroy(&r->region);
	os_release(r, own_bytes());
}

static int check_range(const struct sparena_region *r, size_t offset, size_t length)
{
	size_t end;
	if (!size_add(offset, length, &end) || end > r->size || !length)
		return refuse(-EINVAL, "the range is empty or reaches outside the region");
	if (offset % r->granule || length % r->granule)
		return refuse(-EINVAL, "offset and length must be multiples of the granule");
	return 0;
}

int sparena_region_commit(struct sparena_region *r, size_t offset, size_t length)
{
	int err = check_range(r, offset, length);
	if (err)
		return err;
	err = region_commit(&r->region, offset, length);
	return err == -ENOMEM ? refuse(err, "the limit is reached, or no memory is left") : err;
}

int sparena_region_decommit(struct sparena_region *r, size_t offset, size_t length)
{
	int err = check_range(r, offset, length);
	return err ? err : region_decommit(&r->region, offset, length);
}

void *sparena_region_base(const struct sparena_region *r) { return r->region.base; }

size_t sparena_region_size(const struct sparena_region *r) { return r->size; }

size_t sparena_region_granule(const struct sparena_region *r) { return r->granule; }

size_t sparena_region_committed(const struct sparena_region *r) { return budget_charged(&r->budget); }

int sparena_region_resident(struct sparena_region *r, size_t offset, size_t length, size_t *bytes)
{
	size_t end;
	if (!bytes || !size_add(offset, length, &end) || end > r->size)
		return refuse(-EINVAL, "the range reaches outside the region, or bytes is NULL");
	return region_resident(&r->region, offset, length, bytes);
}

int sparena_region_set_limit(struct sparena_region *r, size_t bytes)
{
	budget_set_limit(&r->budget, bytes);
	return 0;
}

int sparena_region_fd(const struct sparena_region *r)
{
	(void)r; /* private memory is the only backing yet */
	return -1;
}
