/* SPDX-License-Identifier: BSD-2-Clause */
/* Heaps with a thread in the background: what it does while nobody calls them. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sparena/heap.h"
#include "sparena/sparena.h"

#include "../support/heap_stats.h"
#include "../support/sanitized.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define BLOCKS 512
#define BLOCK (128 * KIB)

static void *block[BLOCKS];

static struct sparena_heap *create(const char *options)
{
	struct sparena_heap *h;
	if (sparena_heap_create(options, &h))
		fail_msg("sparena_heap_create(\"%s\"): %s", options, sparena_last_error());
	return h;
}

static void take_all(struct sparena_heap *h)
{
	for (int i = 0; i < BLOCKS; i++) {
		block[i] = sparena_heap_malloc(h, BLOCK);
		assert_non_null(block[i]);
		memset(block[i], 1, BLOCK);
	}
}

static void free_all(struct sparena_heap *h)
{
	for (int i = 0; i < BLOCKS; i++)
		sparena_heap_free(h, block[i]);
}

/* The heap is not used meanwhile: the statistics free nothing. */
static bool comes_down_to(struct sparena_heap *h, size_t committed, unsigned seconds)
{
	for (unsigned i = 0; i < seconds * 100 && stats_of(h).committed > committed; i++)
		usleep(10000);
	return stats_of(h).committed <= committed;
}

/* At a quiet moment, which is soon. */
static void check_books(struct sparena_heap *h)
{
	struct sparena_stats s = stats_of(h);
	for (int i = 0; i < 500 && s.committed + s.metadata != s.resident; i++) {
		usleep(10000);
		s = stats_of(h);
	}
	assert_int_equal(s.committed + s.metadata, s.resident);
}

