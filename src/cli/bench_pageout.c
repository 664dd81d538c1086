/* SPDX-License-Identifier: BSD-2-Clause */
/* sparena bench pageout: its cases, round by round over all of them. */
#define _GNU_SOURCE
#include "cli/bench_pageout.h"
#include "cli/cli.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WARM_EXTRA (16 * MiB)

/* ---- cases ----------------------------------------------------------------------------- */

static void add_case(struct pageout *b, size_t folio, unsigned data, unsigned way)
{
	struct pageout_case *c = &b->cases[b->case_count++];

	*c = (struct pageout_case){
		.folio = folio, .data = (enum pageout_data)data, .way = (enum pageout_way)way};
	if (way == PAGEOUT_WAYS && folio > b->size)
		c->why = "it is less than one of them";
	else
		c->why = pageout_folios_refuse(&b->folios, folio, &b->notes);
	if (way != PAGEOUT_WAYS && way != PAGEOUT_TOUCH && way != PAGEOUT_WILL_TOUCH && !os_can_populate())
		c->why = "the kernel has no MADV_POPULATE_READ: boot Linux 5.14 or later";
	c->ns = bench_allocate(b->options->common.rounds, sizeof(*c->ns));
}

void pageout_list_cases(struct pageout *b)
{
	const size_t folios[PAGEOUT_FOLIOS] = {os_page_size(), 64 * KiB, BENCH_HUGE_PAGE};

	b->case_count = 0;
	for (unsigned data = 0; data < PAGEOUT_DATA; data++)
		for (unsigned i = 0; (b->options->data >> data & 1) != 0 && i < PAGEOUT_FOLIOS; i++)
			if (i == 0 || folios[i] > folios[0])
				add_case(b, folios[i], data, PAGEOUT_WAYS);
	for (unsigned data = 0; data < PAGEOUT_DATA; data++)
		for (unsigned way = 0; (b->options->data >> data & 1) != 0 && way < PAGEOUT_WAYS; way++)
			add_case(b, folios[0], data, way);
}

double pageout_ratio(const struct pageout *b, const struct pageout_case *c)
{
	double mean = bench_stats(c->ns, c->rounds).mean;

	for (unsigned i = 0; i < b->case_count; i++) {
		const struct pageout_case *o = &b->cases[i];

		if (o->way == PAGEOUT_TOUCH && o->data == c->data && o->why == NULL && o->rounds > 0)
			return mean / bench_stats(o->ns, o->rounds).mean;
	}
	return NAN;
}

double pageout_share(const struct pageout_case *c, double sum)
{
	return c->rounds == 0 ? NAN : sum / c->rounds;
}

double pageout_rate(const struct pageout *b, const struct pageout_case *c)
{
	double bytes = pageout_share(c, c->out) * (double)b->size, mean = bench_stats(c->ns, c->rounds).mean;

	return bytes > 0 && mean > 0 ? bytes / (double)GiB / (mean / 1e9) : NAN;
}

double pageout_own_share(const struct pageout *b)
{
	double sum = 0, count = 0;

	for (unsigned i = 0; i < b->case_count; i++) {
		sum += b->cases[i].own;
		count += b->cases[i].rounds;
	}
	return b->swap.own && count > 0 ? sum / count : NAN;
}

/* ---- rounds ------------------------------------------------------------------------------ */

static void run_one(struct pageout *b, struct pageout_case *c, unsigned round, bool warm)
{
	int r;

	if (c->why != NULL || pageout_interrupted())
		return;
	r = pageout_run_case(b, c, warm);
	if (r != 0)
		c->why = bench_note(&b->notes, "it failed in round %u: %s", round + 1, strerror(-r));
}

/* Each round another one is the first. */
static void run_round(struct pageout *b, unsigned round)
{
	for (unsigned i = 0; i < b->case_count; i++)
		run_one(b, &b->cases[(i + round) % b->case_count], round, false);
}

