/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report: what `sparena check` found, as lines for people or as JSON. Values may hold
 * anything, names of cgroups for one: control characters and bytes that are not UTF-8
 * are replaced.
 */
#ifndef SPARENA_CLI_REPORT_H
#define SPARENA_CLI_REPORT_H

#include "base/base.h"

#include <stdio.h>

#define REPORT_TEXT_MAX 512
#define REPORT_PATH_MAX 9000 /* of a value or a fix with a path in it, quoted */
#define REPORT_COLUMNS 100   /* lines for people are no longer; but a command stays in one piece */

/* How good a finding is. A problem keeps sparena from keeping its promise. */
enum report_state { REPORT_OK, REPORT_NOTE, REPORT_PROBLEM };

/* One thing that was looked at. */
struct finding {
	const char *group;
	const char *name;
	enum report_state state;
	const char *value;
	const char *meaning;
	const char *fix; /* NULL: none is needed, or there is none */
};

/* Everything found so far is written as it is found. */
struct report {
	FILE *out;
	bool json;
	const char *group; /* of what is added next */
	bool group_shown;
	size_t findings;
	size_t problems;
};

/* Starts a report that is written to `out`. */
void report_begin(struct report *r, FILE *out, bool json);

/* What is added from here on belongs to `group`. */
void report_group(struct report *r, const char *group);

/*
 * Adds one thing that was looked at: its name, how good it is, what there is, what
 * that means for sparena, and a command that changes it (NULL: none is needed).
 */
void report_add(struct report *r, const char *name, enum report_state state, const char *value,
                const char *meaning, const char *fix);

/* Ends a report; for people with a line that sums it up. */
void report_end(const struct report *r);

/* Appends a word so that a shell takes it as it is, in quotes where it needs them. */
void report_quote(struct text *t, const char *word);

/* How many bytes of a UTF-8 character start at p, RFC 3629; 0: none does. */
unsigned report_utf8_length(const unsigned char *p);

/* ---- JSON (cli/report_json.c): { "version": 1, "findings": [...], "problems": N } -- */

/* A text in quotes, or null. */
void report_json_text(FILE *out, const char *text);
void report_json_begin(FILE *out);
void report_json_add(FILE *out, const struct finding *f, const char *state, bool first);
void report_json_end(FILE *out, size_t problems);

#endif
