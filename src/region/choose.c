/* SPDX-License-Identifier: BSD-2-Clause */
/* Which backing the options mean, and of what pages. */
#include "region/region.h"

/* In the order of enum conf_backing. */
static const struct backing_ops *const backings[] = {
	&backing_anon, &backing_hugetlb, &backing_memfd, &backing_memfd_hugetlb, &backing_file,
};

static bool is_of_huge_pages(enum conf_backing backing)
{
	return backing == CONF_BACKING_HUGETLB || backing == CONF_BACKING_MEMFD_HUGETLB;
}

/* What page:auto comes to: 1G, 2M, and where the pools have none, small pages. */
static enum conf_backing resolve(const struct conf *c, size_t need, size_t *page)
{
	*page = c->page;
	if (!is_of_huge_pages(c->backing) || c->page != CONF_AUTO)
		return c->backing;
	*page = backing_pool_page(need);
	if (*page)
		return c->backing;
	return c->backing == CONF_BACKING_HUGETLB ? CONF_BACKING_ANON : CONF_BACKING_MEMFD;
}

void region_choose_guard(struct region_config *r, const struct conf *c)
{
	r->guard_terms.margin = c->guard_margin; /* CONF_AUTO is 0 */
	r->guard_terms.high = c->guard == CONF_GUARD_HIGH;
	r->unguarded = c->guard == CONF_GUARD_OFF;
}

enum conf_backing region_choose(struct region_config *r, const struct conf *c, size_t need)
{
	enum conf_backing backing = resolve(c, need, &r->page);
	r->backing = backings[backing];
	r->need = need;
	r->path = c->path[0] ? c->path : NULL;
	r->keep = c->keep;
	r->lock = c->lock;
	r->merges = c->merge == CONF_MERGE_ON;
	r->touch = c->populate == CONF_POPULATE_TOUCH;
	region_choose_guard(r, c);
	r->exact = c->guard == CONF_GUARD_HELPER;
	if (backing != CONF_BACKING_ANON)
		r->huge_in = 0;
	return backing;
}
