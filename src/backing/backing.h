/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * backing: where pages come from, one file a kind, behind one table of
 * operations. A backing knows which system call populates, discards and counts;
 * it keeps no page states, charges nothing and never allocates.
 */
#ifndef SPARENA_BACKING_BACKING_H
#define SPARENA_BACKING_BACKING_H

#include <stdbool.h>
#include <stddef.h>

#define BACKING_HUGE_SIZE ((size_t)2 << 20)

struct backing;

/*
 * What every backing can do. Ranges lie inside the reservation and are multiples
 * of the page size. Functions return 0 or -errno and may be called from many
 * threads, on ranges that do not overlap.
 */
struct backing_ops {
	const char *name;

	/* Reserves `size` bytes at a multiple of `align`, inaccessible; fills b->base. */
	int (*open)(struct backing *b, size_t size, size_t align);

	/* Makes a range accessible, or inaccessible, as address space: no page is taken. */
	int (*unlock)(struct backing *b, size_t offset, size_t length);

	/*
	 * Populates a range writable. After an error a part of it may be populated: the
	 * caller discards the range. -ENOMEM: no memory left; -EHWPOISON: a broken page.
	 */
	int (*populate)(struct backing *b, size_t offset, size_t length);

	/* Gives the range's pages back; it reads zero when it is populated again. */
	int (*discard)(struct backing *b, size_t offset, size_t length);

	/* Whether the range is to be made of huge pages, or must not be. */
	int (*prefer_huge)(struct backing *b, size_t offset, size_t length, bool huge);

	/*
	 * Gives back the pages of a chunk of BACKING_HUGE_SIZE whose bit is not set in
	 * `keep` (bit i: part i of 32), also where the kernel holds the chunk as one
	 * huge page, and leaves the kept ones populated with their contents. After an
	 * error all of it is populated as before.
	 */
	int (*thin)(struct backing *b, size_t chunk, unsigned keep);

	/* Bytes of the range that take memory by the kernel's own view. */
	int (*resident)(struct backing *b, size_t offset, size_t length, size_t *bytes);

	/* Gives everything back, address space included. */
	void (*close)(struct backing *b);
};

struct backing {
	const struct backing_ops *ops;
	char *base;       /* first byte of the reservation */
	size_t size;      /* bytes reserved */
	size_t page_size; /* of the pages that it is made of */
	bool can_populate; /* the kernel has MADV_POPULATE_WRITE */
};

extern const struct backing_ops backing_anon; /* private anonymous memory */

#endif
