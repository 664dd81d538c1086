/* SPDX-License-Identifier: BSD-2-Clause */
/* What is shown to people: each work by itself, and last the ratios of all. */
#include "cli/bench_alloc.h"
#include "sparena/sparena.h"

#include <math.h>
#include <string.h>

static const char *const kind_titles[WORK_KINDS] = {
	[WORK_PLAIN] = "geometric mean",
	[WORK_SPARSE] = "mean, sparse",
	[WORK_PROGRAM] = "mean, programs",
};

static void heading(FILE *out, bool markdown, const char *name, const char *text)
{
	fprintf(out, markdown ? "\n### %s\n\n%s%s" : "\n%s%s%s", name,
	        text[0] == '\0' || markdown ? "" : ": ", text);
	fputs(markdown && text[0] != '\0' ? "\n\n" : "\n", out);
}

/* ---- each work --------------------------------------------------------------------------------- */

/* The measures that there are anything of, among those that are shown beside the time. */
static bool has_measure(const struct alloc_bench *b, unsigned work, unsigned measure)
{
	for (unsigned i = 0; i < b->peer_count; i++)
		if (!isnan(alloc_quartiles(b, work, i, measure).median))
			return true;
	return false;
}

static void add_head(struct table *t, const bool *shown)
{
	table_add(t, "allocator");
	for (unsigned m = 0; m < MEASURES; m++) {
		if (!shown[m])
			continue;
		table_add(t, "%s", measures[m].title);
		if (m == MEASURE_TIME)
			table_add(t, "middle half");
		if (m != MEASURE_FAULTS)
			table_add(t, "ratio");
	}
}

static void add_row(const struct alloc_bench *b, struct table *t, unsigned work, unsigned peer,
                    const bool *shown)
{
	table_add(t, "%s", b->peers[peer].name);
	for (unsigned m = 0; m < MEASURES; m++) {
		struct quartiles q;

		if (!shown[m])
			continue;
		q = alloc_quartiles(b, work, peer, m);
		table_add_number(t, q.median / measures[m].unit);
		if (m == MEASURE_TIME)
			table_add(t,
			          q.high < 10    ? "%.2f..%.2f"
			          : q.high < 100 ? "%.1f..%.1f"
			                         : "%.0f..%.0f",
			          q.low, q.high);
		if (m != MEASURE_FAULTS)
			table_add_ratio(t, alloc_ratio(b, work, peer, m));
	}
}

static void print_work(const struct alloc_bench *b, unsigned work, FILE *out, bool markdown)
{
	const struct work *w = &b->works[work];
	bool shown[MEASURES];
	struct table t = {.columns = 1};

	heading(out, markdown, w->name, w->text);
	for (unsigned m = 0; m < MEASURES; m++) {
		shown[m] = has_measure(b, work, m);
		t.columns += shown[m] ? 1 + (m == MEASURE_TIME) + (m != MEASURE_FAULTS) : 0;
	}
	if (w->why != NULL) {
		fprintf(out, "  not measured: %s\n", w->why);
		return;
	}
	add_head(&t, shown);
	for (unsigned i = 0; i < b->peer_count; i++)
		if (alloc_takes_part(b, work, i) && alloc_cell(b, work, i)->why == NULL)
			add_row(b, &t, work, i, shown);
	table_print(&t, t.columns > 1 ? out : NULL, markdown);
	for (unsigned i = 0; i < b->peer_count; i++)
		if (alloc_cell(b, work, i)->why != NULL)
			fprintf(out, "%s  %s failed, and is not counted: %s\n", markdown ? "\n" : "",
			        b->peers[i].name, alloc_cell(b, work, i)->why);
}

/* ---- what they told themselves ------------------------------------------------------------------- */

static void add_peer_names(const struct alloc_bench *b, struct table *t)
{
	for (unsigned i = 0; i < b->peer_count; i++)
		table_add(t, "%s", b->peers[i].name);
}

static void print_metrics(const struct alloc_bench *b, FILE *out, bool markdown)
{
	struct table t = {.columns = b->peer_count + 1};
	bool any = false;

	table_add(&t, "median");
	add_peer_names(b, &t);
	for (unsigned work = 0; work < b->work_count; work++)
		for (unsigned m = 0; m < b->works[work].metric_count; m++) {
			any = true;
			table_add(&t, "%s %s", b->works[work].name, b->works[work].metrics[m]);
			for (unsigned i = 0; i < b->peer_count; i++)
				table_add_number(&t, alloc_quartiles(b, work, i, MEASURES + m).median);
		}
	if (any)
		heading(out, markdown, "What workloads and programs measured themselves", "");
	table_print(&t, any ? out : NULL, markdown);
}

