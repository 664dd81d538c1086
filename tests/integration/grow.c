/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Takes and writes blocks until malloc returns NULL, then goes on at the edge: frees some
 * and takes until NULL again. What the tests of the guard run in boxes of memory.
 * Usage: grow BLOCK [MIB_AT_MOST [ROUNDS [FILE]]], where FILE says what the box's use is;
 * prints "null after M MiB, errno E, use U"; exits 1 when a block lost what was in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct block {
	struct block *next;
	size_t number;
};

static struct block *blocks;
static size_t count, size;

static int take(void)
{
	struct block *b = malloc(size);
	if (!b)
		return 0;
	memset(b, (int)(count & 0xff), size);
	b->next = blocks;
	b->number = count++;
	blocks = b;
	return 1;
}

static void give(void)
{
	struct block *b = blocks;
	const unsigned char *last = (const unsigned char *)b + size - 1;
	if (b->number != --count || (size > sizeof *b && *last != (count & 0xff))) {
		fprintf(stderr, "block %zu is not what it was\n", count);
		exit(1);
	}
	blocks = b->next;
	free(b);
}

/* Without stdio, which would allocate. */
static long number_in(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
		return -1;
	close(fd);
	return atol(text);
}

int main(int argc, char **argv)
{
	char line[128];
	size = argc > 1 ? strtoul(argv[1], NULL, 0) : 1 << 20;
	size_t most = (argc > 2 ? strtoul(argv[2], NULL, 0) : 4096) << 20;
	int rounds = argc > 3 ? atoi(argv[3]) : 20;
	if (size < sizeof(struct block))
		size = sizeof(struct block);
	while (count * size < most && take())
		;
	int error = errno;
	if (count * size >= most)
		error = 0;
	long use = argc > 4 ? number_in(argv[4]) : 0;
	int n = snprintf(line, sizeof line, "null after %zu MiB, errno %d, use %ld\n", count * size >> 20, error, use);
	if (write(STDOUT_FILENO, line, (size_t)n) != n)
		return 1;
	for (int i = 0; i < rounds; i++) {
		for (size_t some = (4 << 20) / size + count / 50; some && blocks; some--)
			give();
		while (count * size < most && take())
			;
	}
	while (blocks)
		give();
	return 0;
}
