/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Regions, with every system call failing in turn: all or nothing, what is committed is
 * backed and clean, the limit holds, and when the fault is over all works, and no room,
 * name, descriptor or address space is lost. On the backing of SPARENA_TEST_BACKING
 * (each_backing.sh), else on those that can be had everywhere.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../support/backings.h"
#include "calls.h"
#include "points.h"
#include "region/guard.h"
#include "sparena/region.h"

#define UNITS 16
#define PAGE 4096

/* ---- what the region is to be like ------------------------------------------------------ */

static struct test_backing kind;
static char directory[] = "/dev/shm/sparena-test-XXXXXX"; /* where st_blocks is exact */
static char options[512];
static size_t unit = 256 * KiB;

/* ---- a model of it ----------------------------------------------------------------------- */

#define NOT_KNOWN ((char)-1) /* committed, and perhaps discarded in part */

static struct sparena_region *r;
static char value[UNITS]; /* 0: not committed */
static char next_value = 1;

static char *at(size_t i) { return (char *)sparena_region_base(r) + i * unit; }

static void expect_contents(size_t from, size_t count, char wanted)
{
	for (size_t i = 0; i < count * unit; i += PAGE)
		MUST(at(from)[i] == wanted);
}

static void check_contents(void)
{
	for (size_t i = 0; i < UNITS; i++)
		if (value[i] && value[i] != NOT_KNOWN)
			expect_contents(i, 1, value[i]);
}

/* Bytes that the kernel says are there, where it can be asked. Pages that it moves at the
 * moment, as to make room for huge ones, look as in swap. */
static size_t taken(void)
{
	struct stat st;
	size_t bytes = 0, swapped = 0;
	look_begin();
	if (sparena_region_fd(r) < 0)
		MUST(os_resident(sparena_region_base(r), UNITS * unit, &bytes, &swapped) == 0);
	else
		MUST(fstat(sparena_region_fd(r), &st) == 0);
	look_end();
	return sparena_region_fd(r) < 0 ? bytes + swapped : (size_t)st.st_blocks * 512;
}

/* EINVAL of MADV_NOHUGEPAGE says that the kernel has no huge pages, of which there is no other
 * sign: here it has, and takes them. */
static bool takes_huge_pages(void)
{
	return strcmp(kind.name, "tmpfs-huge") == 0 && point.which == ADVISE_HUGE && point.error == EINVAL;
}

/* What a disk's file system needs to find a file's parts counts, too. */
static bool takes(size_t bytes)
{
	size_t now = taken();
	return now == bytes || (strcmp(kind.name, "ext4") == 0 && now > bytes && now <= bytes + TEST_BLOCK_MAP) ||
	       takes_huge_pages();
}

/* Looks again for a while, as the kernel may be at work on the pages. */
static void check_takes(size_t bytes)
{
	for (int tries = 0; !takes(bytes) && tries < 20; tries++)
		usleep(5000);
	if (!takes(bytes))
		MUST_BE_EQUAL(taken(), bytes);
}

static void check_not_more_than_charged(void)
{
	size_t charged = sparena_region_committed(r);
	MUST(taken() <= charged || takes(charged));
}

/* All of it is there, and new units are zero. */
static void fill(size_t from, size_t count)
{
	for (size_t i = from; i < from + count; i++)
		if (!value[i])
			expect_contents(i, 1, 0);
	MUST(is_backed(at(from), count * unit));
	for (size_t i = from; i < from + count; i++) {
		value[i] = next_value;
		for (size_t p = 0; p < unit; p += PAGE)
			at(i)[p] = next_value;
	}
	next_value = next_value % 100 + 1;
}

/* ---- operations ----------------------------------------------------------------------------- */

/* All or nothing; but what cannot be undone yet stays charged. */
static int commit(size_t from, size_t count)
{
	size_t before = sparena_region_committed(r);
	int err = sparena_region_commit(r, from * unit, count * unit);
	size_t after = sparena_region_committed(r);
	MUST(after >= before);
	check_not_more_than_charged();
	if (err && point.which != ALL_CALLS)
		MUST_BE_EQUAL(after, before);
	if (!err)
		fill(from, count);
	check_contents();
	return err;
}

