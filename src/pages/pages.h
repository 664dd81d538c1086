/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pages: the allocator of page runs inside a region. Finds the lowest run that is
 * resident, or commits a new one, a little ahead of need; keeps what was freed
 * resident for a while, then gives it back, whole huge pages first. What it knows
 * of a page is whose it is, never whether it is committed: that is region's.
 * Nothing here calls malloc, and no lock is held across a populate or a discard.
 *
 * Every page below the frontiers is in one of four places: handed out; in `resident`
 * or `recent`, free and committed; in `absent`, free and not committed; or in the
 * hands of an operation in flight. (Units that held a page which the hardware has
 * lost are in none of them, never again.)
 */
#ifndef SPARENA_PAGES_PAGES_H
#define SPARENA_PAGES_PAGES_H

#include <pthread.h>
#include <stdatomic.h>

#include "os/thread.h"
#include "pages/runset.h"
#include "region/region.h"

/* Pages are counted in these, one leaf of a set to a chunk. */
#define PAGE (CHUNK_SIZE / RUNSET_LEAF)

enum pages_thp { PAGES_THP_AUTO, PAGES_THP_ALWAYS, PAGES_THP_NEVER };

#define PAGES_DECAY_NEVER INT64_MAX
#define PAGES_EPOCHS_PER_DECAY 8 /* ages are counted in these */

struct pages_config {
	struct region *region; /* whose pages are handed out */
	size_t from;           /* [from, from + size) of it, multiples of CHUNK_SIZE */
	size_t size;
	struct region *meta;   /* whose memory the index takes; may be the same region */
	size_t first_at;       /* a small heap's index is at this offset of meta, whose granules are pages; */
	size_t index_at;       /* and that of everything at this one */
	enum pages_thp thp;
	size_t commit_ahead;   /* bytes, at least SMALL_GRANULE; 0: nothing beyond what is asked for */
	int64_t decay_ms;
};

/* The two ways in which memory is committed, each in a part of the region. */
enum pages_kind { PAGES_SMALL, PAGES_HUGE, PAGES_KINDS };

struct pages_zone {
	struct runset resident; /* free and committed, in pages from `start` on */
	struct runset absent;   /* free, not committed: granules or chunks of the whole region,
	                           since chunks of the huge zone may be run in granules */
	size_t unit;            /* bytes of a unit of `absent` */
	size_t start;           /* offsets: the zone's first byte, */
	size_t frontier;        /* above which nothing was ever used, */
	size_t end;             /* and where it ends */
};

/* Runs of one length that were just freed: see recent.c. */
#define PAGES_RECENT_LONGEST 16u /* pages */
#define PAGES_RECENT_MOST 32u
struct pages_recent {
	unsigned count;
	size_t offset[PAGES_RECENT_MOST];
};

/* Free runs apart from the sets, for many threads: see shards.h. */
struct shards;
#define PAGES_SHARD_LONGEST (CHUNK_SIZE / 2)

struct pages {
	struct region *region;
	struct region *meta;
	struct pages *sibling; /* in a ring: give back free runs when another one needs room; or NULL */
	size_t from;
	size_t size;
	size_t granule;
	enum pages_thp thp;
	size_t commit_ahead;
	int64_t decay_ms;
	uint64_t epoch_ms;     /* length of an epoch; 0: nothing goes back by age */

	size_t first_at;          /* offsets in meta: the index while the heap is small, */
	size_t index_at;          /* and that of everything, once */
	bool outgrown;            /* it is used; written with both locks held */

	pthread_mutex_t growing;  /* one thread at a time moves a frontier; taken before lock */
	pthread_mutex_t sweeping; /* one thread at a time gives back by age; taken before lock */
	_Atomic uint64_t swept;   /* the epoch that was swept to its end */
	size_t sweep_at;          /* next chunk; guarded by sweeping */

	struct shards *shards_memory;    /* where there is a place for shards, */
	_Atomic(struct shards *) shards; /* and it, once it was used; NULL before */
	_Atomic bool sharding;           /* runs are taken from shards first */
	_Atomic unsigned contended;      /* how often the lock was not free in this epoch */
	_Atomic bool paged_out;          /* once: what is freed may be in swap */

