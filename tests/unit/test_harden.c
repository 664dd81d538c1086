/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * harden:true, on the process's heap and an explicit one: every mistake ends the program with
 * a line that says which; without one, all is as it was. Runs with SPARENA_CONF=limit:64M,harden:true.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heap/heap.h"
#include "os/os.h"
#include "sparena/heap.h"

/* Of slabs, of pages, of huge ones; those with a margin of no byte, of some, and of many. */
static const size_t sizes[] = { 0, 1, 7, 8, 24, 25, 56, 100, 1000, 4096, 14328, 14336, 40000, 3 * MiB };
#define SIZES (sizeof sizes / sizeof *sizes)

static struct heap *h; /* which one is tested */

static void *take(size_t size) { return h->checks->malloc(h, size, 1, false); }
static void give(void *p) { h->checks->free(h, p); }

static int use_process(void **state)
{
	(void)state;
	if (!h)
		heap_checked_free(heap_hardens() ? heap_checked_malloc(1, 1, false) : NULL);
	h = &heap_process;
	return h->checks ? 0 : -1;
}

static int use_explicit(void **state)
{
	(void)state;
	struct sparena_heap *made;
	if (use_process(state) || sparena_heap_create("limit:64M,harden:true", &made))
		return -1;
	h = (struct heap *)(void *)made;
	return 0;
}

static int drop(void **state)
{
	(void)state;
	if (h != &heap_process)
		sparena_heap_destroy((struct sparena_heap *)(void *)h);
	return 0;
}

/* ---- ends ------------------------------------------------------------------------- */

struct mistake {
	void (*make)(char *p, size_t argument);
	char *p;
	size_t argument;
};

static _Noreturn void end_by(const struct mistake *m, int to)
{
	static const struct rlimit none;
	setrlimit(RLIMIT_CORE, &none);
	signal(SIGABRT, SIG_DFL); /* not CMocka's */
	dup2(to, STDERR_FILENO);
	m->make(m->p, m->argument);
	_exit(0);
}

/* How a child ended that made the mistake, and what it said. */
static int status_of(const struct mistake *m, char *said, size_t capacity)
{
	int ends[2], status;
	assert_int_equal(pipe(ends), 0);
	fflush(NULL);
	pid_t child = fork();
	if (child == 0)
		end_by(m, ends[1]);
	close(ends[1]);
	ssize_t n = read(ends[0], said, capacity - 1);
	said[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void ends(void (*make)(char *p, size_t argument), char *p, size_t argument, const char *text)
{
	char said[512];
	struct mistake m = { make, p, argument };
	int status = status_of(&m, said, sizeof said);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
		fail_msg("status %x instead of SIGABRT (argument %zu); it said \"%s\"", (unsigned)status, argument, said);
	if (!strstr(said, "sparena: harden: ") || !strstr(said, text))
		fail_msg("\"%s\" does not say \"%s\"", said, text);
}

/* ---- what is written beyond the end ---------------------------------------------------- */

static void change(char *p, size_t at)
{
	p[at] ^= 1;
	give(p);
}

static void end_string(char *p, size_t at)
{
	p[at] = 0;
	give(p);
}

/* Up to the tail's last byte, but for what lies in the middle of a large margin. */
static void each_byte_is_noticed(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		char *p = take(sizes[i]);
		size_t whole = sparena_je_malloc_usable_size(p), tail = whole - 8, looked = size_min(tail, sizes[i] + 64);
		memset(p, 0x5a, sizes[i]);
		for (size_t at = sizes[i]; at < whole; at = at + 1 == looked ? tail : at + 1) {
			ends(change, p, at, "beyond its end");
			if (p[at])
				ends(end_string, p, at, "beyond its end");
		}
		give(p);
	}
}

/* A tail is one at its own place alone. */
static void copy_of_neighbour(char *p, size_t whole)
{
	char *q = take(whole - 8);
	memcpy(p + whole - 8, q + whole - 8, 8);
	give(p);
}

static void copied_tail_is_noticed(void **state)
{
	(void)state;
	char *p = take(56);
	ends(copy_of_neighbour, p, sparena_je_malloc_usable_size(p), "beyond its end");
	give(p);
}

static void resize_overrun(char *p, size_t size)
{
	p[size]++;
	h->checks->realloc(h, p, 2 * size + 1);
}

static void measure_overrun(char *p, size_t size)
{
	p[size]++;
	h->checks->size(h, p);
}

static void every_call_looks(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		char *p = take(sizes[i]);
		ends(resize_overrun, p, sizes[i], "realloc(0x");
		ends(measure_overrun, p, sizes[i], "malloc_usable_size(0x");
		give(p);
	}
}

/* ---- what is no block -------------------------------------------------------------------- */

static void free_at(char *p, size_t offset) { give(p + offset); }

static void *free_it(void *p)
{
	give(p);
	return NULL;
}

