/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * commit LENGTH ROUNDS: microseconds of sparena_region_commit() of LENGTH bytes, and
 * of one bare MADV_POPULATE_WRITE of as many, in turns; with small pages and with huge
 * ones. Prints "PAGES WHO value", a line a round.
 */
#include "bench.h"
#include "sparena/region.h"
#include "sparena/sparena.h"

#define HUGE_SIZE (2 * BENCH_MIB)

struct pair {
	const char *pages;
	struct sparena_region *region;
	char *bare;
	size_t length;
};

static char *map_bare(size_t length, int advice)
{
	char *p = mmap(NULL, length + HUGE_SIZE, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		bench_die("mmap");
	p += -(uintptr_t)p % HUGE_SIZE;
	if (madvise(p, length, advice))
		bench_die("madvise");
	return p;
}

static double time_region(const struct pair *t)
{
	double start = bench_ns();
	if (sparena_region_commit(t->region, 0, t->length))
		bench_die("sparena_region_commit");
	double took = bench_ns() - start;
	if (sparena_region_decommit(t->region, 0, t->length))
		bench_die("sparena_region_decommit");
	return took / 1e3;
}

static double time_bare(const struct pair *t)
{
	double start = bench_ns();
	if (madvise(t->bare, t->length, MADV_POPULATE_WRITE))
		bench_die("MADV_POPULATE_WRITE");
	double took = bench_ns() - start;
	if (madvise(t->bare, t->length, MADV_DONTNEED))
		bench_die("MADV_DONTNEED");
	return took / 1e3;
}

static void report(const struct pair *t, const char *who, double value)
{
	dprintf(STDOUT_FILENO, "%zu-%s %s %.3f\n", t->length, t->pages, who, value);
}

static void measure(const struct pair *t, size_t rounds)
{
	for (size_t i = 0; i < rounds; i++) {
		bool first = i % 2;
		double bare = first ? time_bare(t) : 0, region = time_region(t);
		report(t, "region", region);
		report(t, "bare", first ? bare : time_bare(t));
	}
}

static struct pair make(const char *pages, const char *options, int advice, size_t length)
{
	struct pair t = { .pages = pages, .length = length };
	if (sparena_region_reserve(options, length, &t.region)) {
		dprintf(STDERR_FILENO, "bench: %s\n", sparena_last_error());
		_exit(1);
	}
	t.bare = map_bare(length, advice);
	return t;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	size_t length = bench_number(argv[1]), rounds = bench_number(argv[2]);
	struct pair small = make("small", "thp:never", MADV_NOHUGEPAGE, length);
	struct pair huge = make("huge", "thp:always", MADV_HUGEPAGE, length);
	bench_warm_up(length + length / 4);
	measure(&small, rounds);
	bench_warm_up(length + length / 4);
	measure(&huge, rounds);
	return 0;
}
