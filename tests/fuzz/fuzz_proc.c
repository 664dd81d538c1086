/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readers of /proc, /sys and cgroups: any text in any of their files. An input is cut at zero
 * bytes into the files of a planted tree.
 */
#define _GNU_SOURCE
#include "fuzz.h"
#include "os/cgroup.h"
#include "os/machine.h"

/* What CMocka offers plant.h elsewhere. */
#define assert_true(holds) MUST(holds)
#define assert_int_equal(a, b) MUST((uintmax_t)(a) == (uintmax_t)(b))
#define PLANT_IN "/dev/shm"
#include "../support/plant.h"

static const char *const files[] = {
	"proc/self/cgroup", "proc/self/mountinfo", "sys/fs/cgroup/a/memory.max", "sys/fs/cgroup/a/memory.current",
	"sys/fs/cgroup/a/memory.stat", "sys/fs/cgroup/a/memory.high", "sys/fs/cgroup/memory.limit_in_bytes",
	"sys/fs/cgroup/memory.usage_in_bytes", "sys/fs/cgroup/memory.stat", "proc/meminfo", "proc/swaps",
	"sys/kernel/mm/transparent_hugepage/enabled", "sys/kernel/mm/transparent_hugepage/hpage_pmd_size",
	"sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
};

static void remove_tree(void) { (void)plant_remove(NULL); }

static void plant_all(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		size_t length = strnlen((const char *)data, size), gone = length + (length < size);
		char *text = strndup((const char *)data, length);
		MUST(text);
		plant(files[i], text);
		free(text);
		data += gone;
		size -= gone;
	}
}

static void read_levels(struct os_cgroup *g)
{
	do {
		struct os_cgroup_level level;
		int err = os_cgroup_read(g, &level);
		MUST(err <= 0);
		size_t room = os_cgroup_headroom(&level);
		MUST(room == OS_UNLIMITED || room <= level.limit);
		(void)os_cgroup_room(&level, true, 0);
		MUST(g->mount_length <= strlen(g->directory));
	} while (os_cgroup_up(g));
}

static void read_all(void)
{
	static struct os_cgroup g;
	struct os_thp_settings thp;
	struct os_hugetlb pools[OS_HUGETLB_MAX];
	struct os_swap swaps[4];
	static char text[4096];
	size_t limit, used;

	int err = os_cgroup_find(plant_root, &g);
	MUST(memchr(g.directory, 0, sizeof g.directory));
	if (err == 0)
		read_levels(&g);
	else
		MUST(g.directory[0] == '\0');
	os_thp_settings(plant_root, &thp);
	MUST(memchr(thp.enabled, 0, sizeof thp.enabled));
	MUST(os_hugetlb_pools(plant_root, pools) <= OS_HUGETLB_MAX);
	(void)os_swaps(plant_root, swaps, 4);
	(void)os_swap_free_in_memory(plant_root, text, sizeof text);
	(void)os_commit(plant_root, &limit, &used);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int made;
	if (!made) {
		MUST(plant_make(NULL) == 0);
		atexit(remove_tree);
		made = 1;
	}
	plant_all(data, size);
	read_all();
	return 0;
}
