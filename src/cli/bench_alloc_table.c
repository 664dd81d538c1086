/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables, as text or as Markdown. */
#define _GNU_SOURCE
#include "cli/bench_alloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 64
#define GAP 2

void table_add(struct table *t, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = bench_vformat(format, args);
	va_end(args);
	if (t->count % 64 == 0) {
		char **cells = bench_allocate(t->count + 64, sizeof(*cells));

		if (t->count > 0)
			memcpy(cells, t->cells, t->count * sizeof(*cells));
		free(t->cells);
		t->cells = cells;
	}
	t->cells[t->count++] = text;
}

void table_add_number(struct table *t, double value)
{
	if (isnan(value))
		table_add(t, "-");
	else
		table_add(t, "%.*f", value >= 100 || value == 0 ? 0 : value >= 10 ? 1 : 2, value);
}

void table_add_ratio(struct table *t, double ratio)
{
	if (isnan(ratio))
		table_add(t, "-");
	else
		table_add(t, "%.*f", ratio >= 100 ? 0 : ratio >= 10 ? 1 : 2, ratio);
}

static void print_text(const struct table *t, FILE *out)
{
	size_t width[COLUMNS_MAX] = {0};

	for (size_t i = 0; i < t->count; i++)
		width[i % t->columns] = size_max(width[i % t->columns], strlen(t->cells[i]));
	for (size_t i = 0; i < t->count; i++) {
		size_t column = i % t->columns;

		if (column == 0)
			fprintf(out, "  %-*s", (int)width[0], t->cells[i]);
		else if (t->cells[i][0] != '\0' || column + 1 < t->columns)
			fprintf(out, "%*s", (int)width[column] + GAP, t->cells[i]);
		if (column + 1 == t->columns)
			fputc('\n', out);
	}
}

/* What would end a cell gets a backslash. */
static void print_cell(const char *text, FILE *out)
{
	for (; *text != '\0'; text++) {
		if (*text == '|' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void print_markdown(const struct table *t, FILE *out)
{
	for (size_t i = 0; i < t->count; i++) {
		fputs("| ", out);
		print_cell(t->cells[i], out);
		fputs((i + 1) % t->columns == 0 ? " |\n" : " ", out);
		if (i + 1 != t->columns)
			continue;
		for (unsigned column = 0; column < t->columns; column++)
			fputs(column == 0 ? "|---" : "|---:", out);
		fputs("|\n", out);
	}
}

void table_print(struct table *t, FILE *out, bool markdown)
{
	if (out != NULL && markdown)
		print_markdown(t, out);
	else if (out != NULL)
		print_text(t, out);
	for (size_t i = 0; i < t->count; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct table){.columns = t->columns};
}
