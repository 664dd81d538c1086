/* SPDX-License-Identifier: BSD-2-Clause */
/* What a child of fork(2) has in the place of its parent's shared memory. */
#include <errno.h>

#include "backing/backing.h"

/* The file is the parent's; so is its name. */
static void become_private(struct backing *b, const struct backing_ops *ops)
{
	os_close_file(&b->file);
	b->path = NULL;
	b->ops = ops;
	b->page_size = os_page_size();
}

int backing_leave(struct backing *b, void **source)
{
	int err = source ? os_move(b->base, b->size, BACKING_HUGE_SIZE, source) : 0;
	if (!err)
		err = os_cover(b->base, b->size);
	become_private(b, &backing_anon);
	return err ? err : backing_anon.prefer_huge(b, 0, b->size, false);
}

/* ---- a view --------------------------------------------------------------------- */

/* Fresh private memory, also where the parent's shines through: it reads zero. */
static int renew(struct backing *b, size_t offset, size_t length)
{
	int err = os_cover(b->base + offset, length);
	return err ? err : os_open(b->base + offset, length);
}

static int view_populate(struct backing *b, size_t offset, size_t length)
{
	int err = renew(b, offset, length);
	return err ? err : backing_populate(b, offset, length);
}

static const struct backing_ops backing_of_view = {
	.name = "view",
	.unlock = backing_unlock,
	.populate = view_populate,
	.discard = renew,
	.prefer_huge = backing_prefer_nothing,
	.resident = backing_resident_mapped,
	.close = backing_close,
};

int backing_view(struct backing *b)
{
	struct os_file file = b->file;
	if (!os_is_same_file(&file))
		return -EBADF;
	int err = os_cover(b->base, b->size);
	if (err)
		return err;
	b->path = NULL;
	b->ops = &backing_of_view;
	return 0;
}

int backing_view_range(struct backing *b, size_t offset, size_t length)
{
	return os_view(b->base + offset, length, b->file.fd, offset);
}
