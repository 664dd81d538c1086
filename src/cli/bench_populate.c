/* SPDX-License-Identifier: BSD-2-Clause */
/* bench populate: ways of getting pages. */
#include "cli/bench.h"

/* One access a page, so that nothing but page faults counts. */

void bench_read(char *p, size_t length, size_t page)
{
	for (size_t i = 0; i < length; i += page)
		(void)*(volatile char *)(p + i);
}

void bench_write(char *p, size_t length, size_t page)
{
	for (size_t i = 0; i < length; i += page)
		*(volatile char *)(p + i) = 0;
}

/* Reads each page and writes back what was there, as a program does that must not
 * change memory that may be in use. */
static void touch_read_write(char *p, size_t length, size_t page)
{
	for (size_t i = 0; i < length; i += page) {
		volatile char *byte = p + i;

		*byte = *byte;
	}
}

static int populate_by_reading(struct bench_memory *m, size_t offset, size_t length)
{
	bench_read(m->base + offset, length, m->page);
	return 0;
}

static int populate_by_writing(struct bench_memory *m, size_t offset, size_t length)
{
	bench_write(m->base + offset, length, m->page);
	return 0;
}

static int populate_by_both(struct bench_memory *m, size_t offset, size_t length)
{
	touch_read_write(m->base + offset, length, m->page);
	return 0;
}

static int populate_read(struct bench_memory *m, size_t offset, size_t length)
{
	return os_populate_read(m->base + offset, length);
}

static int populate_write(struct bench_memory *m, size_t offset, size_t length)
{
	return os_populate(m->base + offset, length);
}

static int allocate(struct bench_memory *m, size_t offset, size_t length)
{
	return os_allocate(m->file.fd, offset, length);
}

/* The same after fallocate. */
#define AFTER_ALLOCATING(name, populate)                                      \
	static int name(struct bench_memory *m, size_t offset, size_t length) \
	{                                                                     \
		int r = allocate(m, offset, length);                          \
                                                                              \
		return r != 0 ? r : populate(m, offset, length);              \
	}

AFTER_ALLOCATING(allocate_and_read, populate_by_reading)
AFTER_ALLOCATING(allocate_and_write, populate_by_writing)
AFTER_ALLOCATING(allocate_and_both, populate_by_both)
AFTER_ALLOCATING(allocate_and_populate_read, populate_read)
AFTER_ALLOCATING(allocate_and_populate_write, populate_write)

static int commit(struct bench_memory *m, size_t offset, size_t length)
{
	return sparena_region_commit(m->region, offset, length);
}

#define FALLOCATE (BENCH_NEEDS_FILE | BENCH_ALLOCATES)

static const struct bench_method methods[] = {
	{.name = "read", .run = populate_by_reading},
	{.name = "write", .flags = BENCH_WRITES, .run = populate_by_writing},
	{.name = "read+write", .flags = BENCH_WRITES, .run = populate_by_both},
	{.name = "POPULATE_READ", .flags = BENCH_NEEDS_ADVICE, .run = populate_read},
	{.name = "POPULATE_WRITE", .flags = BENCH_NEEDS_ADVICE | BENCH_WRITES, .run = populate_write},
	{.name = "fallocate", .flags = FALLOCATE, .run = allocate},
	{.name = "fallocate+read", .flags = FALLOCATE, .run = allocate_and_read},
	{.name = "fallocate+write", .flags = FALLOCATE | BENCH_WRITES, .run = allocate_and_write},
	{.name = "fallocate+read+write", .flags = FALLOCATE | BENCH_WRITES, .run = allocate_and_both},
	{.name = "fallocate+POPULATE_READ",
         .flags = FALLOCATE | BENCH_NEEDS_ADVICE,
         .run = allocate_and_populate_read},
	{.name = "fallocate+POPULATE_WRITE",
         .flags = FALLOCATE | BENCH_NEEDS_ADVICE | BENCH_WRITES,
         .run = allocate_and_populate_write},
	{.name = "sparena_region_commit", .flags = BENCH_NEEDS_REGION | BENCH_WRITES, .run = commit},
};

const struct bench_subject bench_subject_populate = {
	.name = "populate",
	.help = "Times ways of getting pages, on each kind of memory:\n"
		"  read, write, read+write        one byte of each page, from user space\n"
		"  POPULATE_READ, POPULATE_WRITE  madvise(2), in one call\n"
		"  fallocate                      pages of the file alone, none of them mapped\n"
		"  fallocate+...                  that, and then one of the above\n"
		"  sparena_region_commit          a region of the same kind\n",
	.methods = methods,
	.method_count = sizeof(methods) / sizeof(methods[0]),
	.headline = 4,
	.by_threads = true,
};
