/* SPDX-License-Identifier: BSD-2-Clause */
/* Everything for programs: all samples, and what they come to. */
#include "cli/bench_alloc.h"
#include "cli/report.h"
#include "sparena/sparena.h"

#include <math.h>

/* Six digits are more than any of it is worth; counts are whole. */
static void put_number(FILE *out, double value)
{
	if (isnan(value))
		fputs("null", out);
	else if (value == floor(value) && value < 1e15)
		fprintf(out, "%.0f", value);
	else
		fprintf(out, "%.6g", value);
}

static void put_text(FILE *out, const char *name, const char *text, const char *after)
{
	fprintf(out, "\"%s\": ", name);
	report_json_text(out, text);
	fputs(after, out);
}

static const char *key_of(const struct work *w, unsigned measure)
{
	return measure < MEASURES ? measures[measure].key : w->metrics[measure - MEASURES];
}

/* ---- who and what --------------------------------------------------------------------------------- */

static void put_peers(const struct alloc_bench *b, FILE *out)
{
	fputs(" \"allocators\": [", out);
	for (unsigned i = 0; i < b->peer_count; i++) {
		fputs(i == 0 ? "\n  {" : ",\n  {", out);
		put_text(out, "name", b->peers[i].name, ", ");
		put_text(out, "library", b->peers[i].library, ", ");
		put_text(out, "setting", b->peers[i].setting, "}");
	}
	fputs("],\n \"left_out\": [", out);
	for (unsigned i = 0; i < b->left_out_count; i++) {
		fputs(i == 0 ? "\n  {" : ",\n  {", out);
		put_text(out, "name", b->left_out[i].name, ", ");
		put_text(out, "reason", b->left_out[i].why, "}");
	}
	fputs("],\n", out);
}

static void put_works(const struct alloc_bench *b, FILE *out)
{
	static const char *const kinds[] = {"plain", "sparse", "program"};

	fputs(" \"workloads\": [", out);
	for (unsigned i = 0; i < b->work_count; i++) {
		const struct work *w = &b->works[i];

		fputs(i == 0 ? "\n  {" : ",\n  {", out);
		put_text(out, "name", w->name, ", ");
		put_text(out, "kind", kinds[w->kind], ", ");
		put_text(out, w->kind == WORK_PROGRAM ? "command" : "text", w->text, ", ");
		put_text(out, "reason", w->why, "}");
	}
	fputs("],\n", out);
}

/* ---- figures ------------------------------------------------------------------------------------------ */

static void put_samples(const struct alloc_bench *b, unsigned work, unsigned peer, unsigned measure,
                        FILE *out)
{
	const double *values = alloc_values(b, work, peer, measure);

	for (unsigned round = 0; round < b->rounds; round++) {
		fputs(round == 0 ? "[" : ", ", out);
		put_number(out, values[round]);
	}
	fputs("]", out);
}

/* {"median": M, "quartiles": [A, B], "ratio": R, "samples": [...]} */
static void put_measure(const struct alloc_bench *b, unsigned work, unsigned peer, unsigned measure,
                        FILE *out)
{
	struct quartiles q = alloc_quartiles(b, work, peer, measure);

	put_text(out, "measure", key_of(&b->works[work], measure), ", \"median\": ");
	put_number(out, q.median);
	fputs(", \"quartiles\": [", out);
	put_number(out, q.low);
	fputs(", ", out);
	put_number(out, q.high);
	fputs("], \"ratio\": ", out);
	put_number(out, alloc_ratio(b, work, peer, measure));
	fputs(", \"samples\": ", out);
	put_samples(b, work, peer, measure, out);
}

static void put_cell(const struct alloc_bench *b, unsigned work, unsigned peer, FILE *out)
{
	const struct alloc_cell *cell = alloc_cell(b, work, peer);
	const char *separator = "";

	put_text(out, "workload", b->works[work].name, ", ");
	put_text(out, "allocator", b->peers[peer].name, ", ");
	put_text(out, "reason", b->works[work].why != NULL ? b->works[work].why : cell->why,
	         ", \"figures\": [");
	for (unsigned m = 0; m < MEASURES + b->works[work].metric_count; m++) {
		if (isnan(alloc_quartiles(b, work, peer, m).median))
			continue;
		fprintf(out, "%s\n    {", separator);
		put_measure(b, work, peer, m, out);
		fputs("}", out);
		separator = ",";
	}
	fputs("]}", out);
}

static void put_means(const struct alloc_bench *b, enum work_kind kind, const char *name, FILE *out)
{
	fprintf(out, "  \"%s\": [", name);
	for (unsigned i = 0; i < b->peer_count; i++) {
		size_t used;

		fputs(i == 0 ? "\n   {" : ",\n   {", out);
		put_text(out, "allocator", b->peers[i].name, "");
		for (unsigned m = 0; m < MEASURES; m++) {
			fprintf(out, ", \"%s\": ", measures[m].key);
			put_number(out, alloc_mean(b, kind, i, m, &used));
			if (m == MEASURE_TIME)
				fprintf(out, ", \"workloads\": %zu", used);
		}
		fputs("}", out);
	}
	fputs("]", out);
}

void alloc_print_json(const struct alloc_bench *b, FILE *out)
{
	struct os_probe probe;

	os_probe(&probe);
	fprintf(out, "{\"benchmark\": \"alloc\",\n \"version\": \"%s\",\n ", sparena_version());
	put_text(out, "kernel", probe.kernel, ",\n");
	fprintf(out, " \"processors\": %u, \"memory\": %zu, \"scale\": %u, \"rounds\": %u,\n ", probe.cpus,
	        probe.memory_total, b->scale, b->rounds);
	put_text(out, "base", b->peers[b->base].name, ",\n ");
	put_text(out, "instructions_reason", b->uncounted, ",\n");
	put_peers(b, out);
	put_works(b, out);
	fputs(" \"cells\": [", out);
	for (unsigned i = 0; i < b->work_count * b->peer_count; i++) {
		if (!alloc_takes_part(b, i / b->peer_count, i % b->peer_count))
			continue;
		fputs(i == 0 ? "\n  {" : ",\n  {", out); /* the first one takes part in everything */
		put_cell(b, i / b->peer_count, i % b->peer_count, out);
	}
	fputs("],\n \"geometric_means\": {\n", out);
	put_means(b, WORK_PLAIN, "plain", out);
	fputs(",\n", out);
	put_means(b, WORK_SPARSE, "sparse", out);
	fputs(",\n", out);
	put_means(b, WORK_PROGRAM, "program", out);
	fputs("\n }}\n", out);
}
