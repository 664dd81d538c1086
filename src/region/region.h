/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * region: one reservation of address space on one backing, the state of each of
 * its granules, and the budget that they are charged to. Only this room knows
 * which granules are committed, and only `budget` counts bytes. Nothing here
 * calls malloc, and no lock is held across a call that populates or discards.
 */
#ifndef SPARENA_REGION_REGION_H
#define SPARENA_REGION_REGION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backing/backing.h"
#include "base/base.h"
#include "conf/conf.h"
#include "region/guard.h"

/* ---- budget (region/budget.c) ---------------------------------------------- */

/* Bytes charged against a limit; regions may share one. Lock-free. */
struct budget {
	_Atomic size_t charged;
	_Atomic size_t limit; /* SIZE_MAX: none */
	_Atomic size_t frees; /* counts what may make a refused charge succeed */
	_Atomic size_t refused; /* counts charges that did not fit */
	_Atomic unsigned share; /* thousandths of the box that the limit is; 0: it is of none */
};

void budget_init(struct budget *b, size_t limit);

/*
 * Charges n bytes if at least `keep` bytes are still free below the limit
 * afterwards. Returns 0 or -ENOMEM, with nothing charged.
 */
int budget_charge(struct budget *b, size_t n, size_t keep);

/*
 * Takes a charge back for which there was no memory. That is no free: nobody has more
 * room than before, unless a charge was refused in between, since `refused` was read.
 */
void budget_take_back(struct budget *b, size_t n, size_t refused);

static inline size_t budget_refused(const struct budget *b)
{
	return atomic_load(&b->refused);
}

/* Whether such a charge would succeed now. */
bool budget_has_room(const struct budget *b, size_t n, size_t keep);
void budget_uncharge(struct budget *b, size_t n);

static inline size_t budget_charged(const struct budget *b)
{
	return atomic_load_explicit(&b->charged, memory_order_relaxed);
}

static inline size_t budget_limit(const struct budget *b)
{
	return atomic_load_explicit(&b->limit, memory_order_relaxed);
}

/* Notes that something was freed: who was refused before may try again. */
static inline void budget_note_free(struct budget *b)
{
	atomic_fetch_add_explicit(&b->frees, 1, memory_order_relaxed);
}

static inline size_t budget_frees(const struct budget *b)
{
	return atomic_load_explicit(&b->frees, memory_order_relaxed);
}

/* A limit below what is charged is allowed: nothing is charged until usage is below it. */
void budget_set_limit(struct budget *b, size_t limit);

/* From now on the limit is so much of the box that budget_set_box() tells, until
 * budget_set_limit(). */
void budget_set_share(struct budget *b, unsigned thousandths);
void budget_set_box(struct budget *b, size_t box);

static inline bool budget_follows_box(const struct budget *b)
{
	return atomic_load_explicit(&b->share, memory_order_relaxed) != 0;
}

/* ---- region (region/region.c) ---------------------------------------------- */

/* Huge chunks are committed, charged and discarded as a whole. */
#define CHUNK_SIZE BACKING_HUGE_SIZE
#define CHUNK_PARTS 32u /* granules of a small chunk */
#define SMALL_GRANULE (CHUNK_SIZE / CHUNK_PARTS)

/* Scattered pieces are mappings each, of which a process may have four times as many
 * (vm.max_map_count); small ones are little to fill for mlockall(2). */
#define REGION_MOST_PIECES 16384

struct region_config {
	const struct backing_ops *backing;
	size_t size;      /* bytes to reserve, a multiple of CHUNK_SIZE (and rounded up to whole pages)... */
	size_t size_min;  /* ...halved down to this when the system refuses */
	size_t granule;   /* of the small zone: a power of two, a page to CHUNK_SIZE; the
	                     backing's page where that is larger */
	unsigned huge_in; /* huge zone: 0 none, 1 everything, 2 the upper half */
	bool merges;         /* the kernel may make one page of pages that are alike */
	enum conf_lock lock; /* what keeps pages out of swap; an open region is locked as it is opened */
	bool closed;      /* inaccessible until committed */
	bool traps;       /* inaccessible but for what is committed, exactly; then there are no pieces */
	size_t piece;     /* closed: opened in pieces of this many bytes; multiple of CHUNK_SIZE */
	size_t page, need;      /* what the backing is to be like: */
	const char *path;       /* struct backing_config has these */
	bool keep, touch;
	struct budget *budget;
	struct guard *guard;    /* knows the box that a limit may be a share of; NULL: nobody does */
	bool unguarded;         /* but is not asked before something is populated */
	bool exact;             /* a helper takes the room, where the backing is of a kind for that */
	struct guard_terms guard_terms;
	const char *name; /* for /proc/PID/maps; lives as long as the region */
};

