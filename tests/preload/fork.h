/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of fork(2) share: blocks whose contents tell whether they were changed,
 * and children whose end is looked at. The library's own functions are found by name, so
 * that a program may be linked with it, or not and have it preloaded.
 */
#ifndef SPARENA_TESTS_FORK_H
#define SPARENA_TESTS_FORK_H

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sparena/heap.h"
#include "sparena/sparena.h"
#include "sparena/stats.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define CHECK(ok)                                                                     \
	do {                                                                          \
		if (!(ok)) {                                                          \
			dprintf(2, "%s:%d: pid %d: not so: %s (errno %d)\n", __FILE__, __LINE__, \
			        getpid(), #ok, errno);                                \
			abort();                                                      \
		}                                                                     \
	} while (0)

/* A function of sparena's, by its name. */
#define SPARENA(name) ((__typeof__(&name))find(#name))
static inline void *find(const char *name)
{
	void *f = dlsym(RTLD_DEFAULT, name);
	CHECK(f);
	return f;
}

/* Whether SPARENA_CONF has this in it. */
static inline bool has_option(const char *option)
{
	const char *conf = getenv("SPARENA_CONF");
	return conf && strstr(conf, option);
}

/* Of a child under fork:exec, what its parent writes shines through. */
static inline bool is_view(void) { return has_option("fork:exec") && !has_option("hugetlb"); }

/* ---- blocks ------------------------------------------------------------------------ */

struct block {
	uint64_t *p;
	size_t words;
	uint64_t seed;
};

/* Of the process's heap, or of one's own. */
static struct sparena_heap *in_heap;

static inline void *take(size_t size)
{
	return in_heap ? SPARENA(sparena_heap_malloc)(in_heap, size) : malloc(size);
}

static inline void give(void *p)
{
	if (in_heap)
		SPARENA(sparena_heap_free)(in_heap, p);
	else
		free(p);
}

static inline void trim(void)
{
	if (in_heap)
		CHECK(SPARENA(sparena_heap_purge)(in_heap) == 0);
	else
		malloc_trim(0);
}

static inline uint64_t word_of(const struct block *b, size_t i)
{
	return (b->seed + i) * 0x9E3779B97F4A7C15u;
}

static inline void block_write(struct block *b, uint64_t seed)
{
	b->seed = seed;
	for (size_t i = 0; i < b->words; i++)
		b->p[i] = word_of(b, i);
}

static inline bool block_is_sound(const struct block *b)
{
	for (size_t i = 0; i < b->words; i++)
		if (b->p[i] != word_of(b, i))
			return false;
	return true;
}

static inline void block_make(struct block *b, size_t size, uint64_t seed)
{
	b->words = size / sizeof(uint64_t);
	b->p = take(b->words * sizeof(uint64_t));
	CHECK(b->p);
	block_write(b, seed);
}

static inline void block_drop(struct block *b)
{
	if (!b->p)
		return;
	CHECK(block_is_sound(b));
	give(b->p);
	b->p = NULL;
}

/* 16 bytes to some 400 KiB, many of them small, and a few of 3 MiB. */
static inline size_t size_of_block(size_t i)
{
	size_t unit = (size_t)8 << i * 3 % 14;
	return i % 200 == 7 ? (size_t)3 << 20 : (2 + i % 5) * unit;
}

/* ---- children, descriptors, books ------------------------------------------------------ */

static inline int end_of(pid_t child)
{
	int status;
	CHECK(child > 0);
	CHECK(waitpid(child, &status, 0) == child);
	return status;
}

static inline void expect_good(pid_t child)
{
	int status = end_of(child);
	if (status)
		dprintf(2, "child %d: status %#x\n", (int)child, status);
	CHECK(status == 0);
}

static inline unsigned open_descriptors(void)
{
	unsigned count = 0;
	DIR *d = opendir("/proc/self/fd");
	CHECK(d);
	while (readdir(d))
		count++;
	closedir(d);
	return count;
}

/* What was charged is what is resident by the kernel's view, when nothing is in flight: where
 * other threads are at it, sooner or later. */
static inline void books_balance(void)
{
	struct sparena_stats s;
	for (int tries = 0; tries < 200; tries++) {
		CHECK(SPARENA(sparena_stats_get)(in_heap, &s, sizeof s) == 0);
		if (s.committed + s.metadata == s.resident)
			return;
		usleep(1000);
	}
	dprintf(2, "books: committed %llu, metadata %llu, resident %llu\n", (unsigned long long)s.committed,
	        (unsigned long long)s.metadata, (unsigned long long)s.resident);
	abort();
}

static inline pthread_t start(void *(*f)(void *), void *arg)
{
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, f, arg) == 0);
	return thread;
}

/* ---- cases, by name ---------------------------------------------------------------------- */

struct test_case {
	const char *name;
	void (*run)(void);
};

static inline int run_case(const struct test_case *cases, size_t count, int argc, char **argv)
{
	alarm(100); /* a hang is a failure */
	for (size_t i = 0; argc > 1 && i < count; i++) {
		if (strcmp(argv[1], cases[i].name) == 0) {
			cases[i].run();
			return 0;
		}
	}
	fprintf(stderr, "usage: %s CASE\n", argv[0]);
	return 2;
}

#endif
