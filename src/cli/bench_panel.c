/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/bench_panel.h"

#include <math.h>
#include <string.h>

static void set_bar(struct bench_panel *p, const struct bench *b, const struct bench_key *k, unsigned series)
{
	struct bench_bar *bar = &p->bar[p->groups][series];

	bar->cell = bench_cell(b, k);
	bar->s = bench_stats(bar->cell->ns, bar->cell->rounds);
	if (bar->cell->why == NULL)
		p->highest = fmax(p->highest, (bar->s.mean + bar->s.spread) / p->unit);
}

static void add_methods(struct bench_panel *p, const struct bench *b, struct bench_key k)
{
	unsigned series = 0;

	for (bool any = bench_first_method(b->options, &k); any; any = bench_next_method(b->options, &k)) {
		const char *name = b->options->subject->methods[k.method].name;

		snprintf(p->name[series], sizeof(p->name[series]), "%s", name);
		set_bar(p, b, &k, series++);
	}
	p->series = series;
}

static void add_threads(struct bench_panel *p, const struct bench *b, struct bench_key k)
{
	const struct bench_options *o = b->options;

	p->series = bench_thread_counts(o, k.size);
	for (k.threads = 0; k.threads < p->series; k.threads++) {
		snprintf(p->name[k.threads], sizeof(p->name[k.threads]), "%u", o->threads[k.threads]);
		set_bar(p, b, &k, k.threads);
	}
}

/* The method that the panel by threads shows: the headline, or what there is. */
static unsigned headline(const struct bench_options *o)
{
	struct bench_key k = {0};

	if (o->methods >> o->subject->headline & 1)
		return o->subject->headline;
	bench_first_method(o, &k);
	return k.method;
}

static void set_title(struct bench_panel *p, const struct bench_options *o, const struct bench_key *k,
                      const char *unit)
{
	char size[SIZE_TEXT_MAX];
	struct text t;

	text_init(&t, p->title, sizeof(p->title));
	size_format_human(o->sizes[k->size], size);
	text_add(&t, "%s, %s, %s", size, bench_mappings[k->mapping].title, unit);
	if (!p->by_threads) {
		text_add(&t, ", by %u thread%s", o->threads[0], o->threads[0] == 1 ? "" : "s");
		return;
	}
	text_add(&t, ": %s by", o->subject->methods[headline(o)].name);
	for (unsigned i = 0; i < bench_thread_counts(o, k->size); i++)
		text_add(&t, "%s %u", i == 0 ? "" : ",", o->threads[i]);
	text_add(&t, " threads");
}

void bench_panel_fill(struct bench_panel *p, const struct bench *b, struct bench_key k, bool by_threads)
{
	const char *unit;

	p->groups = 0;
	p->highest = 0;
	p->by_threads = by_threads;
	p->unit = bench_time_unit(b->options, k.size, &unit);
	set_title(p, b->options, &k, unit);
	k.threads = 0;
	k.method = headline(b->options);
	for (k.backing = 0; k.backing < BENCH_BACKINGS; k.backing++) {
		if ((b->options->backings >> k.backing & 1) == 0)
			continue;
		p->group[p->groups] = bench_backings[k.backing].name;
		if (by_threads)
			add_threads(p, b, k);
		else
			add_methods(p, b, k);
		p->groups++;
	}
	if (p->highest <= 0)
		p->highest = 1;
}

const char *bench_panel_missing(const struct bench_panel *p, unsigned group)
{
	const char *why = p->bar[group][0].cell->why;

	for (unsigned i = 1; why != NULL && i < p->series; i++) {
		const char *other = p->bar[group][i].cell->why;

		why = other != NULL && strcmp(why, other) == 0 ? why : NULL;
	}
	return why;
}