static unsigned threads(void)
{
	unsigned n = 0;
	DIR *d = opendir("/proc/self/task");
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* A thread that was joined is listed for a moment still. */
static bool comes_to_threads(unsigned n)
{
	for (int i = 0; i < 500 && threads() != n; i++)
		usleep(10000);
	return threads() == n;
}

static void idle_heap_gives_back(void **state)
{
	(void)state;
	struct sparena_heap *with = create("background:true,decay_ms:200"), *without = create("decay_ms:200");
	take_all(with);
	free_all(with);
	assert_true(comes_down_to(with, MIB, 20));
	check_books(with);
	take_all(without);
	free_all(without);
	assert_false(comes_down_to(without, BLOCKS * BLOCK / 2, 1));
	take_all(with); /* it slept */
	free_all(with);
	assert_true(comes_down_to(with, MIB, 20));
	sparena_heap_destroy(with);
	sparena_heap_destroy(without);
}

static void idle_heap_of_shared_memory_gives_back(void **state)
{
	(void)state;
	struct sparena_heap *h = create("background:true,decay_ms:200,backing:memfd");
	take_all(h);
	free_all(h);
	assert_true(comes_down_to(h, MIB, 20));
	check_books(h);
	sparena_heap_destroy(h);
}

/* What is charged only goes back when it is freed, with a thread or without. */
static void charged_blocks_go_at_once(void **state)
{
	(void)state;
	struct sparena_heap *h = create("background:true,lazy_above:64K");
	take_all(h);
	assert_true(stats_of(h).lazy >= BLOCKS * BLOCK);
	free_all(h);
	assert_true(stats_of(h).lazy < BLOCKS * BLOCK / 4); /* but what this thread's cache has */
	sparena_heap_destroy(h);
}

static void thread_ends_with_its_heap(void **state)
{
	(void)state;
	unsigned before = threads();
	struct sparena_heap *a = create("background:true"), *b = create("background:true"), *c = create("");
	assert_int_equal(threads(), before + 2);
	sparena_heap_destroy(a);
	sparena_heap_destroy(c);
	sparena_heap_destroy(b);
	assert_true(comes_to_threads(before));
}

/* The value of that name in the status of the library's thread, of which there is one. */
static void own_status(const char *name, char value[64])
{
	char path[300], line[256];
	bool ours = false;
	DIR *d = opendir("/proc/self/task");
	assert_non_null(d);
	for (struct dirent *e; !ours && (e = readdir(d));) {
		snprintf(path, sizeof path, "/proc/self/task/%s/status", e->d_name);
		FILE *f = fopen(path, "r");
		while (f && fgets(line, sizeof line, f)) {
			ours = ours || strcmp(line, "Name:\tsparena\n") == 0;
			if (ours && strncmp(line, name, strlen(name)) == 0)
				snprintf(value, 64, "%.63s", line + strlen(name));
		}
		if (f)
			fclose(f);
	}
	closedir(d);
	assert_true(ours);
}

static void signals_are_the_programs(void **state)
{
	(void)state;
	struct sparena_heap *h = create("background:true");
	char mask[64];
	own_status("SigBlk:", mask);
	/* All but SIGKILL, SIGSTOP, and the two that are the C library's. */
	uint64_t unblockable = 1ull << 8 | 1ull << 18 | 3ull << 31;
	assert_true((strtoull(mask, NULL, 16) | unblockable) == UINT64_MAX);
	sparena_heap_destroy(h);
}

static unsigned long wakes(void)
{
	char count[64];
	own_status("voluntary_ctxt_switches:", count);
	return strtoul(count, NULL, 10);
}

/* A process that does nothing is not woken for it. */
static void it_sleeps(void **state)
{
	(void)state;
	struct sparena_heap *h = create("background:true,decay_ms:100");
	take_all(h);
	free_all(h);
	assert_true(comes_down_to(h, MIB, 20));
	sleep(1);
	unsigned long before = wakes();
	sleep(1);
	assert_int_equal(wakes(), before);
	sparena_heap_destroy(h);
}

/* How many requests of a growing heap that does something else in between had to commit. */
static unsigned requests_that_commit(const char *options)
{
	struct sparena_heap *h = create(options);
	unsigned n = 0;
	take_all(h);
	for (int i = 0; i < 64; i++) {
		uint64_t before = stats_of(h).commits;
		assert_non_null(sparena_heap_malloc(h, MIB));
		n += stats_of(h).commits != before;
		usleep(10000);
	}
	check_books(h);
	sparena_heap_destroy(h);
	return n;
}

static void commits_ahead(void **state)
{
	(void)state;
	unsigned alone = requests_that_commit("decay_ms:never");
	assert_in_range(alone, 12, 64);
	assert_in_range(requests_that_commit("background:true,decay_ms:never"), 0, alone / 2);
}

/* As many blocks as a new heap has without it, each time. */
static void nothing_is_kept_from_who_needs_it(void **state)
{
	(void)state;
	static void *p[4096];
	unsigned most = 0;
	struct sparena_heap *with = create("background:true,limit:64M,guard:off");
	struct sparena_heap *without = create("limit:64M,guard:off");
	while ((p[most] = sparena_heap_malloc(without, 100 * KIB)))
		most++;
	sparena_heap_destroy(without);
	for (int round = 0; round < 20; round++) {
		unsigned n = 0;
		while ((p[n] = sparena_heap_malloc(with, 100 * KIB)))
			n++;
		assert_int_equal(errno, ENOMEM);
		assert_true(stats_of(with).committed + stats_of(with).metadata <= 64 * MIB);
		assert_in_range(n, most * 98 / 100, most * 105 / 100); /* they lie as they come */
		while (n)
			sparena_heap_free(with, p[--n]);
	}
	check_books(with);
	sparena_heap_destroy(with);
}

static int in_child(struct sparena_heap *h)
{
	if (threads() != 2)
		return 1;
	free_all(h);
	if (!comes_down_to(h, MIB, 20))
		return 2;
	take_all(h);
	free_all(h);
	if (!comes_down_to(h, MIB, 20))
		return 3;
	sparena_heap_destroy(h);
	return comes_to_threads(1) ? 0 : 4;
}

static void child_has_one_of_its_own(void **state)
{
	int status;
	(void)state;
	if (SANITIZED) {
		print_message("skipped: under a sanitizer a child starts no thread\n");
		skip();
	}
	struct sparena_heap *h = create("background:true,decay_ms:200");
	take_all(h);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(in_child(h));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	free_all(h);
	assert_true(comes_down_to(h, MIB, 20));
	check_books(h);
	sparena_heap_destroy(h);
}

static void *churn(void *heap)
{
	unsigned seed = (unsigned)(uintptr_t)pthread_self();
	void *held[64] = { 0 };
	for (int i = 0; i < 20000; i++) {
		int at = rand_r(&seed) % 64;
		sparena_heap_free(heap, held[at]);
		held[at] = sparena_heap_malloc(heap, (size_t)rand_r(&seed) % (64 * KIB));
	}
	for (int i = 0; i < 64; i++)
		sparena_heap_free(heap, held[i]);
	return NULL;
}

/* Beside many threads that come to its limit, and forks. */
static void in_the_midst_of_it(void **state)
{
	pthread_t thread[4];
	int status;
	(void)state;
	struct sparena_heap *h = create("background:true,decay_ms:10,limit:6M,guard:off");
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, churn, h), 0);
	for (int i = 0; i < 20; i++) {
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			(void)churn(h);
			_exit(0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	check_books(h);
	sparena_heap_destroy(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle_heap_gives_back),
		cmocka_unit_test(idle_heap_of_shared_memory_gives_back),
		cmocka_unit_test(charged_blocks_go_at_once),
		cmocka_unit_test(thread_ends_with_its_heap),
		cmocka_unit_test(signals_are_the_programs),
		cmocka_unit_test(it_sleeps),
		cmocka_unit_test(commits_ahead),
		cmocka_unit_test(nothing_is_kept_from_who_needs_it),
		cmocka_unit_test(child_has_one_of_its_own),
		cmocka_unit_test(in_the_midst_of_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
