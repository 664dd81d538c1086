/* SPDX-License-Identifier: BSD-2-Clause */
/* What `sparena check` makes of machines that are planted. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/check.h"
#include "os/machine.h"

#include <sys/prctl.h>

#include "../support/plant.h"
#include "../support/sanitized.h"

static struct check c;
static char *text;
static size_t text_length;

static void begin(void)
{
	free(text);
	text = NULL;
	memset(&c, 0, sizeof(c));
	c.root = plant_root;
	c.cgroup_box = OS_UNLIMITED;
	c.probe.memory_total = 8 * GiB;
	c.probe.memory_available = 6 * GiB;
	c.reservation = CHECK_RESERVATION_MAX;
	conf_default(&c.conf);
	report_begin(&c.report, open_memstream(&text, &text_length), false);
}

static void end(void)
{
	report_end(&c.report);
	fclose(c.report.out);
	errno = 0;
}

static void run(void (*look)(struct check *))
{
	begin();
	look(&c);
	end();
}

/* The text, with every run of white space as one blank. */
static const char *flat(void)
{
	static char out[65536];
	size_t n = 0;

	for (const char *p = text; *p != '\0' && n < sizeof(out) - 1; p++) {
		bool blank = *p == ' ' || *p == '\n';

		if (!blank || (n > 0 && out[n - 1] != ' '))
			out[n++] = blank ? ' ' : *p;
	}
	out[n] = '\0';
	return out;
}

static void says(const char *what)
{
	if (strstr(flat(), what) == NULL)
		fail_msg("no \"%s\" in:\n%s", what, text);
}

static void says_not(const char *what)
{
	if (strstr(flat(), what) != NULL)
		fail_msg("\"%s\" in:\n%s", what, text);
}

/* ---- cgroups ------------------------------------------------------------------------ */

static void plant_v2(const char *path)
{
	char line[256];

	snprintf(line, sizeof(line), "0::%s\n", path);
	plant("proc/self/cgroup", line);
	plant("proc/self/mountinfo", "41 31 0:38 / /cg rw - cgroup2 cgroup2 rw\n");
	plant("cg/cgroup.procs", "");
	plant("cg/a/cgroup.procs", "");
	plant("cg/a/b/cgroup.procs", "");
	plant("cg/a/memory.max", "1073741824\n");
	plant("cg/a/memory.current", "314572800\n");
	plant("cg/a/memory.swap.max", "0\n");
	plant("cg/a/b/memory.max", "max\n");
	plant("cg/a/b/memory.high", "max\n");
	plant("cg/a/b/memory.current", "4096\n");
	plant("cg/a/b/memory.swap.max", "max\n");
	plant("cg/a/b/memory.stat", "inactive_file 2048\n");
}

static void test_cgroup_ancestor(void **state)
{
	(void)state;
	plant_v2("/a/b");
	run(check_cgroup);
	says("/cg/a/b (version 2): this process's memory counts there");
	says("limit note 1 GiB, set on /tmp/");
	says("/cg/a: the kernel kills beyond it");
	says("high ok none");
	/* What is left where least is left: 724 MiB, less an eighth. */
	says("sparena run --limit 633M -- PROGRAM");
	says("use ok 300 MiB, 0 B of it file cache: leaves 724 MiB");
	says("swap ok not allowed");
	says_not("unreadable"); /* the one without a controller */
	assert_int_equal(c.cgroup_box, GiB);
	assert_int_equal(c.report.problems, 0);
	/* A small use below does not help where the one above is full. */
	plant("cg/a/memory.current", "1073741824\n");
	run(check_cgroup);
	says("limit problem 1 GiB");
	says("leaves less than start-up needs to change it: echo 64M > /tmp/");
	says("/cg/a/memory.max");
	says("use note 1 GiB, 0 B of it file cache: leaves 0 B");
	assert_int_equal(c.report.problems, 1);
}