static void run_all(struct pageout *b)
{
	const struct bench_options *o = &b->options->common;
	const struct bench_key place = {.backing = BENCH_ANON, .mapping = BENCH_PRIVATE};
	struct bench_progress progress;

	bench_warm_up(size_min(b->size + WARM_EXTRA, b->space.memory));
	for (unsigned i = 0; i < b->case_count; i++)
		if (b->cases[i].way != PAGEOUT_WAYS && b->cases[i].data != PAGEOUT_ZERO) {
			run_one(b, &b->cases[i], 0, true);
			break;
		}
	bench_progress_begin(&progress, o);
	for (unsigned round = 0; round < o->rounds && !pageout_interrupted(); round++) {
		bench_progress_show(&progress, o, &place, round);
		run_round(b, round);
	}
	bench_progress_clear(&progress);
}

/* ---- before and after ---------------------------------------------------------------------- */

static struct pageout *undone; /* what exit(3) finds to put back */

/* The memory first: it would come back from swap. */
static bool undo_all(void)
{
	struct pageout *b = undone;
	int r;

	undone = NULL;
	if (b == NULL)
		return true;
	if (b->base != NULL)
		os_release(b->base, b->size);
	b->base = NULL;
	r = pageout_folios_restore(&b->folios);
	if (r != 0)
		cli_error(
			"bench pageout: the sizes of transparent_hugepage could not be set as they were: %s",
			strerror(-r));
	return pageout_remove(&b->swap) && r == 0;
}

static void undo(void)
{
	(void)undo_all();
}

static bool map(struct pageout *b)
{
	void *p = NULL;
	int r = os_reserve(b->size, BENCH_HUGE_PAGE, &p);

	if (r == 0)
		r = os_open(p, b->size);
	b->base = p;
	if (r != 0)
		cli_error("bench pageout: the memory cannot be mapped: %s", strerror(-r));
	return r == 0;
}

/* Beside the memory there is what zram makes of it, which may be as much. */
static bool has_room(struct pageout *b)
{
	const char *why;

	bench_space_look(&b->space);
	why = bench_space_refuse(&b->space, b->size > SIZE_MAX / 8 ? SIZE_MAX : 2 * b->size, &b->notes);
	if (why != NULL)
		cli_error("bench pageout: %s", why);
	return why == NULL;
}

static bool prepare(struct pageout *b)
{
	if (!has_room(b))
		return false;
	b->patterns = bench_allocate(PAGEOUT_DATA, PAGEOUT_PATTERN);
	for (unsigned data = 0; data < PAGEOUT_DATA; data++)
		pageout_make_pattern(b->patterns + data * PAGEOUT_PATTERN, os_page_size(),
		                     (enum pageout_data)data);
	pageout_folios_look(&b->folios);
	pageout_list_cases(b);
	return map(b) && pageout_find_swap(&b->swap, b->options, b->size);
}

static void finish(struct pageout *b)
{
	for (unsigned i = 0; i < b->case_count; i++) {
		const struct pageout_case *c = &b->cases[i];

		b->measured += c->why == NULL && c->rounds > 0 && c->out > 0;
		free(b->cases[i].ns);
	}
	free(b->patterns);
	bench_notes_free(&b->notes);
}

static int run(const struct pageout_options *o)
{
	static void (*const print[])(const struct pageout *b) = {
		[BENCH_TEXT] = pageout_print_text,
		[BENCH_JSON] = pageout_print_json,
		[BENCH_CSV] = pageout_print_csv,
	};
	struct pageout b = {.options = o, .size = o->common.sizes[0]};
	bool ready, as_before;

	b.swap = (struct pageout_swap){.zram = SIZE_MAX, .file.fd = -1};
	undone = &b;
	pageout_hold_signals(undo);
	ready = prepare(&b);
	if (ready)
		run_all(&b);
	as_before = undo_all();
	pageout_release_signals();
	if (ready)
		print[o->common.format](&b);
	finish(&b);
	if (ready && b.measured == 0)
		cli_error("bench pageout: nothing went to swap here");
	return cli_finish(b.measured > 0 && as_before ? 0 : CLI_FAILURE);
}

int bench_pageout(int argc, char **argv)
{
	struct pageout_options o;
	int code = pageout_read_options(&o, argc, argv);

	return code >= 0 ? code : run(&o);
}
