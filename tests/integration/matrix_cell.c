/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One cell of the failure matrix: takes memory of one kind until there is none, under one
 * condition, and looks whether the answer is the C one, the books balance, the backing holds
 * exactly what was charged, half of it can be freed and had again, and nothing is left at
 * the end. Kinds of malloc run on the drop-in (LD_PRELOAD), `region` on libsparena.so.
 *
 * Usage: matrix_cell KIND CONDITION LEAST_MIB MOST_MIB OPTIONS
 * Prints how many MiB were had and exits with 0; or says what is not so, and exits with 1.
 * MATRIX_HOLDS says how to ask the kernel: own, pool:KIB, room:PATH or data:PATH.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "matrix_kernel.h"
#include "sparena/region.h"
#include "sparena/sparena.h"
#include "sparena/stats.h"

#define MIB ((size_t)1 << 20)

static const char *condition;
static size_t least, most; /* bytes that must, and may, be had */

static bool under(const char *name) { return strcmp(condition, name) == 0; }

/* ---- conditions ---------------------------------------------------------------------- */

static void set_limit(int resource, rlim_t value)
{
	struct rlimit limit;
	CHECK(getrlimit(resource, &limit) == 0);
	limit.rlim_cur = value;
	CHECK(setrlimit(resource, &limit) == 0);
}

#define MOST_DESCRIPTORS 256

static int taken[MOST_DESCRIPTORS];
static size_t taken_count;

/* No descriptor is left from here on... */
static void take_descriptors(void)
{
	int fd;
	if (!under("EMFILE"))
		return;
	set_limit(RLIMIT_NOFILE, MOST_DESCRIPTORS);
	while ((fd = dup(2)) >= 0)
		taken[taken_count++] = fd;
	CHECK(errno == EMFILE);
}

/* ...to here, where /proc is read. */
static void leave_descriptors(void)
{
	while (taken_count)
		close(taken[--taken_count]);
}

/* What a program may do to itself once its heap has begun. */
static void begin_condition(void)
{
	if (under("FSIZE"))
		set_limit(RLIMIT_FSIZE, 4096); /* files are as large as they get: nothing changes */
	if (under("MEMLOCK")) {
		set_limit(RLIMIT_MEMLOCK, 65536);
		CHECK(mlockall(MCL_FUTURE) == 0);
	}
}

/* ---- blocks of malloc ------------------------------------------------------------------ */

/* Every block begins with this; the last byte is the length's lowest. */
struct block {
	struct block *next;
	size_t size;
};

static void *try_small(size_t *size) { return malloc(*size = 100); }
static void *try_large(size_t *size) { return malloc(*size = MIB); }

static void *try_calloc(size_t *size)
{
	char *p = calloc(3, 40000);
	*size = 3 * 40000;
	for (size_t i = 0; p && i < *size; i++)
		CHECK(p[i] == 0);
	return p;
}

/* Grows until there is no room: what there is by then stays as it is. */
static void *try_realloc(size_t *size)
{
	unsigned char *p = malloc(*size = 30000);
	while (p && *size < MIB) {
		size_t more = *size * 5;
		p[0] = 1, p[*size - 1] = 2;
		errno = 0;
		unsigned char *q = realloc(p, more);
		CHECK(q || errno == ENOMEM);
		unsigned char *is = q ? q : p;
		CHECK(is[0] == 1 && is[*size - 1] == 2);
		if (!q)
			return p;
		p = q;
		*size = more;
	}
	return p;
}

static const struct kind {
	const char *name;
	void *(*try)(size_t *size);
	size_t loss; /* blocks that may be fewer the second time: a realloc that cannot grow in
	                place has two of them for a while */
} kinds[] = { { "small", try_small, 0 }, { "large", try_large, 0 }, { "calloc", try_calloc, 0 },
	      { "realloc", try_realloc, 2 } };

static struct block *take(const struct kind *kind)
{
	size_t size;
	errno = 0;
	struct block *b = kind->try(&size);
	if (!b) {
		CHECK(errno == ENOMEM);
		return NULL;
	}
	memset(b, (int)(size & 0xff), size);
	b->size = size;
	return b;
}

