/* SPDX-License-Identifier: BSD-2-Clause */
/* sparena bench alloc: what is run, and where the figures go. */
#define _GNU_SOURCE
#include "cli/bench_alloc.h"
#include "cli/cli.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LIST_TIMEOUT 10 /* seconds */

/* ---- who and what -------------------------------------------------------------------------------- */

/* Asks the program of the workloads which there are. */
static bool ask_for_list(struct alloc_bench *b, struct work *listed, unsigned *count)
{
	char program[4096], list[] = "--list", scale[16], *argv[] = {program, list, scale, NULL};
	struct child_task task = {.argv = argv, .timeout = LIST_TIMEOUT};
	struct child_result r;
	char why[256];
	bool ok = false;
	int error;

	b->program = cli_find_workload();
	if (b->program == NULL)
		return false;
	snprintf(program, sizeof(program), "%s", b->program);
	snprintf(scale, sizeof(scale), "%u", b->scale);
	error = child_run(&task, &r);
	if (error != 0) {
		cli_error("bench alloc: '%s' could not be started: %s", program, strerror(-error));
		return false;
	}
	if (child_failed(&r, LIST_TIMEOUT, why, sizeof(why)))
		cli_error("bench alloc: '%s': %s", program, why);
	else
		ok = work_list(listed, count, r.output, &b->notes);
	child_free(&r);
	return ok;
}

static int print_list(const struct work *listed, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		printf("%-12s %5zu MiB  %s%s\n", listed[i].name, listed[i].need / MiB, listed[i].text,
		       listed[i].kind == WORK_SPARSE ? " (sparse)" : "");
	return cli_finish(0);
}

static bool has_sparse_work(const struct alloc_bench *b)
{
	for (unsigned i = 0; i < b->work_count; i++)
		if (b->works[i].kind == WORK_SPARSE)
			return true;
	return false;
}

bool alloc_find_peers(struct alloc_bench *b)
{
	const char *base = b->options.base != NULL ? b->options.base : "jemalloc";
	unsigned kept = 0;

	for (unsigned i = 0; i < b->peer_count; i++) {
		struct peer *p = &b->peers[i];

		if (p->sparse && !has_sparse_work(b))
			continue; /* nothing for it */
		peer_find(p, &b->notes);
		if (p->why != NULL)
			b->left_out[b->left_out_count++] = *p;
		else
			b->peers[kept++] = *p;
	}
	b->peer_count = kept;
	for (b->base = 0; b->base < kept && strcmp(b->peers[b->base].name, base) != 0;)
		b->base++;
	if (b->base == kept && b->options.base == NULL)
		b->base = 0;
	for (unsigned i = 0; b->base == kept && i < b->left_out_count; i++)
		cli_error("bench alloc: %s is left out: %s", b->left_out[i].name, b->left_out[i].why);
	return b->base < kept;
}

/* ---- where it goes ----------------------------------------------------------------------------------- */

static FILE *open_file(const char *path, bool *ok)
{
	FILE *f;

	if (path == NULL)
		return NULL;
	if (strcmp(path, "-") == 0)
		return stdout;
	f = fopen(path, "we");
	if (f == NULL) {
		cli_error("cannot write '%s': %s", path, strerror(errno));
		*ok = false;
	}
	return f;
}

static bool close_file(FILE *f, const char *path)
{
	bool written;

	if (f == NULL || f == stdout)
		return true;
	written = !ferror(f);
	written = fclose(f) == 0 && written;
	if (!written)
		cli_error("cannot write '%s': %s", path, strerror(errno));
	return written;
}

static void count_cells(const struct alloc_bench *b, unsigned *failed, unsigned *measured)
{
	for (unsigned work = 0; work < b->work_count; work++)
		for (unsigned peer = 0; peer < b->peer_count; peer++) {
			*failed += alloc_cell(b, work, peer)->why != NULL;
			*measured += !isnan(alloc_quartiles(b, work, peer, MEASURE_TIME).median);
		}
}

/* Files are opened before anything is measured, as that takes long. */
static int measure(struct alloc_bench *b)
{
	const struct alloc_options *o = &b->options;
	unsigned failed = 0, measured = 0;
	bool ok = true;
	FILE *json = open_file(o->json, &ok), *markdown = open_file(o->markdown, &ok);

	if (ok)
		alloc_run(b);
	if (ok && json != NULL)
		alloc_print_json(b, json);
	if (ok && markdown != NULL)
		alloc_print_tables(b, markdown, true);
	if (ok && json != stdout && markdown != stdout)
		alloc_print_tables(b, stdout, false);
	if (ok)
		count_cells(b, &failed, &measured);
	ok = close_file(json, o->json) && ok;
	ok = close_file(markdown, o->markdown) && ok;
	if (failed > 0)
		cli_error("bench alloc: %u of %u failed", failed, b->work_count * b->peer_count);
	else if (ok && measured == 0)
		cli_error("bench alloc: nothing could be measured here");
	return cli_finish(ok && failed == 0 && measured > 0 ? 0 : CLI_FAILURE);
}

static void free_all(struct alloc_bench *b)
{
	for (unsigned i = 0; b->cells != NULL && i < b->work_count * b->peer_count; i++)
		free(b->cells[i].values);
	free(b->cells);
	bench_notes_free(&b->notes);
}

static int run(struct alloc_bench *b)
{
	struct work listed[WORKS_MAX];
	unsigned count = 0;
	bool workloads = b->options.workloads != NULL || b->options.list || b->work_count == 0;

	child_prepare();
	if (workloads && !ask_for_list(b, listed, &count))
		return CLI_FAILURE;
	if (b->options.list)
		return print_list(listed, count);
	if (!alloc_select(b, listed, count))
		return cli_usage("sparena bench alloc");
	if (!alloc_find_peers(b))
		return CLI_FAILURE;
	return measure(b);
}

int bench_alloc(int argc, char **argv)
{
	struct alloc_bench b = {0};
	int code = alloc_read_options(&b, argc, argv);

	if (code < 0)
		code = run(&b);
	free_all(&b);
	return code;
}
