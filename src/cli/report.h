/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report: what `sparena check` found, as lines for people or as JSON.
 */
#ifndef SPARENA_CLI_REPORT_H
#define SPARENA_CLI_REPORT_H

#include "base/base.h"

#define REPORT_TEXT_MAX 320

/* How good a finding is. A problem keeps sparena from keeping its promise. */
enum report_state { REPORT_OK, REPORT_NOTE, REPORT_PROBLEM };

/* Everything found so far goes to standard output as it is found. */
struct report {
	bool json;
	size_t findings;
	size_t problems;
};

/* Starts a report. */
void report_begin(struct report *r, bool json);

/*
 * Adds one thing that was looked at: its name, how good it is, what there is, what
 * that means for sparena, and a command that changes it (NULL: none is needed).
 */
void report_add(struct report *r, const char *name, enum report_state state, const char *value,
                const char *meaning, const char *fix);

/* Ends a report; for people with a line that sums it up. */
void report_end(const struct report *r);

#endif
