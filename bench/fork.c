/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork MIB ROUNDS [bare]: takes so much in blocks of 64 KiB, writes to them, and forks ROUNDS
 * times. Prints the milliseconds until fork() returned in the parent, a line a round, as
 * "MIB value". The child ends at once. bare: instead, of populating as much private memory
 * and copying the blocks into it, which is the least that a copy can cost.
 */
#include <sys/wait.h>

#include "bench.h"

#define BLOCK ((size_t)64 << 10)
#define PIECE (8 * BLOCK)

static char **block;
static size_t blocks;

static void take_all(size_t bytes)
{
	blocks = bytes / BLOCK;
	block = malloc(blocks * sizeof *block);
	if (!block)
		bench_die("malloc");
	for (size_t i = 0; i < blocks; i++) {
		block[i] = malloc(BLOCK);
		if (!block[i])
			bench_die("malloc");
		memset(block[i], 1, BLOCK);
	}
}

static double time_fork(void)
{
	double start = bench_ns();
	pid_t child = fork();
	double took = bench_ns() - start;
	if (child < 0)
		bench_die("fork");
	if (child == 0)
		_exit(0);
	waitpid(child, NULL, 0);
	return took;
}

static double time_bare(void)
{
	size_t bytes = blocks * BLOCK;
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED || madvise(p, bytes, MADV_NOHUGEPAGE))
		bench_die("mmap");
	double start = bench_ns();
	for (size_t at = 0; at < bytes; at += BLOCK) {
		size_t piece = bytes - at < PIECE ? bytes - at : PIECE;
		if (at % PIECE == 0 && madvise(p + at, piece, MADV_POPULATE_WRITE))
			bench_die("MADV_POPULATE_WRITE");
		memcpy(p + at, block[at / BLOCK], BLOCK);
	}
	double took = bench_ns() - start;
	munmap(p, bytes);
	return took;
}

int main(int argc, char **argv)
{
	bool bare = argc == 4 && strcmp(argv[3], "bare") == 0;
	if (argc != 3 && !bare)
		return 2;
	size_t bytes = bench_number(argv[1]) * BENCH_MIB, rounds = bench_number(argv[2]);
	take_all(bytes);
	for (size_t i = 0; i < rounds; i++) {
		bench_warm_up(bytes + bytes / 8);
		bench_print(argv[1], (bare ? time_bare() : time_fork()) / 1e6);
	}
	return 0;
}
