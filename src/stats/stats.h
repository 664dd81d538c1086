/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stats: how the counters of sparena/stats.h are named and written. Each is
 * declared once, in stats/table.h, from which text, JSON and Prometheus come.
 * Nothing here counts, allocates, or knows where the numbers are from.
 */
#ifndef SPARENA_STATS_STATS_H
#define SPARENA_STATS_STATS_H

#include "sparena/stats.h"

/*
 * Writes *s to descriptor fd in one piece. `format`: "text" for people, "json"
 * (one object; limit is null when there is none), or "prometheus".
 * Returns 0; -EINVAL: unknown format; or -errno of write(2).
 */
int stats_write(const struct sparena_stats *s, int fd, const char *format);

/*
 * Writes *s as JSON to a file, in which "%p" stands for the process id and "%%"
 * for "%". Returns 0; -ENAMETOOLONG; or -errno of os_write_file().
 */
int stats_write_file(const struct sparena_stats *s, const char *path);

#endif