/* ---- ratios of all ----------------------------------------------------------------------------------- */

/* Who is compared with the best of the others: us, where we are there. */
static unsigned subject_of(const struct alloc_bench *b)
{
	for (unsigned i = 0; i < b->peer_count; i++)
		if (strcmp(b->peers[i].name, "sparena") == 0)
			return i;
	return b->peer_count;
}

/* `subject` is compared with the best of the others; b->peer_count: nobody is. */
static void add_means(const struct alloc_bench *b, struct table *t, enum work_kind kind, unsigned measure,
                      unsigned subject)
{
	double best = NAN, own = NAN;
	size_t most = 0, used;

	(void)alloc_mean(b, kind, b->base, measure, &most);
	if (most < 2) /* of a single one it says nothing new */
		return;
	table_add(t, "%s", kind_titles[kind]);
	for (unsigned i = 0; i < b->peer_count; i++) {
		double mean = alloc_mean(b, kind, i, measure, &used);

		if (used < most && used > 0) /* not to be compared with the others */
			table_add(t, "%.2f of %zu", mean, used);
		else
			table_add_ratio(t, mean);
		if (i == subject)
			own = mean;
		else if (used == most && !b->peers[i].sparse)
			best = fmin(best, mean);
	}
	if (subject < b->peer_count && b->peer_count > 1)
		table_add_ratio(t, ratio_of(own, best));
}

static void print_ratios(const struct alloc_bench *b, unsigned measure, const char *what, FILE *out,
                         bool markdown)
{
	unsigned subject = subject_of(b);
	bool best = subject < b->peer_count && b->peer_count > 1;
	struct table t = {.columns = b->peer_count + 1 + best};
	char title[128];

	snprintf(title, sizeof(title), "%s, as a ratio to %s", what, b->peers[b->base].name);
	table_add(&t, "workload");
	add_peer_names(b, &t);
	if (best)
		table_add(&t, "sparena to best other");
	for (unsigned kind = 0; kind < WORK_KINDS; kind++) {
		for (unsigned work = 0; work < b->work_count; work++) {
			if (b->works[work].kind != kind || !has_measure(b, work, measure))
				continue;
			table_add(&t, kind == WORK_SPARSE ? "%s (sparse)" : "%s", b->works[work].name);
			for (unsigned i = 0; i < b->peer_count; i++)
				table_add_ratio(&t, alloc_ratio(b, work, i, measure));
			if (best)
				table_add_ratio(&t, alloc_best_other(b, work, subject, measure));
		}
		add_means(b, &t, kind, measure, subject);
	}
	if (t.count > t.columns)
		heading(out, markdown, title, "");
	table_print(&t, t.count > t.columns ? out : NULL, markdown);
}

/* ---- all ------------------------------------------------------------------------------------------------
 */

static void print_begin(const struct alloc_bench *b, FILE *out, bool markdown)
{
	static const char *const thp[] = {"none", "never", "madvise", "always"};
	char memory[SIZE_TEXT_MAX];
	struct os_probe probe;

	os_probe(&probe);
	size_format_human(probe.memory_total, memory);
	fprintf(out,
	        "%ssparena %s bench alloc on Linux %s, %u processor%s, %s, transparent huge pages: %s;\n"
	        "%u round%s at %s scale, medians\n",
	        markdown ? "## Allocators\n\n" : "", sparena_version(), probe.kernel, probe.cpus,
	        probe.cpus == 1 ? "" : "s", memory, thp[probe.thp], b->rounds, b->rounds == 1 ? "" : "s",
	        b->options.full ? "full" : "quick");
	for (unsigned i = 0; i < b->left_out_count; i++)
		fprintf(out, "%s%s is left out: %s\n", markdown ? "\n" : "", b->left_out[i].name,
		        b->left_out[i].why);
	if (b->uncounted != NULL)
		fprintf(out, "%sInstructions are left out: %s\n", markdown ? "\n" : "", b->uncounted);
}

void alloc_print_tables(const struct alloc_bench *b, FILE *out, bool markdown)
{
	print_begin(b, out, markdown);
	for (unsigned work = 0; work < b->work_count; work++)
		print_work(b, work, out, markdown);
	print_metrics(b, out, markdown);
	if (b->peer_count < 2)
		return;
	print_ratios(b, MEASURE_INSTRUCTIONS, "Instructions in user mode", out, markdown);
	print_ratios(b, MEASURE_PEAK, "Peak resident", out, markdown);
	print_ratios(b, MEASURE_CPU, "CPU time (user and system)", out, markdown);
	print_ratios(b, MEASURE_TIME, "Time", out, markdown);
}
