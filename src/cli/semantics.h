/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * semantics: `sparena check --semantics`, what the kernel's documentation says of the calls
 * that sparena is built on, tried on the kernel that runs. One table a group of behaviours,
 * with a trial for each; doc/semantics.md shows the same tables to people, and a test
 * compares the two.
 *
 * A trial runs in a process of its own, and ends with it: so it frees and closes nothing, may
 * be killed by what it tries, and leaves nothing behind.
 */
#ifndef SPARENA_CLI_SEMANTICS_H
#define SPARENA_CLI_SEMANTICS_H

#include "cli/report.h"
#include "os/os.h"

enum semantics_outcome {
	SEMANTICS_DIED, /* as it is until the trial says otherwise */
	SEMANTICS_AS_DOCUMENTED,
	SEMANTICS_DIFFERS,
	SEMANTICS_NOT_TRIED,
};

/* How a trial ends; in memory that it shares with the process that waits for it. */
struct trial {
	enum semantics_outcome outcome;
	char said[REPORT_TEXT_MAX]; /* what was seen instead, or why it was not tried */
};

struct semantics_row {
	const char *name; /* of 14 characters at most; with the group's in front it is the row's id */
	const char *behaviour;
	const char *source; /* what documents it */
	const char *shown;  /* how the trial shows it */
	void (*try)(struct trial *t);
};

struct semantics_group {
	const char *name;
	const char *call;
	const struct semantics_row *rows;
	size_t count;
};

/* All of them. */
#define SEMANTICS_GROUPS 8
extern const struct semantics_group *const semantics_groups[SEMANTICS_GROUPS];
extern const struct semantics_group semantics_populate_read, semantics_populate_write, semantics_populate,
	semantics_willneed, semantics_pageout, semantics_dontneed, semantics_remove, semantics_punch;

/* How many came out how; to be indexed by enum semantics_outcome. */
struct semantics_count {
	size_t of[SEMANTICS_NOT_TRIED + 1];
};

/* Tries a group's rows and adds each to the report: one that differs is a problem. */
void semantics_try(const struct semantics_group *g, struct report *r, struct semantics_count *count);

/* sparena check --semantics: all of it, to standard output. Returns the exit code. */
int semantics_check(bool json);

/* ---- for trials (cli/semantics_trial.c, cli/semantics_memory.c) --------------------- */

#define TRIAL_PAGES ((size_t)64)
#define TRIAL_SIZE (TRIAL_PAGES * os_page_size())

/* What "documented in" says where several rows do. */
#define COMMIT "commit 4ca9b3859dac" /* of Linux 5.14, which introduced MADV_POPULATE_* */
#define COMMIT_POINT(n) COMMIT ", point " #n
#define MADVISE "madvise(2)"
#define FALLOCATE "fallocate(2)"

/* The end of a trial that did not come through. */
_Noreturn void trial_differs(struct trial *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void trial_not_tried(struct trial *t, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* `r` is the result of what a trial needs and is not about: it is not tried unless that is 0. */
void trial_need(struct trial *t, const char *what, int r);

/* What was seen must be as documented: a result, 0 or -errno; a number of bytes or faults;
 * every byte of a range. */
void trial_result(struct trial *t, const char *what, int seen, int documented);
void trial_number(struct trial *t, const char *what, size_t seen, size_t documented);
void trial_bytes(struct trial *t, const char *what, const char *p, size_t size, char documented);

/* Memory, readable and writable, of which nothing is populated: private and anonymous; shared
 * and anonymous; a file's, shared, or as a private view. Never of huge pages. */
char *trial_private(struct trial *t, size_t size);
char *trial_shared_anonymous(struct trial *t, size_t size);
char *trial_shared(struct trial *t, int fd, size_t size);
char *trial_view(struct trial *t, int fd, size_t size);

/* A memory file that is a hole; a file in /var/tmp, of `size` bytes (a hole) or of so many that
 * are 'd'. */
int trial_memory_file(struct trial *t, size_t size);
int trial_hole(struct trial *t, size_t size);
int trial_data(struct trial *t, size_t size);

/* Locks a range, populated. Only one page, as ulimit -l may be small. */
void trial_lock(struct trial *t, char *p);

/* A mapping of the kernel's own, VM_PFNMAP. */
char *trial_special(struct trial *t);

/* The kernel's figures. */
size_t trial_resident(struct trial *t, const char *p, size_t size);
size_t trial_swapped(struct trial *t, const char *p, size_t size);
size_t trial_in_core(struct trial *t, const char *p, size_t size);
size_t trial_stored(struct trial *t, int fd);
size_t trial_dirty(struct trial *t, const char *p);

/* Page faults of reading, or writing, a byte of each page. */
size_t trial_faults(char *p, size_t size, bool write);

/* The signal that writing to `p` ends a process with; 0: none. */
int trial_signal(struct trial *t, char *p);

/* Whether figure(t, p, size) comes to be `wanted`, in some seconds. */
bool trial_comes_to(struct trial *t, size_t (*figure)(struct trial *t, const char *p, size_t size),
                    const char *p, size_t size, size_t wanted);

/* Not tried unless, or if, there is swap. */
void trial_need_swap(struct trial *t);

#endif