static void test_cgroup_own(void **state)
{
	(void)state;
	plant_v2("/a/b");
	plant("cg/a/b/memory.max", "104857600\n");
	plant("cg/a/b/memory.high", "52428800\n");
	plant("cg/a/b/memory.swap.max", "1048576\n");
	plant("cg/a/memory.swap.max", "max\n");
	c.probe.swap_total = 0;
	run(check_cgroup);
	says("limit note 100 MiB, set on /tmp/");
	says("/cg/a/b: the kernel kills");
	says("high note 50 MiB, set on /tmp/");
	says("echo max > /tmp/");
	says("/cg/a/b/memory.high");
	says("--limit 43M --");
	says("swap ok 1 MiB: the machine has none");
	assert_int_equal(c.cgroup_box, 100 * MiB);
	/* Swap that the cgroup allows and the machine has comes before the kill. */
	begin();
	c.probe.swap_total = GiB;
	check_cgroup(&c);
	end();
	says("swap ok 1 MiB: as far as the machine has it");
	assert_int_equal(c.cgroup_box, 101 * MiB);
}

static void test_cgroup_with_limit_given(void **state)
{
	(void)state;
	plant_v2("/a/b");
	begin();
	c.options_given = c.options_valid = true;
	c.conf.limit = 512 * MiB;
	check_cgroup(&c);
	check_options(&c);
	end();
	says("limit ok 1 GiB, set on");
	says("options ok limit:512M: is available");
	begin();
	c.options_given = c.options_valid = true;
	c.conf.limit = 800 * MiB;
	check_cgroup(&c);
	check_options(&c);
	end();
	says("options note limit:800M: leaves little in the cgroup");
	says("as in limit:633M");
	begin();
	c.options_given = c.options_valid = true;
	c.conf.limit = GiB;
	check_cgroup(&c);
	check_options(&c);
	end();
	says("limit note 1 GiB, set on");
	says("options note limit:1G: is not below the 1 GiB that the cgroup allows: the guard refuses "
	     "before");
	assert_int_equal(c.report.problems, 0);
	begin();
	c.options_given = c.options_valid = true;
	c.conf.limit = GiB;
	c.conf.guard = CONF_GUARD_OFF;
	check_cgroup(&c);
	check_options(&c);
	end();
	says("options problem limit:1G: is not below the 1 GiB that the cgroup allows: the kernel kills "
	     "before");
	assert_int_equal(c.report.problems, 1);
}

/* Each bound, and the one that binds. */
static void test_room(void **state)
{
	(void)state;
	plant_v2("/a/b");
	run(check_room);
	says("machine ok 6 GiB of 8 GiB");
	says("cgroup ok 724 MiB of 1 GiB: the limit of /tmp/");
	says("binds ok /tmp/");
	says("/cg/a, 724 MiB: with sparena malloc returns NULL shortly before");
	says("without, the kernel kills a process");
	says("fork ok not promised: a page that is written after fork is copied then");
	begin();
	c.probe.overcommit = 2;
	check_room(&c);
	end();
	says("fork ok promised: the machine has all copies promised before fork returns");
	plant("cg/a/b/memory.max", "536870912\n");
	plant("cg/a/b/memory.high", "268435456\n");
	plant("cg/a/b/memory.current", "134217728\n");
	run(check_room);
	says("cgroup ok 384 MiB of 512 MiB");
	says("/cg/a/b, 384 MiB: with");
	begin();
	c.options_valid = true;
	c.conf.guard = CONF_GUARD_HIGH;
	c.conf.limit = 64 * MiB;
	check_room(&c);
	end();
	says("cgroup ok 128 MiB of 256 MiB");
	says("limit ok 64 MiB: the option's");
	says("binds ok the option limit, 64 MiB: with sparena malloc returns NULL there");
	begin();
	c.conf.guard = CONF_GUARD_OFF;
	check_room(&c);
	end();
	says("binds note /tmp/");
	says("with guard:off the kernel kills a process there");
	assert_int_equal(c.report.problems, 0);
}

static void run_helper(void)
{
	begin();
	c.options_given = c.options_valid = true;
	c.conf.backing = CONF_BACKING_MEMFD;
	c.conf.guard = CONF_GUARD_HELPER;
	check_options(&c);
	end();
	assert_int_equal(c.report.problems, 0);
}

