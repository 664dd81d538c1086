/* SPDX-License-Identifier: BSD-2-Clause */
/* A library that allocates in its constructor and in its destructor. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "library.h"

static char *held[30];
static __thread char variable[LIBRARY_TLS];

static bool whole(void)
{
	for (size_t i = 0; i < sizeof held / sizeof *held; i++)
		for (size_t k = 0; k < 1000 * (i + 1); k++)
			if (!held[i] || held[i][k] != (char)i)
				return false;
	return true;
}

static char *thread_local_bytes(void) { return variable; }

/* As fill() of the program does, with seed 1. */
static void fill_block(unsigned char *p)
{
	for (size_t i = 0; p && i < LIBRARY_BLOCK; i++)
		p[i] = (unsigned char)(1 + i * 7 + (i >> 12));
}

struct library LIBRARY = { .whole = whole, .thread_local_bytes = thread_local_bytes };

static void at_fork(void)
{
	for (size_t size = 100; LIBRARY.handlers_on && size < 5 << 20; size *= 8) {
		char *p = calloc(1, size);
		if (!p || p[size - 1])
			abort();
		free(p);
	}
}

/* The handlers first: before an allocator that waits for its first call registers its own. */
__attribute__((constructor)) static void begin(void)
{
	if (pthread_atfork(at_fork, at_fork, at_fork))
		abort();
	for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
		held[i] = malloc(1000 * (i + 1));
		if (held[i])
			memset(held[i], (int)i, 1000 * (i + 1));
	}
	LIBRARY.block = malloc(LIBRARY_BLOCK);
	fill_block(LIBRARY.block);
}

__attribute__((destructor)) static void end(void)
{
	if (held[0] && !whole())
		abort();
	for (size_t i = 0; i < sizeof held / sizeof *held; i++)
		free(held[i]);
	free(LIBRARY.block);
	free(calloc(1, 3 << 20));
}
