/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shared mappings of a file: room is taken by fallocate(2), then populated, and given
 * back as a hole. The descriptor is not needed for more than speed where the kernel can
 * populate: a server that closes all descriptors may have put another file in its
 * place, so it is looked at before each use, and never used to take anything away.
 */
#include <errno.h>

#include "backing/backing.h"
#include "base/base.h"

/* So often one and the same part is tried when signals interrupt it. */
#define MOST_TRIES 1000

/* What a full file system, or a limit, answers. */
static bool is_full(int err)
{
	return err == -ENOSPC || err == -EDQUOT || err == -EFBIG || err == -EFAULT;
}

/*
 * A memory file system may give a huge page for a small part (shmem_enabled, the mount
 * option huge=), while populating a mapping that was told to have none does not. Tried on
 * a page, since what decides it is not to be had in one place.
 */
static int try_room(struct backing *b, bool *huge)
{
	size_t bytes = 0;
	int err = os_allocate(b->file.fd, 0, b->page_size);
	if (!err)
		err = os_file_bytes(b->file.fd, &bytes);
	*huge = !err && !backing_is_of_pool(b) && bytes >= BACKING_HUGE_SIZE;
	int gone = os_punch(b->file.fd, 0, size_min(*huge ? BACKING_HUGE_SIZE : b->page_size, b->size));
	return err ? err : gone;
}

/* Whether fallocate(2) is the way to take room; where it cannot be tried for lack of room,
 * the kernel's own populating does for memory. */
static int choose_way(struct backing *b, enum os_filesystem kind)
{
	bool huge = false;
	b->allocates = true;
	if (kind == OS_FS_HUGE)
		return 0;
	int err = try_room(b, &huge);
	if (is_full(err)) {
		err = 0;
		huge = kind == OS_FS_MEMORY;
	}
	if (err == -EOPNOTSUPP)
		b->reason = "the file system cannot take room ahead of use, and give it back (fallocate)";
	b->allocates = !huge;
	if (!err && huge && !b->can_populate) {
		b->reason = "the file system gives huge pages for small ones, or is full: without "
		            "MADV_POPULATE_WRITE it cannot be used";
		err = -EOPNOTSUPP;
	}
	return err;
}

/*
 * A disk's file system reads ahead in large folios, of which a write needs room for the
 * whole: more than was taken, and SIGBUS where there is none.
 */
static int prepare(struct backing *b)
{
	enum os_filesystem kind;
	size_t page;
	int err = os_filesystem(b->file.fd, &kind, &page);
	b->on_disk = !err && kind == OS_FS_DISK;
	if (b->on_disk)
		err = os_advise_random(b->base, b->size);
	return err ? err : choose_way(b, kind);
}

static int map_file(struct backing *b, const struct backing_config *c, size_t size)
{
	void *base;
	int err = os_reserve_shared(b->file.fd, size, size_max(c->align, b->page_size), &base);
	if (err)
		return err;
	b->base = base;
	b->size = size;
	b->can_populate = !c->touch && os_can_populate();
	return prepare(b);
}

int backing_map_file(struct backing *b, const struct backing_config *c)
{
	size_t size = size_up(c->size, b->page_size);
	int err = os_resize(b->file.fd, size);
	if (err == -EFBIG) { /* as for address space: less may do */
		b->reason = "the file may not become as large as the reservation: see ulimit -f";
		return -ENOMEM;
	}
	if (!err)
		err = map_file(b, c, size);
	if (err)
		(void)os_resize(b->file.fd, 0);
	return err;
}

/*
 * Where signals come fast, the kernel never gets to the end of a long range: then by
 * parts. What was taken before an error goes with the range, which the caller discards.
 */
static int allocate(struct backing *b, size_t offset, size_t length)
{
	size_t part = length, done = 0;
	int err = 0;
	for (unsigned tries = 0; done < length && tries < MOST_TRIES; tries++) {
		err = os_allocate(b->file.fd, offset + done, size_min(part, length - done));
		if (err == -EINTR) {
			part = size_max(size_up(part / 2, b->page_size), b->page_size);
			continue;
		}
		if (err)
			return err;
		done += part;
		tries = 0;
	}
	return err;
}

/* Where the descriptor is lost the kernel's own populating must do: touching what has no
 * room yet would be SIGBUS. */
static int take_room(struct backing *b, size_t offset, size_t length)
{
	if (!b->allocates)
		return 0;
	if (!os_is_same_file(&b->file))
		return b->can_populate ? 0 : -ENOMEM;
	return allocate(b, offset, length);
}

int backing_shared_populate(struct backing *b, size_t offset, size_t length)
{
	int err = take_room(b, offset, length);
	if (err)
		return is_full(err) ? -ENOMEM : err;
	return backing_populate_taken(b, offset, length);
}

int backing_populate_taken(struct backing *b, size_t offset, size_t length)
{
	int err = backing_populate(b, offset, length);
	return is_full(err) ? -ENOMEM : err;
}

/* By the mapping; a locked one refuses that. */
int backing_shared_discard(struct backing *b, size_t offset, size_t length)
{
	int err = os_remove(b->base + offset, length);
	if (err == -EINVAL && os_is_same_file(&b->file))
		err = os_punch(b->file.fd, offset, length);
	return err;
}

/* What the file holds, whoever populated it. */
int backing_shared_resident(struct backing *b, size_t offset, size_t length, size_t *bytes)
{
	if (!backing_is_of_pool(b) && os_is_same_file(&b->file))
		return os_data_bytes(b->file.fd, offset, length, bytes);
	return backing_resident_mapped(b, offset, length, bytes);
}

int backing_shared_prefer_small(struct backing *b, size_t offset, size_t length, bool huge)
{
	(void)huge;
	if (backing_is_of_pool(b))
		return 0;
	int err = os_advise_huge(b->base + offset, length, false);
	return err == -EINVAL ? 0 : err;
}
