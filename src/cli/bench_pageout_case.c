/* SPDX-License-Identifier: BSD-2-Clause */
/* One measurement: memory is filled, goes to swap, and comes back. */
#define _GNU_SOURCE
#include "cli/bench_pageout.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define WARM_EXTRA (16 * MiB) /* page tables, and what is kept on lists */
/* Of a disk, pages leave memory when they are written: */
#define SETTLE_TRIES 20
#define SETTLE_US 50000
#define SETTLED 0.01 /* of the memory; others swap, too */

const char *const pageout_ways[PAGEOUT_WAYS] = {
	[PAGEOUT_TOUCH] = "touch",
	[PAGEOUT_READ] = "POPULATE_READ",
	[PAGEOUT_WILL_TOUCH] = "WILLNEED+touch",
	[PAGEOUT_WILL_READ] = "WILLNEED+POPULATE_READ",
};

/* ---- data ----------------------------------------------------------------------- */

/* xorshift64: fast, and of no pattern that a compressor finds. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

void pageout_make_pattern(char *pattern, size_t page, enum pageout_data data)
{
	size_t random = data == PAGEOUT_ZERO ? 0 : data == PAGEOUT_HALF ? page / 2 : page;
	uint64_t state = UINT64_C(0x9e3779b97f4a7c15);

	memset(pattern, 0, PAGEOUT_PATTERN);
	for (size_t at = 0; at < PAGEOUT_PATTERN; at += page)
		for (size_t i = 0; i < random; i += sizeof(uint64_t)) {
			uint64_t value = next_random(&state);

			memcpy(pattern + at + i, &value, sizeof(value));
		}
}

void pageout_fill_page(char *to, const char *pattern, size_t page, size_t number)
{
	memcpy(to, pattern + number * page % PAGEOUT_PATTERN, page);
	memcpy(to, &number, sizeof(number));
}

/* Populated by the kernel, in its folios; zeros are there then. */
static int fill(struct pageout *b, const struct pageout_case *c)
{
	size_t page = os_page_size();
	const char *pattern = b->patterns + c->data * PAGEOUT_PATTERN;
	int r = os_populate(b->base, b->size);

	if (r == -EINVAL) { /* an older kernel */
		bench_write(b->base, b->size, page);
		r = 0;
	}
	for (size_t at = 0; r == 0 && c->data != PAGEOUT_ZERO && at < b->size; at += page)
		pageout_fill_page(b->base + at, pattern, page, at / page);
	return r;
}

/* ---- what the kernel counts ------------------------------------------------------- */

/* Of the memory, in folios; more than all of it is others' too. */
static double share_of(const struct pageout *b, const struct pageout_case *c, double folios)
{
	double share = folios * (double)c->folio / (double)b->size;

	return share > 1 ? 1 : share;
}

/* Filled, in folios of the size that is measured. */
static int fill_and_look(struct pageout *b, const struct pageout_case *c, double *share)
{
	double before = pageout_folios_count(c->folio, "anon_fault_alloc");
	int r = fill(b, c);

	if (c->folio == os_page_size())
		*share = 1;
	else if (c->folio == BENCH_HUGE_PAGE) /* exactly */
		*share = share_of(b, c, pageout_folios_huge() / (double)c->folio);
	else
		*share = share_of(b, c, pageout_folios_count(c->folio, "anon_fault_alloc") - before);
	return r;
}

/* Where the memory is now, into the sample: out of the page tables, of that still in memory
 * (swap cache), and in them. */
static int look(const struct pageout *b, struct pageout_case *sample)
{
	size_t resident, swapped, there;
	double size = (double)b->size;
	int r = os_resident(b->base, b->size, &resident, &swapped);

	if (r == 0)
		r = os_in_core(b->base, b->size, &there);
	if (r != 0)
		return r;
	sample->out = (double)swapped / size;
	sample->back = (double)resident / size;
	sample->cached = there > resident ? (double)(there - resident) / size : 0;
	return 0;
}

/* ---- out --------------------------------------------------------------------------- */

