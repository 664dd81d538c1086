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

/* ---- planting ------------------------------------------------------------------ */

#define MOUNT_OTHERS                                                          \
	"22 27 0:21 / /proc rw,relatime - proc proc rw\n"                     \
	"23 27 0:22 / /sys rw,relatime shared:7 - sysfs sysfs rw\n"           \
	"31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n" \
	"32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
#define MOUNT_V1(root)     \
	"35 31 0:32 " root \
	" /sys/fs/cgroup/memory rw,nosuid shared:9 master:2 - cgroup cgroup rw,hugetlb,memory\n"
#define MOUNT_V2(root, point) "41 31 0:38 " root " " point " rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"

static void plant_proc(const char *cgroup, const char *mountinfo)
{
	plant("proc/self/cgroup", cgroup);
	plant("proc/self/mountinfo", mountinfo);
}

static void plant_v1(const char *directory, const char *limit, const char *usage)
{
	plant_in(directory, "cgroup.procs", "");
	plant_in(directory, "memory.limit_in_bytes", limit);
	plant_in(directory, "memory.usage_in_bytes", usage);
}

static void plant_v2(const char *directory, const char *max, const char *current)
{
	plant_in(directory, "cgroup.procs", "");
	plant_in(directory, "memory.max", max);
	plant_in(directory, "memory.current", current);
}

/* ---- asking -------------------------------------------------------------------- */

static struct os_cgroup g;

/* The search ends with `error`, without touching errno. */
static void find(int error)
{
	memset(&g, 0xff, sizeof(g));
	errno = 7;
	assert_int_equal(os_cgroup_find(plant_root, &g), error);
	assert_int_equal(errno, 7);
	if (error != 0)
		assert_string_equal(g.directory, "");
	errno = 0;
}

static void assert_at(const char *directory)
{
	assert_int_equal(strncmp(g.directory, plant_root, strlen(plant_root)), 0);
	assert_string_equal(g.directory + strlen(plant_root), directory);
}

