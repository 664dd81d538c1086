/* SPDX-License-Identifier: BSD-2-Clause */
/* bench discard: ways of giving pages back. */
#include "cli/bench.h"

#include <errno.h>

static int dontneed(struct bench_memory *m, size_t offset, size_t length)
{
	return os_discard(m->base + offset, length);
}

static int advise_remove(struct bench_memory *m, size_t offset, size_t length)
{
	return os_remove(m->base + offset, length);
}

static int punch_hole(struct bench_memory *m, size_t offset, size_t length)
{
	return os_punch(m->file.fd, offset, length);
}

static int unmap(struct bench_memory *m, size_t offset, size_t length)
{
	return os_release(m->base + offset, length);
}

/* A file without a name goes when nobody has it open. */
static int forget(struct bench_memory *m)
{
	m->base = NULL;
	os_close_file(&m->file);
	return 0;
}

static int decommit(struct bench_memory *m, size_t offset, size_t length)
{
	return sparena_region_decommit(m->region, offset, length);
}

static const struct bench_method methods[] = {
	{
		.name = "MADV_DONTNEED",
		.flags = BENCH_WRITES,
		.not_shared = "it frees nothing of shared memory",
		.run = dontneed,
	},
	{
		.name = "MADV_REMOVE",
		.flags = BENCH_WRITES,
		.not_private = "it is for shared memory",
		.run = advise_remove,
	},
	{.name = "PUNCH_HOLE", .flags = BENCH_NEEDS_FILE | BENCH_WRITES, .run = punch_hole},
	{.name = "munmap", .flags = BENCH_WRITES, .run = unmap, .finish = forget},
	{.name = "sparena_region_decommit", .flags = BENCH_NEEDS_REGION | BENCH_WRITES, .run = decommit},
};

/* As a region populates: a shared file gets its room first. */
static int fill(struct bench_memory *m, const struct bench_method *method)
{
	int r = 0;

	if ((method->flags & BENCH_NEEDS_REGION) != 0)
		return sparena_region_commit(m->region, 0, m->size);
	if (m->file.fd >= 0 && m->mapping == BENCH_SHARED)
		r = os_allocate(m->file.fd, 0, m->size);
	if (r == 0)
		r = os_populate(m->base, m->size);
	if (r == -EINVAL) { /* before Linux 5.14 */
		bench_write(m->base, m->size, m->page);
		r = 0;
	}
	return r;
}

const struct bench_subject bench_subject_discard = {
	.name = "discard",
	.help = "Times ways of giving pages back, on each kind of memory, all of it populated writable:\n"
		"  MADV_DONTNEED, MADV_REMOVE  madvise(2), in one call\n"
		"  PUNCH_HOLE                  fallocate(2) on the file\n"
		"  munmap                      and close(2) of the file\n"
		"  sparena_region_decommit     a region of the same kind\n"
		"and tells how much of what the memory took was given back.\n",
	.methods = methods,
	.method_count = sizeof(methods) / sizeof(methods[0]),
	.headline = 4,
	.prepare = fill,
	.frees = true,
};