static int page_out(struct pageout *b, const struct pageout_case *c, struct pageout_case *sample,
                    uint64_t *ns)
{
	double whole = pageout_folios_count(c->folio, "swpout");
	uint64_t begin = os_clock_ns();
	int r = os_advise_pageout(b->base, b->size);

	*ns = os_clock_ns() - begin;
	if (r == 0)
		r = look(b, sample);
	if (r == 0 && b->swap.own && sample->out > 0)
		sample->own = fmin(1, (double)pageout_used(&b->swap) / (sample->out * (double)b->size));
	/* What is only noted to be zeros is not counted. */
	sample->whole = c->folio == os_page_size() || c->data == PAGEOUT_ZERO
	                        ? NAN
	                        : share_of(b, c, pageout_folios_count(c->folio, "swpout") - whole);
	return r;
}

/*
 * Pages that are still being written to a disk stay in memory, and would only be found
 * again; or, discarded, keep their places in swap. Once they are written, reading and
 * sending them out again is all that it takes.
 */
static int settle(struct pageout *b, struct pageout_case *sample)
{
	double went = sample->out;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < SETTLE_TRIES && !pageout_interrupted(); i++) {
		if (sample->cached <= SETTLED && sample->out >= went - SETTLED)
			break;
		usleep(SETTLE_US);
		bench_read(b->base, b->size, os_page_size());
		r = os_advise_pageout(b->base, b->size);
		if (r == 0)
			r = look(b, sample);
	}
	return r;
}

/* ---- back -------------------------------------------------------------------------- */

static int come_back(struct pageout *b, enum pageout_way way)
{
	int r = 0;

	if (way == PAGEOUT_WILL_TOUCH || way == PAGEOUT_WILL_READ)
		r = os_advise_willneed(b->base, b->size);
	if (r != 0)
		return r;
	if (way == PAGEOUT_READ || way == PAGEOUT_WILL_READ)
		return os_populate_read(b->base, b->size);
	bench_read(b->base, b->size, os_page_size());
	return 0;
}

static int time_back(struct pageout *b, const struct pageout_case *c, struct pageout_case *sample,
                     uint64_t *ns)
{
	uint64_t begin = os_clock_ns();
	struct pageout_case after;
	int r = come_back(b, c->way);

	*ns = os_clock_ns() - begin;
	if (r == 0)
		r = look(b, &after);
	if (r == 0)
		sample->back = after.back;
	return r;
}

/* ---- all of it ---------------------------------------------------------------------- */

static int run(struct pageout *b, const struct pageout_case *c, struct pageout_case *sample, uint64_t *ns)
{
	int r = fill_and_look(b, c, &sample->folios);
	double cached;

	if (r == 0 && !pageout_interrupted())
		r = page_out(b, c, sample, ns);
	cached = sample->cached;
	if (r == 0)
		r = settle(b, sample);
	if (c->way == PAGEOUT_WAYS)
		sample->cached = cached; /* as it was when it had gone */
	else if (r == 0 && !pageout_interrupted())
		r = time_back(b, c, sample, ns);
	return r;
}

static void keep(struct pageout_case *c, const struct pageout_case *sample, uint64_t ns)
{
	c->ns[c->rounds++] = ns;
	c->folios += sample->folios;
	c->out += sample->out;
	c->whole += sample->whole;
	c->cached += sample->cached;
	c->back += sample->back;
	c->own += sample->own;
}

int pageout_run_case(struct pageout *b, struct pageout_case *c, bool warm)
{
	struct pageout_case sample = {0};
	bool large = c->folio != os_page_size();
	uint64_t ns = 0;
	int r, discarded, restored;

	bench_warm_pass(size_min(b->size + WARM_EXTRA, b->space.memory), &ns);
	r = large ? pageout_folios_set(&b->folios, c->folio) : 0;
	(void)os_advise_huge(b->base, b->size, large); /* a kernel without them: base pages */
	if (r == 0)
		r = run(b, c, &sample, &ns);
	restored = pageout_folios_restore(&b->folios);
	discarded = os_discard(b->base, b->size);
	if (r == 0)
		r = restored != 0 ? restored : discarded;
	if (r == 0 && !warm && !pageout_interrupted())
		keep(c, &sample, ns);
	return r;
}
