/* SPDX-License-Identifier: BSD-2-Clause */
/* What the backings do alike. */
#include <errno.h>

#include "backing/backing.h"
#include "base/base.h"

/* A populate call holds the mmap lock for reading: pieces keep others from waiting long. */
#define POPULATE_PIECE (2 * MiB)

/*
 * One piece. Before Linux 5.14 pages are touched from user space, which takes memory
 * just as well but cannot report its lack.
 */
static int populate_piece(struct backing *b, char *addr, size_t length)
{
	if (likely(b->can_populate))
		return os_populate(addr, length);
	os_touch(addr, length, b->page_size);
	return 0;
}

int backing_populate(struct backing *b, size_t offset, size_t length)
{
	size_t step = size_max(POPULATE_PIECE, b->page_size);
	int err = 0;
	for (size_t done = 0; done < length && !err; done += step)
		err = populate_piece(b, b->base + offset + done, size_min(length - done, step));
	return err == -EFAULT ? -ENOMEM : err; /* both mean: the backing has no more */
}

static int populate_cored(struct backing *b, size_t offset, const unsigned char *in_core, size_t pages)
{
	int err = 0;
	for (size_t i = 0; i < pages && !err; i++) {
		size_t first = i;
		while (i < pages && in_core[i] & 1)
			i++;
		if (i > first)
			err = backing_populate(b, offset + first * b->page_size, (i - first) * b->page_size);
	}
	return err;
}

int backing_populate_in_core(struct backing *b, size_t offset, size_t length)
{
	unsigned char in_core[512];
	size_t step = sizeof in_core * b->page_size;
	int err = 0;
	for (size_t done = 0; done < length && !err; done += step) {
		size_t part = size_min(length - done, step);
		if (os_core_pages(b->base + offset + done, part, in_core))
			err = backing_populate(b, offset + done, part);
		else
			err = populate_cored(b, offset + done, in_core, part / b->page_size);
	}
	return err;
}

int backing_open_private(struct backing *b, const struct backing_config *c)
{
	void *base;
	int err = os_reserve(c->size, c->align, &base);
	if (err)
		return err;

	b->base = base;
	b->size = c->size;
	b->page_size = os_page_size();
	b->file.fd = -1;
	return 0;
}

int backing_discard_private(struct backing *b, size_t offset, size_t length)
{
	return os_discard(b->base + offset, length);
}

int backing_unlock(struct backing *b, size_t offset, size_t length)
{
	return os_open(b->base + offset, length);
}

int backing_lock(struct backing *b, size_t offset, size_t length)
{
	return os_close(b->base + offset, length);
}

int backing_prefer_nothing(struct backing *b, size_t offset, size_t length, bool huge)
{
	(void)b;
	(void)offset;
	(void)length;
	(void)huge;
	return 0;
}

int backing_resident_mapped(struct backing *b, size_t offset, size_t length, size_t *bytes)
{
	size_t swapped = 0;
	int err = os_resident(b->base + offset, length, bytes, &swapped);
	if (!err)
		*bytes += swapped; /* a page in swap has its backing there */
	return err;
}

void backing_remove_name(struct backing *b)
{
	if (b->path)
		(void)os_unlink(b->path, &b->file); /* somebody may have removed it already */
	b->path = NULL;
}

void backing_close(struct backing *b)
{
	if (b->base)
		os_release(b->base, b->size);
	backing_remove_name(b);
	os_close_file(&b->file);
	b->base = NULL;
	b->size = 0;
}
