/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory files, memfd_create(2), of small pages and of huge ones. */
#include <errno.h>

#include "backing/backing.h"

static const char *reason_for(int err)
{
	switch (err) {
	case -EMFILE:
	case -ENFILE:
		return "no descriptor is left for the memory file: see ulimit -n";
	case -EINVAL:
	case -ENOENT:
	case -ENODEV:
		return "the kernel has no huge pages of that size: see `sparena check`";
	default:
		return "the kernel does not make memory files (memfd_create)";
	}
}

/* Nobody may make it shorter under us: that would be SIGBUS. */
static int map_and_seal(struct backing *b, const struct backing_config *c)
{
	int err = backing_map_file(b, c);
	if (err)
		return err;
	err = os_seal_size(b->file.fd);
	if (err)
		b->reason = "the memory file cannot be sealed against being shortened";
	return err;
}

static int open_memfd(struct backing *b, const struct backing_config *c, size_t page)
{
	b->page_size = page ? page : os_page_size();
	int err = os_memfd("sparena", page, &b->file);
	if (err) {
		b->file.fd = -1;
		b->reason = reason_for(err);
		return err;
	}
	err = map_and_seal(b, c);
	if (err)
		backing_close(b);
	return err;
}

static int memfd_open(struct backing *b, const struct backing_config *c)
{
	return open_memfd(b, c, 0);
}

static int memfd_hugetlb_open(struct backing *b, const struct backing_config *c)
{
	return open_memfd(b, c, c->page);
}

const struct backing_ops backing_memfd = {
	.name = "memfd",
	.open = memfd_open,
	.unlock = backing_unlock,
	.lock = backing_lock,
	.populate = backing_shared_populate,
	.discard = backing_shared_discard,
	.prefer_huge = backing_shared_prefer_small,
	.resident = backing_shared_resident,
	.close = backing_close,
};

const struct backing_ops backing_memfd_hugetlb = {
	.name = "memfd-hugetlb",
	.open = memfd_hugetlb_open,
	.unlock = backing_unlock,
	.lock = backing_lock,
	.populate = backing_shared_populate,
	.discard = backing_shared_discard,
	.prefer_huge = backing_shared_prefer_small,
	.resident = backing_shared_resident,
	.close = backing_close,
};
