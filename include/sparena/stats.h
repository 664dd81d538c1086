/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sparena/stats.h: what a heap has, and what it did.
 */
#ifndef SPARENA_STATS_H
#define SPARENA_STATS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct sparena_heap;

/*
 * Statistics of a heap. Sizes are in bytes. Later versions add members at the
 * end only: `size_of_s` of sparena_stats_get() tells which ones the caller knows.
 */
struct sparena_stats {
	uint64_t limit;          /* most that may be charged, metadata included; UINT64_MAX: none */
	uint64_t committed;      /* data charged now */
	uint64_t committed_peak; /* most data that was ever charged */
	uint64_t resident;       /* data and metadata resident or in swap, by the kernel's own view */
	uint64_t metadata;       /* the allocator's own memory, charged beside `committed` */
	uint64_t reserved;       /* address space reserved for data */
	uint64_t allocated;      /* in blocks that the program holds, page runs of caches included */
	uint64_t exhausted;      /* allocations refused because no memory was left */
	uint64_t commits;        /* steps of growth */
	uint64_t decommits;      /* steps of giving back */
	uint64_t populate_ns;    /* time spent populating, nanoseconds */
	uint64_t faults_avoided; /* page faults that populating took the place of */
	uint64_t foreign_frees;  /* addresses handed to free() that are not ours; ignored */
	uint64_t uncached_threads; /* threads that got no thread cache because metadata was refused */
	uint64_t backing;        /* 0: private anonymous memory */
	uint64_t page_size;      /* of the backing */
	uint64_t granule;        /* smallest unit that is committed */
	uint64_t guarded;        /* steps of growth refused because the machine or a cgroup had no room */
	uint64_t helper_lost;    /* helper processes (guard:helper) that were killed, of all heaps */
	uint64_t lazy;           /* charged beside `committed` for blocks above lazy_above, not populated */
	uint64_t swapped;        /* of `resident`, in swap */
	uint64_t broken;         /* retired, not charged: where the hardware had lost a page */
	uint64_t merged;         /* of the whole process, pages that the kernel keeps once for several (KSM) */
};

/*
 * Fills *s with the statistics of heap `h`; NULL is the process heap, where the
 * drop-in library is loaded. Copies at most size_of_s bytes (pass sizeof *s).
 * Returns 0; -EINVAL: s is NULL or size_of_s is 0; -ENOENT: there is no such heap.
 * Thread-safe; `resident` reads /proc and costs some milliseconds per GiB.
 */
int sparena_stats_get(struct sparena_heap *h, struct sparena_stats *s, size_t size_of_s);

/*
 * Writes the statistics of `h` to descriptor fd. `format` is "text", "json" (one
 * object) or "prometheus". Returns 0; -EINVAL: unknown format; -ENOENT: no such
 * heap; or -errno of write(2). Thread-safe.
 */
int sparena_stats_print(struct sparena_heap *h, int fd, const char *format);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
