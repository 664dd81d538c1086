/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables for people: private mappings on the left, shared ones on the right. */
#include "cli/bench.h"

#include <stdarg.h>
#include <string.h>

#define NAME_WIDTH 28
#define LINE_MAX_BYTES 512
#define NUMBER_WIDTH 10
#define SPREAD_WIDTH 9
#define FREED_WIDTH 8
#define GAP "   "
#define SMALL_SIZE (16 * MiB) /* smaller ones are told in microseconds */
#define SMALL_TO_FREE GiB     /* where giving back is measured */

/* A table of one size, and the reasons that are told below it, by number. */
struct table {
	const struct bench *b;
	unsigned size;
	double unit;     /* ns */
	bool by_threads; /* a column for each thread count, instead of mean, shortest and spread */
	const char *notes[64];
	unsigned note_count;
	bool gone;        /* some of what was freed could not be looked at any more */
	struct text line; /* the row that is being made */
	char buffer[LINE_MAX_BYTES];
};

double bench_time_unit(const struct bench_options *o, unsigned size, const char **name)
{
	bool small = o->sizes[size] < (o->subject->frees ? SMALL_TO_FREE : SMALL_SIZE);

	*name = small ? "microseconds" : "milliseconds";
	return small ? 1e3 : 1e6;
}

/* ---- cells ------------------------------------------------------------------------ */

/* Four digits, as more would be noise. */
static void add_number(struct table *t, double value)
{
	int digits = value < 10 ? 3 : value < 100 ? 2 : value < 1000 ? 1 : 0;

	text_add(&t->line, "%*.*f", NUMBER_WIDTH, digits, value);
}

static unsigned number_of_note(struct table *t, const char *why)
{
	unsigned i = 0;

	while (i < t->note_count && strcmp(t->notes[i], why) != 0)
		i++;
	if (i == t->note_count && i < sizeof(t->notes) / sizeof(t->notes[0]))
		t->notes[t->note_count++] = why;
	return i + 1;
}

/* A dash takes three bytes and one column. */
static void add_missing(struct table *t, const char *why)
{
	char text[32];

	snprintf(text, sizeof(text), "\u2014 [%u]", number_of_note(t, why));
	text_add(&t->line, "%*s", NUMBER_WIDTH + 2, text);
}

static void add_figures(struct table *t, const struct bench_key *k)
{
	const struct bench_cell *c = bench_cell(t->b, k);
	struct bench_stats s = bench_stats(c->ns, c->rounds);
	bool frees = t->b->options->subject->frees;

	if (c->why != NULL) {
		add_missing(t, c->why);
		text_add(&t->line, "%*s", NUMBER_WIDTH + SPREAD_WIDTH + (frees ? FREED_WIDTH : 0), "");
		return;
	}
	add_number(t, s.mean / t->unit);
	add_number(t, s.shortest / t->unit);
	text_add(&t->line, "%*.1f %%", SPREAD_WIDTH - 2, s.mean > 0 ? s.spread / s.mean * 100 : 0);
	if (frees && c->freed >= 0) {
		text_add(&t->line, "%*.0f %%", FREED_WIDTH - 2, c->freed * 100);
	} else if (frees) {
		text_add(&t->line, "%*s", FREED_WIDTH, "?");
		t->gone = true;
	}
}

static void add_by_threads(struct table *t, struct bench_key k)
{
	for (k.threads = 0; k.threads < bench_thread_counts(t->b->options, t->size); k.threads++) {
		const struct bench_cell *c = bench_cell(t->b, &k);

		if (c->why != NULL)
			add_missing(t, c->why);
		else
			add_number(t, bench_stats(c->ns, c->rounds).mean / t->unit);
	}
}

/* ---- rows -------------------------------------------------------------------------- */

/* Whether two methods are not measured, for the same reasons, anywhere in their rows. */
static bool same_reasons(const struct table *t, struct bench_key k, unsigned other)
{
	const struct bench_options *o = t->b->options;
	unsigned columns = t->by_threads ? bench_thread_counts(o, t->size) : 1;

	for (k.mapping = 0; k.mapping < BENCH_MAPPINGS; k.mapping++) {
		if ((o->mappings >> k.mapping & 1) == 0)
			continue;
		for (k.threads = 0; k.threads < columns; k.threads++) {
			struct bench_key k2 = k;
			const char *why = bench_cell(t->b, &k)->why, *why2;

			k2.method = other;
			why2 = bench_cell(t->b, &k2)->why;
			if (why == NULL || why2 == NULL || strcmp(why, why2) != 0)
				return false;
		}
	}
	return true;
}

static void print_row(struct table *t, struct bench_key k, unsigned more)
{
	const struct bench_options *o = t->b->options;
	char name[64];

	snprintf(name, sizeof(name), more > 0 ? "%s, %u more" : "%s", o->subject->methods[k.method].name,
	         more);
	text_init(&t->line, t->buffer, sizeof(t->buffer));
	text_add(&t->line, "  %-*s", NAME_WIDTH - 2, name);
	for (k.mapping = 0; k.mapping < BENCH_MAPPINGS; k.mapping++) {
		if ((o->mappings >> k.mapping & 1) == 0)
			continue;
		text_add(&t->line, GAP);
		if (t->by_threads)
			add_by_threads(t, k);
		else
			add_figures(t, &k);
	}
	while (t->line.length > 0 && t->buffer[t->line.length - 1] == ' ')
		t->buffer[--t->line.length] = '\0';
	puts(t->buffer);
}

