/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/report.h"

/* Writes what starts at p and returns how many bytes that was. */
static unsigned put_character(FILE *out, const unsigned char *p)
{
	unsigned length = report_utf8_length(p);

	if (length == 0) {
		fputs("\\ufffd", out);
		return 1;
	}
	if (*p == '"' || *p == '\\')
		fprintf(out, "\\%c", *p);
	else if (*p < ' ' || *p == 0x7f)
		fprintf(out, "\\u%04x", (unsigned)*p);
	else
		fwrite(p, 1, length, out);
	return length;
}

void report_json_text(FILE *out, const char *text)
{
	if (text == NULL) {
		fputs("null", out);
		return;
	}
	fputc('"', out);
	for (const unsigned char *p = (const unsigned char *)text; *p != '\0';)
		p += put_character(out, p);
	fputc('"', out);
}

static void put_string(FILE *out, const char *name, const char *text, const char *after)
{
	fprintf(out, "\"%s\": ", name);
	report_json_text(out, text);
	fputs(after, out);
}

void report_json_begin(FILE *out)
{
	fputs("{\"version\": 1,\n \"findings\": [", out);
}

void report_json_add(FILE *out, const struct finding *f, const char *state, bool first)
{
	fprintf(out, "%s\n  {", first ? "" : ",");
	put_string(out, "group", f->group, ", ");
	put_string(out, "name", f->name, ", ");
	put_string(out, "state", state, ", ");
	put_string(out, "value", f->value, ",\n   ");
	put_string(out, "meaning", f->meaning, ",\n   ");
	put_string(out, "fix", f->fix, "}");
}

void report_json_end(FILE *out, size_t problems)
{
	fprintf(out, "\n ],\n \"problems\": %zu}\n", problems);
}
