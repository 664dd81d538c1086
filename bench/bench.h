/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the measuring programs share. Each takes its sizes in bytes, measures, and
 * prints lines of "case value", of which the runner makes medians. None of this
 * calls malloc, so that a heap holds nothing but what is measured.
 */
#ifndef SPARENA_BENCH_BENCH_H
#define SPARENA_BENCH_BENCH_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BENCH_PAGE ((size_t)4096)
#define BENCH_MIB ((size_t)1 << 20)

/* The kernel's number, where the C library's headers are older. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static inline double bench_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

_Noreturn static inline void bench_die(const char *what)
{
	dprintf(STDERR_FILENO, "bench: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static inline void bench_print(const char *name, double value)
{
	dprintf(STDOUT_FILENO, "%s %.3f\n", name, value);
}

/* MiB of this process that are resident now. */
static inline double bench_resident_mib(void)
{
	char text[128];
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (n <= 0)
		bench_die("statm");
	close(fd);
	text[n] = 0;
	char *second = strchr(text, ' ');
	return (double)strtoull(second ? second : "0", NULL, 10) * BENCH_PAGE / (double)BENCH_MIB;
}

/* With what is resident beside it. */
static inline void bench_print_resident(const char *name, double value)
{
	dprintf(STDOUT_FILENO, "%s %.3f %.2f\n", name, value, bench_resident_mib());
}

static inline size_t bench_number(const char *text)
{
	char *end;
	errno = 0;
	unsigned long long v = strtoull(text, &end, 10);
	if (errno || end == text || *end) {
		dprintf(STDERR_FILENO, "bench: not a number: %s\n", text);
		_exit(2);
	}
	return (size_t)v;
}

/* Writes one byte in each page of a block, and its first one. */
static inline void bench_touch(char *p, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += BENCH_PAGE)
		((volatile char *)p)[i] = 1;
	((volatile char *)p)[bytes - 1] = 1;
}

/* Memory of the program's own, resident from the beginning. */
static inline void *bench_map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (p == MAP_FAILED)
		bench_die("mmap");
	return p;
}

static inline double bench_warm_pass(size_t bytes)
{
	double start = bench_ns();
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		bench_die("mmap");
	(void)madvise(p, bytes, MADV_HUGEPAGE); /* a kernel without them touches small pages */
	bench_touch(p, bytes);
	munmap(p, bytes);
	return bench_ns() - start;
}

/*
 * In a virtual machine, free pages may have gone back to the host; the first touch of
 * such a page is ten times as slow. This fetches as many as the run needs, just before:
 * again, until that is no longer quicker than the last time.
 */
static inline void bench_warm_up(size_t bytes)
{
	double took = bench_warm_pass(bytes), last;
	unsigned passes = 1;
	do {
		last = took;
		took = bench_warm_pass(bytes);
	} while (took < 0.7 * last && ++passes < 6);
}

/* xorshift64: the same sequence in every run. */
static inline uint64_t bench_random(uint64_t *state)
{
	uint64_t x = *state;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

#endif
