/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of options: X(key, kind, scope, values, initial, help). The key is
 * also the name of the member of struct conf; the kind names the setter in
 * parse.c; a choice's values are in the order of their enumerators. `initial` is
 * parsed as a user's text would be, so it cannot differ from the default. A new
 * option is a row here and a member there.
 */
#ifndef SPARENA_CONF_TABLE_H
#define SPARENA_CONF_TABLE_H

#include "conf/conf.h"

#define CONF_SCOPE_HEAPS (CONF_SCOPE_PROCESS | CONF_SCOPE_HEAP)
#define CONF_SCOPE_ALL (CONF_SCOPE_HEAPS | CONF_SCOPE_REGION)

#define CONF_TABLE(X)                                                                              \
	X(backing, choice, CONF_SCOPE_ALL, "anon|hugetlb|memfd|memfd-hugetlb|file", "anon",        \
	  "where memory comes from: private or (memfd, file) shared pages, small or huge")         \
	X(path, path, CONF_SCOPE_ALL, "PATH", "",                                                  \
	  "backing:file: a directory, for an unnamed file in it, or a new file's name")            \
	X(keep, boolean, CONF_SCOPE_ALL, "true|false", "false",                                    \
	  "backing:file: leave a named file behind")                                               \
	X(page, page, CONF_SCOPE_ALL, "auto|SIZE", "auto",                                         \
	  "size of huge pages (2M, 1G); auto takes the largest that the pool has enough of")       \
	X(thp, choice, CONF_SCOPE_ALL, "auto|always|never", "auto",                                \
	  "transparent huge pages: auto uses them where they cost no memory")                      \
	X(reserve, reserve, CONF_SCOPE_HEAPS, "auto|SIZE", "auto",                               \
	  "address space to reserve; auto takes as much as there is use for")                      \
	X(limit, limit, CONF_SCOPE_ALL, "none|auto|SIZE|PERCENT", "none",                          \
	  "most memory to hold; a percentage, auto: 87.5%, is of the cgroup or machine") \
	X(guard, choice, CONF_SCOPE_ALL, "auto|off|high|helper", "auto",                           \
	  "refuse where memory is short; high: at memory.high too; helper: exact, for memfd")      \
	X(guard_margin, margin, CONF_SCOPE_ALL, "auto|SIZE", "auto",                               \
	  "memory that the guard leaves to others; auto: a 64th, 1 to 16 MiB")                     \
	X(decay_ms, decay, CONF_SCOPE_HEAPS, "NUMBER|never", "500",                              \
	  "milliseconds that freed memory is kept for reuse before it goes back")                  \
	X(commit_ahead, commit_ahead, CONF_SCOPE_HEAPS, "SIZE", "2M",                            \
	  "most memory to commit ahead of need in one step; a power of two, 64K or more")          \
	X(background, boolean, CONF_SCOPE_HEAPS, "true|false", "false",                            \
	  "a thread gives freed memory back, of an idle program too, and commits ahead of need")   \
	X(lazy_above, lazy_above, CONF_SCOPE_HEAPS, "SIZE|never", "never",                       \
	  "charge blocks larger than this without backing them; backing:anon alone")               \
	X(thread_cache, thread_cache, CONF_SCOPE_PROCESS, "SIZE", "32K",                           \
	  "largest block that a thread keeps for its next request: 16K to 1M")                     \
	X(harden, boolean, CONF_SCOPE_HEAPS, "true|false", "false",                                \
	  "stop the program when it frees what is no block, or twice, or wrote beyond a block")    \
	X(trap, boolean, CONF_SCOPE_ALL, "true|false", "false",                                    \
	  "touching memory that was given back is SIGSEGV")                                        \
	X(lock, choice, CONF_SCOPE_ALL, "off|onfault|now", "off",                                  \
	  "keep what is committed out of swap: locked from when it is populated, or by each commit") \
	X(merge, choice, CONF_SCOPE_ALL, "off|on", "off",                                          \
	  "whether the kernel (KSM) may make one page of pages that are alike; a write takes one then") \
	X(fork, choice, CONF_SCOPE_HEAPS, "copy|exec|deny", "copy",                              \
	  "shared memory at fork: copied first, left to an exec soon, or fork fails")              \
	X(populate, choice, CONF_SCOPE_ALL, "auto|touch", "auto",                                  \
	  "touch does without the kernel's MADV_POPULATE_WRITE, as on Linux before 5.14")          \
	X(closed, boolean, CONF_SCOPE_REGION, "true|false", "false",                               \
	  "keep what is not committed inaccessible")                                               \
	X(stats_print, boolean, CONF_SCOPE_PROCESS, "true|false", "false",                         \
	  "print statistics to standard error at exit")                                            \
	X(stats_file, path, CONF_SCOPE_PROCESS, "PATH", "",                                        \
	  "write statistics as JSON to this file at exit; %p stands for the process id")           \
	X(strict, boolean, CONF_SCOPE_PROCESS, "true|false", "false",                              \
	  "stop the program with status 78 when an option is wrong, instead of going on without")  \
	X(log, boolean, CONF_SCOPE_PROCESS, "true|false", "false",                                 \
	  "say on standard error what was decided at start-up")

/* One value on its way into struct conf. */
struct conf_value {
	const struct conf_option *option;
	const char *text;   /* not terminated */
	size_t length;
	size_t total;       /* what a percentage is of */
	void *field;        /* the member to set */
	struct conf *conf;  /* all of them */
	char *error;        /* CONF_ERROR_MAX bytes */
};

/* Stores a value, or writes the reason to v->error and returns -EINVAL, with the
 * field untouched. One for each kind (conf/parse.c). */
typedef int conf_setter(const struct conf_value *v);

conf_setter conf_set_choice, conf_set_reserve, conf_set_limit, conf_set_decay,
	conf_set_commit_ahead, conf_set_boolean, conf_set_page, conf_set_path, conf_set_margin,
	conf_set_lazy_above, conf_set_thread_cache;

/* Copies what a user wrote for a message: cut when long, always one printable line. */
#define CONF_QUOTE_MAX 48
const char *conf_quote(const char *text, size_t length, char quote[CONF_QUOTE_MAX]);

#endif
