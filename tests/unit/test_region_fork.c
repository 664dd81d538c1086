/* SPDX-License-Identifier: BSD-2-Clause */
/* What a child of fork(2) makes of a region on shared memory: a copy, a view, nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os.h"
#include "region/region.h"

#define SIZE (64 * MiB)
#define G SMALL_GRANULE

/* ---- failures of the floor below ------------------------------------------------------ */

static long fail_at = -1; /* the call that fails */

static bool fails(void) { return fail_at >= 0 && fail_at-- == 0; }

#define FAILING(name, parameters, arguments)      \
	int __real_##name parameters;             \
	int __wrap_##name parameters;             \
	int __wrap_##name parameters              \
	{                                         \
		return fails() ? -ENOMEM : __real_##name arguments; \
	}

FAILING(os_open, (void *addr, size_t size), (addr, size))
FAILING(os_populate, (void *addr, size_t size), (addr, size))
FAILING(os_advise_huge, (void *addr, size_t size, bool huge), (addr, size, huge))
FAILING(os_read_at, (int fd, size_t offset, void *to, size_t size), (fd, offset, to, size))
FAILING(os_view, (void *addr, size_t size, int fd, size_t offset), (addr, size, fd, offset))

/* ---- a region with gaps ------------------------------------------------------------------ */

static struct budget budget;
static struct region region, *r = &region;

static const struct {
	size_t from, length;
} parts[] = {
	{ 0, 4 * MiB }, { 5 * MiB, G }, { 6 * MiB + G, 7 * MiB },
	{ 20 * MiB - G, 2 * G }, { 62 * MiB, 2 * MiB },
};
#define PARTS (sizeof parts / sizeof *parts)

static size_t committed(void)
{
	size_t bytes = 0;
	for (size_t i = 0; i < PARTS; i++)
		bytes += parts[i].length;
	return bytes;
}

static char value_at(size_t offset) { return (char)(offset / 1000 + 1); }

static void fill(void)
{
	for (size_t i = 0; i < PARTS; i++)
		for (size_t at = parts[i].from; at < parts[i].from + parts[i].length; at += 500)
			r->base[at] = value_at(at);
}

static bool is_filled(void)
{
	for (size_t i = 0; i < PARTS; i++)
		for (size_t at = parts[i].from; at < parts[i].from + parts[i].length; at += 500)
			if (r->base[at] != value_at(at))
				return false;
	return true;
}

static int setup(void **state)
{
	bool closed = *state == NULL;
	budget_init(&budget, 32 * MiB);
	struct region_config config = {
		.backing = &backing_memfd,
		.size = SIZE,
		.size_min = SIZE,
		.granule = G,
		.closed = closed,
		.piece = CHUNK_SIZE,
		.budget = &budget,
	};
	if (region_init(r, &config))
		return -1;
	for (size_t i = 0; i < PARTS; i++)
		if (region_commit(r, parts[i].from, parts[i].length))
			return -1;
	fill();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	region_destroy(r);
	return 0;
}

/* ---- children ------------------------------------------------------------------------------ */

#define NEED(ok)                                                            \
	do {                                                                \
		if (!(ok)) {                                                \
			dprintf(2, "child, line %d: not so: %s\n", __LINE__, #ok); \
			_exit(1);                                           \
		}                                                           \
	} while (0)

static void run_child(void (*act)(void))
{
	int status;
	region_fork_prepare(r);
	pid_t child = fork();
	if (child == 0) {
		act();
		_exit(0);
	}
	region_fork_parent(r);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_true(is_filled());
	region_check(r);
}

/* Whether the kernel can read there. */
static bool is_accessible(const char *at)
{
	int ends[2];
	NEED(pipe(ends) == 0);
	ssize_t n = write(ends[1], at, 1);
	close(ends[0]);
	close(ends[1]);
	return n == 1;
}

static void expect_resident(void)
{
	size_t resident;
	NEED(region_resident(r, 0, SIZE, &resident) == 0);
	NEED(resident == r->committed && budget_charged(&budget) == resident);
}

/* Gives back a granule here and there, then more, then all; recommits. */
static void use_up(void)
{
	for (size_t at = 0; at < SIZE; at += 9 * G)
		NEED(region_decommit(r, at, G) == 0);
	expect_resident();
	NEED(region_decommit(r, 3 * G, 5 * MiB + 7 * G) == 0);
	expect_resident();
	NEED(region_decommit(r, 0, SIZE) == 0);
	expect_resident();
	NEED(region_commit(r, MiB, 9 * MiB) == 0);
	for (size_t at = MiB; at < 10 * MiB; at += 4096)
		NEED(r->base[at] == 0);
	NEED(region_decommit(r, 2 * MiB, 3 * MiB + G) == 0);
	expect_resident();
	NEED(region_commit(r, 10 * MiB, 30 * MiB) == -ENOMEM); /* the limit is the same */
	region_check(r);
}

static void in_copy(void)
{
	NEED(!is_accessible(r->base)); /* nothing of the parent's is there */
	NEED(region_fork_copy(r) == 0);
	region_fork_child(r);
	NEED(is_filled() && !region_is_shared(r));
	expect_resident();
	memset(r->base, 0x55, 4 * MiB);
	use_up();
}

static void test_copy(void **state)
{
	(void)state;
	run_child(in_copy);
}

/* The process has lost the descriptor; another file is in its place. */
static void test_copy_of_lent(void **state)
{
	(void)state;
	int fd = r->backing.file.fd;
	assert_int_equal(dup2(2, fd), fd);
	assert_int_equal(backing_lend(&r->backing), 0);
	run_child(in_copy);
	backing_take_back(&r->backing);
	assert_null(r->backing.lent);
	assert_int_equal(close(fd), 0);
}

static void in_copy_of_nothing(void)
{
	NEED(region_fork_copy(r) == -EBADF);
	NEED(!is_accessible(r->base));
}

static void test_copy_without_descriptor(void **state)
{
	(void)state;
	assert_int_equal(close(r->backing.file.fd), 0);
	run_child(in_copy_of_nothing);
}

/* What the parent could not give back is charged to it, and not in the copy. */
static void in_copy_with_lingering(void)
{
	bitmap_set(r->lingering_map, 5 * MiB / G + 1, 2);
	r->lingering = 2 * G;
	NEED(budget_charge(&budget, 2 * G, 0) == 0);
	in_copy();
}

static void test_copy_with_lingering(void **state)
{
	(void)state;
	run_child(in_copy_with_lingering);
}

/* ---- each call fails -------------------------------------------------------------------------- */

static long which;
static bool viewed;

static int give_memory(void) { return viewed ? region_fork_view(r) : region_fork_copy(r); }

/* Exits with 2 when there were not so many calls. */
static void in_failure(void)
{
	fail_at = which;
	int err = give_memory();
	bool failed = fail_at < 0;
	fail_at = -1;
	if (!failed) {
		NEED(err == 0 && is_filled());
		_exit(2);
	}
	NEED(err == -ENOMEM);
	for (size_t at = 0; at < SIZE; at += MiB)
		NEED(!is_accessible(r->base + at));
}

static void fail_each(void)
{
	int status = 0;
	for (which = 0; WEXITSTATUS(status) != 2; which++) {
		assert_true(which < 1000);
		region_fork_prepare(r);
		pid_t child = fork();
		if (child == 0) {
			in_failure();
			_exit(0);
		}
		region_fork_parent(r);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 1);
		assert_true(is_filled());
	}
	printf("%ld calls failed, each once\n", which - 1);
	assert_true(which > 3);
}

