/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The backing that a test program runs on, from its environment, where each_backing.sh
 * puts it; without that private anonymous memory.
 */
#ifndef SPARENA_TESTS_BACKINGS_H
#define SPARENA_TESTS_BACKINGS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backing/backing.h"
#include "base/base.h"

struct test_backing {
	const char *name;
	const struct backing_ops *ops;
	size_t page;      /* of huge pages; 0: small ones */
	const char *path; /* of a file system made for the test; or NULL */
	size_t least;     /* bytes that can be had for certain... */
	size_t most;      /* ...and at most; 0: nothing bounds it but the machine */
	bool touch;       /* to do without MADV_POPULATE_WRITE */
	bool trap;        /* regions trap what is not committed */
	bool shared;
};

static inline size_t test_number(const char *name)
{
	const char *text = getenv(name);
	return text ? strtoul(text, NULL, 10) : 0;
}

/* Pages larger than a chunk (as those of 1 GiB are) without a pool: private memory that is
 * handled in pieces of 8 MiB. */
#define TEST_LARGE_PAGE (8 * MiB)

static struct backing_ops test_large;

static int test_large_open(struct backing *b, const struct backing_config *config)
{
	struct backing_config c = *config;
	c.size = size_up(c.size, TEST_LARGE_PAGE);
	c.align = size_max(c.align, TEST_LARGE_PAGE);
	int err = backing_anon.open(b, &c);
	b->page_size = TEST_LARGE_PAGE;
	return err;
}

static inline const struct backing_ops *test_large_ops(void)
{
	test_large = backing_anon;
	test_large.open = test_large_open;
	return &test_large;
}

static inline const struct backing_ops *test_ops(const char *name)
{
	static const struct {
		const char *prefix;
		const struct backing_ops *ops;
	} kinds[] = {
		{ "memfd-hugetlb", &backing_memfd_hugetlb }, { "memfd", &backing_memfd }, { "hugetlbfs", &backing_file },
		{ "hugetlb", &backing_hugetlb }, { "tmpfs", &backing_file }, { "ext4", &backing_file },
		{ "anon", &backing_anon },
	};
	if (strcmp(name, "anon-8M") == 0)
		return test_large_ops();
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strncmp(name, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
			return kinds[i].ops;
	fprintf(stderr, "SPARENA_TEST_BACKING=%s is no backing\n", name);
	exit(1);
}

/* Bytes that the file behind a backing takes; what a disk's file system needs to find its
 * parts counts too, and is not told apart. */
#define TEST_BLOCK_MAP (256 * KiB)

static inline bool test_file_holds(const struct test_backing *kind, const struct backing *b, size_t bytes)
{
	size_t taken = bytes, more = strcmp(kind->name, "ext4") == 0 ? TEST_BLOCK_MAP : 0;
	if (kind->shared && os_is_same_file(&b->file) && os_file_bytes(b->file.fd, &taken))
		return false;
	if (taken >= bytes && taken <= bytes + more)
		return true;
	fprintf(stderr, "%s: the file takes %zu bytes, not %zu\n", kind->name, taken, bytes);
	return false;
}

static inline struct test_backing test_backing_get(void)
{
	const char *name = getenv("SPARENA_TEST_BACKING"), *path = getenv("SPARENA_TEST_PATH");
	struct test_backing b = { .name = name ? name : "anon" };
	size_t page = test_number("SPARENA_TEST_PAGE");
	b.ops = test_ops(b.name);
	b.page = page > 4096 ? page : 0;
	b.path = path && *path ? path : NULL;
	b.least = test_number("SPARENA_TEST_LEAST");
	b.most = test_number("SPARENA_TEST_MOST");
	b.touch = test_number("SPARENA_TEST_TOUCH") != 0;
	b.trap = test_number("SPARENA_TEST_TRAP") != 0;
	b.shared = b.ops->populate != backing_populate;
	return b;
}

/* In a test of CMocka's. */
#define SKIP_UNLESS(condition, why)                         \
	do {                                                \
		if (!(condition)) {                         \
			print_message("skipped: %s\n", why); \
			skip();                             \
		}                                           \
	} while (0)

#endif
