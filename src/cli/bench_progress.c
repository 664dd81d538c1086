/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/bench.h"

#include <unistd.h>

#define GUESS_FROM_NS 2e9 /* earlier the time that is left would be made up */

void bench_progress_begin(struct bench_progress *p, const struct bench_options *o)
{
	struct bench_key k = {0};
	double places = 0;

	*p = (struct bench_progress){.terminal = isatty(STDERR_FILENO) != 0, .start = os_clock_ns()};
	p->on = o->progress || p->terminal;
	for (bool more = bench_first_place(o, &k); more; more = bench_next_place(o, &k))
		places++;
	for (unsigned i = 0; i < o->size_count; i++)
		p->total += places * (double)o->sizes[i] * bench_thread_counts(o, i) * o->rounds;
}

static void print_left(const struct bench_progress *p)
{
	double passed = (double)(os_clock_ns() - p->start);
	double left = passed * (p->total - p->done) / p->done / 1e9;

	if (passed < GUESS_FROM_NS)
		return;
	if (left < 120)
		fprintf(stderr, ", about %.0f s left", left);
	else
		fprintf(stderr, ", about %.0f min left", left / 60);
}

void bench_progress_show(struct bench_progress *p, const struct bench_options *o, const struct bench_key *k,
                         unsigned round)
{
	struct bench_key first = {0};
	char size[SIZE_TEXT_MAX];

	bench_first_place(o, &first);
	if (p->on && (p->terminal || (k->backing == first.backing && k->mapping == first.mapping))) {
		size_format(o->sizes[k->size], size);
		fprintf(stderr, "%s%s: round %u of %u", p->terminal ? "\r\033[K" : "", size, round + 1,
		        o->rounds);
		if (p->terminal)
			fprintf(stderr, ", %s %s", bench_mappings[k->mapping].name,
			        bench_backings[k->backing].name);
		if (p->done > 0)
			print_left(p);
		fputs(p->terminal ? "" : "\n", stderr);
		fflush(stderr);
	}
	p->done += (double)o->sizes[k->size] * bench_thread_counts(o, k->size);
}

void bench_progress_clear(const struct bench_progress *p)
{
	if (p->terminal)
		fputs("\r\033[K", stderr);
}
