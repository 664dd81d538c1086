/* SPDX-License-Identifier: BSD-2-Clause */
/* Private huge pages from the machine's pool: POPULATE_WRITE and DONTNEED of whole ones. */
#include <errno.h>

#include "backing/backing.h"
#include "base/base.h"

size_t backing_pool_page(size_t need)
{
	static const size_t sizes[] = { GiB, 2 * MiB };
	size_t any = 0;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		size_t free = os_huge_pages_free(sizes[i]);
		if (free && need && free >= size_up(need, sizes[i]) / sizes[i])
			return sizes[i];
		if (free && !any)
			any = sizes[i];
	}
	return any;
}

/*
 * Without MADV_POPULATE_WRITE a page that the pool does not have would be SIGBUS, and
 * there is no other way to ask for one first.
 */
static int check_populate(struct backing *b)
{
	if (b->can_populate)
		return 0;
	b->reason = "backing:hugetlb needs MADV_POPULATE_WRITE (Linux 5.14): take memfd-hugetlb";
	return -EOPNOTSUPP;
}

/* Tried on a page that is not there. */
static int check_discard(struct backing *b)
{
	int err = os_discard(b->base, b->page_size);
	if (err)
		b->reason = "the kernel cannot give single huge pages back (Linux 5.18): take memfd-hugetlb";
	return err ? -EOPNOTSUPP : 0;
}

static int hugetlb_open(struct backing *b, const struct backing_config *c)
{
	void *base;
	size_t size = size_up(c->size, c->page);
	b->file.fd = -1;
	b->page_size = c->page;
	b->can_populate = !c->touch && os_can_populate();
	int err = check_populate(b);
	if (err)
		return err;
	err = os_reserve_huge(size, size_max(c->align, c->page), c->page, &base);
	if (err == -EINVAL)
		b->reason = "the kernel has no huge pages of that size: see `sparena check`";
	if (err)
		return err;
	b->base = base;
	b->size = size;
	err = check_discard(b);
	if (err)
		backing_close(b);
	return err;
}

static int hugetlb_discard(struct backing *b, size_t offset, size_t length)
{
	return os_discard(b->base + offset, length);
}

const struct backing_ops backing_hugetlb = {
	.name = "hugetlb",
	.open = hugetlb_open,
	.unlock = backing_unlock,
	.lock = backing_lock,
	.populate = backing_populate,
	.discard = hugetlb_discard,
	.prefer_huge = backing_prefer_nothing,
	.resident = backing_resident_mapped,
	.close = backing_close,
};