static void check_block(const struct block *b)
{
	const unsigned char *p = (const unsigned char *)b;
	for (size_t i = sizeof *b; i < b->size; i += b->size > 4096 ? 1021 : 7)
		CHECK(p[i] == (b->size & 0xff));
	CHECK(p[b->size - 1] == (b->size & 0xff));
}

static size_t fill(const struct kind *kind, struct block **list, size_t blocks)
{
	size_t bytes = 0;
	for (size_t n = 0; n < blocks; n++) {
		struct block *b = take(kind);
		if (!b)
			break;
		b->next = *list;
		*list = b;
		bytes += b->size;
		CHECK(bytes <= 2 * most + 8 * MIB);
	}
	return bytes;
}

static size_t count(const struct block *list)
{
	size_t n = 0;
	for (; list; list = list->next, n++)
		check_block(list);
	return n;
}

/* Every second one. */
static size_t free_half(struct block **list)
{
	size_t n = 0;
	for (struct block **at = list; *at; n++) {
		struct block *b = *at;
		*at = b->next;
		free(b);
		if (*at)
			at = &(*at)->next;
	}
	return n;
}

static int (*stats_get)(struct sparena_heap *h, struct sparena_stats *s, size_t size);

static struct sparena_stats books(void)
{
	struct sparena_stats s;
	CHECK(stats_get(NULL, &s, sizeof s) == 0);
	if (s.committed + s.metadata != s.resident || s.committed + s.metadata > s.limit)
		fail("committed %llu + metadata %llu, resident %llu, limit %lld", (unsigned long long)s.committed,
		     (unsigned long long)s.metadata, (unsigned long long)s.resident, (long long)s.limit);
	kernel_check(s.committed);
	return s;
}

static size_t run_malloc(const struct kind *kind)
{
	struct block *list = NULL;
	free(malloc(1)); /* it begins */
	CHECK(stats_get);
	kernel_find_ours();
	begin_condition();
	take_descriptors();

	size_t bytes = fill(kind, &list, SIZE_MAX);
	for (int again = 0; again < 20; again++) {
		size_t size;
		errno = 0;
		void *p = kind->try(&size);
		CHECK((!p && errno == ENOMEM) || kind->try == try_realloc);
		free(p);
	}
	leave_descriptors();
	struct sparena_stats s = books();
	CHECK(s.exhausted > 0);
	CHECK(s.committed >= least && s.committed <= most);

	take_descriptors();
	size_t all = count(list), freed = free_half(&list);
	fill(kind, &list, freed);
	CHECK(count(list) + kind->loss >= all);
	leave_descriptors();
	books();

	while (list) {
		struct block *next = list->next;
		free(list);
		list = next;
	}
	malloc_trim(0);
	s = books();
	if (s.committed > s.granule)
		fail("%llu are committed when all is free and trimmed", (unsigned long long)s.committed);
	return bytes;
}

/* Where the heap could not begin, malloc says so for ever. */
static size_t run_refused(const struct kind *kind)
{
	for (int again = 0; again < 20; again++) {
		size_t size;
		errno = 0;
		CHECK(!kind->try(&size) && errno == ENOMEM);
	}
	return 0;
}

/* ---- regions ---------------------------------------------------------------------------- */

static struct sparena_region *region;
static size_t unit;

static char *place(size_t i) { return (char *)sparena_region_base(region) + i * unit; }

static int commit(size_t i)
{
	int err = sparena_region_commit(region, i * unit, unit);
	for (size_t at = 0; !err && at < unit; at += 4096)
		CHECK(place(i)[at] == 0 && place(i)[at + 4095] == 0);
	if (!err)
		memset(place(i), (int)(i & 0x7f) + 1, unit);
	return err;
}

static void check_unit(size_t i)
{
	for (size_t at = 0; at < unit; at += 4095)
		CHECK(place(i)[at] == (char)((i & 0x7f) + 1));
}

