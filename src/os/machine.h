/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine: what of /proc and /sys mostly people want to know about. Nothing here is
 * read when a program starts, where there is no swap. `root` stands in front of every path: "" for this
 * machine, the directory of a planted tree in tests.
 */
#ifndef SPARENA_OS_MACHINE_H
#define SPARENA_OS_MACHINE_H

#include "os/os.h"

#define OS_MACHINE_PATH_MAX 1024 /* of root and what comes behind it */
#define OS_WORD_MAX 24           /* of a setting that is a word */

/* ---- transparent huge pages (os/thp.c) -------------------------------------- */

struct os_thp_settings {
	enum os_thp effective;     /* what sparena gets in huge pages of pmd_size */
	size_t pmd_size;           /* 0: unknown */
	char enabled[OS_WORD_MAX]; /* as the files say; "": unknown */
	char defrag[OS_WORD_MAX];
	char shmem[OS_WORD_MAX]; /* shmem_enabled */
	size_t max_ptes_none;    /* of khugepaged; OS_UNLIMITED: unknown */
	bool disabled;           /* for this process and its children, prctl(2) PR_SET_THP_DISABLE */
};

void os_thp_settings(const char *root, struct os_thp_settings *out);

/*
 * Which of `sizes`, of folios (bit n: 2^n bytes, as os_mthp_sizes() has them), the kernel
 * uses in memory with MADV_HUGEPAGE, where a size of more is switched off or none is free.
 */
uint64_t os_mthp_advised(const char *root, uint64_t sizes);

/*
 * What hugepages-*kB says of one size of folios (os/mthp.c): its setting, a word ("inherit"
 * among them), which root may change for the whole machine; and a count of its stats, as
 * "anon_fault_alloc" or "swpout". -ENOENT: the kernel does not know the size, or the count.
 */
int os_mthp_setting(const char *root, size_t size, char word[OS_WORD_MAX]);
int os_mthp_set(const char *root, size_t size, const char *word);
int os_mthp_count(const char *root, size_t size, const char *name, size_t *out);

/* ---- pools of huge pages (os/hugetlb.c) ------------------------------------- */

#define OS_HUGETLB_MAX 8 /* no architecture has more sizes */

/* One size's pool, /sys/kernel/mm/hugepages/hugepages-*kB, in pages. */
struct os_hugetlb {
	size_t page_size;  /* bytes */
	size_t total;      /* nr_hugepages, those in surplus included */
	size_t free;       /* free_hugepages, those reserved included */
	size_t reserved;   /* resv_hugepages: promised to a mapping, and not used yet */
	size_t surplus;    /* surplus_hugepages: beyond the pool's own size, until they are freed */
	size_t overcommit; /* nr_overcommit_hugepages: how many there may be in surplus */
};

/* Fills in a pool for each size that the kernel has, the smallest first, and returns
 * how many there are, OS_HUGETLB_MAX at most. What cannot be read is 0. */
size_t os_hugetlb_pools(const char *root, struct os_hugetlb out[OS_HUGETLB_MAX]);

/* ---- swap (os/swap.c, os/swapon.c) --------------------------------------------------------- */

enum os_swap_kind { OS_SWAP_PARTITION, OS_SWAP_FILE, OS_SWAP_ZRAM };

struct os_swap {
	enum os_swap_kind kind;
	size_t size, used; /* bytes */
	char name[128];    /* as swapon(8) got it; longer ones are cut */
};

/* Fills in the first `capacity` areas of /proc/swaps, and returns how many there are. */
size_t os_swaps(const char *root, struct os_swap *out, size_t capacity);

/*
 * Bytes of swap in areas that are memory themselves (zram) and not used yet. Works in
 * `text`, of some KiB: the stack of a thread may be small.
 */
size_t os_swap_free_in_memory(const char *root, char *text, size_t capacity);

/*
 * Makes a swap area of the first `size` bytes of a block device, or of a file, as mkswap(8)
 * does. -EBUSY: the device is in use; -EINVAL: fewer than two pages, or more than 2^32.
 */
int os_swap_format(const char *path, size_t size);

/*
 * Uses it, before all other swap (swapon(2), with the highest priority), or no more, with
 * all that is in it brought back before. -EPERM: not root; -EINVAL: no area, not one any more,
 * a file with holes or in memory; -EBUSY: it is in use; -ENOMEM: what is in it has no room.
 */
int os_swap_on(const char *path);
int os_swap_off(const char *path);

/* Whether swapped pages are compressed in memory first, zswap. */
bool os_zswap(const char *root);

/* ---- more of the kernel (os/features.c) ------------------------------------- */

/* CommitLimit and Committed_AS of /proc/meminfo, in bytes, which count where
 * vm.overcommit_memory is 2. */
int os_commit(const char *root, size_t *limit, size_t *used);

/* Whether /proc/self/pagemap can be had, and whether it can be asked for whole ranges,
 * ioctl(2) PAGEMAP_SCAN, which tells the zero page apart. */
bool os_has_pagemap(void);
bool os_can_scan_pagemap(void);

/* Whether KSM is merging pages now, and whether it may merge all of this process's and
 * its children's, prctl(2) PR_SET_MEMORY_MERGE. */
bool os_ksm_runs(const char *root);
bool os_ksm_may_merge(void);

/* The most that a limit can be raised to without privileges, getrlimit(2). */
struct os_hard_limits {
	size_t as, data, memlock; /* bytes; OS_UNLIMITED */
};
void os_hard_limits(struct os_hard_limits *out);

#endif
