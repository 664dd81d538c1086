/* SPDX-License-Identifier: BSD-2-Clause */
/* The rounds: each work under each peer, there and back again. */
#define _GNU_SOURCE
#include "cli/bench_alloc.h"
#include "cli/cli.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WHY_MAX 300
#define GUESS_FROM_NS 2e9 /* earlier the time that is left would be made up */

struct progress {
	bool on, terminal;
	uint64_t start;
	unsigned done, total;
};

static void show_progress(struct progress *p, const struct alloc_bench *b, unsigned round, unsigned work,
                          unsigned peer, bool first)
{
	double passed = (double)(os_clock_ns() - p->start), left;

	p->done++;
	if (!p->on || (!p->terminal && !first))
		return;
	fprintf(stderr, "%sround %u of %u: %s", p->terminal ? "\r\033[K" : "", round + 1, b->rounds,
	        b->works[work].name);
	if (p->terminal)
		fprintf(stderr, " under %s", b->peers[peer].name);
	if (passed > GUESS_FROM_NS) {
		left = passed * (p->total - p->done + 1) / (p->done - 1) / 1e9;
		fprintf(stderr, left < 120 ? ", about %.0f s left" : ", about %.0f min left",
		        left < 120 ? left : left / 60);
	}
	fputs(p->terminal ? "" : "\n", stderr);
	fflush(stderr);
}

/* ---- one run ---------------------------------------------------------------------------------- */

static void warm_up(void *context)
{
	bench_warm_up(*(const size_t *)context);
}

/* What the work needs, or has needed before, and half as much again, as it gets other pages
 * than we do here: huge ones, or small ones. In another process: so it is free again, and
 * does not count among what the work itself had resident. */
static void warm_up_for(const struct alloc_bench *b, unsigned work)
{
	size_t bytes = b->works[work].need;
	struct child_task task = {.call = warm_up, .context = &bytes, .timeout = b->options.timeout};
	struct child_result r;

	for (unsigned i = 0; i < b->peer_count; i++) {
		double peak = alloc_quartiles(b, work, i, MEASURE_PEAK).high;

		if (peak * 1024 > (double)bytes) /* false for a NAN */
			bytes = (size_t)(peak * 1024);
	}
	bytes = size_up(size_min(bytes + bytes / 2, b->space.memory), BENCH_HUGE_PAGE);
	if (child_run(&task, &r) == 0)
		child_free(&r);
}

static void keep_sample(struct alloc_bench *b, unsigned work, unsigned peer, unsigned round,
                        const struct child_result *r, double instructions)
{
	alloc_values(b, work, peer, MEASURE_TIME)[round] = (double)r->ns / 1e6;
	alloc_values(b, work, peer, MEASURE_CPU)[round] = r->cpu_ms;
	alloc_values(b, work, peer, MEASURE_INSTRUCTIONS)[round] = instructions;
	alloc_values(b, work, peer, MEASURE_PEAK)[round] = r->peak_kib;
	alloc_values(b, work, peer, MEASURE_FAULTS)[round] = r->faults;
	alloc_take_output(b, work, peer, round, r->output);
}

/* execv(3) has its arguments without const, and does not write to them. */
static char *writable(const char *text)
{
	union {
		const char *in;
		char *out;
	} u = {.in = text};

	return u.out;
}

static void run_once(struct alloc_bench *b, unsigned work, unsigned peer, unsigned round)
{
	const struct work *w = &b->works[work];
	struct alloc_cell *cell = alloc_cell(b, work, peer);
	char scale[16], sh[] = "/bin/sh", option[] = "-c";
	char *workload[] = {writable(b->program), writable(w->name), scale, NULL};
	char *program[] = {sh, option, writable(w->text), NULL};
	int counter = -1;
	struct child_task task = {
		.argv = w->kind == WORK_PROGRAM ? program : workload,
		.library = b->peers[peer].library,
		.setting = b->peers[peer].setting,
		.timeout = b->options.timeout,
		.instructions = b->uncounted == NULL ? &counter : NULL,
	};
	struct child_result r;
	char why[WHY_MAX];
	int error;

	snprintf(scale, sizeof(scale), "%u", b->scale);
	warm_up_for(b, work);
	error = child_run(&task, &r);
	if (error != 0)
		cell->why = bench_note(&b->notes, "it could not be started: %s", strerror(-error));
	else if (child_failed(&r, b->options.timeout, why, sizeof(why)))
		cell->why = bench_note(&b->notes, "%s", why);
	else
		keep_sample(b, work, peer, round, &r, counter >= 0 ? count_read(counter) : NAN);
	if (counter >= 0)
		close(counter);
	if (error == 0)
		child_free(&r);
}

/* ---- all of them ----------------------------------------------------------------------------------- */

static void set_up_cells(struct alloc_bench *b)
{
	size_t values = (size_t)(MEASURES + METRICS_MAX) * b->rounds;

	b->cells = bench_allocate((size_t)b->work_count * b->peer_count, sizeof(*b->cells));
	for (unsigned i = 0; i < b->work_count * b->peer_count; i++) {
		b->cells[i].values = bench_allocate(values, sizeof(double));
		for (size_t j = 0; j < values; j++)
			b->cells[i].values[j] = NAN;
	}
}

/* The memory is looked at anew each time: others take some, too. */
static void run_work(struct alloc_bench *b, unsigned work, unsigned round, struct progress *p)
{
	struct work *w = &b->works[work];
	bool first = true;

	bench_space_look(&b->space);
	if (w->why == NULL)
		w->why = bench_space_refuse(&b->space, w->need, &b->notes);
	for (unsigned i = 0; i < b->peer_count; i++) {
		unsigned peer = round % 2 == 0 ? i : b->peer_count - 1 - i;

		if (!alloc_takes_part(b, work, peer))
			continue;
		show_progress(p, b, round, work, peer, first);
		first = false;
		if (w->why == NULL && alloc_cell(b, work, peer)->why == NULL)
			run_once(b, work, peer, round);
	}
}

void alloc_run(struct alloc_bench *b)
{
	struct progress p = {.terminal = isatty(STDERR_FILENO) != 0, .start = os_clock_ns()};

	for (unsigned i = 0; i < b->work_count * b->peer_count; i++)
		p.total += alloc_takes_part(b, i / b->peer_count, i % b->peer_count) ? b->rounds : 0;
	p.on = p.terminal || b->options.progress;
	b->uncounted = count_refused(&b->notes);
	set_up_cells(b);
	for (unsigned round = 0; round < b->rounds; round++)
		for (unsigned work = 0; work < b->work_count; work++)
			run_work(b, work, round, &p);
	if (p.terminal)
		fputs("\r\033[K", stderr);
}