/* Who goes first, and with whom. */
static void test_helper(void **state)
{
	(void)state;
	plant_v2("/a/b");
	run_helper();
	says("helper note oom_score_adj above 0: the kernel would take the process before a helper");
	plant("proc/self/oom_score_adj", "1\n");
	run_helper();
	says("helper note oom_score_adj above 0");
	plant("proc/self/oom_score_adj", "-999\n");
	run_helper();
	says("helper ok goes first: the kernel takes the helper process, not this one");
	plant("proc/sys/vm/panic_on_oom", "1\n");
	run_helper();
	says("helper note vm.panic_on_oom: the machine ends");
	plant("cg/a/memory.oom.group", "1\n");
	run_helper();
	says("helper note memory.oom.group: the kernel kills a whole cgroup here");
	plant("cg/a/memory.oom.group", "0\n");
	plant("proc/sys/vm/panic_on_oom", "0\n");
	run_helper();
	says("helper ok goes first");
	/* No group, so nobody whom the kernel would kill too. */
	unplant("proc/self/cgroup");
	run_helper();
	says("helper ok goes first");
}

static void test_limit_and_machine(void **state)
{
	(void)state;
	begin();
	c.options_given = c.options_valid = true;
	c.conf.limit = 9 * GiB;
	check_options(&c);
	end();
	says("options note limit:9G: is not below the 8 GiB that the machine has");
	says("as in limit:3G");
	begin();
	c.options_given = c.options_valid = true;
	c.conf.limit = 9 * GiB;
	c.probe.swap_total = 2 * GiB;
	check_options(&c);
	end();
	says("options note limit:9G: is more than the memory that is available now");
	begin();
	c.options_given = c.options_valid = true;
	c.conf.reserve = GiB;
	c.reservation = 512 * MiB;
	check_options(&c);
	end();
	says("options problem reserve:1G: is more address space");
	begin();
	c.options_given = true;
	strcpy(c.options_error, "because");
	check_options(&c);
	end();
	says("options problem not valid: because");
}

static void test_cgroup_strange(void **state)
{
	(void)state;
	plant("proc/self/cgroup", "4:memory:/it's a\t\"x\"\\\xff\n0::/\n");
	plant("proc/self/mountinfo", "35 31 0:32 / /cg rw - cgroup cgroup rw,memory\n"
	                             "41 31 0:38 / /u rw - cgroup2 cgroup2 rw\n");
	plant("cg/it's a\t\"x\"\\\xff/cgroup.procs", "");
	plant("cg/it's a\t\"x\"\\\xff/memory.limit_in_bytes", "4096\n");
	plant("cg/it's a\t\"x\"\\\xff/memory.usage_in_bytes", "garbage\n");
	run(check_cgroup);
	says("/cg/it's a\\011\"x\"\\\\377 (version 1, hybrid)");
	says("limit problem 4 KiB");
	says("/cg/it'\\''s a\\011\"x\"\\\\377/memory.limit_in_bytes'");
	says("unreadable note /tmp/");
	says("Invalid argument: a limit may be missed");
	says_not("high");
}

static void test_cgroup_not_seen(void **state)
{
	(void)state;
	run(check_cgroup);
	says("cgroup ok none: the machine's memory is the bound");
	plant("proc/self/cgroup", "4:memory:/x\n");
	plant("proc/self/mountinfo", "");
	run(check_cgroup);
	says("cgroup note version 1: the hierarchy is not mounted");
	says("mount -t cgroup -o memory cgroup");
	plant("proc/self/cgroup", "0::/x\n");
	run(check_cgroup);
	says("cgroup note version 2: the hierarchy is not mounted");
	says("mount -t cgroup2 cgroup2 /sys/fs/cgroup");
	plant("proc/self/mountinfo", "41 31 0:38 / /cg rw - cgroup2 cgroup2 rw\n");
	plant("cg/cgroup.procs", "");
	run(check_cgroup);
	says("/cg (version 2): is the nearest that can be seen");
	says("limit ok none");
	unplant("proc/self/cgroup");
	plant("proc/self/cgroup/file", "");
	run(check_cgroup);
	says("cgroup note Is a directory");
}

/* ---- huge pages, memory ---------------------------------------------------------------- */

#define THP "sys/kernel/mm/transparent_hugepage/"
#define POOL "sys/kernel/mm/hugepages/hugepages-2048kB/"

