/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A region of 1 TiB with scattered parts, through the public interface, on the backing
 * that the environment names (each_backing.sh).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../support/backings.h"
#include "../support/random.h"
#include "region/region.h"
#include "sparena/region.h"
#include "sparena/sparena.h"

#define PARTS 1000
#define MOST_MAPPINGS 50

static struct test_backing kind;
static struct sparena_region *region;
static size_t granule;

/* One part: it begins at a place of its own, far from the others. */
static struct part {
	size_t offset;
	size_t length;
	bool committed;
	unsigned char value;
} parts[PARTS];

static size_t committed;

static unsigned mappings(void)
{
	unsigned lines = 0;
	int c;
	FILE *f = fopen("/proc/self/maps", "r");
	assert_non_null(f);
	while ((c = getc(f)) != EOF)
		lines += c == '\n';
	fclose(f);
	return lines;
}

static void lay_out(void)
{
	size_t apart = size_down(TiB / PARTS, granule);
	for (size_t i = 0; i < PARTS; i++) {
		size_t most = size_max(256 * KiB / granule, 1);
		parts[i] = (struct part){ .length = (random_below(most) + 1) * granule };
		size_t room = apart / granule - most; /* of 1G pages there is none */
		parts[i].offset = i * apart + (room ? random_below(room) : 0) * granule;
	}
	parts[PARTS - 1].offset = TiB - parts[PARTS - 1].length; /* to the very end */
}

static unsigned char *bytes_of(const struct part *p)
{
	return (unsigned char *)sparena_region_base(region) + p->offset;
}

static void check(const struct part *p, unsigned char value)
{
	for (size_t at = 0; at < p->length; at += 4096)
		EXPECT(bytes_of(p)[at] == value && bytes_of(p)[at + 4095] == value);
}

static void commit(struct part *p)
{
	int err = sparena_region_commit(region, p->offset, p->length);
	EXPECT(err == 0 || (kind.most && err == -ENOMEM && committed + p->length > kind.least));
	if (err)
		return;
	check(p, 0);
	p->value = (unsigned char)(random_next() | 1);
	memset(bytes_of(p), p->value, p->length);
	p->committed = true;
	committed += p->length;
}

static void decommit(struct part *p)
{
	check(p, p->value);
	EXPECT(sparena_region_decommit(region, p->offset, p->length) == 0);
	p->committed = false;
	committed -= p->length;
}

static void compare(void)
{
	size_t resident = 0;
	EXPECT(sparena_region_committed(region) == committed);
	EXPECT(sparena_region_resident(region, 0, TiB, &resident) == 0);
	if (resident != committed)
		fail_msg("committed %zu, resident %zu", committed, resident);
}

static void test_scattered_parts(void **state)
{
	char options[512];
	(void)state;
	random_start(7);
	snprintf(options, sizeof options, "backing:%s,page:%s,path:%s,populate:%s", kind.ops->name,
	         kind.page == GiB ? "1G" : kind.page && !kind.path ? "2M" : "auto", kind.path ? kind.path : "",
	         kind.touch ? "touch" : "auto");
	unsigned before = mappings();
	int err = sparena_region_reserve(options, TiB, &region);
	if (err)
		fail_msg("reserve: %d, %s", err, sparena_last_error());
	granule = sparena_region_granule(region);
	assert_int_equal(sparena_region_size(region), TiB);
	lay_out();

	for (struct part *p = parts; p < parts + PARTS; p++)
		commit(p);
	compare();
	unsigned more = mappings() - before;
	for (random_op = 0; random_op < random_ops(3 * PARTS) + PARTS; random_op++) {
		struct part *p = &parts[random_below(PARTS)];
		if (p->committed)
			decommit(p);
		else
			commit(p);
	}
	compare();
	print_message("%s: %zu KiB in granules of %zu KiB, %u mappings more\n", kind.name, committed / KiB,
	              granule / KiB, more);
	assert_true(more < MOST_MAPPINGS && mappings() - before < MOST_MAPPINGS);

	for (struct part *p = parts; p < parts + PARTS; p++)
		if (p->committed)
			decommit(p);
	compare();
	assert_int_equal(committed, 0);
	sparena_region_release(region);
	assert_true(mappings() <= before + 1); /* the C library's own may be one more */
}

/* As a heap opens its space, from below: mappings stay far fewer than granules. */
static void test_closed_from_below(void **state)
{
	(void)state;
	struct budget budget;
	struct region r;
	unsigned before = mappings();
	struct region_config c = {
		.backing = kind.ops, .size = TiB, .size_min = TiB, .granule = 64 * KiB, .closed = true,
		.piece = CHUNK_SIZE, .budget = &budget, .page = kind.page, .path = kind.path, .touch = kind.touch,
	};
	budget_init(&budget, SIZE_MAX);
	assert_int_equal(region_init(&r, &c), 0);
	size_t most = size_min(kind.most ? kind.least : 80 * MiB, 80 * MiB);
	for (size_t at = 0; at + r.granule <= most; at += r.granule)
		assert_int_equal(region_commit(&r, at, r.granule), 0);
	assert_true(mappings() - before < 8);
	assert_int_equal(os_populate(r.base + TiB / 2, 4096), -EINVAL); /* the rest is closed */
	region_destroy(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scattered_parts),
		cmocka_unit_test(test_closed_from_below),
	};
	kind = test_backing_get();
	if (strcmp(kind.name, "anon-8M") == 0)
		return 0; /* no backing that a program could name */
	return cmocka_run_group_tests_name(kind.name, tests, NULL, NULL);
}
