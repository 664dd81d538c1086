/* SPDX-License-Identifier: BSD-2-Clause */
/* sparena/region.h over region.h: options, and a place for the structure. */
#include <errno.h>
#include <string.h>

#include "conf/about.h"
#include "conf/conf.h"
#include "os/os.h"
#include "region/region.h"
#include "sparena/region.h"

#define NO_SPACE "address space for the region is not to be had: see ulimit -v, and after mlockall ulimit -l"

struct sparena_region {
	struct region region;
	struct budget budget;
	struct conf conf;
	size_t size; /* as asked for, in whole granules; the reservation is in whole chunks */
	size_t granule;
	char *ours; /* a page of its own: 0 in a child of fork(2), if the memory is shared */
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
	if (c->limit_share)
		conf_set_box(c, guard_box(guard_of_process()));
	return conf_check(c, 0, error) ? refuse(-EINVAL, error) : 0;
}

static int reserve(struct sparena_region *r, bool closed)
{
	const struct conf *c = &r->conf;
	size_t size = size_up(r->size, CHUNK_SIZE);
	bool huge = c->thp == CONF_THP_ALWAYS;
	struct region_config config = {
		.size = size,
		.size_min = size,
		.granule = os_page_size(),
		.closed = closed,
		.traps = c->trap,
		.piece = size_up(size_max(size / REGION_MOST_PIECES, 1), CHUNK_SIZE),
		.budget = &r->budget,
		.guard = guard_of_process(),
		.name = "sparena: region",
	};
	if (region_choose(&config, c, size_min(c->limit, size)) == CONF_BACKING_ANON) {
		config.granule = SMALL_GRANULE;
		config.huge_in = huge;
	}
	return region_init(&r->region, &config);
}

/* An open region is charged as a whole where the kernel does not overcommit; and its length
 * would count for RLIMIT_MEMLOCK. */
static int reserve_open_or_closed(struct sparena_region *r)
{
	bool closed = r->conf.closed || r->conf.lock != CONF_LOCK_OFF;
	int err = reserve(r, closed);
	return err == -ENOMEM && !closed ? reserve(r, true) : err;
}

static size_t own_bytes(void)
{
	return size_up(sizeof(struct sparena_region), os_page_size()) + os_page_size();
}

/* A child does not have shared memory: something else may be at the region's addresses. */
static int mark_ours(struct sparena_region *r)
{
	r->ours = (char *)r + own_bytes() - os_page_size();
	*r->ours = 1;
	int err = region_is_shared(&r->region) ? os_wipe_on_fork(r->ours, os_page_size()) : 0;
	return err == -EINVAL ? 0 : err; /* before Linux 4.14 */
}

static bool is_ours(const struct sparena_region *r) { return *r->ours; }

/* The unit that the caller has to do with. */
static size_t granule_of(const struct sparena_region *r)
{
	return r->region.huge_from == 0 ? CHUNK_SIZE : r->region.granule;
}

static int set_up(struct sparena_region *r, size_t size)
{
	r->size = size;
	budget_init(&r->budget, r->conf.limit);
	budget_set_share(&r->budget, r->conf.limit_share);
	int err = reserve_open_or_closed(r);
	if (err)
		return refuse(err, r->region.backing.reason ? r->region.backing.reason
		                   : NO_SPACE);
	r->granule = granule_of(r);
	r->size = size_up(size, r->granule);
	err = mark_ours(r);
	if (err)
		region_destroy(&r->region);
	return err;
}

static int make(const struct conf *c, size_t size, struct sparena_region **out)
{
	void *memory;
	int err = os_new(own_bytes(), &memory);
	if (err)
		return refuse(err, NO_SPACE);
	struct sparena_region *r = memory;
	r->conf = *c;
	err = set_up(r, size);
	if (err)
		os_release(r, own_bytes());
	else
		*out = r;
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
	if (!size || !size_up_checked(size, GiB, &whole))
		return refuse(-EINVAL, "a region has at least one byte, and fewer than SIZE_MAX");
	if (whole > PTRDIFF_MAX)
		return refuse(-ENOMEM, "no machine has so much address space");
	return make(&c, size, out);
}

