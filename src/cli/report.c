/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/report.h"

#include <stdio.h>

/* One thing that was looked at. */
struct finding {
	const char *name;
	enum report_state state;
	const char *value;
	const char *meaning;
	const char *fix;
};

static const char *const states[] = {"ok", "note", "problem"};

static void print_json_string(const char *name, const char *text, const char *after)
{
	printf("\"%s\": ", name);
	if (text == NULL) {
		printf("null%s", after);
		return;
	}
	putchar('"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else if ((unsigned char)*text < ' ')
			printf("\\u%04x", (unsigned)*text);
		else
			putchar(*text);
	}
	printf("\"%s", after);
}

static void print_json(const struct report *r, const struct finding *f)
{
	printf("%s\n  {", r->findings == 0 ? "" : ",");
	print_json_string("name", f->name, ", ");
	print_json_string("state", states[f->state], ", ");
	print_json_string("value", f->value, ",\n   ");
	print_json_string("meaning", f->meaning, ", ");
	print_json_string("fix", f->fix, "}");
}

static void print_text(const struct finding *f)
{
	printf("%-14s %-8s %s: %s\n", f->name, states[f->state], f->value, f->meaning);
	if (f->fix != NULL)
		printf("%-23s to change it: %s\n", "", f->fix);
}

void report_begin(struct report *r, bool json)
{
	*r = (struct report){.json = json};
	if (json)
		printf("[");
}

void report_add(struct report *r, const char *name, enum report_state state, const char *value,
                const char *meaning, const char *fix)
{
	struct finding f = {name, state, value, meaning, fix};

	if (r->json)
		print_json(r, &f);
	else
		print_text(&f);
	r->findings++;
	r->problems += state == REPORT_PROBLEM;
}

void report_end(const struct report *r)
{
	if (r->json)
		printf("\n]\n");
	else if (r->problems != 0)
		printf("\nsparena cannot keep its promise here: see the %zu problem%s above.\n", r->problems,
		       r->problems == 1 ? "" : "s");
	else
		printf("\nsparena can keep its promise here.\n");
}
