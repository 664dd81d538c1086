/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shards: free runs apart from the sets, so that threads on several processors do not
 * meet at one lock. There are none until that lock is seen to be contended.
 *
 * A shard has parts of chunks: the free pages of a chunk that it took from the resident
 * set, and what was freed there since. For the sets all of these are handed out. A part
 * goes back to them when nobody used it for an epoch, and all do where room is needed.
 * A chunk has at most one shard; what is freed in it goes there, whoever frees it.
 *
 * Locks: a shard's, then pages'. Never two shards', but around fork(2) in order.
 */
#ifndef SPARENA_PAGES_SHARDS_H
#define SPARENA_PAGES_SHARDS_H

#include <pthread.h>
#include <stdatomic.h>

#include "pages/leaf.h"

#define SHARDS 16u       /* threads are spread over them */
#define SHARD_PARTS 32u  /* chunks of one */
#define SHARD_SPARE 2u   /* chunks that are all free and may stay */
#define SHARD_SHARE 64u /* of the heap a part takes so much at once, or what is asked for */
#define SHARDS_SHARE 4u  /* the heap does not grow while they hold so much of it free */
#define SHARD_OWNERS 4096u

/* The free pages of one chunk. A shard's memory reads zero at first. */
struct shard_part {
	bool held;
	bool used;          /* in this epoch */
	uint64_t last_used; /* the epoch before */
	size_t chunk;
	uint64_t free[LEAF_WORDS];
	struct run_sum sum;
};

struct shard {
	pthread_mutex_t lock;
	bool used;      /* in this epoch */
	unsigned spare; /* parts of which everything is free */
	_Atomic size_t free; /* bytes; read without the lock */
	uint16_t longest[SHARD_PARTS]; /* the parts' longest runs */
	struct shard_part part[SHARD_PARTS];
} __attribute__((aligned(64)));

/* Whose a chunk is, by its number modulo SHARD_OWNERS: a place's number and 1, or 0. */
struct shards {
	struct shard shard[SHARDS];
	_Atomic uint16_t owner[SHARD_OWNERS];
};

#endif