/* What a region did, never reset. */
struct region_counts {
	uint64_t commits;
	uint64_t decommits;
	uint64_t populate_ns;
	uint64_t faults_avoided;
	uint64_t guarded; /* commits that the guard refused, or the kernel to a helper */
	size_t committed_peak;
};

struct region {
	struct backing backing;
	char *base;
	size_t size;
	size_t granule;
	size_t huge_from; /* offset of the huge zone; size: none */
	size_t piece;     /* 0: open from end to end */
	bool traps;       /* nothing is open but what is committed */
	bool merges;
	_Atomic bool unmerged;       /* though the process has asked for it, when that was last looked at */
	enum conf_lock lock_mode;
	_Atomic bool locked_outside; /* the program has called mlockall(2), when that was last looked at; */
	bool to_empty;               /* and what it filled is there still; by __atomic */
	struct budget *budget;
	struct guard *guard;    /* NULL: none */
	bool guarded;           /* it is asked before something is populated */
	bool exact;             /* a helper takes room first, and it is asked where there is none */
	struct guard_terms guard_terms;

	pthread_mutex_t lock;    /* guards everything below */
	pthread_cond_t quiet;    /* some busy granules became idle */
	unsigned waiting;        /* threads in wait for that */
	unsigned in_flight;      /* operations that work on busy granules */
	bool forking;            /* nothing new may begin */
	size_t committed;        /* bytes */
	uint64_t *committed_map; /* a bit a granule: populated and charged */
	uint64_t *busy_map;      /* a bit a granule: an operation owns it */
	uint64_t *lingering_map; /* a bit a granule: not committed, but could not be discarded */
	uint64_t *broken_map;    /* a bit a granule: it held a broken page, and was not committed since */
	bool broken;             /* whether any ever did */
	size_t lingering;        /* bytes of those: charged, since they may be resident */
	uint64_t *opened_map;    /* a bit a piece: accessible */
	uint64_t *thinned_map;   /* a bit a chunk of the huge zone: run in small granules */
	struct region_counts counts;
	size_t map_bytes;        /* of the mapping that the maps are in */
};

/*
 * Fills in what the options say of the backing (region/choose.c); `need`: bytes that are
 * going to be committed at most, 0: not known. Returns which backing it is: page:auto
 * may have chosen another one. Strings of *c must live as long as the region.
 */
enum conf_backing region_choose(struct region_config *r, const struct conf *c, size_t need);

/* The part of it that is about the guard: its terms, or none. */
void region_choose_guard(struct region_config *r, const struct conf *c);

/*
 * Reserves address space and sets *r up. Returns 0; -EINVAL: sizes that do not
 * fit together; -ENOMEM: not even size_min could be reserved; or -errno of opening the
 * backing. r->backing.reason may say more, and is NULL otherwise.
 */
int region_init(struct region *r, const struct region_config *config);

/* Gives everything back, uncharges it. Nobody may use the region any more. */
void region_destroy(struct region *r);

/*
 * Commits every granule of the range that is not committed yet: charge, populate,
 * mark; or undoes everything. Offset and length must be multiples of the unit
 * (region_unit()). Waits for operations of other threads on the same granules.
 * Returns 0; -EINVAL: outside, or no multiple; -ENOMEM: over the limit, no
 * memory, or the guard says that there is no room; or -errno of mprotect(2) or madvise(2). Thread-safe.
 *
 * Should the kernel refuse even to discard what a failed commit populated, that stays
 * charged, and the next operations on the region try again.
 */
int region_commit(struct region *r, size_t offset, size_t length);

/* As region_commit(), but refuses with -ENOMEM unless `keep` bytes stay free below the limit. */
int region_commit_keep(struct region *r, size_t offset, size_t length, size_t keep);

