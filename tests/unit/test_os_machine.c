/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "os/machine.h"

#include "../support/plant.h"

#include <sys/prctl.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define THP "sys/kernel/mm/transparent_hugepage/"

static char *path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", plant_root, name);
	return path;
}

/* ---- files ---------------------------------------------------------------------- */

static char seen[4096];
static int wanted;

static bool see(char *line, void *context)
{
	assert_ptr_equal(context, &wanted);
	strcat(strcat(seen, line), "|");
	return --wanted != 0;
}

static void lines_are(size_t capacity, int most, const char *expected)
{
	char buffer[64];

	seen[0] = '\0';
	wanted = most;
	assert_int_equal(os_read_lines(path_of("lines"), buffer, capacity, see, &wanted), 0);
	assert_string_equal(seen, expected);
	assert_int_equal(errno, 0);
}

static void test_lines(void **state)
{
	char buffer[64];

	(void)state;
	plant("lines", "one\n\nthree\nlast");
	for (size_t capacity = 7; capacity <= 64; capacity++)
		lines_are(capacity, 0, "one||three|last|");
	/* A line with its newline has to fit beside the terminator. */
	lines_are(6, 0, "one||last|");
	lines_are(5, 0, "one||");
	lines_are(2, 0, "|");
	lines_are(64, 1, "one|");
	lines_are(64, 3, "one||three|");
	plant("lines", "0123456789012345678901234567890\nshort\n0123456789\n\n");
	lines_are(8, 0, "short||");
	plant("lines", "short\n0123456789");
	lines_are(8, 0, "short|");
	plant("lines", "");
	lines_are(8, 0, "");
	assert_int_equal(os_read_lines(path_of("none"), buffer, 64, see, &wanted), -ENOENT);
	assert_int_equal(os_read_lines(plant_root, buffer, 64, see, &wanted), -EISDIR);
}

static int number(const char *text, size_t *out)
{
	plant("number", text);
	return os_read_number(path_of("number"), out);
}

