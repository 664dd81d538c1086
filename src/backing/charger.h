/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * charger: takes room in memory files by a helper process (os/helper.h), which the kernel
 * ends in our place where there is none. When it was lost it is replaced: not at once,
 * and not before somebody has seen that there is room for it. Never allocates; its lock
 * is held while the helper works, and no other one is taken under it.
 */
#ifndef SPARENA_BACKING_CHARGER_H
#define SPARENA_BACKING_CHARGER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/helper.h"

struct charger {
	pthread_mutex_t lock; /* guards everything below */
	struct os_helper helper;
	unsigned place;       /* in which it was started */
	uint64_t started_at;  /* ms */
	uint64_t again_at;    /* not to be started before, ms */
	unsigned wait;        /* from one to the next, ms */
	uint64_t lost;        /* helpers that were ended by others */
	size_t weight;        /* that the next one is to have */
	bool told;            /* why there is none */
	void (*say)(const char *text, const char *detail); /* to people; NULL: nothing is said */
	bool says_losses;     /* each of them, too */
	char text[OS_HELPER_TEXT_MAX];
};

#define CHARGER_INITIALIZER { .lock = PTHREAD_MUTEX_INITIALIZER, .helper.socket.fd = -1 }

/* Memory that a helper holds besides: what other charges find when it was taken. */
#define CHARGER_BALLAST ((size_t)1 << 20)

/*
 * Whether a helper is to be started now: there is none in this place (a number that
 * changes when the process is moved to another cgroup), and the last one's end is some
 * time ago. *bytes is the room that it needs.
 */
bool charger_wants(struct charger *c, unsigned place, size_t *bytes);

/* Starts one, if there is none; or says that there was no room, so that it is later. */
void charger_start(struct charger *c, unsigned place);
void charger_put_off(struct charger *c);

/*
 * Takes a range of a file by the helper. -EAGAIN: there is none, or it could not be
 * asked, and nothing was taken. -ENOMEM: there is no room, and it may have been lost over
 * that: the range is to be discarded. Or -errno of fallocate(2).
 */
int charger_take(struct charger *c, const struct os_file *file, size_t offset, size_t length);

/* Helpers that were lost, since the last fork. */
uint64_t charger_lost(struct charger *c);

/* Ends the helper; for good, or until another one is wanted. */
void charger_end(struct charger *c);
void charger_close(struct charger *c);

/* A child has none at first. */
void charger_fork_prepare(struct charger *c);
void charger_fork_parent(struct charger *c);
void charger_fork_child(struct charger *c);

#endif