/* Makes the pieces of a range accessible that will be committed soon: so nobody has to wait then
 * until another thread's populate has ended, as mprotect(2) does. Nothing is lost without it. */
void region_open_ahead(struct region *r, size_t offset, size_t length);

/* Gives the range back and uncharges what of it was committed. Errors as above. */
int region_decommit(struct region *r, size_t offset, size_t length);

/*
 * Gives back the granules of a whole committed chunk of the huge zone whose bit in
 * `keep` is not set. From then on, until region_mend(), the chunk is managed in
 * small granules. Returns 0, or -errno with the chunk still huge.
 */
int region_thin(struct region *r, size_t chunk, uint32_t keep);

/* Discards what a program's mlockall(2) filled of what is open and not committed, if that was
 * noticed since the last call (region/lock.c). */
void region_empty(struct region *r);

/* The same, after looking. */
void region_look_for_lock(struct region *r);

/* Tries again to discard what a failed commit left behind and the kernel would not take; and
 * discards what mlockall(2) filled. */
void region_settle(struct region *r);

/*
 * Makes a thinned chunk of which nothing is committed huge again. Returns 0;
 * -EBUSY: something is committed; or -errno with the chunk still thinned.
 */
int region_mend(struct region *r, size_t chunk);

/* Unit in which the place at `offset` is committed now: granule or CHUNK_SIZE. */
size_t region_unit(struct region *r, size_t offset);

/* Whether a commit of the range has met a broken page, -EHWPOISON, in it. */
bool region_is_broken(struct region *r, size_t offset, size_t length);

/* Whether every granule of the range is committed. */
bool region_is_committed(struct region *r, size_t offset, size_t length);

/* Bytes of the range that are resident by the kernel's own view. */
int region_resident(struct region *r, size_t offset, size_t length, size_t *bytes);

/* Why region_advise() says -EOPNOTSUPP, for users. */
#define REGION_STAYS \
	"the kernel does not write this out: it is locked, or of huge pages of a pool, or Linux is older than 5.4"

/*
 * Tells the kernel of what is committed of a range (region/advise.c). Returns 0; -EINVAL as
 * region_commit(); -ENOMEM: there is no room for what would come back; or an error of
 * backing_advise().
 */
int region_advise(struct region *r, size_t offset, size_t length, enum backing_advice advice);

/* Bytes of the range that are in swap; they count as resident. */
int region_swapped(struct region *r, size_t offset, size_t length, size_t *bytes);

/* Whether some of a committed range, of whole pages, would have to be read in to be used. */
bool region_is_out(struct region *r, size_t offset, size_t length);

/*
 * Puts new pages, which read zero, in the place of committed ones that nobody uses, so that
 * they are not read in; nothing is done where the guard sees no room. The granules that they
 * lie in must stay committed meanwhile.
 */
void region_renew(struct region *r, size_t offset, size_t length);

/* How much more room the guard would have needed to grant what it refused last; 0: it
 * granted the last request. What is freed beyond that lets it grant the same. */
size_t region_lack(const struct region *r);

/* Bytes committed now. */
size_t region_committed(struct region *r);

/* A copy of the counters. */
void region_get_counts(struct region *r, struct region_counts *out);

/*
 * fork(2): before, waits until no operation is in flight and keeps the lock;
 * after, in parent and child, lets go of it.
 */
void region_fork_prepare(struct region *r);
void region_fork_parent(struct region *r);
void region_fork_child(struct region *r);

/*
 * In the child, while the region is as region_fork_prepare() left it, for one on a
 * shared backing (region/fork.c). After an error the region is inaccessible.
 *
 * region_fork_copy: gives the child private memory with the same contents. -EBADF: there is
 * no way to the parent's memory, see backing_lend().
 * region_fork_view: leaves it the parent's, read only in effect: what the child writes or
 * commits is its own. The descriptor must not be lost.
 * region_fork_forget: nothing is accessible any more.
 */
int region_fork_copy(struct region *r);
int region_fork_view(struct region *r);
void region_fork_forget(struct region *r);

/* Whether it is shared memory, which is not mapped in a child. */
static inline bool region_is_shared(const struct region *r) { return r->backing.file.fd >= 0; }

/* Aborts unless the maps, the counts and the budget agree. Nothing may be in flight. */
void region_check(struct region *r);

#endif
