/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "os/cgroup.h"

#include "../support/plant.h"

#define MIB ((size_t)1 << 20)
#define V1_UNLIMITED "9223372036854771712\n"

static struct os_cgroup g;

static void at(enum os_cgroup_version version)
{
	memset(&g, 0, sizeof(g));
	g.version = version;
	snprintf(g.directory, sizeof(g.directory), "%s/l", plant_root);
}

static struct os_cgroup_level read_level(int error)
{
	struct os_cgroup_level l;

	memset(&l, 0x55, sizeof(l));
	errno = 7;
	assert_int_equal(os_cgroup_read(&g, &l), error);
	assert_int_equal(errno, 7);
	return l;
}

#define LEVEL(name, text) plant("l/" name, text)

static void test_v1_limits(void **state)
{
	struct os_cgroup_level l;

	(void)state;
	at(OS_CGROUP_V1);
	assert_true(read_level(-ENOENT).limit == OS_UNLIMITED);
	LEVEL("memory.limit_in_bytes", "104857600\n");
	LEVEL("memory.usage_in_bytes", "60000000\n");
	l = read_level(0);
	assert_int_equal(l.limit, 100 * MIB);
	assert_int_equal(l.current, 60000000);
	assert_int_equal(l.file, 0);
	assert_true(l.high == OS_UNLIMITED && l.swap_limit == OS_UNLIMITED);
	/* Without swap accounting there is no memsw; with it, it counts both. */
	LEVEL("memory.memsw.limit_in_bytes", "104857600\n");
	assert_int_equal(read_level(0).swap_limit, 0);
	LEVEL("memory.memsw.limit_in_bytes", "157286400\n");
	assert_int_equal(read_level(0).swap_limit, 50 * MIB);
	LEVEL("memory.memsw.limit_in_bytes", V1_UNLIMITED);
	assert_true(read_level(0).swap_limit == OS_UNLIMITED);
	LEVEL("memory.memsw.limit_in_bytes", "1\n");
	assert_int_equal(read_level(0).swap_limit, 0);
	/* This process's own, and with those below: the latter is what counts. */
	LEVEL("memory.stat", "inactive_file 5\nactive_file 5\nshmem 1\ntotal_inactive_file 3000000\n"
	                     "total_active_file 2000000\ntotal_shmem 1000000\ntotal_swap 77\n");
	l = read_level(0);
	assert_int_equal(l.file, 5000000);
	assert_int_equal(l.swap, 77);
	assert_int_equal(os_cgroup_headroom(&l), 100 * MIB - 60000000 + 5000000);
}

static void test_v2_limits(void **state)
{
	struct os_cgroup_level l;

	(void)state;
	at(OS_CGROUP_V2);
	LEVEL("memory.max", "max\n");
	LEVEL("memory.high", "max\n");
	LEVEL("memory.swap.max", "0\n");
	LEVEL("memory.current", "60000000\n");
	LEVEL("memory.swap.current", "4096\n");
	LEVEL("memory.stat", "anon 1\nfile 9\ninactive_file 3000000\nactive_file 2000000\nshmem 1000000\n");
	l = read_level(0);
	assert_true(l.limit == OS_UNLIMITED && l.high == OS_UNLIMITED);
	assert_int_equal(l.swap_limit, 0);
	assert_int_equal(l.swap, 4096);
	assert_int_equal(l.file, 5000000);
	assert_true(os_cgroup_headroom(&l) == OS_UNLIMITED);
	LEVEL("memory.max", "104857600\n");
	LEVEL("memory.swap.max", "max\n");
	LEVEL("memory.high", "max");
	l = read_level(0);
	assert_int_equal(l.limit, 100 * MIB);
	assert_true(l.high == OS_UNLIMITED && l.swap_limit == OS_UNLIMITED);
	LEVEL("memory.max", "0\n");
	assert_int_equal(read_level(0).limit, 0);
}

/* "No limit" is a number that depends on the size of pages; more than fits is none either. */
static void test_huge_numbers(void **state)
{
	static const char *const unlimited[] = {
		"9223372036854771712\n",  "9223372036854710272\n",
		"9223372036854775807\n",  "18446744073709551615\n",
		"18446744073709551616\n", "99999999999999999999999999999999999999999\n"};

	(void)state;
	at(OS_CGROUP_V1);
	for (size_t i = 0; i < sizeof(unlimited) / sizeof(unlimited[0]); i++) {
		LEVEL("memory.limit_in_bytes", unlimited[i]);
		LEVEL("memory.memsw.limit_in_bytes", unlimited[i]);
		assert_true(read_level(0).limit == OS_UNLIMITED && read_level(0).swap_limit == OS_UNLIMITED);
	}
	LEVEL("memory.limit_in_bytes", "1125899906842624\n");
	assert_true(read_level(0).limit == (size_t)1 << 50);
}