	struct os_bell *bell;    /* of who attends, since there first was somebody */
	_Atomic bool attended;   /* a thread in the background gives back, and goes ahead */
	_Atomic bool attending;  /* and is at it */
	_Atomic unsigned wishes; /* what it was rung for; all of them while there is none */

	pthread_mutex_t lock;    /* guards everything below */
	pthread_cond_t changed;  /* an operation in flight ended */
	unsigned waiting;
	unsigned in_flight;
	bool forking;
	struct pages_zone zone[PAGES_KINDS];
	uint16_t *stamps;        /* a granule: epoch of the last free inside it */
	uint64_t last_stamp;     /* of all these */
	size_t allocated;        /* bytes handed out */
	size_t resident_free;    /* bytes free and committed: in the zones' sets, and in `recent` */
	struct pages_recent recent[PAGES_RECENT_LONGEST]; /* by length */
	size_t recent_bytes;
	bool stepping_ahead;     /* a commit that goes beyond its need is in flight */
	size_t ahead_at, ahead;  /* where the last step in the background is, and its bytes */
	size_t watched_at, watched; /* a run that begins there: time for the next; 0: nobody is asked */
	_Atomic size_t frees;    /* written with the lock held, read without */
	uint64_t last_epoch;     /* of the clock when it was last looked at */
	size_t refused_frees;    /* frees_so_far() when a request was refused... */
	size_t refused_bytes;    /* ...of this many bytes, with so much to be left free: */
	size_t refused_keep;     /* no use to try for as much before the next free, */
	uint64_t refused_at;     /* or, where the limit may change by itself, for some ms */
	uint64_t exhausted;      /* requests refused */
	size_t retired;          /* bytes that are in no set any more, for a broken page */
};

static inline struct pages_zone *pages_zone_at(struct pages *p, size_t offset)
{
	return &p->zone[offset < p->zone[PAGES_HUGE].start ? PAGES_SMALL : PAGES_HUGE];
}

/* The page in `resident` of its zone. */
static inline size_t pages_page(const struct pages_zone *z, size_t offset)
{
	return (offset - z->start) / PAGE;
}

/* Bytes that the index of `size` bytes of pages takes, as address space, in meta; and a small heap's. */
size_t pages_index_bytes(size_t size, size_t granule);
size_t pages_first_index_bytes(size_t granule);

/* Returns 0, or -errno when the first part of the index cannot be committed. */
int pages_init(struct pages *p, const struct pages_config *config);

/* Forgets everything; the regions are the caller's to destroy. */
void pages_destroy(struct pages *p);

/*
 * Hands out `bytes` (a multiple of the page size) at a multiple of `align` (a power
 * of two), committed, with at least `keep` bytes left free below the limit if
 * anything had to be committed. *zeroed: whether it reads zero throughout.
 * Returns 0 with *offset, or -ENOMEM; then nothing has changed. Thread-safe.
 */
int pages_alloc(struct pages *p, size_t bytes, size_t align, size_t keep, size_t *offset, bool *zeroed);

/* As pages_alloc(), for the pages at `offset` and no others; only resident ones. */
int pages_alloc_at(struct pages *p, size_t offset, size_t bytes);

/* As pages_alloc(), for the pages at `offset` and no others; only ones that are not
 * committed yet. -EBUSY: some are in use, or resident. */
int pages_commit_at(struct pages *p, size_t offset, size_t bytes, size_t keep);

/* Takes a run, or any part of one, that is a multiple of granules, and gives it back at
 * once: nobody gets it resident, unless the kernel would not take it. */
void pages_free_at_once(struct pages *p, size_t offset, size_t bytes);

/* Takes a run, or any part of one, back, and ticks. */
void pages_free(struct pages *p, size_t offset, size_t bytes);

/*
 * Has all that is handed out written to swap (swapped.c), and from then on gives what of it
 * is freed back instead of keeping it. 0, or an error of region_advise().
 */
int pages_page_out(struct pages *p);

