/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel is told of populated pages: that they are not needed for now, or soon. */
#include <errno.h>

#include "backing/backing.h"
#include "base/base.h"

/* As for populating: others wait for the mmap lock meanwhile. */
#define READ_PIECE (2 * MiB)

/* Before Linux 5.14 by reading a byte of each page, of which each has its backing. */
static int read_piece(struct backing *b, char *addr, size_t length)
{
	if (likely(b->can_populate))
		return os_populate_read(addr, length);
	for (size_t at = 0; at < length; at += b->page_size)
		(void)*(volatile char *)(addr + at);
	return 0;
}

static int populate_read(struct backing *b, size_t offset, size_t length)
{
	size_t step = size_max(READ_PIECE, b->page_size);
	int err = 0;
	for (size_t done = 0; done < length && !err; done += step)
		err = read_piece(b, b->base + offset + done, size_min(length - done, step));
	return err == -EFAULT ? -EIO : err; /* what is populated has its backing: it could not be read */
}

/*
 * Of huge pages, which the kernel takes apart for that, pages of zeros get the shared zero
 * page, which is no backing: they are populated again.
 */
static int back_again(struct backing *b, size_t offset, size_t length)
{
	size_t resident = 0, swapped = 0;
	int err = os_resident(b->base + offset, length, &resident, &swapped);
	if (!err && resident + swapped == length)
		return 0;
	return backing_populate_in_core(b, offset, length);
}

static int write_out(struct backing *b, size_t offset, size_t length, int (*advise)(void *, size_t))
{
	int err = advise(b->base + offset, length);
	int mended = b->file.fd < 0 ? back_again(b, offset, length) : 0;
	if (err == -EINVAL)
		err = -EOPNOTSUPP; /* a locked range, an old kernel */
	return err ? err : mended;
}

int backing_advise(struct backing *b, size_t offset, size_t length, enum backing_advice advice)
{
	if (advice == BACKING_READ)
		return populate_read(b, offset, length);
	if (backing_is_of_pool(b)) /* they never leave */
		return advice == BACKING_WILLNEED ? 0 : -EOPNOTSUPP;
	if (advice == BACKING_WILLNEED)
		return os_advise_willneed(b->base + offset, length);
	return write_out(b, offset, length, advice == BACKING_COLD ? os_advise_cold : os_advise_pageout);
}

/* Of a memory file by what it has that is not in the page cache: a page table does not tell
 * what went out from what was not used here yet. */
static int swapped_of_file(struct backing *b, size_t offset, size_t length, size_t *bytes)
{
	size_t data = 0, cached = 0;
	if (!os_is_same_file(&b->file))
		return -EBADF;
	int err = os_data_bytes(b->file.fd, offset, length, &data);
	if (!err)
		err = os_in_core(b->base + offset, length, &cached);
	*bytes = data > cached ? data - cached : 0;
	return err;
}

int backing_swapped(struct backing *b, size_t offset, size_t length, size_t *bytes)
{
	size_t resident;
	*bytes = 0;
	if (backing_is_of_pool(b) || b->on_disk)
		return 0;
	if (b->file.fd >= 0)
		return swapped_of_file(b, offset, length, bytes);
	return os_resident(b->base + offset, length, &resident, bytes);
}

bool backing_is_out(struct backing *b, size_t offset, size_t length)
{
	size_t in_core = length;
	return !backing_is_of_pool(b) && os_in_core(b->base + offset, length, &in_core) == 0 && in_core < length;
}
