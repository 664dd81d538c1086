/* SPDX-License-Identifier: BSD-2-Clause */
/* The two tables for people. */
#include "cli/bench_alloc.h"
#include "cli/bench_pageout.h"

#include <math.h>
#include <string.h>

#define OWN 0.99 /* of what went out; less is told */

/* More than 99.5 % is not all. */
static void add_share(struct table *t, double share)
{
	if (isnan(share))
		table_add(t, "-");
	else
		table_add(t, "%.*f %%", share > 0.995 && share < 1 ? 1 : 0,
		          share < 1 ? fmin(share * 100, 99.9) : 100);
}

static void add_head(struct table *t, const char *const *names, unsigned count)
{
	t->columns = count;
	for (unsigned i = 0; i < count; i++)
		table_add(t, "%s", names[i]);
}

/* Mean, shortest, spread. */
static void add_times(struct table *t, const struct pageout_case *c)
{
	struct bench_stats s = bench_stats(c->ns, c->rounds);

	table_add_number(t, s.mean / 1e6);
	table_add_number(t, s.shortest / 1e6);
	table_add(t, "%.1f %%", s.mean > 0 ? s.spread / s.mean * 100 : 0);
}

static void add_missing(struct table *t)
{
	for (unsigned i = 1; i < t->columns; i++)
		table_add(t, "-");
}

static void add_out(struct table *t, const struct pageout *b, const struct pageout_case *c)
{
	char folio[SIZE_TEXT_MAX];

	size_format_human(c->folio, folio);
	table_add(t, "%s, %s", folio, pageout_data[c->data].title);
	if (c->why != NULL) {
		add_missing(t);
		return;
	}
	add_times(t, c);
	table_add_number(t, pageout_rate(b, c));
	add_share(t, pageout_share(c, c->out));
	add_share(t, pageout_share(c, c->cached));
	add_share(t, pageout_share(c, c->folios));
	add_share(t, pageout_share(c, c->whole));
}

static void add_back(struct table *t, const struct pageout *b, const struct pageout_case *c)
{
	table_add(t, "%s, %s", pageout_ways[c->way], pageout_data[c->data].title);
	if (c->why != NULL) {
		add_missing(t);
		return;
	}
	add_times(t, c);
	table_add_ratio(t, pageout_ratio(b, c));
	add_share(t, pageout_share(c, c->out));
	add_share(t, pageout_share(c, c->cached));
	add_share(t, pageout_share(c, c->back));
}

/* Below a table: why a row has no figures. */
static void print_reasons(const struct pageout *b, bool back)
{
	const char *last = NULL;

	for (unsigned i = 0; i < b->case_count; i++) {
		const struct pageout_case *c = &b->cases[i];
		char folio[SIZE_TEXT_MAX];

		if (c->why == NULL || (c->way != PAGEOUT_WAYS) != back || c->why == last)
			continue;
		last = c->why;
		size_format_human(c->folio, folio);
		printf("  - %s: %s\n", back ? pageout_ways[c->way] : folio, c->why);
	}
}

static void print_table(const struct pageout *b, bool back, const char *const *names, unsigned count)
{
	struct table t = {0};

	add_head(&t, names, count);
	for (unsigned i = 0; i < b->case_count; i++) {
		if ((b->cases[i].way != PAGEOUT_WAYS) != back)
			continue;
		if (back)
			add_back(&t, b, &b->cases[i]);
		else
			add_out(&t, b, &b->cases[i]);
	}
	table_print(&t, stdout, false);
	print_reasons(b, back);
}

static void print_swap(const struct pageout *b)
{
	static const char *const kinds[] = {
		[OS_SWAP_PARTITION] = "partition",
		[OS_SWAP_FILE] = "file",
		[OS_SWAP_ZRAM] = "zram",
	};

	printf("swap:");
	for (size_t i = 0; i < b->swap.area_count; i++) {
		const struct os_swap *area = &b->swap.areas[i];
		char size[SIZE_TEXT_MAX];

		size_format_human(area->size, size);
		printf("%s %s (%s, %s)", i == 0 ? "" : ",", area->name, kinds[area->kind], size);
	}
	printf(b->swap.own ? ", made for this\n" : ", the system's\n");
	if (pageout_own_share(b) < OWN)
		printf("but %.0f %% went to other swap, which has as high a priority\n",
		       (1 - pageout_own_share(b)) * 100);
}

void pageout_print_text(const struct pageout *b)
{
	static const char *const of_out[] = {"folios, data", "mean",   "shortest", "spread", "GiB/s",
	                                     "out",          "cached", "folios",   "whole"};
	static const char *const of_back[] = {"way, data", "mean", "shortest", "spread",
	                                      "ratio",     "out",  "cached",   "back"};
	unsigned rounds = b->options->common.rounds;
	char size[SIZE_TEXT_MAX], page[SIZE_TEXT_MAX];
	struct os_probe probe;

	os_probe(&probe);
	size_format_human(b->size, size);
	size_format_human(os_page_size(), page);
	printf("sparena bench pageout on Linux %s, %u processor%s\n", probe.kernel, probe.cpus,
	       probe.cpus == 1 ? "" : "s");
	print_swap(b);
	printf("\n%s swapped out by MADV_PAGEOUT, %u round%s, milliseconds\n", size, rounds,
	       rounds == 1 ? "" : "s");
	print_table(b, false, of_out, sizeof(of_out) / sizeof(of_out[0]));
	printf("\n%s until it is back, by pages of %s, milliseconds\n", size, page);
	print_table(b, true, of_back, sizeof(of_back) / sizeof(of_back[0]));
}
