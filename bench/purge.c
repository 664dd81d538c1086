/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * purge TOTAL: takes TOTAL bytes in blocks of 16 to 4,096 bytes, writes to them, frees
 * them all and asks the allocator to give back what it has. Prints the MiB that are
 * resident then, beyond what was resident before the first malloc.
 */
#include <dlfcn.h>
#include <malloc.h>

#include "bench.h"

static size_t take_all(char **blocks, size_t total)
{
	uint64_t state = 88172645463325252u;
	size_t count = 0;
	for (size_t taken = 0; taken < total; count++) {
		size_t size = 16 + bench_random(&state) % 4081;
		blocks[count] = malloc(size);
		if (!blocks[count])
			bench_die("malloc");
		memset(blocks[count], 1, size);
		taken += size;
	}
	return count;
}

/* Each allocator's own way of saying it; malloc_trim(3) is glibc's and sparena's. */
static void give_back(void)
{
	int (*mallctl)(const char *, void *, size_t *, void *, size_t);
	void (*collect)(_Bool);
	void (*release)(void);
	*(void **)&mallctl = dlsym(RTLD_DEFAULT, "mallctl");
	*(void **)&collect = dlsym(RTLD_DEFAULT, "mi_collect");
	*(void **)&release = dlsym(RTLD_DEFAULT, "MallocExtension_ReleaseFreeMemory");
	if (mallctl) {
		mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
		mallctl("arena.4096.purge", NULL, NULL, NULL, 0); /* MALLCTL_ARENAS_ALL */
	}
	if (collect)
		collect(true);
	if (release)
		release();
	malloc_trim(0);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	size_t total = bench_number(argv[1]), room = total / 1024 * sizeof(char *);
	char **blocks = bench_map(room);
	double before = bench_resident_mib();
	size_t count = take_all(blocks, total);
	bench_print("full", bench_resident_mib() - before);
	for (size_t i = 0; i < count; i++)
		free(blocks[i]);
	bench_print("freed", bench_resident_mib() - before);
	give_back();
	bench_print("purged", bench_resident_mib() - before);
	return 0;
}
