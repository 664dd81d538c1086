/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a program does with blocks while its allocator's system calls fail: contents are
 * kept, ENOMEM comes with each NULL, calloc's are zero, and what was refused is had when the
 * fault is over. To be included where these are said before:
 *
 *   MUST(condition)
 *   block_malloc(), block_calloc(), block_realloc(), block_free(): of the allocator
 *   block_trim(): gives back what is free
 *   block_is_backed(): whether all pages of a block are there, or always true
 *   fault_lasts(): whether what failed may fail at the next try, too
 */
#ifndef SPARENA_TESTS_BLOCKS_H
#define SPARENA_TESTS_BLOCKS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define BLOCK_KIB ((size_t)1 << 10)

struct block {
	char *p;
	size_t size;
	char value;
};

/* A failure that is over when it is seen must not outlast the next try. */
static inline void *get(size_t size)
{
	errno = 0;
	void *p = block_malloc(size);
	if (p)
		return p;
	MUST(errno == ENOMEM);
	p = block_malloc(size);
	MUST(p || fault_lasts());
	return p;
}

/* No page is missing. */
static inline void fill(struct block *b)
{
	MUST(block_is_backed(b->p, b->size));
	for (size_t i = 0; i < b->size; i += 512)
		b->p[i] = b->value;
	b->p[b->size - 1] = b->value;
}

static inline void check_first(const struct block *b, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 512)
		MUST(b->p[i] == b->value);
}

static inline void check(const struct block *b)
{
	check_first(b, b->size);
	MUST(b->p[b->size - 1] == b->value);
}

static inline void take(struct block *b, size_t size, char value)
{
	*b = (struct block){ get(size), size, value };
	if (b->p)
		fill(b);
}

static inline void give(struct block *b)
{
	if (b->p)
		check(b);
	block_free(b->p);
	b->p = NULL;
}

static inline void resize(struct block *b, size_t size)
{
	if (!b->p)
		return;
	errno = 0;
	char *p = block_realloc(b->p, size);
	if (!p) {
		MUST(errno == ENOMEM);
		return;
	}
	b->p = p;
	check_first(b, size < b->size ? size : b->size);
	b->size = size;
	fill(b);
}

static inline void clean_block(size_t size)
{
	errno = 0;
	char *p = block_calloc(1, size);
	if (!p)
		MUST(errno == ENOMEM);
	for (size_t i = 0; p && i < size; i++)
		MUST(p[i] == 0);
	if (p)
		memset(p, 1, size);
	block_free(p);
}

/* ---- all of them ---------------------------------------------------------------------- */

#define BLOCKS 24

/* Sizes up to `largest`. */
static inline size_t size_of_block(unsigned i, size_t largest)
{
	const size_t sizes[] = { 24, 300, 5000, 64 * BLOCK_KIB, largest / 5, largest, 40, largest / 24 };
	return sizes[i % (sizeof sizes / sizeof *sizes)];
}

static inline void check_blocks(const struct block blocks[BLOCKS])
{
	for (unsigned i = 0; i < BLOCKS; i++)
		if (blocks[i].p)
			check(&blocks[i]);
}

static inline void give_blocks(struct block blocks[BLOCKS])
{
	for (unsigned i = 0; i < BLOCKS; i++)
		give(&blocks[i]);
}

static inline void many_sizes(struct block blocks[BLOCKS], size_t largest)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		take(&blocks[i], size_of_block(i, largest), (char)(i + 1));
	for (unsigned i = 0; i < BLOCKS; i += 2)
		give(&blocks[i]);
	block_trim();
	for (unsigned i = 0; i < BLOCKS; i += 2)
		take(&blocks[i], size_of_block(i + 3, largest) * 3 / 4, (char)(i + 1));
	resize(&blocks[1], 100 * BLOCK_KIB);
	resize(&blocks[4], largest * 2 / 5);
	resize(&blocks[5], 30 * BLOCK_KIB);
	clean_block(largest / 16);
	clean_block(48);
	check_blocks(blocks);
}

/* Up to the limit, which is below 60 blocks, where every second one is freed and larger ones are wanted. */
static inline void exhaustion(size_t size)
{
	static struct block blocks[60];
	unsigned n = 0;
	for (; n < 60; n++) {
		errno = 0;
		blocks[n] = (struct block){ block_malloc(size), size, (char)n };
		if (!blocks[n].p)
			break;
		fill(&blocks[n]);
	}
	MUST(n == 60 || errno == ENOMEM);
	MUST(n < 60); /* the limit is below that */
	for (unsigned i = 0; i < n; i += 2)
		give(&blocks[i]);
	struct block larger;
	take(&larger, 2 * size + 100 * BLOCK_KIB, 'l');
	give(&larger);
	for (unsigned i = 1; i < n; i += 2)
		give(&blocks[i]);
}

/* What a thread does, from its beginning to its end. */
static inline void thread_work(size_t largest)
{
	struct block blocks[8];
	for (unsigned i = 0; i < 8; i++)
		take(&blocks[i], size_of_block(i, largest), (char)i);
	for (unsigned i = 0; i < 8; i++)
		give(&blocks[i]);
}

#endif
