/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Usage: thread_cache SIZE COUNT. Frees so many blocks of that size and prints what of them is
 * still counted as allocated, since the thread keeps it; then fills the heap with such blocks,
 * frees them, and asks for half of what it had in one piece: "kept N of SIZE, half of it 1".
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sparena/stats.h"

#define MOST 4096

static char *blocks[MOST];

static unsigned long long allocated(void)
{
	int (*get)(struct sparena_heap *, struct sparena_stats *, size_t);
	struct sparena_stats s;
	*(void **)&get = dlsym(RTLD_DEFAULT, "sparena_stats_get");
	if (!get || get(NULL, &s, sizeof s)) {
		fprintf(stderr, "no statistics: is the library loaded?\n");
		exit(2);
	}
	return s.allocated;
}

static size_t take(size_t size, size_t most)
{
	size_t count = 0;
	while (count < most && (blocks[count] = malloc(size)))
		memset(blocks[count++], 1, size);
	return count;
}

static void give(size_t count)
{
	while (count)
		free(blocks[--count]);
}

int main(int argc, char **argv)
{
	size_t size = argc > 2 ? strtoul(argv[1], NULL, 10) : 0, count = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	if (!size || count > MOST)
		return 2;
	setvbuf(stdout, NULL, _IONBF, 0);
	unsigned long long before = allocated();
	give(take(size, count));
	unsigned long long kept = allocated() - before;

	size_t filled = take(size, MOST);
	give(filled);
	char *half = malloc(filled * size / 2);
	printf("kept %llu of %zu, half of it %d\n", kept, size, half != NULL);
	free(half);
	return 0;
}
