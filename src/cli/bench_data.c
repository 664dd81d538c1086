/* SPDX-License-Identifier: BSD-2-Clause */
/* Figures for programs: JSON and CSV, in nanoseconds. */
#include "cli/bench.h"
#include "sparena/sparena.h"

/* Cells on their way out. */
struct rows {
	const struct bench *b;
	const char *separator; /* before the next one */
};

/* ---- JSON ------------------------------------------------------------------------ */

static void print_json_text(const char *text)
{
	if (text == NULL) {
		printf("null");
		return;
	}
	putchar('"');
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\')
			printf("\\%c", *p);
		else if ((unsigned char)*p < ' ')
			printf("\\u%04x", (unsigned)*p);
		else
			putchar(*p);
	}
	putchar('"');
}

static void json_begin(const struct bench *b)
{
	struct os_probe probe;

	os_probe(&probe);
	printf("{\n \"benchmark\": \"%s\",\n \"version\": \"%s\",\n \"kernel\": ", b->options->subject->name,
	       sparena_version());
	print_json_text(probe.kernel);
	printf(",\n \"processors\": %u,\n \"rounds\": %u,\n \"directories\": {", probe.cpus,
	       b->options->rounds);
	for (unsigned i = BENCH_TMPFS; i < BENCH_BACKINGS; i++) {
		printf("%s\"%s\": ", i == BENCH_TMPFS ? "" : ", ", bench_backings[i].name);
		print_json_text(b->space.directory[i]);
	}
	printf("},\n \"cells\": [");
}

static void json_cell(void *context, const struct bench_key *k)
{
	struct rows *rows = context;
	const struct bench_options *o = rows->b->options;
	const struct bench_cell *c = bench_cell(rows->b, k);
	struct bench_stats s = bench_stats(c->ns, c->rounds);

	printf("%s\n  {\"size\": %zu, \"threads\": %u, \"backing\": \"%s\", \"mapping\": \"%s\", "
	       "\"method\": \"%s\", ",
	       rows->separator, o->sizes[k->size], o->threads[k->threads], bench_backings[k->backing].name,
	       bench_mappings[k->mapping].name, o->subject->methods[k->method].name);
	rows->separator = ",";
	if (c->why != NULL) {
		printf("\"reason\": ");
		print_json_text(c->why);
	} else {
		printf("\"rounds\": %u, \"mean_ns\": %.0f, \"shortest_ns\": %.0f, \"spread_ns\": %.0f",
		       c->rounds, s.mean, s.shortest, s.spread);
		if (c->freed >= 0)
			printf(", \"freed\": %.4f", c->freed);
	}
	putchar('}');
}

static void json_size(const struct bench *b, unsigned size)
{
	struct rows rows = {b, size == 0 ? "" : ","};

	bench_each_cell(b->options, size, json_cell, &rows);
}

static void json_end(const struct bench *b)
{
	(void)b;
	printf("\n ]\n}\n");
}

const struct bench_output bench_json = {json_begin, json_size, json_end};

/* ---- CSV --------------------------------------------------------------------------- */

/* With quotes in it doubled. */
void bench_print_csv_text(const char *text)
{
	putchar('"');
	for (; *text != '\0'; text++) {
		if (*text == '"')
			putchar('"');
		putchar(*text);
	}
	putchar('"');
}

static void csv_begin(const struct bench *b)
{
	(void)b;
	printf("size,threads,backing,mapping,method,rounds,mean_ns,shortest_ns,spread_ns,freed,reason\n");
}

static void csv_cell(void *context, const struct bench_key *k)
{
	const struct rows *rows = context;
	const struct bench_options *o = rows->b->options;
	const struct bench_cell *c = bench_cell(rows->b, k);
	struct bench_stats s = bench_stats(c->ns, c->rounds);

	printf("%zu,%u,%s,%s,%s,", o->sizes[k->size], o->threads[k->threads], bench_backings[k->backing].name,
	       bench_mappings[k->mapping].name, o->subject->methods[k->method].name);
	if (c->why != NULL) {
		printf(",,,,,");
		bench_print_csv_text(c->why);
	} else {
		printf("%u,%.0f,%.0f,%.0f,", c->rounds, s.mean, s.shortest, s.spread);
		if (c->freed >= 0)
			printf("%.4f", c->freed);
		putchar(',');
	}
	putchar('\n');
}

static void csv_size(const struct bench *b, unsigned size)
{
	struct rows rows = {b, ""};

	bench_each_cell(b->options, size, csv_cell, &rows);
}

static void csv_end(const struct bench *b)
{
	(void)b;
}

const struct bench_output bench_csv = {csv_begin, csv_size, csv_end};