static void test_thp(void **state)
{
	(void)state;
	run(check_huge_pages);
	says("thp note the kernel has no transparent huge pages");
	says("hugetlb ok the kernel has no pools");
	says_not("defrag");
	plant(THP "enabled", "always madvise [never]\n");
	plant(THP "hpage_pmd_size", "2097152\n");
	plant(THP "defrag", "always [defer] defer+madvise madvise never\n");
	run(check_huge_pages);
	says("thp note never");
	says("echo madvise > /" THP "enabled");
	says_not("defrag");
	plant(THP "enabled", "[always] madvise never\n");
	run(check_huge_pages);
	says("thp ok always");
	says("defrag note defer");
	says("echo madvise > /" THP "defrag");
	plant(THP "hugepages-2048kB/enabled", "always inherit madvise [never]\n");
	plant(THP "defrag", "always defer defer+madvise [madvise] never\n");
	run(check_huge_pages);
	says("thp note never");
	says("echo inherit > /" THP "hugepages-2048kB/enabled");
	plant(THP "hugepages-2048kB/enabled", "always inherit [madvise] never\n");
	run(check_huge_pages);
	says("thp ok madvise");
	says("defrag ok madvise");
	assert_int_equal(c.report.problems, 0);
}

/* By prctl(2), for this process alone. */
static void test_thp_switched_off(void **state)
{
	(void)state;
	plant(THP "enabled", "[always] madvise never\n");
	plant(THP "defrag", "always defer defer+madvise madvise [never]\n");
	run(check_huge_pages);
	says("thp ok always");
	says("defrag note never: a chunk gets a huge page only when one is free");
	assert_int_equal(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
	run(check_huge_pages);
	assert_int_equal(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0), 0);
	says("thp note switched off for this process and those that it starts: all works, but");
	says("start programs without it (prctl PR_SET_THP_DISABLE)");
	unplant(THP "enabled");
	assert_int_equal(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
	run(check_huge_pages);
	assert_int_equal(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0), 0);
	says("thp note the kernel has no transparent huge pages"); /* which nobody needs to switch off */
	/* A file in which no word is chosen. */
	plant(THP "enabled", "always madvise never\n");
	run(check_huge_pages);
	says("thp note never");
	says("echo madvise > /" THP "enabled");
}

/* Folios that come where no huge page is free. */
static void look_at_sizes(void)
{
	begin();
	c.probe.mthp_sizes = 64 * KiB | 128 * KiB | 2 * MiB;
	check_huge_pages(&c);
	end();
}

static void test_mthp(void **state)
{
	(void)state;
	plant(THP "hpage_pmd_size", "2097152\n");
	plant(THP "enabled", "always [madvise] never\n");
	plant(THP "hugepages-64kB/enabled", "always inherit madvise [never]\n");
	plant(THP "hugepages-2048kB/enabled", "always [inherit] madvise never\n");
	look_at_sizes();
	says("mthp ok 64K 128K 2M");
	says("sparena does without the small ones");
	plant(THP "hugepages-64kB/enabled", "always inherit [madvise] never\n");
	plant(THP "hugepages-128kB/enabled", "always [inherit] madvise never\n");
	look_at_sizes();
	says("mthp note 64K 128K 2M");
	says("is made of 64K 128K, and");
	says("echo never > /" THP "hugepages-64kB/enabled; echo never > /" THP "hugepages-128kB/enabled");
	/* Without huge pages there are small ones alone. */
	plant(THP "hugepages-2048kB/enabled", "always inherit madvise [never]\n");
	look_at_sizes();
	says("mthp ok 64K 128K 2M");
	assert_int_equal(c.report.problems, 0);
}

