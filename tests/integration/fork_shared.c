/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libsparena.so and fork(2): heaps and regions on shared memory are not there in a child,
 * which cannot harm the parent's, whatever it does. Usage: fork_shared [NAMED-FILE].
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sparena/heap.h"
#include "sparena/region.h"
#include "sparena/sparena.h"
#include "sparena/stats.h"

#define CHECK(ok)                                                                              \
	do {                                                                                   \
		if (!(ok)) {                                                                   \
			dprintf(2, "%s:%d: pid %d: not so: %s (errno %d, %s)\n", __FILE__, __LINE__, \
			        getpid(), #ok, errno, sparena_last_error());                   \
			abort();                                                               \
		}                                                                              \
	} while (0)

enum { BLOCKS = 200, SIZE = 20000, REGION = 64 << 20, PART = 4 << 20 };

static struct sparena_heap *heap;
static struct sparena_region *region;
static char *block[BLOCKS], *part;
static char options[1000];

static bool all_sound(void)
{
	for (int i = 0; i < BLOCKS; i++)
		for (int k = 0; k < SIZE; k += 997)
			if (block[i][k] != (char)i)
				return false;
	for (int k = 0; k < PART; k += 4001)
		if (part[k] != 5)
			return false;
	return true;
}

static void books_balance(void)
{
	struct sparena_stats s;
	size_t resident;
	CHECK(sparena_stats_get(heap, &s, sizeof s) == 0);
	CHECK(s.committed + s.metadata == s.resident);
	CHECK(sparena_region_resident(region, 0, REGION, &resident) == 0);
	CHECK(resident == PART && sparena_region_committed(region) == PART);
}

static void make_both(void)
{
	CHECK(sparena_heap_create(options, &heap) == 0);
	for (int i = 0; i < BLOCKS; i++) {
		CHECK((block[i] = sparena_heap_malloc(heap, SIZE)));
		memset(block[i], i, SIZE);
	}
	CHECK(sparena_region_reserve(options, REGION, &region) == 0);
	CHECK(sparena_region_commit(region, PART, PART) == 0);
	part = (char *)sparena_region_base(region) + PART;
	memset(part, 5, PART);
}

/* What a child does, and the signal by which it ends; 0: it ends well. */
static void in_child(void (*act)(void), int signal_wanted)
{
	int status;
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		act();
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(signal_wanted ? WIFSIGNALED(status) && WTERMSIG(status) == signal_wanted : status == 0);
	CHECK(all_sound());
	books_balance();
}

static void write_to_block(void) { block[7][9] = 1; }
static void write_to_region(void) { part[9] = 1; }
static char read_byte;
static void read_block(void) { read_byte = *(volatile char *)block[0]; }
static void read_region(void) { read_byte = *(volatile char *)part; }

/* Its own malloc, and heaps of its own. */
static void use_own(void)
{
	struct sparena_heap *own;
	char *p = malloc(100000);
	CHECK(p && sparena_heap_create(options, &own) == 0);
	char *q = sparena_heap_malloc(own, 1 << 20);
	CHECK(q);
	memset(q, 1, 1 << 20);
	sparena_heap_destroy(own);
	free(p);
}

/* What a program does at its end: the parent's memory, file and name stay. */
static void clean_up(void)
{
	char *mine[40]; /* mapped where the region was, maybe */
	for (int i = 0; i < 40; i++) {
		mine[i] = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(mine[i] != MAP_FAILED);
		mine[i][0] = 1;
	}
	CHECK(sparena_region_commit(region, 0, PART) == -EINVAL);
	CHECK(sparena_region_decommit(region, PART, PART) == -EINVAL);
	sparena_region_release(region);
	sparena_heap_destroy(heap);
	for (int i = 0; i < 40; i++)
		CHECK(mine[i][0] == 1);
}

/* The descriptor is there: who wants to share may map it. */
static void share(void)
{
	char *p = mmap(NULL, REGION, PROT_READ | PROT_WRITE, MAP_SHARED, sparena_region_fd(region), 0);
	CHECK(p != MAP_FAILED && p[PART] == 5 && p[2 * PART - 1] == 5);
	p[PART + 1] = 6;
}

static void check_all(const char *backing)
{
	snprintf(options, sizeof options, "%s", backing);
	make_both();
	in_child(write_to_block, SIGSEGV);
	in_child(read_block, SIGSEGV);
	in_child(write_to_region, SIGSEGV);
	in_child(read_region, SIGSEGV);
	in_child(use_own, 0);
	in_child(clean_up, 0);
	in_child(share, 0);
	CHECK(part[1] == 6);
	for (int i = 0; i < BLOCKS; i++)
		sparena_heap_free(heap, block[i]);
	sparena_region_release(region);
	sparena_heap_destroy(heap);
}

/* A named file is not removed by a child. */
static void child_keeps_name(const char *name)
{
	struct stat st;
	int status;
	pid_t child = fork();
	if (child == 0) {
		sparena_region_release(region);
		sparena_heap_destroy(heap);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK(stat(name, &st) == 0);
}

int main(void)
{
	char directory[] = "/tmp/fork_shared.XXXXXX", named[700];
	struct stat st;
	signal(SIGSEGV, SIG_DFL);
	check_all("backing:memfd,limit:64M");
	CHECK(mkdtemp(directory));
	snprintf(named, sizeof named, "backing:file,limit:64M,path:%s", directory);
	check_all(named);

	snprintf(named, sizeof named, "%s/name", directory);
	snprintf(options, sizeof options, "backing:file,limit:64M,path:%s", named);
	CHECK(sparena_region_reserve(options, REGION, &region) == 0);
	heap = NULL;
	child_keeps_name(named);
	sparena_region_release(region);
	CHECK(stat(named, &st) == -1);
	region = NULL;
	CHECK(sparena_heap_create(options, &heap) == 0);
	child_keeps_name(named);
	sparena_heap_destroy(heap);
	CHECK(stat(named, &st) == -1 && rmdir(directory) == 0);
	return 0;
}