/*
 * Gives back up to `want` bytes of free runs now, of any age, if need be out of huge
 * chunks that are in use. Returns how much it was.
 */
size_t pages_trim(struct pages *p, size_t want);

/*
 * Gives back what has been free for decay_ms, a bounded amount in one call (about
 * 0.4 ms of work). Cheap when there is nothing to do: to be called now and then.
 */
void pages_tick(struct pages *p);

/*
 * For a thread in the background (attend.c), of which there is one at a time. Between begin
 * and end, sweeping is its work alone. attend: does what is to be done now, with `keep` bytes
 * left free below the limit; returns in how many milliseconds there will be more, if the bell
 * does not ring before, or OS_FOREVER. end: also in a child of fork(2), which has lost it.
 */
void pages_attend_begin(struct pages *p, struct os_bell *bell);
uint64_t pages_attend(struct pages *p, size_t keep);
void pages_attend_end(struct pages *p);

/* Where pages of this kind end that were ever handed out; nothing above was touched. */
size_t pages_frontier(struct pages *p, enum pages_kind kind);

void pages_fork_prepare(struct pages *p);
void pages_fork_parent(struct pages *p);
void pages_fork_child(struct pages *p);

/* Aborts unless the index, region's states and the counts agree. Nothing may be in flight. */
void pages_check(struct pages *p);

/* ---- between the files of this room, most with the lock held ------------------ */

/* What is asked for: `bytes` at a multiple of `align`, with `keep` left free below the limit. */
struct pages_request {
	size_t bytes;
	size_t align;
	size_t keep;
};

/*
 * The lowest run of `bytes`, more or less than the request's, in a set whose first unit lies
 * at `start`; by the alignment of its address: the region itself begins at a multiple of
 * CHUNK_SIZE only.
 */
bool pages_find_run(struct pages *p, const struct runset *s, size_t start, size_t unit, const struct pages_request *q,
                    size_t bytes, size_t *offset);

/* As pages_alloc(), of what is not committed yet (grow.c). Without the lock. */
int pages_grow(struct pages *p, const struct pages_request *q, size_t *offset);

/* Commits a step that nobody has asked for yet, with `keep` bytes and as much again left free
 * below the limit. Without the lock. */
void pages_go_ahead(struct pages *p, size_t keep);

/* Nobody is rung for by who uses the last step up, until there is another one. */
void pages_unwatch(struct pages *p);

/* What who attends is rung for: the step ahead is being used up; something has come to be free
 * while it sleeps. Any lock may be held. */
#define PAGES_WISH_AHEAD 1u
#define PAGES_WISH_AGE 2u
#define PAGES_WISHES 3u
void pages_ring(struct pages *p, unsigned wish);

static inline void pages_wish(struct pages *p, unsigned wish)
{
	if (unlikely(!(atomic_load_explicit(&p->wishes, memory_order_relaxed) & wish)))
		pages_ring(p, wish);
}

/* With the lock held, for a run that is taken out of the sets. */
static inline void pages_watch(struct pages *p, size_t offset)
{
	if (unlikely(offset - p->watched_at < p->watched))
		pages_wish(p, PAGES_WISH_AHEAD);
}

/* Time in epochs; 0 where nothing goes back by age. Needs no lock. */
uint64_t pages_epoch(const struct pages *p);

/* Notes the time of a free in each granule of the range. */
void pages_stamp(struct pages *p, size_t offset, size_t bytes, uint64_t epoch);

/* Into its zone's resident set: alone (for what is counted already), or with stamp and count. */
void pages_add_resident(struct pages *p, size_t offset, size_t bytes);
void pages_put_resident(struct pages *p, size_t offset, size_t bytes, uint64_t epoch);
void pages_take_resident(struct pages *p, size_t offset, size_t bytes);
bool pages_is_resident(struct pages *p, size_t offset, size_t bytes);
void pages_put_absent(struct pages *p, enum pages_kind kind, size_t offset, size_t bytes);

/* The same of what a failed commit leaves; units with a broken page are retired. */
void pages_put_uncommitted(struct pages *p, enum pages_kind kind, size_t offset, size_t bytes, int err);

