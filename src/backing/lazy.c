/* SPDX-License-Identifier: BSD-2-Clause */
/* Private anonymous memory that is charged and not populated (lazy_above). */
#include <errno.h>

#include "backing/backing.h"

static int populate_nothing(struct backing *b, size_t offset, size_t length)
{
	(void)b;
	(void)offset;
	(void)length;
	return 0;
}

/* Never: a page that is touched would bring others with it, and sparse programs are what
 * this is for. */
static int prefer_small(struct backing *b, size_t offset, size_t length, bool huge)
{
	(void)huge;
	int err = os_advise_huge(b->base + offset, length, false);
	return err == -EINVAL ? 0 : err; /* a kernel without THP */
}

const struct backing_ops backing_lazy = {
	.name = "lazy",
	.open = backing_open_private,
	.unlock = backing_unlock,
	.lock = backing_lock,
	.populate = populate_nothing,
	.discard = backing_discard_private,
	.prefer_huge = prefer_small,
	.resident = backing_resident_mapped,
	.close = backing_close,
};