static void free_twice(char *p, size_t unused)
{
	(void)unused;
	give(p);
	give(p);
}

static void free_after_others(char *p, size_t size)
{
	char *others[20];
	for (int i = 0; i < 20; i++)
		others[i] = take(size);
	give(p);
	for (int i = 0; i < 20; i++)
		give(others[i]);
	give(p);
}

static void free_in_two_threads(char *p, size_t unused)
{
	pthread_t thread;
	(void)unused;
	pthread_create(&thread, NULL, free_it, p);
	pthread_join(thread, NULL);
	give(p);
}

static void free_when_purged(char *p, size_t unused)
{
	(void)unused;
	give(p);
	heap_purge(h);
	give(p);
}

static void free_old_place(char *p, size_t size)
{
	h->checks->realloc(h, p, size + 5 * MiB);
	give(p);
}

static void freed_blocks_are_known(void **state)
{
	static void (*const ways[])(char *p, size_t size) = {
		free_twice, free_after_others, free_in_two_threads, free_when_purged, free_old_place,
	};
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		char *p = take(sizes[i]);
		for (size_t k = 0; k < sizeof ways / sizeof *ways; k++)
			ends(ways[k], p, sizes[i], "freed already");
		give(p);
	}
}

static void other_addresses_are_none(void **state)
{
	static char global[64];
	char local[64], *reserved = h->data.base + h->data.size - MiB;
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		char *p = take(sizes[i]);
		for (size_t offset = 1; offset < sizes[i]; offset *= 2)
			ends(free_at, p, offset, "no block of this heap begins there");
		give(p);
	}
	ends(free_at, global, 16, "no block");
	ends(free_at, local, 16, "no block");
	ends(free_at, h->meta.base, 0, "no block");
	ends(free_at, reserved, 0, "no block");
	ends(free_at, NULL, 4096, "no block");
	ends(free_at, NULL, (size_t)1 << 46, "no block");
}

static void block_of_another_heap(void **state)
{
	(void)state;
	struct sparena_heap *other;
	assert_int_equal(sparena_heap_create("limit:16M,harden:true", &other), 0);
	ends(free_at, sparena_heap_malloc(other, 100), 0, "no block of this heap");
	sparena_heap_destroy(other);
}

/* ---- no mistake ----------------------------------------------------------------------- */

static void blocks_are_as_large_as_asked(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		for (size_t align = 1; align <= 2 * MiB; align *= 8) {
			char *p = h->checks->malloc(h, sizes[i], align, true);
			assert_int_equal((uintptr_t)p % align, 0);
			assert_int_equal(h->checks->size(h, p), sizes[i]);
			for (size_t at = 0; at < sizes[i]; at++)
				if (p[at])
					fail_msg("byte %zu of %zu is not zero", at, sizes[i]);
			memset(p, 0xff, sizes[i]);
			give(p);
		}
	}
}

/* Also in place, where the margin becomes the program's, or the other way. */
static void realloc_keeps_what_is_there(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++)
		for (size_t k = 0; k < SIZES; k++) {
			char *p = take(sizes[i]);
			memset(p, 0x3c, sizes[i]);
			p = h->checks->realloc(h, p, sizes[k]);
			assert_int_equal(h->checks->size(h, p), sizes[k]);
			for (size_t at = 0; at < size_min(sizes[i], sizes[k]); at++)
				assert_int_equal(p[at], 0x3c);
			memset(p, 0xff, sizes[k]);
			give(p);
		}
}

static void refused_realloc_leaves_the_block(void **state)
{
	(void)state;
	char *p = take(1000);
	assert_null(h->checks->realloc(h, p, 100 * MiB));
	assert_null(h->checks->realloc(h, p, SIZE_MAX));
	assert_int_equal(h->checks->size(h, p), 1000);
	give(p);
	assert_null(h->checks->malloc(h, SIZE_MAX - 3, 1, false));
}

static void child_frees_what_parent_took(void **state)
{
	char said[64];
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		struct mistake none = { free_at, take(sizes[i]), 0 };
		assert_int_equal(status_of(&none, said, sizeof said), 0);
		give(none.p);
	}
}

#define ON_BOTH(test)                                            \
	cmocka_unit_test_setup_teardown(test, use_process, drop), \
	cmocka_unit_test_setup_teardown(test, use_explicit, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(each_byte_is_noticed),
		ON_BOTH(copied_tail_is_noticed),
		ON_BOTH(every_call_looks),
		ON_BOTH(freed_blocks_are_known),
		ON_BOTH(other_addresses_are_none),
		ON_BOTH(block_of_another_heap),
		ON_BOTH(blocks_are_as_large_as_asked),
		ON_BOTH(realloc_keeps_what_is_there),
		ON_BOTH(refused_realloc_leaves_the_block),
		ON_BOTH(child_frees_what_parent_took),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
