/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guard: says whether the machine, and every memory cgroup around this process, has room
 * before memory is populated, since the kernel answers a lack with its OOM killer. One
 * serves many regions. It keeps descriptors of the counters open, reads them rarely while
 * room is ample and before each small step when it is short, never allocates, and is
 * never asked with a region's lock held.
 *
 * What it cannot find out (no /proc, no cgroup mounted, descriptors lost after chroot) it
 * does without: it only ever refuses for a reason.
 */
#ifndef SPARENA_REGION_GUARD_H
#define SPARENA_REGION_GUARD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backing/charger.h"
#include "os/cgroup.h"
#include "os/os.h"
#include "os/stack.h"

#define GUARD_MOST_LEVELS 16 /* cgroups one in another, from the process's own upwards */

/* What a region wants of it. */
struct guard_terms {
	size_t margin; /* bytes to be left to others; 0: a part of each limit */
	bool high;     /* memory.high counts as a limit */
	bool metadata; /* half the margin will do, so that data is refused first */
};

struct guard {
	const char *root;     /* in front of /proc and of mount points: "", or a planted tree in tests */
	pthread_mutex_t lock; /* guards everything below; nothing else is locked while it is held */

	/* What is read. */
	bool stale;           /* descriptors are lost, or a cgroup is gone */
	uint64_t scan_at;     /* when to look for the cgroup again, ms */
	struct os_cgroup place, found;
	unsigned moves;       /* how often the place was another one */
	unsigned levels;
	struct os_cgroup_files files[GUARD_MOST_LEVELS];
	struct os_file meminfo;
	bool has_swap;
	size_t swap_in_memory; /* free in areas that are memory themselves */
	unsigned cpus;
	char text[OS_CGROUP_TEXT_MAX];
	struct os_stack stack; /* that of a thread may be small */

	/* What came of it. */
	size_t box;           /* the least of all limits; 0: not known yet */
	size_t allowance;     /* bytes that may be populated without another look... */
	uint64_t until;       /* ...before this time, ms... */
	struct guard_terms terms; /* ...by who asks on these, or on easier ones */
	size_t in_flight;     /* bytes that are being populated: partly counted already */
	size_t granted;       /* bytes that were ever granted, since the last fork */
	size_t lack;          /* how much more room the last refusal would have needed; 0: it was granted */

	/* Has a lock of its own, which is never taken together with this one's. */
	struct charger charger;
};

#define GUARD_INITIALIZER(root_directory)                                                     \
	{ .root = (root_directory), .lock = PTHREAD_MUTEX_INITIALIZER, .meminfo = { .fd = -1 }, \
	  .charger = CHARGER_INITIALIZER }

struct guard_request {
	size_t bytes;  /* still to be populated, all in all */
	size_t unit;   /* they are populated in multiples of this */
	size_t held;   /* what the asker holds already */
	struct guard_terms terms;
};

/* The process's: its regions, of whichever heap, grow in the same room. */
struct guard *guard_of_process(void);

/*
 * How many of the request's bytes may be populated before asking again: a multiple of
 * its unit, or 0 when there is no room for all of them, or no room for a unit that is
 * safe while other processes grow too. What was granted is in flight until guard_done().
 */
size_t guard_ask(struct guard *g, const struct guard_request *q);
void guard_done(struct guard *g, size_t granted);

/*
 * So many bytes are going to be populated without asking, until guard_done(): they are in
 * flight, and not to be had by what was allowed before.
 */
void guard_bypass(struct guard *g, size_t bytes);

/* What was allowed before is so no more. */
void guard_forget(struct guard *g);

/* A number that is another one when the process was moved to another cgroup; looks for
 * that once a second at most. */
unsigned guard_place(struct guard *g);

/* How much room the last refusal lacked; 0 after a grant. */
size_t guard_lack(struct guard *g);

/* The least limit around this process, the machine's memory at most; OS_UNLIMITED where
 * none can be found out. Looks again when what it knows is older than some ms. */
size_t guard_box(struct guard *g);

/* Closes the descriptors, and ends the helper. */
void guard_close(struct guard *g);

void guard_fork_prepare(struct guard *g);
void guard_fork_parent(struct guard *g);
void guard_fork_child(struct guard *g);

#endif