static void test_failures(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		viewed = i;
		fail_each();
	}
}

/* ---- a view, and nothing ------------------------------------------------------------------------- */

static int tell[2], hear[2];

static void in_view(void)
{
	char byte;
	NEED(region_fork_view(r) == 0);
	region_fork_child(r);
	NEED(is_filled() && !region_is_shared(r));
	r->base[0] = 99;
	NEED(write(tell[1], "", 1) == 1 && read(hear[0], &byte, 1) == 1);
	NEED(r->base[0] == 99);       /* written first by us */
	NEED(r->base[3 * MiB] == 77); /* by the parent */
	NEED(region_decommit(r, 3 * MiB, G) == 0 && region_commit(r, 3 * MiB, G) == 0);
	NEED(r->base[3 * MiB] == 0);
	NEED(region_commit(r, 40 * MiB, MiB) == 0);
	for (size_t at = 40 * MiB; at < 41 * MiB; at += 4096)
		NEED(r->base[at]++ == 0);
	region_check(r);
}

static void test_view(void **state)
{
	(void)state;
	int status;
	char byte;
	size_t resident;
	assert_true(pipe(tell) == 0 && pipe(hear) == 0);
	region_fork_prepare(r);
	pid_t child = fork();
	if (child == 0) {
		in_view();
		_exit(0);
	}
	region_fork_parent(r);
	assert_int_equal(read(tell[0], &byte, 1), 1);
	r->base[3 * MiB] = 77;
	r->base[0] = 1;
	assert_int_equal(write(hear[1], "", 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	fill();
	assert_int_equal(region_resident(r, 0, SIZE, &resident), 0);
	assert_int_equal(resident, committed());
	for (int i = 0; i < 2; i++) {
		close(tell[i]);
		close(hear[i]);
	}
}

static void in_nothing(void)
{
	region_fork_forget(r);
	region_fork_child(r);
	NEED(!region_is_shared(r) && r->backing.path == NULL);
	for (size_t at = 0; at < SIZE; at += MiB)
		NEED(!is_accessible(r->base + at));
	region_destroy(r);
}

static void test_nothing(void **state)
{
	(void)state;
	run_child(in_nothing);
}

/* ---- what the kernel was told of it --------------------------------------------------------------- */

/* Whether the mapping at this place has a flag, proc(5) smaps. */
static bool has_flag(const char *at, const char *flag)
{
	char line[512];
	unsigned long from, to;
	bool here = false, has = false;
	FILE *f = fopen("/proc/self/smaps", "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = (uintptr_t)at >= from && (uintptr_t)at < to;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			has = strstr(line, flag) != NULL;
	}
	fclose(f);
	return has;
}

/* Nothing of it is in a child, and in a core dump only what was opened: the kernel would
 * populate all that it dumps. */
static void test_flags(void **state)
{
	bool closed = *state == NULL;
	for (size_t at = 0; at < SIZE; at += MiB)
		assert_true(has_flag(r->base + at, " dc"));
	assert_true(has_flag(r->base + 30 * MiB, " dd"));
	assert_int_equal(has_flag(r->base, " dd"), !closed);
	assert_int_equal(has_flag(r->base + 62 * MiB, " dd"), !closed);
}

int main(void)
{
	static bool open;
#define BOTH(test)                                                       \
	cmocka_unit_test_prestate_setup_teardown(test, setup, teardown, NULL), \
	cmocka_unit_test_prestate_setup_teardown(test, setup, teardown, &open)
	const struct CMUnitTest tests[] = {
		BOTH(test_copy),
		BOTH(test_copy_of_lent),
		BOTH(test_copy_without_descriptor),
		BOTH(test_copy_with_lingering),
		BOTH(test_failures),
		BOTH(test_view),
		BOTH(test_nothing),
		BOTH(test_flags),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
