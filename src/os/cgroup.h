/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cgroup: the cgroup that this process's memory is charged to, and its ancestors, as far
 * as they can be seen from here. A limit at any of them binds: beyond it the kernel
 * kills. Like all of os nothing here allocates, so a guard inside malloc may use it.
 */
#ifndef SPARENA_OS_CGROUP_H
#define SPARENA_OS_CGROUP_H

#include "os/os.h"

#define OS_CGROUP_PATH_MAX 4096 /* PATH_MAX: a longer path can't be opened */

enum os_cgroup_version { OS_CGROUP_NONE, OS_CGROUP_V1, OS_CGROUP_V2 };

/* A directory with the memory controller's files. */
struct os_cgroup {
	enum os_cgroup_version version; /* of the hierarchy that has the memory controller */
	bool hybrid;                    /* hierarchies of both versions are mounted */
	bool exact;          /* false: the process's own can't be seen, this is the nearest that can */
	size_t mount_length; /* of the part of `directory` that is the mount point: the way up ends there */
	char directory[OS_CGROUP_PATH_MAX];
};

/*
 * Finds the cgroup by /proc/self/cgroup and /proc/self/mountinfo. `root` stands in front
 * of both and of every mount point: "" for this machine, the directory of a planted tree
 * in tests. Works in a mapping of its own: the stack of a thread may be small.
 *
 * Returns 0; -ENOENT: memory is in no cgroup (a kernel without the controller, or without
 * cgroups); -ENODEV: it is in one, of out->version, that no mount shows; -ENOMEM: no
 * address space; another -errno: the files can't be read. After a failure out->directory
 * is "".
 */
int os_cgroup_find(const char *root, struct os_cgroup *out);

/* Makes it its parent. False, and nothing done, when that can't be seen. */
bool os_cgroup_up(struct os_cgroup *g);

/* What one cgroup may use and uses, in bytes. A limit is OS_UNLIMITED when there is none,
 * or none can be read; a use is 0 when it can't be read. */
struct os_cgroup_level {
	size_t limit;      /* memory.max, memory.limit_in_bytes: the kernel kills beyond it */
	size_t high;       /* memory.high: beyond it the kernel slows down; v1 has none */
	size_t current;    /* memory.current, memory.usage_in_bytes: file pages included */
	size_t file;       /* how much of it the kernel can take back: see os_cgroup_file_bytes() */
	size_t swap_limit; /* memory.swap.max; of v1 what memsw.limit leaves beyond `limit` */
	size_t swap;       /* how much is in swap */
};

/*
 * Reads one. Returns 0; -ENOENT: it has no memory controller of its own, so that an
 * ancestor is charged; another -errno: something can't be read or makes no sense, the
 * first such error; the rest is filled in. Uses some 10 KiB of stack.
 */
int os_cgroup_read(struct os_cgroup *g, struct os_cgroup_level *out);

/* ---- for whoever reads one again and again ------------------------------------------ */

#define OS_CGROUP_TEXT_MAX 8192 /* of a file; memory.stat is the longest */
#define OS_CGROUP_NO_FILE (-1)

/* Its files, open; the fd of one that is not there is OS_CGROUP_NO_FILE. */
struct os_cgroup_files {
	enum os_cgroup_version version;
	struct os_file limit, high, current, stat, swap_limit, swap;
};

/*
 * Opens what is there: its limits, and then, where there are some, what is used; that of
 * swap where the machine has any. Returns the first error of a file that is there, or 0.
 */
int os_cgroup_keep_limits(struct os_cgroup *g, struct os_cgroup_files *out);
int os_cgroup_keep_uses(struct os_cgroup *g, bool swap, struct os_cgroup_files *out);
void os_cgroup_let_go(struct os_cgroup_files *files);

/*
 * As os_cgroup_read(), of files that were kept; also -ESTALE: a descriptor is lost, and
 * -ENODEV: the cgroup is gone. The statistics, which take longest, are read only where
 * less than `enough` is left without them (OS_UNLIMITED: in any case); else file, swap and
 * swap_limit stay unknown.
 */
int os_cgroup_reread(struct os_cgroup_files *files, char text[OS_CGROUP_TEXT_MAX], size_t enough,
                     struct os_cgroup_level *out);

/* ---- what the numbers mean ------------------------------------------------------------ */

/* Of memory.stat's text: file pages on the kernel's lists (v1: with the cgroups below,
 * total_*). What is missing counts as 0. */
size_t os_cgroup_file_bytes(enum os_cgroup_version version, const char *stat);

/* What can still be allocated before the limit: limit - (current - file); 0 at least.
 * OS_UNLIMITED where there is no limit. */
size_t os_cgroup_headroom(const struct os_cgroup_level *l);

/* The same with what can be moved to swap, of which the machine has swap_free. `high`:
 * memory.high counts as a limit. */
size_t os_cgroup_room(const struct os_cgroup_level *l, bool high, size_t swap_free);

#endif
