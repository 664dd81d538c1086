/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conf: the options. One row each in one table (conf/table.h), from which the
 * parser, the defaults, `--help`, the manual page and the tests of the
 * documentation come. The grammar is the same everywhere: key:value,key:value.
 * Nothing here allocates, prints, or acts on an option.
 */
#ifndef SPARENA_CONF_CONF_H
#define SPARENA_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONF_UNLIMITED SIZE_MAX
#define CONF_AUTO 0 /* of reserve, page and guard_margin */
#define CONF_DECAY_NEVER INT64_MAX
#define CONF_LAZY_NEVER SIZE_MAX
#define CONF_PATH_MAX 512
#define CONF_ERROR_MAX 320
#define CONF_LIMIT_AUTO 875u /* thousandths: an eighth stays for stacks, libraries, page tables */
#define CONF_LIMIT_MINIMUM ((size_t)4 << 20) /* what start-up needs, metadata included */

enum conf_backing {
	CONF_BACKING_ANON,
	CONF_BACKING_HUGETLB,
	CONF_BACKING_MEMFD,
	CONF_BACKING_MEMFD_HUGETLB,
	CONF_BACKING_FILE,
};
enum conf_fork { CONF_FORK_COPY, CONF_FORK_EXEC, CONF_FORK_DENY };
enum conf_guard { CONF_GUARD_AUTO, CONF_GUARD_OFF, CONF_GUARD_HIGH, CONF_GUARD_HELPER };
enum conf_lock { CONF_LOCK_OFF, CONF_LOCK_ONFAULT, CONF_LOCK_NOW };
enum conf_merge { CONF_MERGE_OFF, CONF_MERGE_ON };
enum conf_populate { CONF_POPULATE_AUTO, CONF_POPULATE_TOUCH };
enum conf_thp { CONF_THP_AUTO, CONF_THP_ALWAYS, CONF_THP_NEVER };

struct conf {
	enum conf_backing backing;
	enum conf_thp thp;
	enum conf_fork fork;
	enum conf_populate populate;
	enum conf_guard guard;
	enum conf_lock lock;
	enum conf_merge merge;
	size_t guard_margin; /* bytes that the guard leaves to others; CONF_AUTO */
	size_t page;         /* bytes; CONF_AUTO */
	size_t reserve;      /* bytes of address space; CONF_AUTO */
	size_t limit;        /* bytes; CONF_UNLIMITED */
	unsigned limit_share; /* thousandths of the box that it is of; 0: it is of none */
	int64_t decay_ms;    /* 0: at once; CONF_DECAY_NEVER */
	size_t commit_ahead; /* bytes, at most this much ahead of need in one step */
	size_t lazy_above;   /* bytes: larger blocks are charged only; CONF_LAZY_NEVER */
	size_t thread_cache; /* bytes: the largest block that a thread keeps for reuse */
	bool background;     /* a thread gives free memory back, and commits ahead */
	bool harden;         /* the program's blocks are checked, and it ends at the first mistake */
	bool trap;           /* nothing is accessible but what is committed */
	bool closed;         /* regions: inaccessible until committed */
	bool stats_print;
	bool strict;
	bool log;
	bool keep;           /* a named file stays */
	char path[CONF_PATH_MAX];       /* of backing:file; "" for none */
	char stats_file[CONF_PATH_MAX]; /* "" for none */
};

/* Which interfaces an option belongs to. */
enum conf_scope {
	CONF_SCOPE_PROCESS = 1 << 0, /* SPARENA_CONF, sparena run */
	CONF_SCOPE_REGION = 1 << 1,  /* sparena_region_reserve() */
	CONF_SCOPE_HEAP = 1 << 2,    /* sparena_heap_create() */
};

/* One row of the table, for help and documentation. */
struct conf_option {
	const char *key;
	const char *values;  /* as shown to people: "none|SIZE|PERCENT" */
	const char *initial; /* default, as text */
	const char *help;    /* one line */
	unsigned scope;
};

/* The table, in the order in which it is shown. */
extern const struct conf_option conf_options[];
extern const size_t conf_option_count;

/* Sets every option to its default. */
void conf_default(struct conf *c);

/*
 * Parses `text` (NULL and "" mean nothing to set) on top of what is in *c. Only
 * options of `scope` are known. `total` is what a percentage is taken of at first, in
 * bytes: see conf_set_box(). A key may come more than once: the last one counts.
 * Returns 0, or -EINVAL at the first error, with *c as it was up to there and the
 * reason, with what would be right, as one line in error[].
 */
int conf_parse(struct conf *c, const char *text, unsigned scope, size_t total,
               char error[CONF_ERROR_MAX]);

/*
 * As conf_parse(), but a bad part is skipped, so that its default is kept, and
 * `report` is called with the reason for each. Returns how many there were.
 */
size_t conf_parse_lenient(struct conf *c, const char *text, unsigned scope, size_t total,
                          void (*report)(const char *reason));

/*
 * Where the limit is a share, makes it that of the box: the smallest cgroup around the process,
 * or the machine's memory. CONF_UNLIMITED: not known, it stays as it is.
 */
void conf_set_box(struct conf *c, size_t box);

/*
 * Checks what no single option can: the limit against `minimum` (what start-up
 * needs), reserve against limit, path, page, guard and lazy_above against backing.
 * Returns 0, or -EINVAL with the reason in error[].
 */
int conf_check(const struct conf *c, size_t minimum, char error[CONF_ERROR_MAX]);

#endif