static void test_broken_files(void **state)
{
	static const char *const garbage[] = {"",          "\n",      "x\n",   "-1\n", "12x\n",
	                                      "maximum\n", "max 1\n", "1 2\n", " 1\n"};
	struct os_cgroup_level l;

	(void)state;
	at(OS_CGROUP_V2);
	LEVEL("memory.current", "4096\n");
	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		LEVEL("memory.max", garbage[i]);
		l = read_level(-EINVAL);
		assert_true(l.limit == OS_UNLIMITED);
		assert_int_equal(l.current, 4096);
	}
	/* The rest is read nevertheless; a use that makes no sense is none. */
	LEVEL("memory.high", "8192\n");
	LEVEL("memory.current", "many\n");
	l = read_level(-EINVAL);
	assert_int_equal(l.high, 8192);
	assert_int_equal(l.current, 0);
	LEVEL("memory.max", "8192\n");
	LEVEL("memory.current", "1\n");
	unplant("l/memory.stat");
	plant("l/memory.stat/file", "");
	assert_int_equal(read_level(-EISDIR).limit, 8192);
}

/* Root may read everything, so it is another user for the moment. */
static void test_unreadable(void **state)
{
	struct os_cgroup_level l;
	char path[256];

	(void)state;
	at(OS_CGROUP_V2);
	LEVEL("memory.max", "4096\n");
	LEVEL("memory.current", "1\n");
	snprintf(path, sizeof(path), "%s/l/memory.max", plant_root);
	assert_int_equal(chmod(path, 0), 0);
	if (geteuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	l = read_level(-EACCES);
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	assert_true(l.limit == OS_UNLIMITED);
	assert_int_equal(l.current, 1);
}

static void test_file_bytes(void **state)
{
	(void)state;
	assert_int_equal(os_cgroup_file_bytes(OS_CGROUP_V2, ""), 0);
	assert_int_equal(os_cgroup_file_bytes(OS_CGROUP_V2, "active_file 7"), 7);
	assert_int_equal(os_cgroup_file_bytes(OS_CGROUP_V1, "active_file 7"), 0);
	assert_int_equal(
		os_cgroup_file_bytes(OS_CGROUP_V2, "xactive_file 7\ninactive_file5 1\ninactive_file 5\nactive_filex 3\n"), 5);
	assert_int_equal(os_cgroup_file_bytes(OS_CGROUP_V2, "active_file 7\nshmem 8\n"), 7);
	assert_int_equal(os_cgroup_file_bytes(OS_CGROUP_V2, "active_file x\ninactive_file 5\n"), 5);
	assert_int_equal(
		os_cgroup_file_bytes(OS_CGROUP_V2, "active_file 99999999999999999999999\ninactive_file 5\n"),
		5);
	assert_int_equal(os_cgroup_file_bytes(
				 OS_CGROUP_V2,
				 "active_file 18446744073709551615\ninactive_file 18446744073709551615\n"),
	                 0);
}

static void test_headroom(void **state)
{
	struct os_cgroup_level l = {.limit = 100, .current = 60, .file = 10};

	(void)state;
	assert_int_equal(os_cgroup_headroom(&l), 50);
	l.file = 70; /* counters that were read at different moments */
	assert_int_equal(os_cgroup_headroom(&l), 100);
	l = (struct os_cgroup_level){.limit = 100, .current = 120, .file = 10};
	assert_int_equal(os_cgroup_headroom(&l), 0);
	l.limit = OS_UNLIMITED;
	assert_true(os_cgroup_headroom(&l) == OS_UNLIMITED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_v1_limits, plant_clear),
		cmocka_unit_test_setup(test_v2_limits, plant_clear),
		cmocka_unit_test_setup(test_huge_numbers, plant_clear),
		cmocka_unit_test_setup(test_broken_files, plant_clear),
		cmocka_unit_test_setup(test_unreadable, plant_clear),
		cmocka_unit_test_setup(test_file_bytes, plant_clear),
		cmocka_unit_test_setup(test_headroom, plant_clear),
	};

	return cmocka_run_group_tests(tests, plant_make, plant_remove);
}
