/* SPDX-License-Identifier: BSD-2-Clause */
/* The rounds of one size. */
#include "cli/bench.h"

#include <errno.h>
#include <string.h>

#define WARM_EXTRA (16 * MiB) /* page tables, and what is kept on lists */

/* What is measured now: every kind of memory, in one size. */
struct pass {
	struct bench *b;
	unsigned size;
	unsigned round;
	struct bench_memory memory[BENCH_BACKINGS][BENCH_MAPPINGS];
};

static struct bench_memory *memory_of(struct pass *p, const struct bench_key *k)
{
	return &p->memory[k->backing][k->mapping];
}

static const struct bench_method *method_of(const struct bench *b, const struct bench_key *k)
{
	return &b->options->subject->methods[k->method];
}

/* ---- before the rounds ------------------------------------------------------------ */

static void open_all(struct pass *p)
{
	const struct bench_options *o = p->b->options;
	struct bench_key k = {.size = p->size};

	for (bool more = bench_first_place(o, &k); more; more = bench_next_place(o, &k)) {
		struct bench_memory *m = memory_of(p, &k);

		m->backing = k.backing;
		m->mapping = k.mapping;
		m->size = o->sizes[p->size];
		bench_memory_open(m, &p->b->space, &p->b->notes);
		p->b->page[k.backing] = m->page;
	}
}

static void close_all(struct pass *p)
{
	const struct bench_options *o = p->b->options;
	struct bench_key k = {.size = p->size};

	for (bool more = bench_first_place(o, &k); more; more = bench_next_place(o, &k))
		bench_memory_close(memory_of(p, &k));
}

/* Gives a cell the place for its figures, or the reason why it has none. */
static void set_up_cell(void *context, const struct bench_key *k)
{
	struct pass *p = context;
	const struct bench_options *o = p->b->options;
	struct bench_cell *c = bench_cell(p->b, k);

	c->freed = -1;
	c->why = bench_refuse(p->b, memory_of(p, k), method_of(p->b, k), o->threads[k->threads]);
	if (c->why == NULL)
		c->ns = bench_allocate(o->rounds, sizeof(*c->ns));
}

/* The method of this place that needs most, in k; 0: none is measured. */
static size_t most_needed(struct pass *p, struct bench_key *k)
{
	const struct bench_options *o = p->b->options;
	struct bench_key best = *k;
	size_t most = 0;

	k->threads = 0;
	for (bool any = bench_first_method(o, k); any; any = bench_next_method(o, k)) {
		size_t need = bench_need(memory_of(p, k), method_of(p->b, k));

		if (bench_cell(p->b, k)->why == NULL && need > most) {
			most = need;
			best = *k;
		}
	}
	*k = best;
	return most;
}

/* Memory of the place to come was last used some seconds ago. */
static void warm_place(struct pass *p, struct bench_key k)
{
	size_t need = most_needed(p, &k);
	uint64_t ns;

	if (need != 0 && !bench_is_pooled(k.backing))
		bench_warm_pass(size_min(need + WARM_EXTRA, p->b->space.memory), &ns);
}

/* Pages of a pool are not given to others, so that once is enough for them. */
static void warm_all(struct pass *p)
{
	const struct bench_options *o = p->b->options;
	struct bench_key k = {.size = p->size};
	size_t most = 0;

	for (bool more = bench_first_place(o, &k); more; more = bench_next_place(o, &k)) {
		struct bench_memory *m = memory_of(p, &k);
		size_t need = most_needed(p, &k);
		uint64_t ns;

		if (need == 0)
			continue;
		if (!bench_is_pooled(k.backing)) {
			most = size_max(most, need);
		} else if (bench_prepare(o->subject, m, method_of(p->b, &k)) == 0) {
			(void)bench_measure(m, method_of(p->b, &k), 1, &ns);
			(void)bench_memory_empty(m);
		}
	}
	if (most != 0)
		bench_warm_up(size_min(most + WARM_EXTRA, p->b->space.memory));
}

/* ---- one round ----------------------------------------------------------------------- */

