/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/report.h"

#include <string.h>

#define INDENT 26 /* where the text of a finding begins */

static const char *const states[] = {"ok", "note", "problem"};

/* ---- lines for people -------------------------------------------------------- */

unsigned report_utf8_length(const unsigned char *p)
{
	unsigned length = p[0] < 0x80   ? 1
	                  : p[0] < 0xc2 ? 0
	                  : p[0] < 0xe0 ? 2
	                  : p[0] < 0xf0 ? 3
	                  : p[0] < 0xf5 ? 4
	                                : 0;

	for (unsigned i = 1; i < length; i++)
		if ((p[i] & 0xc0) != 0x80) /* also the end of the text */
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90)) /* too long for what it says */
		return 0;
	if ((p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f)) /* surrogates; beyond the last */
		return 0;
	return length;
}

/* What a terminal would act on, or not understand, is shown as an escape. */
static void put_visible(FILE *out, const char *text, size_t length)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + length;

	while (p < end) {
		unsigned n = report_utf8_length(p);
		bool control = *p < ' ' || *p == 0x7f || (n == 2 && *p == 0xc2 && p[1] < 0xa0);

		if (n == 0 || control)
			fprintf(out, "\\%03o", *p);
		else
			fwrite(p, 1, n, out);
		p += n == 0 || control ? 1 : n;
	}
}

/* Writes words, on a new line where they don't fit; `column` is where it stands. The
 * last column is for the colon after a value. */
static void put_wrapped(FILE *out, const char *text, size_t *column)
{
	while (*text != '\0') {
		size_t length = strcspn(text, " ");

		if (*column > INDENT && *column + 1 + length >= REPORT_COLUMNS) {
			fprintf(out, "\n%*s", INDENT, "");
			*column = INDENT;
		} else if (*column > INDENT) {
			fputc(' ', out);
			*column += 1;
		}
		put_visible(out, text, length);
		*column += length;
		text += length + strspn(text + length, " ");
	}
}

static void print_text(struct report *r, const struct finding *f)
{
	size_t column = INDENT;

	if (!r->group_shown)
		fprintf(r->out, "%s%s\n", r->findings == 0 ? "" : "\n", f->group);
	r->group_shown = true;
	fprintf(r->out, "  %-14s %-8s ", f->name, states[f->state]);
	put_wrapped(r->out, f->value, &column);
	fputc(':', r->out);
	column++;
	put_wrapped(r->out, f->meaning, &column);
	fputc('\n', r->out);
	if (f->fix == NULL)
		return;
	fprintf(r->out, "%*sto change it: ", INDENT, "");
	put_visible(r->out, f->fix, strlen(f->fix));
	fputc('\n', r->out);
}

/* ---- both ---------------------------------------------------------------------- */

void report_begin(struct report *r, FILE *out, bool json)
{
	*r = (struct report){.out = out, .json = json, .group = ""};
	if (json)
		report_json_begin(out);
}

void report_group(struct report *r, const char *group)
{
	r->group = group;
	r->group_shown = false;
}

void report_add(struct report *r, const char *name, enum report_state state, const char *value,
                const char *meaning, const char *fix)
{
	struct finding f = {r->group, name, state, value, meaning, fix};

	if (r->json)
		report_json_add(r->out, &f, states[state], r->findings == 0);
	else
		print_text(r, &f);
	r->findings++;
	r->problems += state == REPORT_PROBLEM;
}

void report_end(const struct report *r)
{
	if (r->json)
		report_json_end(r->out, r->problems);
	else if (r->problems != 0)
		fprintf(r->out, "\nsparena cannot keep its promise here: see the %zu problem%s above.\n",
		        r->problems, r->problems == 1 ? "" : "s");
	else
		fprintf(r->out, "\nsparena can keep its promise here.\n");
}

void report_quote(struct text *t, const char *word)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%,=";

	if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
		text_add(t, "%s", word);
		return;
	}
	text_add(t, "'");
	for (; *word != '\0'; word++) {
		if (*word == '\'')
			text_add(t, "'\\''");
		else
			text_add(t, "%c", *word);
	}
	text_add(t, "'");
}
