/* SPDX-License-Identifier: BSD-2-Clause */
/* What the samples of all rounds come to. */
#define _GNU_SOURCE
#include "cli/bench_alloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct measure_name measures[MEASURES] = {
	[MEASURE_TIME] = {"time_ms", "time, ms", 1},
	[MEASURE_CPU] = {"cpu_ms", "CPU, ms", 1},
	[MEASURE_INSTRUCTIONS] = {"instructions", "instr., M", 1e6},
	[MEASURE_PEAK] = {"peak_kib", "peak, MiB", 1024},
	[MEASURE_FINAL] = {"final_kib", "final, MiB", 1024},
	[MEASURE_FAULTS] = {"faults", "faults", 1},
};

bool alloc_takes_part(const struct alloc_bench *b, unsigned work, unsigned peer)
{
	return !b->peers[peer].sparse || b->works[work].kind == WORK_SPARSE;
}

struct alloc_cell *alloc_cell(const struct alloc_bench *b, unsigned work, unsigned peer)
{
	return &b->cells[work * b->peer_count + peer];
}

double *alloc_values(const struct alloc_bench *b, unsigned work, unsigned peer, unsigned measure)
{
	return alloc_cell(b, work, peer)->values + (size_t)measure * b->rounds;
}

struct quartiles alloc_quartiles(const struct alloc_bench *b, unsigned work, unsigned peer, unsigned measure)
{
	double values[BENCH_ROUNDS_MAX];

	if (b->works[work].why != NULL || alloc_cell(b, work, peer)->why != NULL)
		return quartiles_of(values, 0);
	memcpy(values, alloc_values(b, work, peer, measure), b->rounds * sizeof(*values));
	return quartiles_of(values, b->rounds);
}

double alloc_ratio(const struct alloc_bench *b, unsigned work, unsigned peer, unsigned measure)
{
	return ratio_of(alloc_quartiles(b, work, peer, measure).median,
	                alloc_quartiles(b, work, b->base, measure).median);
}

double alloc_mean(const struct alloc_bench *b, enum work_kind kind, unsigned peer, unsigned measure,
                  size_t *used)
{
	double ratios[WORKS_MAX];

	for (unsigned i = 0; i < b->work_count; i++)
		ratios[i] = b->works[i].kind == kind ? alloc_ratio(b, i, peer, measure) : NAN;
	return geometric_mean(ratios, b->work_count, used);
}

double alloc_best_other(const struct alloc_bench *b, unsigned work, unsigned peer, unsigned measure)
{
	double best = NAN;

	for (unsigned i = 0; i < b->peer_count; i++)
		if (i != peer && !b->peers[i].sparse)
			best = fmin(best, alloc_quartiles(b, work, i, measure).median);
	return ratio_of(alloc_quartiles(b, work, peer, measure).median, best);
}

/* ---- what works print ---------------------------------------------------------------------- */

/* Its place among the values; METRICS_MAX of others are kept, of more none. */
static bool find_measure(struct alloc_bench *b, struct work *w, const char *name, unsigned *measure)
{
	for (unsigned i = 0; i < MEASURES; i++) {
		*measure = i;
		if (strcmp(measures[i].key, name) == 0)
			return true;
	}
	for (unsigned i = 0; i < w->metric_count; i++) {
		*measure = MEASURES + i;
		if (strcmp(w->metrics[i], name) == 0)
			return true;
	}
	if (w->metric_count == METRICS_MAX)
		return false;
	*measure = MEASURES + w->metric_count;
	w->metrics[w->metric_count++] = bench_note(&b->notes, "%s", name);
	return true;
}

/* "name value" and nothing else. */
static bool read_metric(const char *line, size_t length, char name[64], double *value)
{
	size_t n = strcspn(line, " \n");
	char *end;

	if (n == 0 || n >= 64 || line[n] != ' ' || line[n + 1] == ' ' || line[n + 1] == '\n')
		return false;
	memcpy(name, line, n);
	name[n] = '\0';
	*value = strtod(line + n + 1, &end);
	return end == line + length && isfinite(*value) && *value >= 0;
}

void alloc_take_output(struct alloc_bench *b, unsigned work, unsigned peer, unsigned round,
                       const char *output)
{
	for (const char *line = output; *line != '\0';) {
		size_t length = strcspn(line, "\n");
		char name[64];
		double value;
		unsigned measure;

		if (read_metric(line, length, name, &value) &&
		    find_measure(b, &b->works[work], name, &measure))
			alloc_values(b, work, peer, measure)[round] = value;
		line += length + (line[length] != '\0');
	}
}