/* Rows without a figure, one after the other and for the same reasons, are one. */
static void print_rows(struct table *t, struct bench_key k)
{
	const struct bench_options *o = t->b->options;
	bool any = bench_first_method(o, &k);

	while (any) {
		struct bench_key first = k;
		unsigned more = 0;

		for (any = bench_next_method(o, &k); any && same_reasons(t, first, k.method); more++)
			any = bench_next_method(o, &k);
		print_row(t, first, more);
	}
}

/* The reason why nothing at all of a backing is measured, when it is one alone. */
static const char *common_reason(const struct table *t, struct bench_key k)
{
	const struct bench_options *o = t->b->options;
	const char *common = NULL;

	for (k.mapping = 0; k.mapping < BENCH_MAPPINGS; k.mapping++) {
		if ((o->mappings >> k.mapping & 1) == 0)
			continue;
		for (bool any = bench_first_method(o, &k); any; any = bench_next_method(o, &k)) {
			const char *why = bench_cell(t->b, &k)->why;

			if (why == NULL || (common != NULL && strcmp(why, common) != 0))
				return NULL;
			common = why;
		}
	}
	return common;
}

static void print_backing(struct table *t, struct bench_key k)
{
	const char *why = common_reason(t, k);
	char page[SIZE_TEXT_MAX];

	size_format_human(t->b->page[k.backing], page);
	printf("%s: %s", bench_backings[k.backing].name, bench_backings[k.backing].title);
	if (k.backing != BENCH_ANON_THP) /* of which nobody knows what it gets */
		printf(", %s pages", page);
	if (t->b->space.directory[k.backing] != NULL)
		printf(", in %s", t->b->space.directory[k.backing]);
	putchar('\n');
	if (why != NULL)
		printf("  \u2014 %s\n", why);
	else
		print_rows(t, k);
}

/* ---- heads and notes ------------------------------------------------------------------ */

static unsigned group_width(const struct table *t)
{
	if (t->by_threads)
		return NUMBER_WIDTH * bench_thread_counts(t->b->options, t->size);
	return 2 * NUMBER_WIDTH + SPREAD_WIDTH + (t->b->options->subject->frees ? FREED_WIDTH : 0);
}

static void print_column_names(const struct table *t)
{
	const struct bench_options *o = t->b->options;

	printf(GAP);
	if (t->by_threads) {
		for (unsigned i = 0; i < bench_thread_counts(o, t->size); i++)
			printf("%*u", NUMBER_WIDTH, o->threads[i]);
		return;
	}
	printf("%*s%*s%*s", NUMBER_WIDTH, "mean", NUMBER_WIDTH, "shortest", SPREAD_WIDTH, "spread");
	if (o->subject->frees)
		printf("%*s", FREED_WIDTH, "freed");
}

static void print_head(const struct table *t)
{
	const struct bench_options *o = t->b->options;
	const char *unit;
	char size[SIZE_TEXT_MAX];

	bench_time_unit(o, t->size, &unit);
	size_format_human(o->sizes[t->size], size);
	if (t->by_threads)
		printf("\n%s by so many threads: mean of %u round%s, %s\n", size, o->rounds,
		       o->rounds == 1 ? "" : "s", unit);
	else
		printf("\n%s by %u thread%s, %u round%s, %s\n", size, o->threads[0],
		       o->threads[0] == 1 ? "" : "s", o->rounds, o->rounds == 1 ? "" : "s", unit);
	printf("%*s", NAME_WIDTH, "");
	for (unsigned i = 0; i < BENCH_MAPPINGS; i++)
		if (o->mappings >> i & 1)
			printf(GAP "%*s", (int)group_width(t), bench_mappings[i].title);
	printf("\n%*s", NAME_WIDTH, "");
	for (unsigned i = 0; i < BENCH_MAPPINGS; i++)
		if (o->mappings >> i & 1)
			print_column_names(t);
	putchar('\n');
}

static void print_table(struct table *t)
{
	struct bench_key k = {.size = t->size};

	print_head(t);
	for (k.backing = 0; k.backing < BENCH_BACKINGS; k.backing++)
		if (t->b->options->backings >> k.backing & 1)
			print_backing(t, k);
	for (unsigned i = 0; i < t->note_count; i++)
		printf("[%u] %s\n", i + 1, t->notes[i]);
	if (t->gone)
		printf("?   what is gone with its file cannot be looked at\n");
}

/* ---- output ---------------------------------------------------------------------------- */

static void text_begin(const struct bench *b)
{
	struct os_probe probe;

	os_probe(&probe);
	printf("sparena bench %s on Linux %s, %u processor%s\n", b->options->subject->name, probe.kernel,
	       probe.cpus, probe.cpus == 1 ? "" : "s");
}

static void text_size(const struct bench *b, unsigned size)
{
	struct table t = {.b = b, .size = size};
	const char *name;

	t.unit = bench_time_unit(b->options, size, &name);
	print_table(&t);
	if (bench_thread_counts(b->options, size) == 1)
		return;
	t.by_threads = true;
	t.gone = false;
	t.note_count = 0;
	print_table(&t);
}

static void text_end(const struct bench *b)
{
	(void)b;
}

const struct bench_output bench_text = {text_begin, text_size, text_end};
