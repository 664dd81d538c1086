/* SPDX-License-Identifier: BSD-2-Clause */
/* The guard, on planted /proc and cgroups whose counters are what the test says. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "region/region.h"

#include "../support/plant.h"
#include "../support/sanitized.h"

#define OWN "sys/fs/cgroup/a/b/"
#define PARENT "sys/fs/cgroup/a/"

static struct guard g;

/* Time passes when a test says so. */
static uint64_t clock_ms = 5000;
uint64_t __wrap_os_clock_ms(void);
uint64_t __wrap_os_clock_ms(void) { return clock_ms; }

static void number(const char *path, size_t value)
{
	char text[32];
	snprintf(text, sizeof text, "%zu\n", value);
	plant(path, text);
}

static void machine(size_t total, size_t available)
{
	char text[256];
	snprintf(text, sizeof text,
	         "MemTotal: %zu kB\nMemFree: 1 kB\nMemAvailable: %zu kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
	         total >> 10, available >> 10);
	plant("proc/meminfo", text);
}

static void level(const char *max, size_t current)
{
	plant(OWN "memory.max", max);
	number(OWN "memory.current", current);
}

/* A process in /a/b, of version 2, without limits on a large machine. */
static int set_up(void **state)
{
	plant_clear(state);
	plant("proc/self/cgroup", "0::/a/b\n");
	plant("proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
	plant("sys/fs/cgroup/cgroup.procs", "");
	plant(PARENT "cgroup.procs", "");
	plant(PARENT "memory.max", "max\n");
	plant(PARENT "memory.current", "0\n");
	plant(OWN "cgroup.procs", "");
	level("max\n", 0);
	plant(OWN "memory.high", "max\n");
	plant(OWN "memory.stat", "anon 1\n");
	machine(64 * GiB, 60 * GiB);
	g = (struct guard)GUARD_INITIALIZER(plant_root);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	guard_close(&g);
	return 0;
}

/* Nothing that was allowed before counts any more. */
static void forget(struct guard *guard) { guard->until = 0; }

static size_t ask_of(struct guard *guard, size_t bytes, size_t unit, size_t held)
{
	struct guard_request q = { .bytes = bytes, .unit = unit, .held = held };
	errno = 7;
	size_t granted = guard_ask(guard, &q);
	assert_int_equal(errno, 7);
	assert_true(granted <= bytes && granted % unit == 0);
	return granted;
}

/* Whether there is room for so many bytes, in small steps. */
static bool has_room(size_t bytes)
{
	forget(&g);
	size_t granted = ask_of(&g, bytes, 4096, 0);
	if (granted)
		guard_done(&g, granted);
	return granted > 0;
}

/* The room is this, to the page. */
static void assert_room(size_t bytes)
{
	assert_true(!bytes || has_room(bytes));
	assert_false(has_room(bytes + 4096));
	assert_int_equal(guard_lack(&g), 4096);
}

/* ---- on what ------------------------------------------------------------------- */

#define STACK_SIZE (64 * KiB)
#define PAINT 0xA5

/* What malloc leaves of the least stack that a thread can have (16 KiB with its own data).
 * Not optimised, functions take more. */
#ifdef __OPTIMIZE__
#define STACK_LEFT 512
#else
#define STACK_LEFT (16 * KiB)
#endif

static char *asker;

static void *ask_in_thread(void *arg)
{
	char here;
	asker = &here;
	(void)ask_of(&g, MiB, 4096, 0);
	return arg;
}

static void little_stack_will_do(void **state)
{
	pthread_t thread;
	pthread_attr_t attr;
	(void)state;
	if (SANITIZED) {
		print_message("skipped: a sanitizer's threads need larger stacks\n");
		skip();
	}
	level("134217728\n", 64 * MiB);
	plant("proc/meminfo", "MemTotal: 4194304 kB\nMemAvailable: 4000000 kB\nSwapTotal: 8 kB\nSwapFree: 8 kB\n");
	plant("proc/swaps", "Filename Type Size Used Priority\n/dev/zram0 partition 8 0 -2\n");
	unsigned char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(stack != MAP_FAILED);
	memset(stack, PAINT, STACK_SIZE);
	assert_int_equal(pthread_attr_init(&attr), 0);
	assert_int_equal(pthread_attr_setstack(&attr, stack, STACK_SIZE), 0);
	assert_int_equal(pthread_create(&thread, &attr, ask_in_thread, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	pthread_attr_destroy(&attr);
	size_t untouched = 0;
	while (stack[untouched] == PAINT)
		untouched++;
	size_t used = (size_t)((unsigned char *)asker - stack) - untouched;
	print_message("%zu bytes of stack\n", used);
	assert_true(used < STACK_LEFT);
	munmap(stack, STACK_SIZE);
}

/* ---- what there is ------------------------------------------------------------ */

static void ample_room_is_granted_at_once(void **state)
{
	(void)state;
	assert_int_equal(ask_of(&g, 32 * MiB, 2 * MiB, 0), 32 * MiB);
	assert_int_equal(guard_lack(&g), 0);
}

static void cgroup_binds(void **state)
{
	(void)state;
	level("134217728\n", 64 * MiB);
	assert_room(62 * MiB); /* a 64th is left to others */
	level("134217728\n", 127 * MiB);
	assert_room(0);
	level("134217728\n", 200 * MiB); /* lowered below what is in use */
	assert_false(has_room(4096));
	level("67108864\n", 0);
	assert_room(63 * MiB);
}

static void ancestor_binds(void **state)
{
	(void)state;
	level("134217728\n", 0);
	plant(PARENT "memory.max", "67108864\n");
	number(PARENT "memory.current", 32 * MiB);
	assert_room(31 * MiB);
}

static void machine_binds(void **state)
{
	(void)state;
	machine(1 * GiB, 100 * MiB);
	assert_room(84 * MiB);
}

static void file_cache_is_room(void **state)
{
	(void)state;
	size_t lag = os_cpus() * 256 * KiB; /* its counter is not exact */
	level("134217728\n", 128 * MiB);
	plant(OWN "memory.stat", "anon 1\nshmem 41943040\ninactive_file 41943040\nactive_file 20971520\n");
	assert_room(58 * MiB - lag);
}

static void high_binds_whom_it_is_to(void **state)
{
	struct guard_request q = { .bytes = 1 * MiB, .unit = 4096 };
	(void)state;
	plant(OWN "memory.high", "33554432\n");
	number(OWN "memory.current", 32 * MiB);
	assert_true(has_room(100 * MiB));
	assert_true(guard_ask(&g, &q) > 0);
	q.terms.high = true; /* what the other was allowed is not for this one */
	assert_int_equal(guard_ask(&g, &q), 0);
}

static void margin_is_left(void **state)
{
	struct guard_request q = { .bytes = 100 * MiB, .unit = 4096 };
	(void)state;
	level("134217728\n", 0);
	q.terms.margin = 28 * MiB;
	assert_true(guard_ask(&g, &q) > 0);
	g = (struct guard)GUARD_INITIALIZER(plant_root);
	q.terms.margin += 4096;
	assert_int_equal(guard_ask(&g, &q), 0);
	q.terms.metadata = true; /* half of it */
	assert_true(guard_ask(&g, &q) > 0);
}

static void swap_is_room(void **state)
{
	(void)state;
	level("134217728\n", 128 * MiB);
	plant("proc/meminfo", "MemTotal: 67108864 kB\nMemAvailable: 62914560 kB\nSwapTotal: 67108864 kB\n"
	                      "SwapFree: 65536 kB\n");
	plant(OWN "memory.swap.max", "41943040\n");
	plant(OWN "memory.swap.current", "10485760\n");
	assert_room(28 * MiB); /* 40 - 10 of 64, less the margin */
	plant(OWN "memory.swap.max", "0\n");
	assert_room(0);
}

/* A level whose limit makes no sense is as one without. */
static void nonsense_is_no_limit(void **state)
{
	(void)state;
	level("lots\n", 0);
	assert_true(has_room(1 * GiB));
	level("", 0);
	assert_true(has_room(1 * GiB));
	unplant("proc/meminfo");
	unplant("sys");
	g.scan_at = 0;
	assert_true(has_room(1 * GiB));
}

/* ---- steps ------------------------------------------------------------------------ */

/* Step by step, as it is done: all that there is, and not more. */
static void steps_shrink(void **state)
{
	size_t used = 0, step, steps = 0;
	(void)state;
	level("134217728\n", 0);
	while ((step = ask_of(&g, size_min(126 * MiB - used, 1 * GiB), 4096, used)) > 0) {
		guard_done(&g, step);
		assert_true(step <= size_max((126 * MiB - used) / 2, 64 * KiB));
		used += step;
		number(OWN "memory.current", used);
		forget(&g);
		steps++;
		if (used == 126 * MiB)
			break;
	}
	assert_int_equal(used, 126 * MiB);
	assert_in_range(steps, 10, 200);
}

/* A whole huge page is no step for a process that has next to nothing left. */
static void large_unit_needs_more_room(void **state)
{
	(void)state;
	level("134217728\n", 122 * MiB);
	assert_int_equal(ask_of(&g, 2 * MiB, 2 * MiB, 0), 0);
	assert_true(ask_of(&g, 2 * MiB, 64 * KiB, 0) > 0);
}

/* Processes that look at the same moment: all their steps together fit. */
static void many_processes_fit(void **state)
{
	static struct guard others[64];
	(void)state;
	for (unsigned n = 2; n <= 64; n *= 2)
		for (size_t left = 16 * MiB; left < 128 * MiB; left += 16 * MiB) {
			size_t held = (128 * MiB - left) / n, all = 0;
			level("134217728\n", 128 * MiB - left);
			for (unsigned i = 0; i < n; i++) {
				others[i] = (struct guard)GUARD_INITIALIZER(plant_root);
				others[i].granted = held;
				all += ask_of(&others[i], 8 * MiB, 4096, held);
			}
			for (unsigned i = 0; i < n; i++)
				guard_close(&others[i]);
			/* Those that hold nearly nothing are for the margin. */
			if (held >= 128 * MiB / (4 * size_min(os_cpus(), 16)))
				assert_true(all <= left);
		}
}

static void what_is_in_flight_is_taken(void **state)
{
	(void)state;
	level("134217728\n", 0);
	forget(&g);
	size_t first = ask_of(&g, 64 * MiB, 4096, 0);
	assert_true(first > 0);
	assert_room(126 * MiB - first);
	guard_done(&g, first);
	assert_room(126 * MiB);
}

static void allowance_lapses(void **state)
{
	(void)state;
	assert_true(ask_of(&g, 1 * MiB, 4096, 0) > 0);
	level("134217728\n", 128 * MiB);
	clock_ms += 9;
	assert_true(ask_of(&g, 1 * MiB, 4096, 0) > 0); /* allowed before */
	clock_ms += 1; /* also a limit where there was none is seen then */
	assert_int_equal(ask_of(&g, 1 * MiB, 4096, 0), 0);
}

/* ---- descriptors -------------------------------------------------------------------- */

static void limited(void)
{
	level("134217728\n", 64 * MiB);
	assert_room(62 * MiB);
}

static void closed_descriptors_are_opened_again(void **state)
{
	(void)state;
	limited();
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	errno = 0;
	level("134217728\n", 96 * MiB);
	assert_room(30 * MiB);
}

/* Others' files in their place are neither believed nor closed. */
static void replaced_descriptors_are_left_alone(void **state)
{
	int fds[16], n = 0;
	struct stat st;
	(void)state;
	limited();
	plant("lie", "max\n");
	char lie[256];
	snprintf(lie, sizeof lie, "%s/lie", plant_root);
	int other = open(lie, O_RDONLY);
	for (int fd = 3; fd < 1024 && n < 16; fd++)
		if (fd != other && fcntl(fd, F_GETFD) >= 0) {
			assert_int_equal(dup2(other, fd), fd);
			fds[n++] = fd;
		}
	assert_true(n >= 3);
	close(other);
	level("134217728\n", 96 * MiB);
	assert_room(30 * MiB);
	guard_close(&g);
	for (int i = 0; i < n; i++) {
		assert_int_equal(fstat(fds[i], &st), 0);
		close(fds[i]);
	}
}

/* As after chroot(2): nothing can be opened any more. */
static void what_is_open_goes_on(void **state)
{
	(void)state;
	limited();
	unplant("proc/self");
	g.scan_at = 0;
	level("134217728\n", 96 * MiB);
	assert_room(30 * MiB);
}

static void no_descriptor_leaks(void **state)
{
	(void)state;
	limited();
	int before = dup(0);
	close(before);
	for (int i = 0; i < 50; i++) {
		plant("proc/self/cgroup", i % 2 ? "0::/a\n" : "0::/a/b\n");
		g.scan_at = 0;
		has_room(4096);
	}
	guard_close(&g);
	int open_now = 0;
	for (int fd = before; fd < 1024; fd++)
		open_now += fcntl(fd, F_GETFD) >= 0;
	errno = 0;
	assert_int_equal(open_now, 0);
}

/* ---- what changes ---------------------------------------------------------------------- */

static void process_is_moved(void **state)
{
	(void)state;
	limited();
	plant("sys/fs/cgroup/c/cgroup.procs", "");
	plant("sys/fs/cgroup/c/memory.max", "67108864\n");
	plant("sys/fs/cgroup/c/memory.current", "0\n");
	plant("proc/self/cgroup", "0::/c\n");
	assert_room(62 * MiB);
	clock_ms += 1000; /* it looks every second */
	assert_room(63 * MiB);
	plant("proc/self/cgroup", "0::/a\n");
	clock_ms += 1000;
	assert_true(has_room(1 * GiB));
}

static void limit_is_set_and_lifted(void **state)
{
	(void)state;
	assert_true(has_room(1 * GiB));
	limited();
	level("max\n", 64 * MiB);
	assert_true(has_room(1 * GiB));
	plant(PARENT "memory.max", "33554432\n");
	assert_room(31 * MiB);
}

static void box_is_the_least_limit(void **state)
{
	(void)state;
	assert_true(guard_box(&g) == 64 * GiB);
	level("134217728\n", 64 * MiB);
	forget(&g);
	assert_int_equal(guard_box(&g), 128 * MiB);
	plant(PARENT "memory.max", "33554432\n");
	forget(&g);
	assert_int_equal(guard_box(&g), 32 * MiB);
}

static void child_begins_anew(void **state)
{
	(void)state;
	level("134217728\n", 0);
	assert_true(ask_of(&g, 32 * MiB, 4096, 0) > 0);
	guard_fork_prepare(&g);
	pid_t pid = fork();
	if (pid == 0) {
		guard_fork_child(&g);
		_exit(g.granted == 0 && g.in_flight == 0 && has_room(126 * MiB) ? 0 : 1);
	}
	guard_fork_parent(&g);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_false(has_room(126 * MiB)); /* what is in flight here still is */
}

/* ---- in a region ---------------------------------------------------------------------- */

static struct budget budget;
static struct region region;
static size_t populated;
static size_t short_after; /* so many bytes: then the cgroup is full; 0: never */

int __real_os_populate(void *addr, size_t size);
int __wrap_os_populate(void *addr, size_t size);
int __wrap_os_populate(void *addr, size_t size)
{
	if ((char *)addr >= region.base && (char *)addr < region.base + region.size)
		populated += size; /* and not the guard's stack */
	if (short_after && populated >= short_after) {
		level("134217728\n", 128 * MiB);
		forget(&g);
	}
	return __real_os_populate(addr, size);
}

static void open_region(void)
{
	struct region_config config = {
		.backing = &backing_anon, .size = 256 * MiB, .granule = SMALL_GRANULE, .budget = &budget, .guard = &g,
	};
	budget_init(&budget, SIZE_MAX);
	populated = 0;
	short_after = SIZE_MAX;
	assert_int_equal(region_init(&region, &config), 0);
}

static void assert_empty(void)
{
	size_t resident = 1;
	region_check(&region);
	assert_int_equal(budget_charged(&budget), 0);
	assert_int_equal(region_resident(&region, 0, region.size, &resident), 0);
	assert_int_equal(resident, 0);
	assert_int_equal(g.in_flight, 0);
}

static void commit_is_refused_whole(void **state)
{
	(void)state;
	open_region();
	level("134217728\n", 96 * MiB);
	assert_int_equal(region_commit(&region, 0, 64 * MiB), -ENOMEM);
	assert_int_equal(populated, 0);
	assert_int_equal(region_lack(&region), 34 * MiB);
	assert_empty();
	assert_int_equal(region_commit(&region, 0, 16 * MiB), 0);
	assert_int_equal(region_lack(&region), 0);
	region_destroy(&region);
}

static void commit_that_runs_short_is_undone(void **state)
{
	(void)state;
	open_region();
	level("134217728\n", 0);
	short_after = 20 * MiB;
	assert_int_equal(region_commit(&region, 0, 64 * MiB), -ENOMEM);
	assert_in_range(populated, 20 * MiB, 63 * MiB);
	assert_empty();
	short_after = SIZE_MAX;
	level("134217728\n", 0);
	assert_int_equal(region_commit(&region, 0, 64 * MiB), 0);
	assert_int_equal(region_committed(&region), 64 * MiB);
	size_t resident;
	assert_int_equal(region_resident(&region, 0, 64 * MiB, &resident), 0);
	assert_int_equal(resident, 64 * MiB);
	region_check(&region);
	region_destroy(&region);
}

static void limit_follows_the_box(void **state)
{
	(void)state;
	level("134217728\n", 0);
	open_region();
	budget_set_share(&budget, 500);
	assert_int_equal(region_commit(&region, 0, 60 * MiB), 0);
	assert_int_equal(budget_limit(&budget), 64 * MiB);
	assert_int_equal(region_commit(&region, 60 * MiB, 8 * MiB), -ENOMEM);
	assert_int_equal(region_lack(&region), 0); /* that was the limit */
	level("268435456\n", 0);
	forget(&g);
	size_t frees = budget_frees(&budget);
	assert_int_equal(region_commit(&region, 60 * MiB, 8 * MiB), 0);
	assert_int_equal(budget_limit(&budget), 128 * MiB);
	assert_true(budget_frees(&budget) != frees); /* who was refused may try again */
	level("max\n", 0);
	forget(&g);
	assert_int_equal(region_commit(&region, 68 * MiB, 8 * MiB), 0);
	assert_true(budget_limit(&budget) == 32 * GiB);
	level("100663296\n", 0);
	forget(&g);
	assert_int_equal(region_commit(&region, 76 * MiB, 8 * MiB), -ENOMEM);
	assert_int_equal(budget_limit(&budget), 48 * MiB);
	budget_set_limit(&budget, 80 * MiB); /* a number again */
	level("max\n", 0);
	forget(&g);
	assert_int_equal(region_commit(&region, 76 * MiB, 8 * MiB), -ENOMEM);
	assert_int_equal(budget_limit(&budget), 80 * MiB);
	region_destroy(&region);
}

/* Also where nobody is asked before something is populated. */
static void unguarded_region_knows_its_box(void **state)
{
	struct conf conf;
	struct region_config config = { .size = 256 * MiB, .granule = SMALL_GRANULE, .budget = &budget, .guard = &g };
	(void)state;
	level("134217728\n", 127 * MiB);
	conf_default(&conf);
	conf.guard = CONF_GUARD_OFF;
	region_choose(&config, &conf, 0);
	budget_init(&budget, SIZE_MAX);
	budget_set_share(&budget, 500);
	short_after = SIZE_MAX;
	assert_int_equal(region_init(&region, &config), 0);
	assert_int_equal(region_commit(&region, 0, 32 * MiB), 0);
	assert_int_equal(budget_limit(&budget), 64 * MiB);
	region_destroy(&region);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(ample_room_is_granted_at_once),
		TEST(little_stack_will_do),
		TEST(cgroup_binds),
		TEST(ancestor_binds),
		TEST(machine_binds),
		TEST(file_cache_is_room),
		TEST(high_binds_whom_it_is_to),
		TEST(margin_is_left),
		TEST(swap_is_room),
		TEST(nonsense_is_no_limit),
		TEST(steps_shrink),
		TEST(large_unit_needs_more_room),
		TEST(many_processes_fit),
		TEST(what_is_in_flight_is_taken),
		TEST(allowance_lapses),
		TEST(closed_descriptors_are_opened_again),
		TEST(replaced_descriptors_are_left_alone),
		TEST(what_is_open_goes_on),
		TEST(no_descriptor_leaks),
		TEST(process_is_moved),
		TEST(limit_is_set_and_lifted),
		TEST(box_is_the_least_limit),
		TEST(child_begins_anew),
		TEST(commit_is_refused_whole),
		TEST(commit_that_runs_short_is_undone),
		TEST(limit_follows_the_box),
		TEST(unguarded_region_knows_its_box),
	};
	return cmocka_run_group_tests(tests, plant_make, plant_remove);
}