static void decommit(size_t from, size_t count)
{
	size_t before = sparena_region_committed(r);
	int err = sparena_region_decommit(r, from * unit, count * unit);
	MUST(sparena_region_committed(r) <= before);
	for (size_t i = from; i < from + count; i++)
		value[i] = !err ? 0 : value[i] ? NOT_KNOWN : 0;
	check_not_more_than_charged();
	check_contents();
}

/* Below what is charged nothing more is had; above, it is again. */
static void change_limit(void)
{
	size_t charged = sparena_region_committed(r);
	MUST(sparena_region_set_limit(r, charged / 2) == 0);
	MUST(commit(15, 1) == -ENOMEM);
	MUST(sparena_region_set_limit(r, charged + unit) == 0);
	commit(15, 1);
	MUST(sparena_region_committed(r) <= charged + unit);
	MUST(sparena_region_set_limit(r, SIZE_MAX) == 0);
}

/* Whatever comes of it: what is committed stays, and nothing else gets a page. */
static void advise(void)
{
	size_t charged = sparena_region_committed(r), bytes;
	(void)sparena_region_cold(r, 0, UNITS * unit);
	(void)sparena_region_pageout(r, 0, UNITS * unit);
	(void)sparena_region_populate_read(r, 0, UNITS * unit);
	(void)sparena_region_swapped(r, 0, UNITS * unit, &bytes);
	(void)sparena_region_prefetch(r, 0, UNITS * unit, true);
	MUST_BE_EQUAL(sparena_region_committed(r), charged);
	check_not_more_than_charged();
	check_contents();
}

/* With the fault over: the books, then all of it is given back, and had again. */
static void check_recovery(void)
{
	calm();
	MUST(sparena_region_commit(r, 0, unit) == 0); /* which settles what lingers */
	fill(0, 1);
	check_takes(sparena_region_committed(r));
	decommit(0, UNITS);
	check_takes(0);
	MUST_BE_EQUAL(sparena_region_committed(r), 0);
	MUST(commit(0, UNITS) == 0);
	size_t bytes = 0;
	MUST(sparena_region_resident(r, 0, UNITS * unit, &bytes) == 0);
	MUST_BE_EQUAL(bytes, UNITS * unit);
	MUST_BE_EQUAL(sparena_region_committed(r), bytes);
}

static char named[128]; /* the file, or "" */

static void remove_name(void)
{
	look_begin();
	if (*named)
		unlink(named);
	look_end();
}

static int reserve(void) { return sparena_region_reserve(options, UNITS * unit, &r); }

/* What failed once is had at the next try, and what goes on failing when the fault is over. */
static void reserve_somehow(void)
{
	int err = reserve();
	if (!err)
		return;
	MUST(err < 0);
	if (point.lasts == FOR_GOOD)
		calm();
	if (point.which == ALL_CALLS)
		remove_name(); /* which could neither be emptied nor taken away */
	MUST(reserve() == 0);
}

static void use_region(void)
{
	size_t bytes;
	struct point p = point;
	reserve_somehow();
	commit(0, 2);
	commit(3, 2);
	commit(0, 6); /* with a hole */
	decommit(1, 3);
	commit(6, 9); /* more than is populated by one call */
	(void)sparena_region_resident(r, 0, UNITS * unit, &bytes);
	change_limit();
	decommit(9, 4);
	advise();
	decommit(0, 1);
	check_recovery();
	point = p; /* the end may fail, too */
	sparena_region_release(r);
	calm();
	guard_close(guard_of_process()); /* which would stay, to be asked again */
}

/* ---- what goes with which backing ------------------------------------------------------------- */

static size_t entries(void) { return entries_of(kind.path ? kind.path : directory); }

static void use(const char *text)
{
	snprintf(options, sizeof options, "%s%s", text, kind.touch ? ",populate:touch" : "");
	use_region();
}

