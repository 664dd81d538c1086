/* SPDX-License-Identifier: BSD-2-Clause */
/* A whole benchmark: all sizes, and what is printed and drawn of them. */
#define _GNU_SOURCE
#include "cli/bench.h"
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void free_all(struct bench *b)
{
	for (size_t i = 0; i < bench_cell_count(b->options); i++)
		free(b->cells[i].ns);
	free(b->cells);
	bench_notes_free(&b->notes);
	bench_space_free(&b->space);
}

static bool draw(const struct bench *b, FILE *plot)
{
	bool drawn;

	(void)ftruncate(fileno(plot), 0); /* what cannot be cut, as a pipe, has nothing from before */
	bench_draw(b, plot);
	drawn = !ferror(plot);
	drawn = fclose(plot) == 0 && drawn;
	if (!drawn)
		cli_error("cannot write '%s': %s", b->options->plot, strerror(errno));
	return drawn;
}

static int finish(const struct bench *b, FILE *plot)
{
	int code = 0;

	if (plot != NULL && !draw(b, plot))
		code = CLI_FAILURE;
	if (b->measured == 0) {
		cli_error("bench: nothing could be measured here");
		code = CLI_FAILURE;
	}
	return cli_finish(code);
}

/* What was drawn before stays until the end. */
static FILE *open_plot(const char *path)
{
	FILE *plot = fopen(path, "a");

	if (plot == NULL)
		cli_error("cannot write '%s': %s", path, strerror(errno));
	return plot;
}

int bench_run(const struct bench_options *o)
{
	static const struct bench_output *const outputs[] = {
		[BENCH_TEXT] = &bench_text,
		[BENCH_JSON] = &bench_json,
		[BENCH_CSV] = &bench_csv,
	};
	struct bench_progress progress;
	struct bench b = {.options = o};
	FILE *plot = NULL;
	int code;

	if (!bench_space_find(&b.space, o->directories, o->directory_count))
		return CLI_FAILURE;
	if (o->plot != NULL && (plot = open_plot(o->plot)) == NULL)
		return CLI_FAILURE;
	b.cells = bench_allocate(bench_cell_count(o), sizeof(*b.cells));
	bench_catch_sigbus();
	bench_progress_begin(&progress, o);
	outputs[o->format]->begin(&b);
	for (unsigned i = 0; i < o->size_count; i++) {
		bench_measure_size(&b, i, &progress);
		outputs[o->format]->size(&b, i);
		fflush(stdout);
	}
	outputs[o->format]->end(&b);
	code = finish(&b, plot);
	free_all(&b);
	return code;
}
