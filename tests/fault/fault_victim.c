/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program on the drop-in library for test_inject.sh, which makes its system calls
 * fail. It uses none itself that the library doesn't need, and checks what must hold
 * whatever fails: contents, ENOMEM with each NULL, zeros from calloc, and, when the
 * fault is over, the books.
 *
 * Usage: fault_victim once|lasts|leaks. "lasts": whatever fails goes on failing; "leaks":
 * so does munmap(2), and nobody can give address space back.
 * Exit code 0: all is well; 3: no malloc succeeds, and each sets ENOMEM.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sparena/stats.h"

#define KiB ((size_t)1 << 10)
#define MiB ((size_t)1 << 20)
#define NO_HEAP 3

/* No stdio: it would allocate. */
#define MUST(condition)                                                             \
	do {                                                                        \
		if (!(condition)) {                                                 \
			dprintf(2, "fault_victim: line %d: not so: %s\n", __LINE__, #condition); \
			_exit(1);                                                   \
		}                                                                   \
	} while (0)

static bool lasts, leaks;

/* Before any library's start-up: what was called until here is the loader's. */
static void mark_start(void)
{
	static const char mark[] = "fault_victim: start\n";
	ssize_t n = write(2, mark, sizeof mark - 1);
	(void)n;
}

__attribute__((section(".preinit_array"), used)) static void (*const at_start)(void) = mark_start;

/* ---- blocks ------------------------------------------------------------------- */

struct block {
	char *p;
	size_t size;
	char value;
};

/* A failure that is over when it is seen must not outlast the next try. */
static void *get(size_t size)
{
	errno = 0;
	void *p = malloc(size);
	if (p)
		return p;
	MUST(errno == ENOMEM);
	p = malloc(size);
	MUST(p || lasts);
	return p;
}

static void fill(struct block *b)
{
	for (size_t i = 0; i < b->size; i += 512)
		b->p[i] = b->value;
	b->p[b->size - 1] = b->value;
}

static void check_first(const struct block *b, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 512)
		MUST(b->p[i] == b->value);
}

static void check(const struct block *b)
{
	check_first(b, b->size);
	MUST(b->p[b->size - 1] == b->value);
}

static void take(struct block *b, size_t size, char value)
{
	*b = (struct block){ get(size), size, value };
	if (b->p)
		fill(b);
}

static void give(struct block *b)
{
	if (b->p)
		check(b);
	free(b->p);
	b->p = NULL;
}

static void resize(struct block *b, size_t size)
{
	if (!b->p)
		return;
	errno = 0;
	char *p = realloc(b->p, size);
	if (!p) {
		MUST(errno == ENOMEM);
		return;
	}
	b->p = p;
	check_first(b, size < b->size ? size : b->size);
	b->size = size;
	fill(b);
}

static void clean_block(size_t size)
{
	errno = 0;
	char *p = calloc(1, size);
	if (!p)
		MUST(errno == ENOMEM);
	for (size_t i = 0; p && i < size; i++)
		MUST(p[i] == 0);
	if (p)
		memset(p, 1, size);
	free(p);
}

/* ---- the parts ------------------------------------------------------------------ */

#define BLOCKS 24

static const size_t sizes[] = { 24, 300, 5000, 64 * KiB, MiB, 5 * MiB, 40, 200 * KiB };
#define SIZES (sizeof sizes / sizeof *sizes)

static void many_sizes(struct block blocks[BLOCKS])
{
	for (unsigned i = 0; i < BLOCKS; i++)
		take(&blocks[i], sizes[i % SIZES], (char)(i + 1));
	for (unsigned i = 0; i < BLOCKS; i += 2)
		give(&blocks[i]);
	malloc_trim(0);
	for (unsigned i = 0; i < BLOCKS; i += 2)
		take(&blocks[i], sizes[(i + 3) % SIZES] * 3 / 4, (char)(i + 1));
	resize(&blocks[1], 100 * KiB);
	resize(&blocks[4], 2 * MiB);
	resize(&blocks[5], 30 * KiB);
	clean_block(300 * KiB);
	clean_block(48);
	for (unsigned i = 0; i < BLOCKS; i++)
		if (blocks[i].p)
			check(&blocks[i]);
}