void sparena_region_release(struct sparena_region *r)
{
	if (!r)
		return;
	if (is_ours(r))
		region_destroy(&r->region);
	else
		os_close_file(&r->region.backing.file);
	os_release(r, own_bytes());
}

static int check_range(const struct sparena_region *r, size_t offset, size_t length)
{
	size_t end;
	if (!is_ours(r))
		return refuse(-EINVAL, "the region is shared memory of the process that forked this one");
	if (!size_add(offset, length, &end) || end > r->size || !length)
		return refuse(-EINVAL, "the range is empty or reaches outside the region");
	if (offset % r->granule || length % r->granule)
		return refuse(-EINVAL, "offset and length must be multiples of the granule");
	return 0;
}

static const char *why_not_committed(int err)
{
	switch (err) {
	case -ENOMEM:
		return "the limit is reached, or the machine, a cgroup or the backing has no memory left, "
		       "or of lock: RLIMIT_MEMLOCK (ulimit -l) is used up";
	case -EPERM:
		return "lock: RLIMIT_MEMLOCK is 0 (ulimit -l)";
	case -EHWPOISON:
		return "the range holds a broken page";
	default:
		return "the kernel did not back the range";
	}
}

int sparena_region_commit(struct sparena_region *r, size_t offset, size_t length)
{
	int err = check_range(r, offset, length);
	if (err)
		return err;
	err = region_commit(&r->region, offset, length);
	return err ? refuse(err, why_not_committed(err)) : 0;
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

static int check_question(const struct sparena_region *r, size_t offset, size_t length, const size_t *bytes)
{
	size_t end;
	if (!is_ours(r))
		return refuse(-EINVAL, "the region is shared memory of the process that forked this one");
	if (!bytes || !size_add(offset, length, &end) || end > r->size)
		return refuse(-EINVAL, "the range reaches outside the region, or bytes is NULL");
	return 0;
}

int sparena_region_resident(struct sparena_region *r, size_t offset, size_t length, size_t *bytes)
{
	int err = check_question(r, offset, length, bytes);
	return err ? err : region_resident(&r->region, offset, length, bytes);
}

int sparena_region_swapped(struct sparena_region *r, size_t offset, size_t length, size_t *bytes)
{
	int err = check_question(r, offset, length, bytes);
	return err ? err : region_swapped(&r->region, offset, length, bytes);
}

/* ---- advice -------------------------------------------------------------------------- */

static const char *why_no_advice(int err)
{
	switch (err) {
	case -EOPNOTSUPP:
		return REGION_STAYS;
	case -ENOMEM:
		return "the machine or a cgroup has no room for what is to be read in";
	default:
		return "the kernel could not read it from swap, or from the file";
	}
}

static int advise(struct sparena_region *r, size_t offset, size_t length, enum backing_advice advice)
{
	int err = check_range(r, offset, length);
	if (err)
		return err;
	err = region_advise(&r->region, offset, length, advice);
	return err ? refuse(err, why_no_advice(err)) : 0;
}

int sparena_region_cold(struct sparena_region *r, size_t offset, size_t length)
{
	return advise(r, offset, length, BACKING_COLD);
}

int sparena_region_pageout(struct sparena_region *r, size_t offset, size_t length)
{
	return advise(r, offset, length, BACKING_PAGEOUT);
}

int sparena_region_prefetch(struct sparena_region *r, size_t offset, size_t length, bool wait)
{
	int err = advise(r, offset, length, BACKING_WILLNEED);
	return err || !wait ? err : advise(r, offset, length, BACKING_READ);
}

int sparena_region_populate_read(struct sparena_region *r, size_t offset, size_t length)
{
	return advise(r, offset, length, BACKING_READ);
}

/* ---- the whole ----------------------------------------------------------------------- */

int sparena_region_set_limit(struct sparena_region *r, size_t bytes)
{
	budget_set_limit(&r->budget, bytes);
	return 0;
}

int sparena_region_fd(const struct sparena_region *r) { return r->region.backing.file.fd; }