/* No name is left, but where it cannot be taken away. */
static void use_file(const char *name)
{
	char text[256];
	const char *place = kind.path ? kind.path : directory;
	size_t names = entries();
	snprintf(text, sizeof text, "backing:file,guard:off,path:%s%s", place, name);
	if (*name)
		snprintf(named, sizeof named, "%s%s", place, name);
	use(text);
	bool stays = point.which == UNLINK || point.which == LSTAT || point.which == FSTAT || point.which == ALL_CALLS;
	MUST(entries() == names || (stays && entries() == names + 1));
	remove_name();
}

static void use_options(const struct scenario *s) { use(s->options); }

static void use_unnamed(const struct scenario *s)
{
	(void)s;
	use_file("");
}

static void use_named(const struct scenario *s)
{
	(void)s;
	use_file("/named");
}

static const struct {
	const char *backing; /* of tests/support/backings.h, or how those begin */
	struct scenario scenario;
} all[] = {
	{ "anon", { "region", use_options, "guard:off", NULL, false, 1, 0 } },
	{ "anon", { "region, closed", use_options, "closed:true,guard:off", NULL, false, 1, 0 } },
	{ "anon", { "region, locked", use_options, "lock:onfault,guard:off", NULL, false, 6, 0 } },
	{ "anon", { "region, locked now", use_options, "lock:now,guard:off", NULL, false, 2, 0 } },
	{ "anon", { "region, merging", use_options, "merge:on,guard:off", NULL, false, 6, 0 } },
	{ "anon", { "region, guarded", use_options, "guard:auto", NULL, false, 6, 0 } },
	{ "memfd", { "memfd", use_options, "backing:memfd,guard:off", NULL, false, 2, 0 } },
	{ "memfd", { "memfd, closed", use_options, "backing:memfd,closed:true,guard:off", NULL, false, 6, 0 } },
	{ "tmpfs", { "tmpfs, unnamed", use_unnamed, NULL, NULL, false, 6, 0 } },
	{ "tmpfs", { "tmpfs, named", use_named, NULL, NULL, false, 6, 0 } },
	{ "tmpfs-huge", { "tmpfs, huge=always", use_unnamed, NULL, NULL, false, 6, 0 } },
	{ "hugetlb-2M", { "hugetlb", use_options, "backing:hugetlb,page:2M,guard:off", NULL, false, 2, 0 } },
	{ "memfd-hugetlb-2M", { "memfd-hugetlb", use_options, "backing:memfd-hugetlb,page:2M,guard:off", NULL, false, 6, 0 } },
	{ "hugetlbfs-2M", { "hugetlbfs", use_unnamed, NULL, NULL, false, 6, 0 } },
	{ "ext4", { "ext4, unnamed", use_unnamed, NULL, NULL, false, 6, 0 } },
	{ "ext4", { "ext4, named", use_named, NULL, NULL, false, 6, 0 } },
};
#define ALL (sizeof all / sizeof *all)

/* Without a choice: what needs no pools, and no mounts. */
static bool is_wanted(const char *backing)
{
	if (getenv("SPARENA_TEST_BACKING"))
		return strcmp(backing, kind.name) == 0;
	return strcmp(backing, "anon") == 0 || strcmp(backing, "memfd") == 0 || strcmp(backing, "tmpfs") == 0;
}

static void set_up(void)
{
	kind = test_backing_get();
	if (kind.page)
		unit = kind.page;
	if (mkdtemp(directory))
		return;
	printf("skipped: no directory can be made in /dev/shm\n");
	exit(77);
}

int main(int argc, char **argv)
{
	struct scenario wanted[ALL];
	size_t n = 0;
	set_up();
	for (size_t i = 0; i < ALL; i++)
		if (is_wanted(all[i].backing))
			wanted[n++] = all[i].scenario;
	int code = points_main(argc, argv, wanted, n);
	return rmdir(directory) == 0 ? code : 1;
}
