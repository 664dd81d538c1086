/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * touch WHAT BLOCK TOTAL: takes TOTAL bytes in blocks of BLOCK and writes to them.
 *   first   milliseconds of malloc and of a write to each page, block by block
 *   whole   the same, with each block written from end to end
 *   faults  page faults while each page is written, after all mallocs have returned
 */
#include <sys/resource.h>

#include "bench.h"

static char *take(size_t block)
{
	char *p = malloc(block);
	if (!p)
		bench_die("malloc");
	return p;
}

static double time_first(size_t block, size_t count)
{
	double start = bench_ns();
	while (count--)
		bench_touch(take(block), block);
	return (bench_ns() - start) / 1e6;
}

static double time_whole(size_t block, size_t count)
{
	double start = bench_ns();
	while (count--)
		memset(take(block), 1, block);
	return (bench_ns() - start) / 1e6;
}

static long faults_now(void)
{
	struct rusage u;
	if (getrusage(RUSAGE_SELF, &u))
		bench_die("getrusage");
	return u.ru_minflt + u.ru_majflt;
}

/* The pointers are in memory that is resident already. */
static double count_faults(size_t block, size_t count)
{
	char **blocks = bench_map(count * sizeof *blocks);
	for (size_t i = 0; i < count; i++)
		blocks[i] = take(block);
	(void)faults_now();
	long before = faults_now();
	for (size_t i = 0; i < count; i++)
		bench_touch(blocks[i], block);
	return (double)(faults_now() - before);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	size_t block = bench_number(argv[2]), total = bench_number(argv[3]), count = total / block;
	double result;
	bench_warm_up(total + total / 2);
	if (!strcmp(argv[1], "first"))
		result = time_first(block, count);
	else if (!strcmp(argv[1], "whole"))
		result = time_whole(block, count);
	else if (!strcmp(argv[1], "faults"))
		result = count_faults(block, count);
	else
		return 2;
	bench_print_resident(argv[2], result);
	return 0;
}