static void region_books(size_t units)
{
	size_t resident = 0;
	CHECK(sparena_region_committed(region) == units * unit);
	CHECK(sparena_region_resident(region, 0, sparena_region_size(region), &resident) == 0);
	if (resident != units * unit)
		fail("committed %zu, resident %zu", units * unit, resident);
	kernel_check(units * unit);
}

static void reserve_fails(const char *options, size_t size, int err, const char *reason)
{
	struct sparena_region *r;
	int got = sparena_region_reserve(options, size, &r);
	if (got != err)
		fail("reserve: %d, not %d (%s)", got, err, sparena_last_error());
	if (!strstr(sparena_last_error(), reason))
		fail("reserve: \"%s\" does not speak of \"%s\"", sparena_last_error(), reason);
}

/* Under these there is no region at first, and one as soon as they are gone. */
static size_t reserve(const char *options)
{
	size_t size = 2 * most > 192 * MIB ? 2 * most : 192 * MIB;
	bool shared = strstr(options, "memfd") || strstr(options, "file");
	if (under("EMFILE") && shared) {
		take_descriptors();
		reserve_fails(options, size, -EMFILE, "ulimit -n");
		leave_descriptors();
	}
	if (under("FSIZE")) {
		set_limit(RLIMIT_FSIZE, 96 * MIB);
		reserve_fails(options, size, -ENOMEM, "ulimit -f");
		size = 96 * MIB;
	}
	if (under("MEMLOCK")) {
		begin_condition();
		reserve_fails(options, size, -ENOMEM, "ulimit -l");
		CHECK(munlockall() == 0);
	}
	if (under("ENFILE")) {
		reserve_fails(options, size, -ENFILE, "ulimit -n");
		return 0;
	}
	if (sparena_region_reserve(options, size, &region) != 0)
		fail("reserve: %s", sparena_last_error());
	return size;
}

static size_t run_region(const char *options)
{
	size_t size = reserve(options), n = 0;
	int err = 0;
	if (!size)
		return 0;
	if (!under("MEMLOCK"))
		begin_condition();
	unit = sparena_region_granule(region);
	unit = unit < 256 * 1024 ? 256 * 1024 : unit;
	kernel_find_ours();
	take_descriptors();

	while (n < size / unit && (err = commit(n)) == 0)
		n++;
	leave_descriptors();
	if (!under("FSIZE"))
		CHECK(err == -ENOMEM);
	CHECK(n * unit + unit > least && n * unit <= most);
	region_books(n);

	take_descriptors();
	for (size_t i = 0; i < n; i += 2)
		CHECK(sparena_region_decommit(region, i * unit, unit) == 0);
	for (size_t i = 0; i < n; i += 2)
		CHECK(commit(i) == 0);
	for (size_t i = 0; i < n; i++)
		check_unit(i);
	leave_descriptors();
	region_books(n);

	CHECK(sparena_region_decommit(region, 0, n * unit) == 0);
	region_books(0);
	CHECK(sparena_region_commit(region, 0, size / unit * unit) == -ENOMEM || under("FSIZE"));
	if (!under("FSIZE"))
		region_books(0);
	sparena_region_release(region);
	kernel_check_gone();
	return n * unit;
}

int main(int argc, char **argv)
{
	CHECK(argc == 6);
	condition = argv[2];
	least = (size_t)atol(argv[3]) * MIB;
	most = (size_t)atol(argv[4]) * MIB;
	*(void **)&stats_get = dlsym(RTLD_DEFAULT, "sparena_stats_get");
	kernel_begin(getenv("MATRIX_HOLDS"));

	size_t bytes = 0;
	bool found = strcmp(argv[1], "region") == 0;
	if (found)
		bytes = run_region(argv[5]);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(argv[1], kinds[i].name) == 0) {
			found = true;
			bytes = under("ENFILE") ? run_refused(&kinds[i]) : run_malloc(&kinds[i]);
		}
	CHECK(found);
	char line[32];
	int length = snprintf(line, sizeof line, "%zu\n", bytes / MIB);
	CHECK(write(1, line, (size_t)length) == length);
	return 0;
}