/* Up to the limit, where half of each huge page is freed and larger blocks are wanted. */
static void exhaustion(void)
{
	static struct block blocks[60];
	unsigned n = 0;
	for (; n < 60; n++) {
		errno = 0;
		blocks[n] = (struct block){ malloc(MiB), MiB, (char)n };
		if (!blocks[n].p)
			break;
		fill(&blocks[n]);
	}
	MUST(n == 60 || errno == ENOMEM);
	MUST(n < 60); /* the limit is below that */
	for (unsigned i = 0; i < n; i += 2)
		give(&blocks[i]);
	struct block larger;
	take(&larger, 2 * MiB + 100 * KiB, 'l');
	give(&larger);
	for (unsigned i = 1; i < n; i += 2)
		give(&blocks[i]);
}

static void *thread(void *arg)
{
	(void)arg;
	struct block blocks[8];
	for (unsigned i = 0; i < 8; i++)
		take(&blocks[i], sizes[i], (char)i);
	for (unsigned i = 0; i < 8; i++)
		give(&blocks[i]);
	return NULL;
}

static void start_thread(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, thread, NULL) == 0)
		pthread_join(t, NULL);
}

/* The child's memory is a copy, so that its books do not say what is resident. */
static void fork_child(const struct block blocks[BLOCKS])
{
	int status;
	pid_t pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		struct block more;
		for (unsigned i = 0; i < BLOCKS; i++)
			if (blocks[i].p)
				check(&blocks[i]);
		take(&more, 3 * MiB, 'c');
		give(&more);
		clean_block(100 * KiB);
		malloc_trim(0);
		_exit(0);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- the books -------------------------------------------------------------------- */

static bool balanced(struct sparena_stats *s)
{
	MUST(sparena_stats_get(NULL, s, sizeof *s) == 0);
	MUST(s->committed + s->metadata <= s->limit);
	return s->committed + s->metadata == s->resident;
}

/* Asking the kernel can fail as well: hence twice. */
static void check_books(void)
{
	struct sparena_stats s;
	if (lasts || balanced(&s) || balanced(&s))
		return;
	dprintf(2, "fault_victim: committed %llu + metadata %llu, resident %llu\n",
	        (unsigned long long)s.committed, (unsigned long long)s.metadata,
	        (unsigned long long)s.resident);
	_exit(1);
}

/* What little is left is slabs in use, and what failed to go back the first time. */
static void check_leaks(void)
{
	struct sparena_stats s;
	malloc_trim(0);
	malloc_trim(0);
	balanced(&s);
	MUST(lasts || s.committed <= 2 * MiB);
}

/* Pages of address space; 0: could not be read. */
static unsigned long address_space(void)
{
	char text[64] = "";
	int fd = open("/proc/self/statm", O_RDONLY);
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	return n > 0 ? strtoul(text, NULL, 10) : 0;
}

/* Each malloc tries to start the heap again, and must leave nothing behind. */
static int without_heap(void)
{
	unsigned long before = address_space();
	for (int i = 0; i < 50; i++) {
		errno = 0;
		MUST(!malloc(1));
		MUST(errno == ENOMEM);
	}
	unsigned long after = address_space();
	MUST(after < before + 1000 || !before || leaks);
	return NO_HEAP;
}

int main(int argc, char **argv)
{
	static struct block blocks[BLOCKS];
	MUST(argc == 2);
	leaks = strcmp(argv[1], "leaks") == 0;
	lasts = leaks || strcmp(argv[1], "lasts") == 0;

	errno = 0;
	void *first = malloc(1);
	if (!first) {
		MUST(errno == ENOMEM);
		first = malloc(1);
	}
	if (!first)
		return without_heap();
	free(first);
	clean_block(200 * KiB); /* out of new memory */
	many_sizes(blocks);
	check_books();
	start_thread();
	fork_child(blocks);
	exhaustion();
	for (unsigned i = 0; i < BLOCKS; i++)
		give(&blocks[i]);
	check_leaks();
	check_books();
	return 0;
}