static void test_pools(void **state)
{
	(void)state;
	plant(POOL "nr_hugepages", "0\n");
	run(check_huge_pages);
	says("hugetlb 2M ok no pool");
	says("echo 64 > /" POOL "nr_hugepages");
	plant(POOL "nr_overcommit_hugepages", "7\n");
	run(check_huge_pages);
	says("hugetlb 2M ok 0 pages (0 B), 0 free, up to 7 in surplus allowed");
	plant(POOL "nr_hugepages", "64\n");
	plant(POOL "free_hugepages", "60\n");
	plant(POOL "resv_hugepages", "20\n");
	plant(POOL "surplus_hugepages", "4\n");
	run(check_huge_pages);
	says("hugetlb 2M note 64 pages (128 MiB), 60 free, 20 of them reserved, 4 in surplus, up to 7");
	says("80 MiB of memory wait for programs");
	says("echo 20 > /" POOL "nr_hugepages"); /* 64 without 4 in surplus and 40 idle ones */
	plant(POOL "free_hugepages", "20\n");
	run(check_huge_pages);
	says("hugetlb 2M ok 64 pages");
	says("is all in other programs' use");
	plant(POOL "nr_hugepages", "1\n");
	plant(POOL "free_hugepages", "1\n");
	plant(POOL "resv_hugepages", "0\n");
	run(check_huge_pages);
	says("hugetlb 2M note 1 page (2 MiB), 1 free");
	says("echo 0 > /" POOL "nr_hugepages"); /* not less, though 4 are said to be in surplus */
}

static void test_memory(void **state)
{
	(void)state;
	begin();
	check_memory(&c);
	end();
	says("memory ok 8 GiB, 6 GiB of it available");
	says("overcommit ok 0");
	says("swap ok none");
	plant("proc/swaps",
	      "Filename Type Size Used Priority\n/dev/sda2 partition 1048576 0 -2\n"
	      "/dev/zram0 partition 1048576 0 100\n/a file 4 0 0\n/b file 4 0 0\n/c file 4 0 0\n");
	plant("sys/module/zswap/parameters/enabled", "Y\n");
	plant("proc/meminfo", "CommitLimit: 4194304 kB\nCommitted_AS: 1048576 kB\n");
	begin();
	c.probe.overcommit = 2;
	c.probe.swap_total = 2 * GiB;
	c.probe.swap_free = GiB;
	check_memory(&c);
	end();
	says("overcommit note 2 (strict), 3 GiB left of 4 GiB");
	says("swap note 2 GiB, 1 GiB of it free: /dev/sda2 (partition, 1 GiB), /dev/zram0 (zram, 1 GiB), "
	     "/a (file, 4 KiB), /b (file, 4 KiB) and 1 more:");
	says("zram note /dev/zram0: is compressed memory");
	says("swapoff /dev/zram0");
	says("zswap ok on");
	begin();
	c.probe.overcommit = 2;
	c.probe.memory_available = GiB;
	check_memory(&c);
	end();
	says("overcommit ok 2 (strict), 3 GiB left");
	begin();
	c.probe.overcommit = 1;
	check_memory(&c);
	end();
	says("overcommit note 1 (always)");
	begin();
	c.probe.overcommit = -1;
	c.probe.memory_total = 0;
	check_memory(&c);
	end();
	says("overcommit note unknown");
	says("memory note unknown");
}

/* More promised than there is to promise, and files that are not there. */
static void test_memory_strange(void **state)
{
	(void)state;
	begin();
	c.probe.overcommit = 2;
	check_memory(&c);
	end();
	says("overcommit ok 2 (strict): what is opened counts against CommitLimit");
	plant("proc/meminfo", "CommitLimit: 1048576 kB\nCommitted_AS: 4194304 kB\n");
	plant("proc/swaps", "Filename Type Size Used Priority\n/a file 4 0 0\n");
	plant("sys/module/zswap/parameters/enabled", "N\n");
	begin();
	c.probe.overcommit = 2;
	c.probe.swap_total = c.probe.swap_free = 4096;
	check_memory(&c);
	end();
	says("overcommit note 2 (strict), 0 B left of 1 GiB: malloc returns NULL when that is used up");
	says("swap note 4 KiB, 4 KiB of it free: /a (file, 4 KiB):");
	says_not("more");
	says_not("zram");
	says_not("zswap");
}

/* ---- machines of which little is known, or too much ------------------------------------ */

