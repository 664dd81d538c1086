/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * heap: malloc over pages. jemalloc is the front end: what of its private names is
 * used stands in je.h, what is put in their place in je_overrides.h and je_glue.c.
 * Here are the extent hooks, jemalloc's metadata, and the process heap with its
 * start-up. Code that jemalloc calls must not call malloc, and keeps errno.
 */
#ifndef SPARENA_HEAP_HEAP_H
#define SPARENA_HEAP_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "heap/je.h"
#include "pages/pages.h"
#include "sparena/stats.h"

#define HEAP_MOST_BLOCKS 32768u /* chunks of base blocks: 64 GiB of metadata */
#define HEAP_ZONES 3 /* parts of the address space that grow upwards, each on its own */

struct heap_zone {
	uintptr_t start;
	uintptr_t end;
	_Atomic uintptr_t described_to; /* up to here jemalloc's map of extents is committed */
};

struct heap {
	struct conf conf;
	struct budget budget;
	struct region data;       /* blocks of the program */
	struct region meta;       /* index, jemalloc's metadata, thread caches: always private memory */
	struct pages pages;       /* of data */
	struct pages meta_pages;  /* of meta: thread caches */
	size_t reserve;           /* bytes below the limit that only metadata may use */

	pthread_mutex_t describing; /* guards the zones; taken before jemalloc's locks */
	pthread_mutex_t blocks_lock; /* guards block_map; taken after jemalloc's locks */
	size_t blocks_at;          /* offset in meta of jemalloc's base blocks... */
	size_t blocks;             /* ...and how many chunks there are for them */
	uint64_t block_map[BITMAP_WORDS(HEAP_MOST_BLOCKS)]; /* a bit a chunk: in use */
	struct heap_zone zone[HEAP_ZONES];

	_Atomic uint64_t foreign_frees;
	_Atomic uint64_t uncached_threads;
	int owner_pid;             /* the process that started it: its children print no statistics */
};

/* The heap behind malloc. All zero until the first allocation. */
extern struct heap heap_process;

/* Divides the address space into zones, once it is laid out (heap/metadata.c). */
void heap_set_zones(struct heap *h);

/* ---- the whole (heap/process.c) --------------------------------------------- */

/* Gives all free memory back. Returns bytes. */
size_t heap_purge(void);

/* Fills *s; resident, which costs time, only when wanted. */
void heap_stats(struct sparena_stats *s, bool resident);

/* One line on stderr: "sparena: ", text and detail. */
void heap_say(const char *text, const char *detail);

/* Prints what the options ask for at exit. */
void heap_at_exit(void);

#endif