/* A failure that was not foreseen: the cell is not measured any more. */
static void fail(struct pass *p, struct bench_cell *c, int error)
{
	const char *why = error == -EFAULT || error == -ENOSPC ? "there was no page left" : strerror(-error);

	c->why = bench_note(&p->b->notes, "it failed in round %u: %s", p->round + 1, why);
}

/* How much of what was held before is gone. */
static void note_freed(struct bench_cell *c, const struct bench_memory *m, bool region, size_t before)
{
	size_t after;

	if (m->base == NULL && bench_has_file(m)) /* gone, and nobody to ask */
		return;
	if (before != 0 && bench_memory_held(m, region, &after) == 0)
		c->freed = after < before ? 1 - (double)after / (double)before : 0;
}

/* Whether there is still memory for a method: others may have taken it meanwhile. */
static bool still_fits(struct pass *p, const struct bench_key *k)
{
	const char *why;

	if (bench_is_pooled(k->backing))
		return true;
	bench_space_look(&p->b->space);
	why = bench_space_refuse(&p->b->space, bench_need(memory_of(p, k), method_of(p->b, k)), &p->b->notes);
	if (why != NULL)
		bench_cell(p->b, k)->why = bench_note(&p->b->notes, "in round %u %s", p->round + 1, why);
	return why == NULL;
}

static void measure_cell(struct pass *p, const struct bench_key *k)
{
	const struct bench_options *o = p->b->options;
	const struct bench_method *method = method_of(p->b, k);
	struct bench_memory *m = memory_of(p, k);
	struct bench_cell *c = bench_cell(p->b, k);
	bool region = (method->flags & BENCH_NEEDS_REGION) != 0;
	bool tell = o->subject->frees && c->rounds == 0;
	size_t before = 0;
	int r;

	if (c->why != NULL || !still_fits(p, k))
		return;
	r = m->why != NULL ? -ENOMEM : bench_prepare(o->subject, m, method);
	if (r == 0 && tell && bench_memory_held(m, region, &before) != 0)
		before = 0;
	if (r == 0)
		r = bench_measure(m, method, o->threads[k->threads], &c->ns[c->rounds]);
	if (r == 0 && tell)
		note_freed(c, m, region, before);
	if (r == 0)
		c->rounds++;
	else
		fail(p, c, r);
	if (m->why == NULL && (r = bench_memory_empty(m)) != 0)
		m->why = bench_note(&p->b->notes, "it could not be emptied: %s", strerror(-r));
}

/*
 * The first method finds other things in the processor's caches than those after it,
 * which for a single huge page is half of its time: each round another one is the first.
 */
static void measure_methods(struct pass *p, struct bench_key k)
{
	const struct bench_options *o = p->b->options;
	unsigned start = p->round % o->subject->method_count;

	for (unsigned late = 0; late <= 1; late++)
		for (bool any = bench_first_method(o, &k); any; any = bench_next_method(o, &k))
			if ((k.method < start) == late)
				measure_cell(p, &k);
}

static void measure_place(struct pass *p, struct bench_key k)
{
	for (k.threads = 0; k.threads < bench_thread_counts(p->b->options, p->size); k.threads++)
		measure_methods(p, k);
}

static void measure_round(struct pass *p, struct bench_progress *progress)
{
	const struct bench_options *o = p->b->options;
	struct bench_key k = {.size = p->size};

	for (bool more = bench_first_place(o, &k); more; more = bench_next_place(o, &k)) {
		bench_progress_show(progress, o, &k, p->round);
		warm_place(p, k);
		measure_place(p, k);
	}
}

/* ---- all --------------------------------------------------------------------------------- */

static void count_measured(void *context, const struct bench_key *k)
{
	struct bench *b = context;

	b->measured += bench_cell(b, k)->why == NULL;
}

void bench_measure_size(struct bench *b, unsigned size, struct bench_progress *progress)
{
	struct pass p = {.b = b, .size = size};

	open_all(&p);
	bench_each_cell(b->options, size, set_up_cell, &p);
	warm_all(&p);
	for (p.round = 0; p.round < b->options->rounds; p.round++)
		measure_round(&p, progress);
	close_all(&p);
	bench_each_cell(b->options, size, count_measured, b);
	bench_progress_clear(progress);
}
