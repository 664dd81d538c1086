/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Usage: memcheck_victim heap|malloc MISTAKE. Makes a mistake with a block of a heap, or of
 * malloc, that memcheck is to report.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sparena/heap.h"

static struct sparena_heap *heap;

static char *take(size_t size) { return heap ? sparena_heap_malloc(heap, size) : malloc(size); }

static void give(void *p)
{
	if (heap)
		sparena_heap_free(heap, p);
	else
		free(p);
}

static void *taken_again(void *p, size_t size)
{
	return heap ? sparena_heap_realloc(heap, p, size) : realloc(p, size);
}

static void overrun(void)
{
	char *p = take(100);
	p[100] = 1;
	give(p);
}

static void underrun(void)
{
	char *p = take(100);
	p[-1] = 1;
	give(p);
}

static void used_after_free(void)
{
	char *p = take(100);
	give(p);
	p[50] = 1;
}

static void freed_twice(void)
{
	char *p = take(100);
	give(p);
	give(p);
}

static void not_set(void)
{
	volatile char *p = take(100);
	if (p[3] == 1)
		puts("one");
	give((void *)(unsigned long)p);
}

/* The first block of its slab, some others, and large ones. */
static void lost(void)
{
	for (int i = 0; i < 10; i++) {
		memset(take(100), 1, 100);
		memset(take(100000), 1, 100000);
	}
}

/* None: all of them may be used from end to end, also what grew and moved. */
static void none(void)
{
	for (size_t size = 0; size < 300000; size = size * 2 + 1) {
		char *p = take(size);
		memset(p, 1, size);
		p = taken_again(p, size + 1000);
		if (size && p[size - 1] != 1)
			abort();
		memset(p, 2, size + 1000);
		p = taken_again(p, 10);
		give(p);
		char *zeros = heap ? sparena_heap_calloc(heap, 1, size) : calloc(1, size);
		for (size_t i = 0; i < size; i++)
			if (zeros[i])
				abort();
		give(zeros);
		p = heap ? sparena_heap_aligned_alloc(heap, 4096, size) : aligned_alloc(4096, size);
		if ((unsigned long)p % 4096)
			abort();
		memset(p, 3, size);
		give(p);
	}
}

/* A heap that goes takes its blocks along: none is lost. */
static void heap_goes(void)
{
	for (int i = 0; i < 1000; i++)
		memset(take(1000), 1, 1000);
	sparena_heap_destroy(heap);
	heap = NULL;
}

static const struct {
	const char *name;
	void (*make)(void);
} mistakes[] = {
	{ "overrun", overrun }, { "underrun", underrun }, { "used_after_free", used_after_free },
	{ "freed_twice", freed_twice }, { "not_set", not_set }, { "lost", lost }, { "none", none },
	{ "heap_goes", heap_goes },
};

/* Without a block of malloc memcheck 3.19 does not look for lost ones of others. */
void *volatile kept;

int main(int argc, char **argv)
{
	kept = malloc(1);
	if (argc != 3)
		return 2;
	if (strcmp(argv[1], "heap") == 0 && sparena_heap_create("limit:64M", &heap))
		return 3;
	for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++)
		if (strcmp(mistakes[i].name, argv[2]) == 0) {
			mistakes[i].make();
			return 0;
		}
	return 2;
}
