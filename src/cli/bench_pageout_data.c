/* SPDX-License-Identifier: BSD-2-Clause */
/* Both tables for programs: JSON and CSV, in bytes, nanoseconds and shares of 1. */
#include "cli/bench_pageout.h"
#include "cli/report.h"
#include "sparena/sparena.h"

#include <math.h>

/* ---- JSON ------------------------------------------------------------------------ */

static void put_number(const char *name, double value)
{
	if (isnan(value))
		printf(", \"%s\": null", name);
	else
		printf(", \"%s\": %.4f", name, value);
}

static void put_text(const char *name, const char *text, const char *after)
{
	printf("\"%s\": ", name);
	report_json_text(stdout, text);
	fputs(after, stdout);
}

static void json_swap(const struct pageout *b)
{
	static const char *const kinds[] = {
		[OS_SWAP_PARTITION] = "partition",
		[OS_SWAP_FILE] = "file",
		[OS_SWAP_ZRAM] = "zram",
	};

	printf(" \"swap\": {\"own\": %s, \"areas\": [", b->swap.own ? "true" : "false");
	for (size_t i = 0; i < b->swap.area_count; i++) {
		const struct os_swap *area = &b->swap.areas[i];

		fputs(i == 0 ? "{" : ", {", stdout);
		put_text("name", area->name, ", ");
		put_text("kind", kinds[area->kind], "");
		printf(", \"size\": %zu, \"used\": %zu}", area->size, area->used);
	}
	printf("]");
	put_number("own_share", pageout_own_share(b));
	printf("},\n");
}

static void json_figures(const struct pageout *b, const struct pageout_case *c)
{
	struct bench_stats s = bench_stats(c->ns, c->rounds);

	printf("\"rounds\": %u, \"mean_ns\": %.0f, \"shortest_ns\": %.0f, \"spread_ns\": %.0f", c->rounds,
	       s.mean, s.shortest, s.spread);
	put_number("out", pageout_share(c, c->out));
	put_number("cached", pageout_share(c, c->cached));
	if (c->way == PAGEOUT_WAYS) {
		put_number("gib_per_s", pageout_rate(b, c));
		put_number("folios", pageout_share(c, c->folios));
		put_number("whole", pageout_share(c, c->whole));
	} else {
		put_number("ratio", pageout_ratio(b, c));
		put_number("back", pageout_share(c, c->back));
	}
}

static void json_table(const struct pageout *b, const char *name, bool back, const char *after)
{
	const char *separator = "";

	printf(" \"%s\": [", name);
	for (unsigned i = 0; i < b->case_count; i++) {
		const struct pageout_case *c = &b->cases[i];

		if ((c->way != PAGEOUT_WAYS) != back)
			continue;
		printf("%s\n  {\"folio\": %zu, \"data\": \"%s\", ", separator, c->folio,
		       pageout_data[c->data].name);
		separator = ",";
		if (back)
			put_text("way", pageout_ways[c->way], ", ");
		if (c->why != NULL)
			put_text("reason", c->why, "");
		else
			json_figures(b, c);
		putchar('}');
	}
	printf("\n ]%s", after);
}

void pageout_print_json(const struct pageout *b)
{
	struct os_probe probe;

	os_probe(&probe);
	printf("{\n \"benchmark\": \"pageout\",\n \"version\": \"%s\",\n ", sparena_version());
	put_text("kernel", probe.kernel, ",\n");
	printf(" \"processors\": %u,\n \"size\": %zu,\n \"page\": %zu,\n \"rounds\": %u,\n", probe.cpus,
	       b->size, os_page_size(), b->options->common.rounds);
	json_swap(b);
	json_table(b, "pageout", false, ",\n");
	json_table(b, "back", true, "\n}\n");
}

/* ---- CSV --------------------------------------------------------------------------- */

static void csv_share(const struct pageout_case *c, double sum)
{
	double share = pageout_share(c, sum);

	if (isnan(share))
		putchar(',');
	else
		printf("%.4f,", share);
}

static void csv_case(const struct pageout_case *c)
{
	struct bench_stats s = bench_stats(c->ns, c->rounds);

	printf("%s,%zu,%s,", c->way == PAGEOUT_WAYS ? "" : pageout_ways[c->way], c->folio,
	       pageout_data[c->data].name);
	if (c->why != NULL) {
		printf(",,,,,,,,,");
		bench_print_csv_text(c->why);
	} else {
		printf("%u,%.0f,%.0f,%.0f,", c->rounds, s.mean, s.shortest, s.spread);
		csv_share(c, c->out);
		csv_share(c, c->cached);
		csv_share(c, c->way == PAGEOUT_WAYS ? c->folios : NAN);
		csv_share(c, c->way == PAGEOUT_WAYS ? c->whole : NAN);
		csv_share(c, c->way == PAGEOUT_WAYS ? NAN : c->back);
	}
	putchar('\n');
}

/* Rows without a way are of the first table. */
void pageout_print_csv(const struct pageout *b)
{
	printf("way,folio,data,rounds,mean_ns,shortest_ns,spread_ns,out,cached,folios,whole,back,reason\n");
	for (unsigned i = 0; i < b->case_count; i++)
		csv_case(&b->cases[i]);
}