static void test_number(void **state)
{
	size_t v = 1;

	(void)state;
	assert_int_equal(number("0\n", &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(number("18446744073709551615", &v), 0);
	assert_true(v == SIZE_MAX);
	assert_int_equal(number("12 \n", &v), 0);
	assert_int_equal(v, 12);
	assert_int_equal(number("18446744073709551616\n", &v), -ERANGE);
	assert_int_equal(
		number("9999999999999999999999999999999999999999999999999999999999999999999999\n", &v),
		-ERANGE);
	assert_int_equal(number("", &v), -EINVAL);
	assert_int_equal(number("max\n", &v), -EINVAL);
	assert_int_equal(number("-1\n", &v), -EINVAL);
	assert_int_equal(number("1 2\n", &v), -EINVAL);
	assert_int_equal(number("1k\n", &v), -EINVAL);
	assert_int_equal(os_read_number(path_of("none"), &v), -ENOENT);
	assert_int_equal(v, 12);
}

static void choice_is(const char *text, int error, const char *expected)
{
	char word[8] = "before";

	plant("choice", text);
	assert_int_equal(os_read_choice(path_of("choice"), word, sizeof(word)), error);
	assert_string_equal(word, expected);
}

static void test_choice(void **state)
{
	char word[8] = "before";

	(void)state;
	choice_is("always [madvise] never\n", 0, "madvise");
	choice_is("[a] b\n", 0, "a");
	choice_is("[]", 0, "");
	choice_is("always madvise\n", -EINVAL, "");
	choice_is("]a[\n", -EINVAL, "");
	choice_is("[a", -EINVAL, "");
	choice_is("[overlong]\n", -EINVAL, "");
	assert_int_equal(os_read_choice(path_of("none"), word, sizeof(word)), -ENOENT);
	assert_string_equal(word, "");
}

static void test_unescape(void **state)
{
	char text[] = "\\040a\\011\\134040\\\\\\4000\\08\\0\\377\\";

	(void)state;
	os_unescape(text);
	assert_string_equal(text, " a\t\\040\\\\\\4000\\08\\0\377\\");
}

/* ---- huge pages ------------------------------------------------------------------- */

static struct os_thp_settings thp(void)
{
	struct os_thp_settings s;

	memset(&s, 0xff, sizeof(s));
	os_thp_settings(plant_root, &s);
	assert_int_equal(errno, 0);
	return s;
}

static void test_thp(void **state)
{
	struct os_thp_settings s = thp();

	(void)state;
	assert_true(s.effective == OS_THP_NONE && s.pmd_size == 0 && s.max_ptes_none == OS_UNLIMITED);
	assert_true(s.enabled[0] == '\0' && s.defrag[0] == '\0' && s.shmem[0] == '\0');
	plant(THP "enabled", "always [madvise] never\n");
	plant(THP "hpage_pmd_size", "2097152\n");
	plant(THP "defrag", "always defer [defer+madvise] madvise never\n");
	plant(THP "shmem_enabled", "always within_size advise [never] deny force\n");
	plant(THP "khugepaged/max_ptes_none", "511\n");
	s = thp();
	assert_true(s.effective == OS_THP_MADVISE && s.pmd_size == 2 * MIB && s.max_ptes_none == 511);
	assert_string_equal(s.enabled, "madvise");
	assert_string_equal(s.defrag, "defer+madvise");
	assert_string_equal(s.shmem, "never");
	/* The size's own setting may defer to the other, forbid, or say when. */
	plant(THP "hugepages-2048kB/enabled", "always [inherit] madvise never\n");
	assert_int_equal(thp().effective, OS_THP_MADVISE);
	plant(THP "hugepages-2048kB/enabled", "always inherit madvise [never]\n");
	assert_int_equal(thp().effective, OS_THP_NEVER);
	assert_string_equal(thp().enabled, "madvise");
	plant(THP "hugepages-2048kB/enabled", "[always] inherit madvise never\n");
	assert_int_equal(thp().effective, OS_THP_ALWAYS);
	plant(THP "hugepages-2048kB/enabled", "");
	assert_int_equal(thp().effective, OS_THP_MADVISE);
	plant(THP "enabled", "always madvise [never]\n");
	plant(THP "hugepages-2048kB/enabled", "[always] inherit madvise never\n");
	assert_int_equal(thp().effective, OS_THP_NEVER);
}

static void set_size(unsigned kib, const char *setting)
{
	char name[128];

	snprintf(name, sizeof(name), THP "hugepages-%ukB/enabled", kib);
	plant(name, setting);
}

static void test_mthp_advised(void **state)
{
	const uint64_t sizes = 16 * KIB | 64 * KIB | 128 * KIB | 1024 * KIB;

	(void)state;
	assert_int_equal(os_mthp_advised(plant_root, sizes), 0);
	plant(THP "enabled", "always [madvise] never\n");
	assert_int_equal(os_mthp_advised(plant_root, sizes), 0);
	set_size(16, "always inherit [madvise] never\n");
	set_size(64, "always [inherit] madvise never\n");
	set_size(128, "always inherit madvise [never]\n");
	set_size(256, "[always] inherit madvise never\n");
	set_size(1024, "[always] inherit madvise never\n");
	assert_int_equal(os_mthp_advised(plant_root, sizes), 16 * KIB | 64 * KIB | 1024 * KIB);
	/* Only those that defer to it go with the setting for all sizes. */
	plant(THP "enabled", "always madvise [never]\n");
	assert_int_equal(os_mthp_advised(plant_root, sizes), 16 * KIB | 1024 * KIB);
	plant(THP "enabled", "[always] madvise never\n");
	assert_int_equal(os_mthp_advised(plant_root, sizes), 16 * KIB | 64 * KIB | 1024 * KIB);
	assert_int_equal(os_mthp_advised(plant_root, 0), 0);
}

#define FOLIO THP "hugepages-64kB/"

static void test_mthp_of_one_size(void **state)
{
	char word[OS_WORD_MAX], text[64];
	size_t count = 1;

	(void)state;
	assert_int_equal(os_mthp_setting(plant_root, 64 * KIB, word), -ENOENT);
	assert_int_equal(os_mthp_set(plant_root, 64 * KIB, "never"), -ENOENT);
	assert_int_equal(os_mthp_count(plant_root, 64 * KIB, "swpout", &count), -ENOENT);
	plant(FOLIO "enabled", "always [inherit] madvise never\n");
	assert_int_equal(os_mthp_setting(plant_root, 64 * KIB, word), 0);
	assert_string_equal(word, "inherit");
	assert_int_equal(os_mthp_setting(plant_root, 32 * KIB, word), -ENOENT);
	assert_int_equal(os_mthp_set(plant_root, 64 * KIB, "never"), 0);
	assert_int_equal(os_read_file(path_of(FOLIO "enabled"), text, sizeof(text), NULL), 0);
	assert_string_equal(text, "never");
	plant(FOLIO "stats/swpout", "17\n");
	plant(FOLIO "stats/zswpout", "many\n");
	assert_int_equal(os_mthp_count(plant_root, 64 * KIB, "swpout", &count), 0);
	assert_int_equal(count, 17);
	assert_int_equal(os_mthp_count(plant_root, 64 * KIB, "zswpout", &count), -EINVAL);
	assert_int_equal(errno, 0);
}

static void test_thp_disabled(void **state)
{
	(void)state;
	assert_false(thp().disabled);
	assert_int_equal(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
	assert_true(thp().disabled);
	assert_int_equal(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0), 0);
}

static void plant_pool(size_t kb, const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "sys/kernel/mm/hugepages/hugepages-%zukB/%s", kb, name);
	plant(path, text);
}

static void test_hugetlb(void **state)
{
	struct os_hugetlb pools[OS_HUGETLB_MAX];

	(void)state;
	assert_int_equal(os_hugetlb_pools(plant_root, pools), 0);
	plant_pool(1048576, "nr_hugepages", "2\n");
	plant_pool(1048576, "free_hugepages", "1\n");
	plant_pool(2048, "nr_hugepages", "64\n");
	plant_pool(2048, "free_hugepages", "60\n");
	plant_pool(2048, "resv_hugepages", "20\n");
	plant_pool(2048, "surplus_hugepages", "4\n");
	plant_pool(2048, "nr_overcommit_hugepages", "8\n");
	plant_pool(64, "nr_hugepages", "x\n");
	assert_int_equal(os_hugetlb_pools(plant_root, pools), 3);
	assert_int_equal(pools[0].page_size, 64 * KIB);
	assert_int_equal(pools[0].total, 0);
	assert_int_equal(pools[1].page_size, 2 * MIB);
	assert_int_equal(pools[1].total, 64);
	assert_int_equal(pools[1].free, 60);
	assert_int_equal(pools[1].reserved, 20);
	assert_int_equal(pools[1].surplus, 4);
	assert_int_equal(pools[1].overcommit, 8);
	assert_int_equal(pools[2].page_size, 1024 * MIB);
	assert_int_equal(pools[2].free, 1);
	assert_int_equal(pools[2].reserved, 0);
	/* More sizes than any architecture has. */
	for (size_t kb = 16; kb <= 67108864; kb *= 2)
		plant_pool(kb, "nr_hugepages", "1\n");
	assert_int_equal(os_hugetlb_pools(plant_root, pools), OS_HUGETLB_MAX);
	assert_int_equal(pools[OS_HUGETLB_MAX - 1].page_size, 2 * MIB);
	assert_int_equal(errno, 0);
}

/* ---- memory ------------------------------------------------------------------------- */

static void test_swaps(void **state)
{
	struct os_swap areas[5];

	(void)state;
	assert_int_equal(os_swaps(plant_root, areas, 5), 0);
	plant("proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
	assert_int_equal(os_swaps(plant_root, areas, 5), 0);
	plant("proc/swaps", "Filename Type Size Used Priority\n"
	                    "/dev/dm-1       partition\t1048572\t\t4\t\t-2\n"
	                    "/swap\\040file\\134\t\tfile\t\t2044\t\t0\t\t-3\n"
	                    "/dev/zram0                              partition\t8388604\t\t20\t\t100\n"
	                    "/dev/zramming partition 4 0 1\n"
	                    "/broken partition many 0 1\n"
	                    "/huge partition 99999999999999999999 0 1\n"
	                    "/wide partition 18446744073709551615 0 1\n"
	                    "/short partition 4\n"
	                    "/last file 4 0 1");
	assert_int_equal(os_swaps(plant_root, areas, 5), 5);
	assert_true(areas[0].kind == OS_SWAP_PARTITION && areas[0].size == 1048572 * KIB &&
	            areas[0].used == 4 * KIB);
	assert_string_equal(areas[0].name, "/dev/dm-1");
	assert_true(areas[1].kind == OS_SWAP_FILE && areas[1].size == 2044 * KIB && areas[1].used == 0);
	assert_string_equal(areas[1].name, "/swap file\\");
	assert_true(areas[2].kind == OS_SWAP_ZRAM && areas[2].used == 20 * KIB);
	assert_int_equal(areas[3].kind, OS_SWAP_PARTITION);
	assert_string_equal(areas[4].name, "/last");
	memset(&areas[1], 0, sizeof(areas[1]));
	assert_int_equal(os_swaps(plant_root, areas, 1), 5);
	assert_string_equal(areas[1].name, "");
}

/* The header, where mkswap(8) writes it. */
static void test_swap_format(void **state)
{
	static char before[3 * 65536], after[sizeof(before)];
	size_t page = os_page_size();
	uint32_t numbers[3];

	(void)state;
	memset(before, 'x', sizeof(before) - 1);
	plant("area", before);
	assert_int_equal(os_swap_format(path_of("area"), page), -EINVAL);
	assert_int_equal(os_swap_format(path_of("area"), (size_t)1 << 63), -EINVAL);
	assert_int_equal(os_swap_format(path_of("none"), 2 * page), -ENOENT);
	assert_int_equal(os_swap_format(plant_root, 2 * page), -EISDIR);
	assert_int_equal(symlink("area", path_of("link")), 0);
	assert_int_equal(os_swap_format(path_of("link"), 2 * page), -ELOOP);
	assert_int_equal(os_swap_format(path_of("area"), 5 * page + 1), 0);
	assert_int_equal(os_read_file(path_of("area"), after, sizeof(after), NULL), 0);
	memcpy(numbers, after + 1024, sizeof(numbers));
	assert_true(numbers[0] == 1 && numbers[1] == 4 && numbers[2] == 0);
	assert_memory_equal(after + page - 10, "SWAPSPACE2", 10);
	for (size_t i = 0; i < page - 10; i++)
		assert_true(after[i] == 0 || (i >= 1024 && i < 1036));
	assert_memory_equal(after + page, before + page, sizeof(before) - page); /* no more than that */
	assert_int_equal(errno, 0);
}

/* Nothing is swapped to here: it is no area, or we may not. */
static void test_swap_refused(void **state)
{
	int r;

	(void)state;
	plant("area", "no signature, and as good as empty");
	r = os_swap_on(path_of("area"));
	assert_true(r == -EINVAL || r == -EPERM);
	r = os_swap_off(path_of("area"));
	assert_true(r == -EINVAL || r == -EPERM);
	r = os_swap_on(path_of("none"));
	assert_true(r == -ENOENT || r == -EPERM);
	assert_int_equal(errno, 0);
}

static void test_switches(void **state)
{
	(void)state;
	assert_false(os_zswap(plant_root));
	plant("sys/module/zswap/parameters/enabled", "N\n");
	assert_false(os_zswap(plant_root));
	plant("sys/module/zswap/parameters/enabled", "Y\n");
	assert_true(os_zswap(plant_root));
	assert_false(os_ksm_runs(plant_root));
	plant("sys/kernel/mm/ksm/run", "1\n");
	assert_true(os_ksm_runs(plant_root));
	plant("sys/kernel/mm/ksm/run", "2\n"); /* stopped, and all unmerged */
	assert_false(os_ksm_runs(plant_root));
}

static void test_commit(void **state)
{
	size_t limit = 1, used = 1;

	(void)state;
	assert_int_equal(os_commit(plant_root, &limit, &used), -ENOENT);
	plant("proc/meminfo", "MemTotal: 9 kB\nCommitLimit:    100 kB\nCommitted_AS:      7 kB\n");
	assert_int_equal(os_commit(plant_root, &limit, &used), 0);
	assert_true(limit == 100 * KIB && used == 7 * KIB);
	plant("proc/meminfo", "CommitLimit:    x kB\nCommitted_AS:      7 kB\n");
	assert_int_equal(os_commit(plant_root, &limit, &used), -EINVAL);
	assert_int_equal(os_commit("", &limit, &used), 0);
	assert_true(limit > 100 * KIB && used > 7 * KIB);
}

static void test_hard_limits(void **state)
{
	struct os_hard_limits l;
	struct os_probe p;

	(void)state;
	os_probe(&p);
	os_hard_limits(&l);
	assert_true(l.as >= p.limit_as && l.data >= p.limit_data && l.memlock >= p.limit_memlock);
}

static void test_pagemap(void **state)
{
	(void)state;
	assert_int_equal(os_has_pagemap(), access("/proc/self/pagemap", R_OK) == 0);
	errno = 0;
	assert_true(os_has_pagemap() || !os_can_scan_pagemap());
	assert_int_equal(errno, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_lines, plant_clear),
		cmocka_unit_test_setup(test_number, plant_clear),
		cmocka_unit_test_setup(test_choice, plant_clear),
		cmocka_unit_test_setup(test_unescape, plant_clear),
		cmocka_unit_test_setup(test_thp, plant_clear),
		cmocka_unit_test_setup(test_mthp_advised, plant_clear),
		cmocka_unit_test_setup(test_mthp_of_one_size, plant_clear),
		cmocka_unit_test_setup(test_thp_disabled, plant_clear),
		cmocka_unit_test_setup(test_hugetlb, plant_clear),
		cmocka_unit_test_setup(test_swaps, plant_clear),
		cmocka_unit_test_setup(test_swap_format, plant_clear),
		cmocka_unit_test_setup(test_swap_refused, plant_clear),
		cmocka_unit_test_setup(test_switches, plant_clear),
		cmocka_unit_test_setup(test_commit, plant_clear),
		cmocka_unit_test_setup(test_hard_limits, plant_clear),
		cmocka_unit_test_setup(test_pagemap, plant_clear),
	};

	return cmocka_run_group_tests(tests, plant_make, plant_remove);
}
