/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small heap grows, has holes, which go back, and grows to the limit; each time what is
 * charged is what the kernel says is resident, also of pages that were not written before
 * memory is compacted. Whether pages are in folios is looked up by physical address, which
 * takes root. mthp.sh sets the machine up.
 * Usage: mthp [small|huge|mixed [FILE VALUE]]: of which pages the heap at the limit may be; a
 * small one is of small pages always. Of mixed ones some may lose their backing, so that
 * memory is not compacted then. VALUE is written to FILE, a setting of the machine, while
 * there are holes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/books.h"

#define PAGE ((size_t)4096)
#define GRANULE ((size_t)64 << 10)
#define BLOCK ((size_t)50000) /* no thread cache keeps such */
#define COUNT 50 /* of 2.8 MiB: from 4 MiB on there are huge pages, and none of them is wanted here */
#define PER_HOLE 10
#define MOST 20000
#define IS_PRESENT (UINT64_C(1) << 63) /* of pagemap: Documentation/admin-guide/mm/pagemap.rst */
#define PFN_MASK ((UINT64_C(1) << 55) - 1)
#define IS_HEAD (UINT64_C(1) << 15) /* of kpageflags */
#define IS_TAIL (UINT64_C(1) << 16)

static char *blocks[MOST];

static void fill(size_t i)
{
	blocks[i] = malloc(BLOCK);
	CHECK(blocks[i]);
	memset(blocks[i], 7, BLOCK);
}

/* ---- folios ------------------------------------------------------------------------ */

static uint64_t word_of(int fd, uint64_t index)
{
	uint64_t word = 0;
	CHECK(pread(fd, &word, sizeof word, (off_t)(index * sizeof word)) == sizeof word);
	return word;
}

/* Pages of the first `count` blocks that are parts of something larger. */
static size_t pages_in_folios(size_t count)
{
	int map = open("/proc/self/pagemap", O_RDONLY), kind = open("/proc/kpageflags", O_RDONLY);
	size_t found = 0, present = 0;
	CHECK(map >= 0 && kind >= 0);
	for (size_t i = 0; i < count; i++) {
		uintptr_t from = (uintptr_t)blocks[i], to = from + BLOCK;
		for (uintptr_t at = from & -PAGE; at < to; at += PAGE) {
			uint64_t entry = word_of(map, at / PAGE);
			CHECK(entry & IS_PRESENT && entry & PFN_MASK);
			found += (word_of(kind, entry & PFN_MASK) & (IS_HEAD | IS_TAIL)) != 0;
			present++;
		}
	}
	close(map);
	close(kind);
	printf("%zu of %zu pages in folios\n", found, present);
	return found;
}

/* ---- what the heap goes through ------------------------------------------------------ */

/* Time for khugepaged, which mthp.sh has made quick. */
static void let_the_kernel_look(void)
{
	usleep(150 * 1000);
	books_balance();
}

/* Runs of granules, which go back once they are old enough and somebody comes by. */
static void make_holes(void)
{
	unsigned long long before = books_balance().resident;
	for (size_t i = 0; i < COUNT; i++)
		if (i / PER_HOLE % 2) {
			free(blocks[i]);
			blocks[i] = NULL;
		}
	let_the_kernel_look();
	for (int i = 0; i < 50; i++) {
		void *volatile passing = malloc(BLOCK);
		free(passing);
		usleep(2000);
	}
	let_the_kernel_look();
	CHECK(books_balance().resident <= before - 4 * GRANULE);
}

static void fill_holes(void)
{
	for (size_t i = 0; i < COUNT; i++)
		if (!blocks[i])
			fill(i);
	let_the_kernel_look();
}

static void change(const char *file, const char *value)
{
	int fd = open(file, O_WRONLY);
	CHECK(fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value));
	close(fd);
	let_the_kernel_look();
}

static size_t fill_up(void)
{
	size_t n = COUNT;
	errno = 0;
	while (n < MOST && (blocks[n] = malloc(BLOCK)) != NULL)
		n++;
	CHECK(n < MOST && errno == ENOMEM);
	let_the_kernel_look();
	return n;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	for (size_t i = 0; i < COUNT; i++)
		fill(i);
	let_the_kernel_look();
	if (argc > 1)
		CHECK(pages_in_folios(COUNT) == 0);
	make_holes();
	if (argc > 3)
		change(argv[2], argv[3]);
	fill_holes();
	make_holes();
	fill_holes();
	size_t n = fill_up();
	if (argc > 1) {
		if (strcmp(argv[1], "mixed") != 0)
			change("/proc/sys/vm/compact_memory", "1");
		size_t found = pages_in_folios(n);
		CHECK(strcmp(argv[1], "small") != 0 || found == 0);
	}
	while (n-- > 0)
		free(blocks[n]);
	let_the_kernel_look();
	struct sparena_stats s = books_balance();
	printf("committed %llu, metadata %llu, resident %llu\n", (unsigned long long)s.committed,
	       (unsigned long long)s.metadata, (unsigned long long)s.resident);
	return 0;
}
