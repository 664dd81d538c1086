/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a child of fork(2) has in the place of its parent's shared memory, which is not
 * mapped in it: a copy, a view, or nothing.
 */
#include <errno.h>
#include <string.h>

#include "backing/backing.h"
#include "base/base.h"

/* Copied while what was just cleared is still in the processor's cache. */
#define COPY_PIECE (512 * KiB)

int backing_lend(struct backing *b)
{
	void *lent;
	if (os_is_same_file(&b->file))
		return 0; /* the child has the descriptor */
	int err = os_lend(b->base, b->size, &lent);
	if (!err)
		b->lent = lent;
	return err;
}

void backing_take_back(struct backing *b)
{
	if (b->lent)
		os_release(b->lent, b->size);
	b->lent = NULL;
}

/* The file is the parent's; so is its name. */
static void become_private(struct backing *b, const struct backing_ops *ops)
{
	b->file.fd = -1;
	b->lent = NULL;
	b->path = NULL;
	b->ops = ops;
	b->page_size = os_page_size();
}

int backing_leave(struct backing *b, struct backing_source *source)
{
	*source = (struct backing_source){
		.file = b->file,
		.lent = b->lent,
		.size = b->size,
	};
	become_private(b, &backing_anon);
	int err = os_cover(b->base, b->size);
	return err ? err : backing_anon.prefer_huge(b, 0, b->size, false);
}

/* ---- a copy ------------------------------------------------------------------------ */

/* Through the descriptor no second mapping is needed, nor faults in it. */
static int read_source(const struct backing_source *s, size_t offset, char *to, size_t length)
{
	if (!s->lent)
		return os_read_at(s->file.fd, offset, to, length);
	memcpy(to, s->lent + offset, length);
	return 0;
}

int backing_fetch(struct backing *b, size_t offset, size_t length, struct backing_source *s)
{
	size_t end = offset + length, piece;
	int err = s->lent || os_is_same_file(&s->file) ? 0 : -EBADF;
	for (; offset < end && !err; offset += piece) {
		piece = size_min(end - offset, COPY_PIECE);
		err = backing_populate(b, offset, piece);
		if (!err)
			err = read_source(s, offset, b->base + offset, piece);
	}
	return err;
}

void backing_close_source(struct backing_source *s)
{
	if (s->lent)
		os_release(s->lent, s->size);
	os_close_file(&s->file);
}

/* ---- a view ------------------------------------------------------------------------ */

/* Fresh private memory in the place of what shines through, which cannot be discarded. By
 * one call, since what fails half-way would be inaccessible, and committed still. */
static int renew(struct backing *b, size_t offset, size_t length)
{
	int err = os_renew(b->base + offset, length);
	if (!err)
		(void)backing_anon.prefer_huge(b, offset, length, false); /* as what is around it */
	return err;
}

static const struct backing_ops backing_of_view = {
	.name = "view",
	.unlock = backing_unlock,
	.lock = backing_lock,
	.populate = backing_populate,
	.discard = renew,
	.prefer_huge = backing_prefer_nothing,
	.resident = backing_resident_mapped,
	.close = backing_close,
};

int backing_leave_for_view(struct backing *b, struct backing_source *source)
{
	int err = backing_leave(b, source);
	if (!err)
		b->ops = &backing_of_view;
	return err;
}

bool backing_is_view(const struct backing *b) { return b->ops == &backing_of_view; }

int backing_view(struct backing *b, size_t offset, size_t length, struct backing_source *s)
{
	return os_view(b->base + offset, length, s->file.fd, offset);
}
