/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_panel: what one picture of bars shows: a group for each backing, and in it a bar
 * for each method, or for each thread count.
 */
#ifndef SPARENA_CLI_BENCH_PANEL_H
#define SPARENA_CLI_BENCH_PANEL_H

#include "cli/bench.h"

struct bench_bar {
	const struct bench_cell *cell;
	struct bench_stats s;
};

struct bench_panel {
	char title[160];
	bool by_threads;
	double unit;    /* ns */
	double highest; /* in units; more than 0 */
	unsigned groups, series;
	const char *group[BENCH_BACKINGS];
	char name[BENCH_METHODS_MAX][32]; /* of the series */
	struct bench_bar bar[BENCH_BACKINGS][BENCH_METHODS_MAX];
};

/* Fills in what is shown of k's size and mapping: all methods by the first thread count,
 * or one method by all. */
void bench_panel_fill(struct bench_panel *p, const struct bench *b, struct bench_key k, bool by_threads);

/* The reason when a whole group is missing for the same one; NULL: something is there. */
const char *bench_panel_missing(const struct bench_panel *p, unsigned group);

#endif
