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

#include "os/os.h"

#define BACKING_HUGE_SIZE ((size_t)2 << 20)

struct backing;

/* What is asked for. */
struct backing_config {
	size_t size;      /* bytes of address space, rounded up to whole pages */
	size_t align;     /* of its first byte: a power of two */
	size_t page;      /* size of huge pages; 0: of the backing's choice */
	size_t need;      /* bytes that are going to be committed at most; 0: not known */
	const char *path; /* file: a directory, or a file's name */
	bool keep;        /* file: a named one stays when the backing is closed */
	bool touch;       /* do without MADV_POPULATE_WRITE */
};

/*
 * What every backing can do. Ranges lie inside the reservation and are multiples
 * of the page size. Functions return 0 or -errno and may be called from many
 * threads, on ranges that do not overlap.
 */
struct backing_ops {
	const char *name;

	/*
	 * Reserves address space, inaccessible, and fills *b. -ENOMEM: no address space;
	 * after other errors b->reason may say what is wrong and what to do.
	 */
	int (*open)(struct backing *b, const struct backing_config *config);

	/* Makes a range accessible, or inaccessible, as address space: no page is taken, and
	 * none given back. -ENOMEM: too many mappings. */
	int (*unlock)(struct backing *b, size_t offset, size_t length);
	int (*lock)(struct backing *b, size_t offset, size_t length);

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
	 * error all of it is populated as before. NULL where there are no such chunks.
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
	bool can_populate;   /* the kernel has MADV_POPULATE_WRITE */
	bool on_disk;        /* shared ones: what is written out goes to the file, and not to swap */
	bool allocates;      /* shared ones: room is taken by fallocate(2) first */
	struct os_file file; /* shared ones: whose pages they are; fd -1: private */
	char *lent;          /* during fork(2): a second mapping, which the child inherits; or NULL */
	const char *path;    /* of a named file that goes when the backing is closed; or NULL */
	const char *reason;  /* why it could not be opened; or NULL */
};

extern const struct backing_ops backing_anon;          /* private anonymous memory */
extern const struct backing_ops backing_hugetlb;       /* the same, of huge pages from the pool */
extern const struct backing_ops backing_memfd;         /* a memory file */
extern const struct backing_ops backing_memfd_hugetlb; /* a memory file of huge pages */
extern const struct backing_ops backing_file;          /* a file on tmpfs, hugetlbfs or a disk */

/*
 * Private anonymous memory of which nothing is populated: the kernel backs a page when it
 * is touched, or ends somebody. Not for `backing:`; what lazy_above is given.
 */
extern const struct backing_ops backing_lazy;

/* Whether it is of huge pages of a pool (hugetlb), which are never split, swapped or merged. */
static inline bool backing_is_of_pool(const struct backing *b) { return b->page_size != os_page_size(); }

/* Populates a range of a shared backing, as ops->populate, for which somebody else has
 * taken the room. */
int backing_populate_taken(struct backing *b, size_t offset, size_t length);

/* ---- advice (backing/advice.c) ------------------------------------------------ */

enum backing_advice {
	BACKING_COLD,     /* to be written out before others when memory is short, MADV_COLD */
	BACKING_PAGEOUT,  /* to be written out now, MADV_PAGEOUT */
	BACKING_WILLNEED, /* to be read in, without waiting for that, MADV_WILLNEED */
	BACKING_READ,     /* mapped to be read when it returns, MADV_POPULATE_READ */
};

/*
 * Tells the kernel of a range that is populated. 0; -EOPNOTSUPP: to be written out is nothing
 * for what is locked or of a pool's huge pages, nor for kernels before 5.4; -EIO, -EHWPOISON:
 * a page cannot be read any more; -ENOMEM.
 */
int backing_advise(struct backing *b, size_t offset, size_t length, enum backing_advice advice);

/* Bytes of the range that are in swap, and count as taking memory. Errors of os_resident();
 * -EBADF: the descriptor is lost. */
int backing_swapped(struct backing *b, size_t offset, size_t length, size_t *bytes);

/* Whether some of a populated range would have to be read in to be used. */
bool backing_is_out(struct backing *b, size_t offset, size_t length);

/* ---- fork(2) of a shared backing (backing/child.c) ----------------------------- */

/*
 * Shared memory is not mapped in a child. Before fork, in the parent: sees to it that the
 * child can read it all the same; after it, in the parent, the end of that.
 */
int backing_lend(struct backing *b);
void backing_take_back(struct backing *b);

/* In the child: what the parent's memory is read from. */
struct backing_source {
	struct os_file file;
	char *lent;
	size_t size;
};

/*
 * In the child, each first of all: *b becomes private memory at the same addresses, empty
 * and inaccessible; what is unlocked and populated from now on is the child's own. Fills
 * *source, which backing_close_source() ends. 0 or -errno.
 */
int backing_leave(struct backing *b, struct backing_source *source);
int backing_leave_for_view(struct backing *b, struct backing_source *source);
void backing_close_source(struct backing_source *source);

/* Populates an unlocked range with what the parent has there. -EBADF: there is no way to
 * it any more. */
int backing_fetch(struct backing *b, size_t offset, size_t length, struct backing_source *source);

/* After backing_leave_for_view(): makes a range what the parent has there, now and later;
 * what the child writes is its own. */
int backing_view(struct backing *b, size_t offset, size_t length, struct backing_source *source);

bool backing_is_view(const struct backing *b);

/* ---- between the files of this room ------------------------------------------ */

/* Populates in pieces, by MADV_POPULATE_WRITE or by touching. -ENOMEM: the backing is full. */
int backing_populate(struct backing *b, size_t offset, size_t length);

/* The same of those pages that are in memory: what is in swap stays there, if that is told. */
int backing_populate_in_core(struct backing *b, size_t offset, size_t length);

/* Private anonymous memory of small pages: reserved, and given back by MADV_DONTNEED. */
int backing_open_private(struct backing *b, const struct backing_config *config);
int backing_discard_private(struct backing *b, size_t offset, size_t length);

/* Makes a range accessible, or inaccessible, as address space. */
int backing_unlock(struct backing *b, size_t offset, size_t length);
int backing_lock(struct backing *b, size_t offset, size_t length);

/* Nothing to prefer. */
int backing_prefer_nothing(struct backing *b, size_t offset, size_t length, bool huge);

/* Pages of the range that are in this process's page tables. */
int backing_resident_mapped(struct backing *b, size_t offset, size_t length, size_t *bytes);

/* Removes the file's name, where it has one that is not to stay; the memory remains. */
void backing_remove_name(struct backing *b);

/* Gives address space, descriptor and name back. */
void backing_close(struct backing *b);

/*
 * The largest size of huge pages of which the pool has enough free for `need` bytes,
 * else the largest of which it has any; 0: none (backing/hugetlb.c).
 */
size_t backing_pool_page(size_t need);

/*
 * Maps an open file of pages of b->page_size, b->file, as the backing. After an error the
 * file is empty again, and still open (backing/shared.c).
 */
int backing_map_file(struct backing *b, const struct backing_config *config);
int backing_shared_populate(struct backing *b, size_t offset, size_t length);
int backing_shared_discard(struct backing *b, size_t offset, size_t length);
int backing_shared_resident(struct backing *b, size_t offset, size_t length, size_t *bytes);

/* No transparent huge pages, whatever is asked for: parts of chunks come and go. */
int backing_shared_prefer_small(struct backing *b, size_t offset, size_t length, bool huge);

#endif
