/* SPDX-License-Identifier: BSD-2-Clause */
/* scripts: what the threads of each scenario do. */
#ifndef SPARENA_TESTS_INTERLEAVE_SCRIPTS_H
#define SPARENA_TESTS_INTERLEAVE_SCRIPTS_H

#include <stdbool.h>

#include "schedule.h"

struct scenario {
	const char *name;
	unsigned threads;
	unsigned bound; /* preemptions at most */
	bool forks;
	const void *script;
	void (*explore)(const struct scenario *s, struct schedule_counts *counts);
};

extern const struct scenario region_scenarios[]; /* the last one has no name */
extern const struct scenario pages_scenarios[];

#endif
