/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program on the drop-in that does as it is told, a line at a time, and answers with a
 * line, while somebody takes its backing away under it:
 *   take MIB   blocks of 64 KiB, until so much more is held or malloc says no: MiB got
 *   check      every block has its contents, and the books balance
 *   write      new contents for every block
 *   half       the later half of them is freed
 *   free       all are, and what is free is given back: KiB of data that are still committed
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sparena/stats.h"

#define BLOCK ((size_t)64 << 10)
#define MOST_BLOCKS 16384

static unsigned char *block[MOST_BLOCKS];
static size_t blocks;
static unsigned char seed = 1;

static int (*stats_get)(struct sparena_heap *h, struct sparena_stats *s, size_t size); /* of the drop-in */

static void answer(const char *text, unsigned long long number)
{
	char line[128];
	int n = snprintf(line, sizeof line, "%s %llu\n", text, number);
	if (write(1, line, (size_t)n) != n)
		_exit(3);
}

static unsigned char value_of(size_t i) { return (unsigned char)(i * 7 + seed); }

static void take(size_t mib)
{
	size_t n = 0;
	for (; n < mib * 16 && blocks < MOST_BLOCKS; n++) {
		errno = 0;
		unsigned char *p = malloc(BLOCK);
		if (!p) {
			if (errno != ENOMEM)
				answer("errno", (unsigned)errno);
			break;
		}
		memset(p, value_of(blocks), BLOCK);
		block[blocks++] = p;
	}
	answer("got", n / 16);
}

static void check(void)
{
	struct sparena_stats s;
	for (size_t i = 0; i < blocks; i++)
		for (size_t at = 0; at < BLOCK; at += 1021)
			if (block[i][at] != value_of(i)) {
				answer("bad block", i);
				return;
			}
	stats_get(NULL, &s, sizeof s);
	uint64_t charged = s.committed + s.metadata;
	if (charged == s.resident)
		answer("ok", s.committed >> 20);
	else if (s.resident < charged)
		answer("charged too much", (charged - s.resident) >> 10);
	else
		answer("charged too little", (s.resident - charged) >> 10);
}

static void rewrite(void)
{
	seed += 3;
	for (size_t i = 0; i < blocks; i++)
		memset(block[i], value_of(i), BLOCK);
	answer("written", blocks);
}

/* The later half: numbers, and so contents, of the others stay. */
static void half(void)
{
	for (size_t end = blocks / 2; blocks > end;)
		free(block[--blocks]);
	answer("kept", blocks / 16);
}

static void free_all(void)
{
	struct sparena_stats s;
	while (blocks)
		free(block[--blocks]);
	malloc_trim(0);
	stats_get(NULL, &s, sizeof s);
	answer("left", s.committed >> 10);
}

/* Not by stdio: it would need memory itself. */
static int read_line(char *line, size_t size)
{
	size_t n = 0;
	while (n < size - 1 && read(0, line + n, 1) == 1) {
		if (line[n] == '\n') {
			line[n] = '\0';
			return 1;
		}
		n++;
	}
	return 0;
}

int main(void)
{
	char line[64];
	*(void **)&stats_get = dlsym(RTLD_DEFAULT, "sparena_stats_get");
	if (!stats_get)
		return 2;
	while (read_line(line, sizeof line)) {
		if (strncmp(line, "take ", 5) == 0)
			take((size_t)atol(line + 5));
		else if (strcmp(line, "check") == 0)
			check();
		else if (strcmp(line, "write") == 0)
			rewrite();
		else if (strcmp(line, "half") == 0)
			half();
		else if (strcmp(line, "free") == 0)
			free_all();
		else
			answer("unknown", 0);
	}
	return 0;
}
