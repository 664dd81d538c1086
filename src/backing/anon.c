/* SPDX-License-Identifier: BSD-2-Clause */
/* Private anonymous memory: POPULATE_WRITE to commit, DONTNEED to give back. */
#include <errno.h>

#include "backing/backing.h"
#include "os/os.h"

static int anon_open(struct backing *b, const struct backing_config *c)
{
	int err = backing_open_private(b, c);
	b->can_populate = !err && !c->touch && os_can_populate();
	return err;
}

static int anon_prefer_huge(struct backing *b, size_t offset, size_t length, bool huge)
{
	int err = os_advise_huge(b->base + offset, length, huge);
	return err == -EINVAL ? 0 : err; /* a kernel without THP has nothing to prefer */
}

typedef int part_work(struct backing *b, size_t offset, size_t size);

/* Calls fn on each run of equal bits in the chunk's map of parts. */
static int each_part(struct backing *b, size_t chunk, unsigned parts, part_work *fn)
{
	size_t part_size = BACKING_HUGE_SIZE / 32;
	for (unsigned i = 0; i < 32;) {
		if (!(parts >> i & 1)) {
			i++;
			continue;
		}
		unsigned first = i;
		while (i < 32 && (parts >> i & 1))
			i++;
		int err = fn(b, chunk + first * part_size, (i - first) * part_size);
		if (err)
			return err;
	}
	return 0;
}

/* What is locked is not, for a moment. */
static int make_cold(struct backing *b, size_t offset, size_t size)
{
	char *addr = b->base + offset;
	int err = os_advise_cold(addr, size);
	if (err != -EINVAL || os_unlock(addr, size))
		return err;
	err = os_advise_cold(addr, size);
	int relock = os_lock(addr, size, false);
	return err ? err : relock;
}

/* As each_part(), where there is no way back: what fails is tried again. */
static int insist(struct backing *b, size_t chunk, unsigned parts, part_work *fn)
{
	int err = -EAGAIN;
	for (int tries = 0; err && tries < 3; tries++)
		err = each_part(b, chunk, parts, fn);
	return err;
}

/*
 * Discarding a part of a huge page frees nothing until the kernel splits it, which
 * MADV_COLD on the rest makes it do at once. The split puts the shared zero page in
 * the place of kept pages that hold only zeros: populating the rest backs them again.
 * Once the part is gone there is no way back, so what fails then is left at that:
 * the contents are there, and at worst such a page is faulted in when it is written.
 */
static int anon_thin(struct backing *b, size_t chunk, unsigned keep)
{
	/* Without it the kernel would fill the chunk again, behind our back. */
	int err = os_advise_huge(b->base + chunk, BACKING_HUGE_SIZE, false);
	if (!err)
		err = each_part(b, chunk, ~keep, backing_discard_private);
	if (err) {
		/* Some of the part may be gone already: it is there again, as zeros. */
		(void)backing_populate(b, chunk, BACKING_HUGE_SIZE);
		(void)anon_prefer_huge(b, chunk, BACKING_HUGE_SIZE, true);
		return err;
	}
	(void)insist(b, chunk, keep, make_cold);
	(void)insist(b, chunk, keep, backing_populate_in_core);
	return 0;
}

const struct backing_ops backing_anon = {
	.name = "anon",
	.open = anon_open,
	.unlock = backing_unlock,
	.lock = backing_lock,
	.populate = backing_populate,
	.discard = backing_discard_private,
	.prefer_huge = anon_prefer_huge,
	.thin = anon_thin,
	.resident = backing_resident_mapped,
	.close = backing_close,
};