static void test_unknown(void **state)
{
	(void)state;
	begin();
	c.probe.memory_total = c.probe.memory_available = 0;
	c.options_given = c.options_valid = true;
	c.conf.guard = CONF_GUARD_OFF;
	check_room(&c);
	check_options(&c);
	end();
	says_not("machine ok");
	says_not("binds");
	says("options ok valid: without a limit the machine or its cgroup is the limit, where the kernel "
	     "kills");
	begin();
	c.probe.memory_total = c.probe.memory_available = 0;
	c.options_given = c.options_valid = true;
	c.conf.limit = 9 * TiB; /* nobody knows better */
	check_options(&c);
	end();
	says("options ok limit:9T: is available");
	/* What memory and swap add up to has no number. */
	begin();
	c.probe.swap_total = c.probe.swap_free = SIZE_MAX - GiB;
	c.options_given = c.options_valid = true;
	c.conf.limit = 7 * GiB;
	check_room(&c);
	check_options(&c);
	end();
	says("machine ok 6 GiB of 8 GiB");
	says("options note limit:7G: is more than the memory that is available now");
	/* A reservation that can be made. */
	begin();
	c.options_given = c.options_valid = true;
	c.conf.reserve = GiB;
	c.reservation = GiB;
	check_options(&c);
	end();
	says("options ok valid: without a limit the machine or its cgroup is the limit, and the guard "
	     "refuses");
	assert_int_equal(c.report.problems, 0);
}

/* More swap than there are numbers for; and two levels that cannot be read, of which the
 * first is told. */
static void test_cgroup_odd(void **state)
{
	(void)state;
	plant_v2("/a/b");
	plant("cg/a/memory.swap.max", "max\n");
	begin();
	c.probe.swap_total = SIZE_MAX - MiB;
	check_cgroup(&c);
	end();
	assert_int_equal(c.cgroup_box, OS_UNLIMITED);
	plant("cg/a/b/memory.current", "garbage\n");
	plant("cg/a/memory.current", "garbage\n");
	run(check_cgroup);
	says("/cg/a/b: Invalid argument: a limit may be missed");
	says_not("/cg/a: Invalid");
}

/* ---- the kernel, and the limits of the process, as they are said to be ---------------------- */

static struct {
	bool scans, shows_pagemap, may_merge;
	struct os_hard_limits hard;
	size_t reservable; /* bytes of address space at once */
} machine = {.reservable = SIZE_MAX};

bool __wrap_os_can_scan_pagemap(void);
bool __wrap_os_can_scan_pagemap(void)
{
	return machine.scans;
}

bool __wrap_os_has_pagemap(void);
bool __wrap_os_has_pagemap(void)
{
	return machine.shows_pagemap;
}

bool __wrap_os_ksm_may_merge(void);
bool __wrap_os_ksm_may_merge(void)
{
	return machine.may_merge;
}

void __wrap_os_hard_limits(struct os_hard_limits *out);
void __wrap_os_hard_limits(struct os_hard_limits *out)
{
	*out = machine.hard;
}

int __real_os_reserve(size_t size, size_t align, void **out);
int __wrap_os_reserve(size_t size, size_t align, void **out);
int __wrap_os_reserve(size_t size, size_t align, void **out)
{
	return size > machine.reservable ? -ENOMEM : __real_os_reserve(size, align, out);
}

static void test_kernel(void **state)
{
	(void)state;
	machine.scans = true;
	machine.may_merge = false;
	begin();
	strcpy(c.probe.kernel, "6.1.2-test");
	c.probe.populate = c.probe.dontneed_locked = true;
	check_kernel(&c);
	end();
	says("release ok 6.1.2-test");
	says("populate ok MADV_POPULATE_WRITE works");
	says("locked ok MADV_DONTNEED_LOCKED works");
	says("pagemap ok PAGEMAP_SCAN works");
	says("ksm ok off");
	says("sparena can keep its promise here");
	machine.scans = false;
	machine.shows_pagemap = true;
	run(check_kernel);
	says("populate problem the kernel has no MADV_POPULATE_WRITE: pages are touched instead");
	says("boot Linux 5.14 or later");
	says("locked note the kernel has no MADV_DONTNEED_LOCKED");
	says("pagemap note the kernel has no PAGEMAP_SCAN");
	says("see the 1 problem above");
	machine.shows_pagemap = false;
	run(check_kernel);
	says("pagemap note /proc/self/pagemap cannot be read");
}

static void test_ksm(void **state)
{
	(void)state;
	machine.may_merge = true;
	run(check_kernel);
	says("ksm note off, but this process has asked for it");
	plant("sys/kernel/mm/ksm/run", "1\n");
	run(check_kernel);
	says("ksm problem merges the pages of this process and those that it starts");
	says("echo 2 > /sys/kernel/mm/ksm/run");
	says("see the 2 problems above"); /* the other one is that nothing can be populated */
	machine.may_merge = false;
	run(check_kernel);
	says("ksm ok on: merges pages only where a program asks for it");
}

