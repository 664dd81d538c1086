/* SPDX-License-Identifier: BSD-2-Clause */
/* The cells of a benchmark: where each is kept, and in which order they come. */
#include "cli/bench.h"

struct bench_cell *bench_cell(const struct bench *b, const struct bench_key *k)
{
	size_t i = k->size;

	i = i * BENCH_THREADS_MAX + k->threads;
	i = i * BENCH_BACKINGS + k->backing;
	i = i * BENCH_MAPPINGS + k->mapping;
	i = i * BENCH_METHODS_MAX + k->method;
	return &b->cells[i];
}

size_t bench_cell_count(const struct bench_options *o)
{
	return (size_t)o->size_count * BENCH_THREADS_MAX * BENCH_BACKINGS * BENCH_MAPPINGS *
	       BENCH_METHODS_MAX;
}

unsigned bench_thread_counts(const struct bench_options *o, unsigned size)
{
	bool quick = o->sizes[size] >= BENCH_BY_THREADS_LEAST && o->sizes[size] <= BENCH_BY_THREADS_MOST;

	return o->threads_given || quick ? o->thread_count : 1;
}

static bool place_selected(const struct bench_options *o, const struct bench_key *k)
{
	return (o->backings >> k->backing & 1) != 0 && (o->mappings >> k->mapping & 1) != 0;
}

static bool find_place(const struct bench_options *o, struct bench_key *k)
{
	while (k->backing < BENCH_BACKINGS && !place_selected(o, k)) {
		if (++k->mapping < BENCH_MAPPINGS)
			continue;
		k->mapping = 0;
		k->backing++;
	}
	return k->backing < BENCH_BACKINGS;
}

bool bench_first_place(const struct bench_options *o, struct bench_key *k)
{
	k->backing = k->mapping = 0;
	return find_place(o, k);
}

bool bench_next_place(const struct bench_options *o, struct bench_key *k)
{
	if (++k->mapping == BENCH_MAPPINGS) {
		k->mapping = 0;
		k->backing++;
	}
	return find_place(o, k);
}

static bool find_method(const struct bench_options *o, struct bench_key *k)
{
	while (k->method < o->subject->method_count && (o->methods >> k->method & 1) == 0)
		k->method++;
	return k->method < o->subject->method_count;
}

bool bench_first_method(const struct bench_options *o, struct bench_key *k)
{
	k->method = 0;
	return find_method(o, k);
}

bool bench_next_method(const struct bench_options *o, struct bench_key *k)
{
	k->method++;
	return find_method(o, k);
}

void bench_each_cell(const struct bench_options *o, unsigned size,
                     void (*visit)(void *context, const struct bench_key *k), void *context)
{
	struct bench_key k = {.size = size};

	for (k.threads = 0; k.threads < bench_thread_counts(o, size); k.threads++)
		for (bool more = bench_first_place(o, &k); more; more = bench_next_place(o, &k))
			for (bool any = bench_first_method(o, &k); any; any = bench_next_method(o, &k))
				visit(context, &k);
}