static void find_at(const char *directory, bool exact)
{
	find(0);
	assert_at(directory);
	assert_int_equal(g.exact, exact);
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

static void goes_up_to(const char *directory)
{
	assert_true(os_cgroup_up(&g));
	assert_at(directory);
}

static void is_top(void)
{
	char before[OS_CGROUP_PATH_MAX];

	memcpy(before, g.directory, sizeof(before));
	assert_false(os_cgroup_up(&g));
	assert_string_equal(g.directory, before);
}

/* ---- where it is ----------------------------------------------------------------- */

static void test_v1(void **state)
{
	(void)state;
	plant_proc("9:name=systemd:/elsewhere\n4:hugetlb,memory:/a/b\n1:cpu,cpuacct:/c\n",
	           MOUNT_OTHERS MOUNT_V1("/"));
	plant_v1("sys/fs/cgroup/memory", V1_UNLIMITED, "900\n");
	plant_v1("sys/fs/cgroup/memory/a", "1073741824\n", "500\n");
	plant_v1("sys/fs/cgroup/memory/a/b", V1_UNLIMITED, "100\n");
	find_at("/sys/fs/cgroup/memory/a/b", true);
	assert_int_equal(g.version, OS_CGROUP_V1);
	assert_false(g.hybrid);
	assert_true(read_level(0).limit == OS_UNLIMITED);
	goes_up_to("/sys/fs/cgroup/memory/a");
	assert_int_equal(read_level(0).limit, 1024 * MIB);
	assert_int_equal(read_level(0).current, 500);
	goes_up_to("/sys/fs/cgroup/memory");
	assert_true(read_level(0).limit == OS_UNLIMITED);
	is_top();
}

static void test_v2(void **state)
{
	(void)state;
	plant_proc("0::/system.slice/a.service\n", MOUNT_OTHERS MOUNT_V2("/", "/sys/fs/cgroup"));
	/* The root of version 2 has no limit and no use, the leaf no controller. */
	plant("sys/fs/cgroup/cgroup.procs", "");
	plant("sys/fs/cgroup/memory.stat", "inactive_file 12\n");
	plant_v2("sys/fs/cgroup/system.slice", "536870912\n", "4096\n");
	plant("sys/fs/cgroup/system.slice/memory.high", "1048576\n");
	plant("sys/fs/cgroup/system.slice/a.service/cgroup.procs", "");
	plant("sys/fs/cgroup/system.slice/a.service/memory.pressure", "some avg10=0.00\n");
	find_at("/sys/fs/cgroup/system.slice/a.service", true);
	assert_int_equal(g.version, OS_CGROUP_V2);
	assert_true(read_level(-ENOENT).limit == OS_UNLIMITED);
	goes_up_to("/sys/fs/cgroup/system.slice");
	assert_int_equal(read_level(0).limit, 512 * MIB);
	assert_int_equal(read_level(0).high, MIB);
	goes_up_to("/sys/fs/cgroup");
	assert_true(read_level(0).limit == OS_UNLIMITED);
	assert_int_equal(read_level(0).current, 0);
	is_top();
}

/* Both kinds are mounted: memory is where /proc/self/cgroup has it. */
static void test_hybrid(void **state)
{
	static const char mounts[] = MOUNT_OTHERS MOUNT_V1("/") MOUNT_V2("/", "/sys/fs/cgroup/unified");
	static const char without_v1[] = MOUNT_OTHERS MOUNT_V2("/", "/sys/fs/cgroup/unified");

	(void)state;
	plant_v1("sys/fs/cgroup/memory/x", "4096\n", "1\n");
	plant("sys/fs/cgroup/unified/y/cgroup.procs", "");
	plant_v2("sys/fs/cgroup/unified/x", "8192\n", "1\n");
	plant_proc("4:memory:/x\n0::/y\n", mounts);
	find_at("/sys/fs/cgroup/memory/x", true);
	assert_true(g.hybrid && g.version == OS_CGROUP_V1);
	plant_proc("0::/y\n4:memory:/x\n", mounts);
	find_at("/sys/fs/cgroup/memory/x", true);
	plant_proc("1:cpu,cpuacct:/y\n0::/x\n", without_v1);
	find_at("/sys/fs/cgroup/unified/x", true);
	assert_true(g.hybrid && g.version == OS_CGROUP_V2);
	assert_int_equal(read_level(0).limit, 8192);
	/* A mount of another controller, with a cgroup of the same name. */
	plant("sys/fs/cgroup/cpu/x/cgroup.procs", "");
	plant_proc("4:memory:/x\n", MOUNT_V1("/") MOUNT_OTHERS);
	find_at("/sys/fs/cgroup/memory/x", true);
	/* A name that only contains the word. */
	plant("proc/self/mountinfo", mounts);
	plant("proc/self/cgroup", "4:memoryless,name=memory:/x\n0::/x\n");
	find_at("/sys/fs/cgroup/unified/x", true);
}

/* No namespace of its own: the container's mount shows a part of the host's hierarchy. */
static void test_container(void **state)
{
	(void)state;
	plant_proc("4:memory:/docker/abc/sub\n", MOUNT_OTHERS MOUNT_V1("/docker/abc"));
	plant_v1("sys/fs/cgroup/memory", "4096\n", "1\n");
	plant_v1("sys/fs/cgroup/memory/sub", V1_UNLIMITED, "1\n");
	find_at("/sys/fs/cgroup/memory/sub", true);
	goes_up_to("/sys/fs/cgroup/memory");
	is_top();
	plant("proc/self/cgroup", "4:memory:/docker/abc\n");
	find_at("/sys/fs/cgroup/memory", true);
	is_top();
	/* Where only the beginning of the name is the same, it is another. */
	plant("proc/self/cgroup", "4:memory:/docker/abcdef\n");
	find_at("/sys/fs/cgroup/memory", false);
	plant("proc/self/cgroup", "4:memory:/docker\n");
	find_at("/sys/fs/cgroup/memory", false);
}

/* The path is the host's, and the mount shows nothing of it. */
static void test_path_not_there(void **state)
{
	(void)state;
	plant_proc("0::/kubepods/pod1/c2\n", MOUNT_V2("/", "/sys/fs/cgroup"));
	plant_v2("sys/fs/cgroup", "4096\n", "1\n");
	find_at("/sys/fs/cgroup", false);
	is_top();
	plant_v2("sys/fs/cgroup/kubepods", "max\n", "1\n");
	find_at("/sys/fs/cgroup/kubepods", false);
	goes_up_to("/sys/fs/cgroup");
	is_top();
	/* A cgroup that was removed meanwhile. */
	plant("proc/self/cgroup", "0::/kubepods (deleted)\n");
	find_at("/sys/fs/cgroup", false);
}

/* With namespaces, what is above one's own is shown as "/..". */
static void test_namespace(void **state)
{
	(void)state;
	plant_proc("0::/\n", MOUNT_V2("/", "/sys/fs/cgroup"));
	plant_v2("sys/fs/cgroup", "4096\n", "1\n");
	plant_v2("sys/fs/cgroup/beside", "1\n", "1\n");
	plant_v2("sys/fs/beside", "1\n", "1\n");
	find_at("/sys/fs/cgroup", true);
	is_top();
	/* Mounted before the namespace was made: which directory in it is ours, nothing says. */
	plant("proc/self/mountinfo", MOUNT_V2("/..", "/sys/fs/cgroup"));
	find_at("/sys/fs/cgroup", false);
	plant("proc/self/mountinfo", MOUNT_V2("/../..", "/sys/fs/cgroup"));
	find_at("/sys/fs/cgroup", false);
	/* Moved out of it: never by way of the mount point's own parent. */
	plant_proc("0::/../beside\n", MOUNT_V2("/", "/sys/fs/cgroup"));
	find_at("/sys/fs/cgroup", false);
	plant("proc/self/mountinfo", MOUNT_V2("/..", "/sys/fs/cgroup"));
	find_at("/sys/fs/cgroup/beside", true);
	plant_proc("0::/../..\n", MOUNT_V2("/..", "/sys/fs/cgroup"));
	find_at("/sys/fs/cgroup", false);
	/* A name that begins with two dots is a name. */
	plant_proc("0::/..x\n", MOUNT_V2("/", "/sys/fs/cgroup"));
	plant_v2("sys/fs/cgroup/..x", "1\n", "1\n");
	find_at("/sys/fs/cgroup/..x", true);
}

/* The mount that shows most counts; one that is hidden shows nothing. */
static void test_many_mounts(void **state)
{
	static const char part_first[] = MOUNT_V2("/a", "/part") MOUNT_V2("/", "/whole");
	static const char whole_first[] =
		MOUNT_V2("/", "/whole") MOUNT_V2("/a", "/part") MOUNT_V2("/other", "/aside");

	(void)state;
	plant_proc("0::/a/b\n", part_first);
	plant_v2("part/b", "1\n", "1\n");
	plant_v2("whole/a/b", "1\n", "1\n");
	plant_v2("aside", "1\n", "1\n");
	find_at("/whole/a/b", true);
	plant("proc/self/mountinfo", whole_first);
	find_at("/whole/a/b", true);
	unplant("whole");
	find_at("/part/b", true);
	/* One's own in a part is better than an ancestor in the whole. */
	plant("whole/cgroup.procs", "");
	find_at("/part/b", true);
	unplant("part");
	find_at("/whole", false);
	unplant("whole");
	find_at("/aside", false);
	unplant("aside");
	find(-ENODEV);
	assert_int_equal(g.version, OS_CGROUP_V2);
}

static void test_escapes(void **state)
{
	(void)state;
	plant_proc(
		"4:memory:/a b\\040/\xff\"\n",
		"35 31 0:32 /a\\040b\\134040 /sys/my\\040cg\\011\\012\\134 rw - cgroup c\\040g rw,memory\n");
	plant_v1("sys/my cg\t\n\\/\xff\"", "4096\n", "1\n");
	find_at("/sys/my cg\t\n\\/\xff\"", true);
	assert_int_equal(read_level(0).limit, 4096);
}

static void test_slashes(void **state)
{
	(void)state;
	plant_proc("4:memory:/\n", "35 31 0:32 / / rw - cgroup - rw,memory\n");
	plant_v1(".", "4096\n", "1\n");
	find_at("", true);
	is_top();
	plant_proc("4:memory:/a/\n", "35 31 0:32 / / rw - cgroup - rw,memory\n");
	plant_v1("a", "4096\n", "1\n");
	find_at("/a", true);
	goes_up_to("");
	is_top();
}

/* ---- what is not as it should be --------------------------------------------------- */

static void test_none(void **state)
{
	(void)state;
	find(-ENOENT); /* no files */
	assert_int_equal(g.version, OS_CGROUP_NONE);
	plant("proc/self/cgroup", "");
	find(-ENOENT);
	plant("proc/self/cgroup", "1:cpu:/a\n2:name=memory:/b\n");
	find(-ENOENT);
	/* In a hierarchy that is mounted nowhere. */
	plant("proc/self/cgroup", "4:memory:/x\n");
	find(-ENOENT);
	assert_int_equal(g.version, OS_CGROUP_V1);
	plant("proc/self/mountinfo", MOUNT_OTHERS);
	find(-ENODEV);
	plant("proc/self/mountinfo", MOUNT_OTHERS MOUNT_V2("/", "/sys/fs/cgroup"));
	plant_v2("sys/fs/cgroup/x", "1\n", "1\n");
	find(-ENODEV);
	assert_int_equal(g.version, OS_CGROUP_V1);
	unplant("proc/self/mountinfo");
	plant("proc/self/mountinfo/file", "");
	find(-EISDIR);
}

static void test_garbage(void **state)
{
	static const char garbage[] =
		"\n - \n- -\n35\n35 31 0:32\n35 31 0:32 / - cgroup\n1 2 3 - cgroup c rw,memory\n"
		"35 31 0:32 / /x rw - cgroup c\n35 31 0:32 / /x rw - cgroup c rw,memoryx,xmemory\n";

	(void)state;
	plant_proc("\n:\n::\nmemory\n4:memory\n:memory\n", garbage);
	find(-ENOENT);
	plant("proc/self/cgroup", "\n0\n0:\n4:memory\n1::/not-zero\n4:memory:/g\n");
	find(-ENODEV);
	plant("proc/self/mountinfo", MOUNT_V1("/"));
	plant_v1("sys/fs/cgroup/memory/g", "4096\n", "1\n");
	find_at("/sys/fs/cgroup/memory/g", true);
	/* A path that does not begin with a slash leads nowhere. */
	plant("proc/self/cgroup", "4:memory:g\n");
	plant("sys/fs/cgroup/memory/cgroup.procs", "");
	find_at("/sys/fs/cgroup/memory", false);
}

/* Fills text with `count` parts of a path. */
static char *long_path(const char *part, size_t count)
{
	size_t length = strlen(part);
	char *path = malloc(count * length + 1);

	assert_non_null(path);
	for (size_t i = 0; i < count; i++)
		memcpy(path + i * length, part, length);
	path[count * length] = '\0';
	return path;
}

static void plant_with(const char *path, const char *format, const char *argument)
{
	char *text = malloc(strlen(format) + strlen(argument) + 1);

	assert_non_null(text);
	sprintf(text, format, argument);
	plant(path, text);
	free(text);
}

#define PART "/0123456789012345678901234567890123456789012345678"

/* Lines of other file systems that no buffer holds, and paths as long as can be opened. */
static void test_long(void **state)
{
	char *path = long_path(PART, 70), *longer = long_path(PART, 81),
	     *options = long_path("lowerdir=/x:", 4000);
	char directory[8192], expected[8192];

	(void)state;
	snprintf(directory, sizeof(directory), "sys/fs/cgroup%s", path);
	plant_v2(directory, "4096\n", "1\n");
	plant("sys/fs/cgroup/cgroup.procs", "");
	plant_with("proc/self/mountinfo", "30 1 0:9 / /o rw - overlay o %s\n" MOUNT_V2("/", "/sys/fs/cgroup"),
	           options);
	plant_with("proc/self/cgroup", "0::%s\n", path);
	snprintf(expected, sizeof(expected), "/sys/fs/cgroup%s", path);
	find_at(expected, true);
	assert_int_equal(read_level(0).limit, 4096);
	for (int i = 0; i < 70; i++)
		assert_true(os_cgroup_up(&g));
	assert_at("/sys/fs/cgroup");
	is_top();
	/* One that can't be named as a whole: what can be named of it. */
	plant_with("proc/self/cgroup", "0::%s\n", longer);
	find_at(expected, false);
	/* And not another, whose name is the same as far as there is room. */
	for (size_t length = 4080; length > 4040; length--) {
		snprintf(directory, sizeof(directory), "sys/fs/cgroup%s", longer);
		directory[length - strlen(plant_root) - 1] = '\0';
		plant_in(directory, "cgroup.procs", "");
	}
	find_at(expected, false);
	/* Longer than the kernel writes: as if it were not there. */
	for (size_t parts = 82; parts < 500; parts += 60) {
		free(longer);
		longer = long_path(PART, parts);
		plant_with("proc/self/cgroup", "0::%s\n", longer);
		find(-ENOENT);
	}
	free(path);
	free(longer);
	free(options);
}

/* Mount points about as long as a path can be, where no file's name fits behind them. */
static void test_long_mount(void **state)
{
	char *path = long_path("/x", 2100);

	(void)state;
	plant("proc/self/cgroup", "0::/x/y\n");
	for (size_t length = 4120; length > 4000; length--) {
		path[length] = '\0';
		plant_with("proc/self/mountinfo", "41 31 0:38 / %s rw - cgroup2 c rw\n", path);
		find(-ENODEV);
	}
	free(path);
}

/* This machine's, whatever it has. */
static void test_here(void **state)
{
	struct os_cgroup_level l;
	int r = os_cgroup_find("", &g);

	(void)state;
	print_message("this process: %s (%d)\n", g.directory, r);
	assert_true(r == 0 || r == -ENOENT || r == -ENODEV);
	if (r != 0)
		return;
	do {
		r = os_cgroup_read(&g, &l);
		assert_true(r == 0 || r == -ENOENT);
	} while (os_cgroup_up(&g));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_v1, plant_clear),
		cmocka_unit_test_setup(test_v2, plant_clear),
		cmocka_unit_test_setup(test_hybrid, plant_clear),
		cmocka_unit_test_setup(test_container, plant_clear),
		cmocka_unit_test_setup(test_path_not_there, plant_clear),
		cmocka_unit_test_setup(test_namespace, plant_clear),
		cmocka_unit_test_setup(test_many_mounts, plant_clear),
		cmocka_unit_test_setup(test_escapes, plant_clear),
		cmocka_unit_test_setup(test_slashes, plant_clear),
		cmocka_unit_test_setup(test_none, plant_clear),
		cmocka_unit_test_setup(test_garbage, plant_clear),
		cmocka_unit_test_setup(test_long, plant_clear),
		cmocka_unit_test_setup(test_long_mount, plant_clear),
		cmocka_unit_test(test_here),
	};

	return cmocka_run_group_tests(tests, plant_make, plant_remove);
}
