/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_options: what a user wrote, into struct bench_options. All return false, with a
 * message, when it is not right.
 */
#ifndef SPARENA_CLI_BENCH_OPTIONS_H
#define SPARENA_CLI_BENCH_OPTIONS_H

#include "cli/bench.h"

/* Everything, in three sizes, ten rounds. */
void bench_default_options(struct bench_options *o, const struct bench_subject *subject);

/* Lists, with a comma between. Names may be written in capitals or not. */
bool bench_read_sizes(struct bench_options *o, const char *list);
bool bench_read_threads(struct bench_options *o, const char *list);
bool bench_read_backings(struct bench_options *o, const char *list);
bool bench_read_mappings(struct bench_options *o, const char *list);
bool bench_read_methods(struct bench_options *o, const char *list);

/* The names that there are: one each call, or NULL. */
typedef const char *bench_name_at(const struct bench_options *o, unsigned i);
bool bench_read_names(const struct bench_options *o, bench_name_at *at, const char *list, const char *option,
                      unsigned *out);

bool bench_read_rounds(struct bench_options *o, const char *number);
bool bench_read_directory(struct bench_options *o, const char *directory);

#endif