/* Soft limits as given, hard ones as they are in `machine`. */
static void run_limits(size_t soft_as, size_t soft_data, size_t map_count)
{
	begin();
	c.probe.page_size = os_page_size();
	c.probe.limit_as = soft_as;
	c.probe.limit_data = soft_data;
	c.probe.limit_memlock = 64 * KiB;
	c.probe.max_map_count = map_count;
	check_limits(&c);
	end();
}

static void test_limits(void **state)
{
	(void)state;
	machine.hard = (struct os_hard_limits){OS_UNLIMITED, OS_UNLIMITED, OS_UNLIMITED};
	machine.reservable = SIZE_MAX;
	run_limits(OS_UNLIMITED, OS_UNLIMITED, 0);
	says("RLIMIT_AS ok unlimited");
	says("RLIMIT_DATA ok unlimited");
	says("RLIMIT_MEMLOCK ok 64 KiB");
	if (!SANITIZED) /* where the rest of the address space may be in pieces */
		says("reservation ok 1 TiB: of address space can be reserved, or more");
	says_not("max_map_count");
	says_not("to change it");
	assert_true(c.raise_as[0] == '\0' && c.raise_data[0] == '\0');
	machine.hard.data = 2 * GiB;
	machine.reservable = 3 * GiB;
	run_limits(4 * GiB, GiB, 65530);
	says("RLIMIT_AS note 4 GiB");
	says("RLIMIT_DATA note 1 GiB");
	assert_string_equal(c.raise_as, "ulimit -v unlimited");
	assert_string_equal(c.raise_data, "sudo prlimit --pid $$ --data=unlimited");
	says("max_map_count ok 65530");
	says("reservation note 2 GiB: is the most address space that can be reserved, and bounds the heap "
	     "to change it: ulimit -v unlimited");
	assert_int_equal(c.reservation, 2 * GiB);
	machine.reservable = 3 * MiB;
	run_limits(OS_UNLIMITED, OS_UNLIMITED, 65529);
	says("max_map_count note 65529: mappings that a process may have are fewer than usual");
	says("sysctl vm.max_map_count=65530");
	says("reservation problem 2 MiB: is the most address space that can be reserved, less than start-up "
	     "needs");
	machine.reservable = 0;
	run_limits(OS_UNLIMITED, OS_UNLIMITED, 65530);
	says("reservation problem 0 B");
	assert_int_equal(c.reservation, 0);
	machine.reservable = SIZE_MAX;
}

static int remove_all(void **state)
{
	free(text);
	return plant_remove(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_cgroup_ancestor, plant_clear),
		cmocka_unit_test_setup(test_cgroup_own, plant_clear),
		cmocka_unit_test_setup(test_cgroup_with_limit_given, plant_clear),
		cmocka_unit_test_setup(test_limit_and_machine, plant_clear),
		cmocka_unit_test_setup(test_room, plant_clear),
		cmocka_unit_test_setup(test_helper, plant_clear),
		cmocka_unit_test_setup(test_cgroup_strange, plant_clear),
		cmocka_unit_test_setup(test_cgroup_not_seen, plant_clear),
		cmocka_unit_test_setup(test_thp, plant_clear),
		cmocka_unit_test_setup(test_mthp, plant_clear),
		cmocka_unit_test_setup(test_pools, plant_clear),
		cmocka_unit_test_setup(test_memory, plant_clear),
		cmocka_unit_test_setup(test_memory_strange, plant_clear),
		cmocka_unit_test_setup(test_unknown, plant_clear),
		cmocka_unit_test_setup(test_cgroup_odd, plant_clear),
		cmocka_unit_test_setup(test_thp_switched_off, plant_clear),
		cmocka_unit_test_setup(test_kernel, plant_clear),
		cmocka_unit_test_setup(test_ksm, plant_clear),
		cmocka_unit_test_setup(test_limits, plant_clear),
	};

	return cmocka_run_group_tests(tests, plant_make, remove_all);
}