/* Around an operation that holds pages outside every set while the lock is open. */
void pages_begin(struct pages *p);
void pages_end(struct pages *p);

/* Waits, with the lock let go, until such an operation has ended. */
void pages_wait(struct pages *p);

/* Stacks of short runs that were just freed (recent.c). flush: whether there were any. */
bool pages_recent_pop(struct pages *p, size_t bytes, size_t *offset);
bool pages_recent_push(struct pages *p, size_t offset, size_t bytes);
bool pages_recent_flush(struct pages *p);

/* Notes that there is more to be had, and tells who waits for that. Returns how often that was. */
size_t pages_note_free(struct pages *p);

/* For who did not get the lock at once: notices that, and takes it. */
void pages_lock_contended(struct pages *p);

static inline void pages_lock(struct pages *p)
{
	if (unlikely(pthread_mutex_trylock(&p->lock)))
		pages_lock_contended(p);
}

/*
 * Shards (shards.c). All without the lock. take, take_at: as pages_alloc() and
 * pages_alloc_at(), without zeroing; false: none has such a run. free: false: it is the sets'.
 * spare: where shards hold so much that it should be used before the heap grows, gives back
 * what the one has that has most; whether that was so.
 * drain: everything goes back into the sets. age: what was not used since the last epoch
 * does. hold: whether any has something. cover: makes their place usable; with `growing` held.
 */
bool pages_shard_take(struct pages *p, size_t bytes, size_t *offset);
bool pages_shard_take_at(struct pages *p, size_t offset, size_t bytes);
bool pages_shard_free(struct pages *p, size_t offset, size_t bytes);
bool pages_shards_spare(struct pages *p);
void pages_shards_drain(struct pages *p);
void pages_shards_age(struct pages *p, uint64_t epoch);
bool pages_shards_hold(struct pages *p);
void pages_shards_fork_prepare(struct pages *p);
void pages_shards_fork_done(struct pages *p);
int pages_cover_shards(struct pages *p);

static inline bool pages_is_sharding(struct pages *p)
{
	return unlikely(atomic_load_explicit(&p->sharding, memory_order_relaxed));
}

/* Whether any run may be in a shard, or belong there. */
static inline bool pages_has_shards(struct pages *p)
{
	return unlikely(atomic_load_explicit(&p->shards, memory_order_relaxed) != NULL);
}

/* Gives back free runs, here and of the siblings, for a commit of `bytes`. Without the lock. */
bool pages_make_room(struct pages *p, size_t bytes);

/* Lays the indexes out at these offsets of meta, and commits what is needed while all is empty:
 * 0 or -errno. Once, before anything else. */
int pages_index_init(struct pages *p, size_t first_at, size_t index_at);

/* Moves a frontier so that a run of `bytes` can begin below it; if it is not at `from` any
 * more, somebody else has moved it, and the caller is to look again. Without the lock. */
int pages_extend(struct pages *p, enum pages_kind kind, size_t from, size_t bytes);

/* Runs on their way back, in no set, between pages_begin() and pages_end() (give_back.c). */
#define PAGES_BATCH 16u
struct pages_batch {
	unsigned count;
	size_t offset[PAGES_BATCH];
	size_t length[PAGES_BATCH];
	enum pages_kind kind[PAGES_BATCH];
};

/* In which way the place is committed now: chunks of the huge zone may be thinned. */
enum pages_kind pages_kind_at(struct pages *p, size_t offset);

/* Decommits a batch, and ends what pages_begin() began. Without the lock. Returns bytes. */
size_t pages_discard(struct pages *p, const struct pages_batch *b);

/* As pages_free(), for a run of which some is in swap; false: none is, and it was not
 * taken back. Without the lock. */
bool pages_free_swapped(struct pages *p, size_t offset, size_t bytes);

/* Gives back what is due in `epoch`, if that was not done yet, and nobody attends to it, for as
 * long as a tick may take; part: whoever does. Says whether there is more. Without the lock. */
void pages_sweep(struct pages *p, uint64_t epoch);
bool pages_sweep_part(struct pages *p, uint64_t epoch);

#endif
