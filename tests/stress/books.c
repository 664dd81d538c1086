/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Blocks of many sizes are allocated, touched without a page fault, half of them
 * freed and refilled; after each step what is charged is what the kernel says is
 * resident, also after khugepaged has had time to look.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/books.h"

#define TOTAL ((size_t)96 << 20)

static char **blocks;
static size_t *sizes;

static void touch(char *p, size_t size)
{
	for (size_t i = 0; i < size; i += 4096)
		p[i] = 1;
	p[size - 1] = 1;
}

/* Time for khugepaged, which the caller of this program has made quick. */
static void let_the_kernel_look(void)
{
	usleep(150 * 1000);
	books_balance();
}

static void step(size_t size)
{
	size_t count = TOTAL / size;
	long faults = 0;
	for (size_t i = 0; i < count; i++) {
		sizes[i] = size - (i % 3 ? 0 : size / 3);
		blocks[i] = malloc(sizes[i]);
		CHECK(blocks[i]);
	}
	let_the_kernel_look();
	long before = minor_faults();
	for (size_t i = 0; i < count; i++)
		touch(blocks[i], sizes[i]);
	faults += minor_faults() - before;
	for (size_t i = 0; i < count; i += 2)
		free(blocks[i]);
	let_the_kernel_look();
	for (size_t i = 0; i < count; i += 2) {
		blocks[i] = malloc(sizes[i] / 2 + 1);
		CHECK(blocks[i]);
	}
	before = minor_faults();
	for (size_t i = 0; i < count; i += 2)
		touch(blocks[i], sizes[i] / 2 + 1);
	faults += minor_faults() - before;
	let_the_kernel_look();
	for (size_t i = 0; i < count; i++)
		free(blocks[i]);
	struct sparena_stats s = books_balance();
	printf("%8zu B: %ld faults, committed %llu, metadata %llu, resident %llu\n", size, faults,
	       (unsigned long long)s.committed, (unsigned long long)s.metadata, (unsigned long long)s.resident);
	CHECK(faults == 0);
}

int main(void)
{
	static const size_t all[] = { 100, 4096, 20000, 65536, 300000, 1 << 20, 5 << 20 };
	size_t most = TOTAL / all[0];
	blocks = calloc(most, sizeof *blocks);
	sizes = calloc(most, sizeof *sizes);
	CHECK(blocks && sizes);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		step(all[i]);
	return 0;
}
