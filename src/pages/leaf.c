/* SPDX-License-Identifier: BSD-2-Clause */
#include "pages/leaf.h"

#define ALL_ONES UINT64_MAX

static unsigned ones_low(uint64_t x) { return x == ALL_ONES ? 64 : (unsigned)__builtin_ctzl(~x); }
static unsigned ones_high(uint64_t x) { return x == ALL_ONES ? 64 : (unsigned)__builtin_clzl(~x); }

/* The bits of x at which a run of at least n ones begins; n is 1 to 64. */
static uint64_t run_starts(uint64_t x, unsigned n)
{
	for (unsigned have = 1; have < n;) {
		unsigned step = n - have < have ? n - have : have;
		x &= x >> step;
		have += step;
	}
	return x;
}

/* The longest run of ones that touches neither end of x, if it is above `longest`. */
static unsigned inner_longest(uint64_t x, unsigned longest)
{
	x &= x + 1;                                                /* without the run at the low end */
	x &= ~(x >> 63 ? ALL_ONES << (64 - ones_high(x)) : 0);     /* without the one at the high end */
	for (x = x ? run_starts(x, longest + 1) : 0; x; x &= x >> 1)
		longest++;
	return longest;
}

struct run_sum leaf_summary(const uint64_t *words)
{
	struct run_sum sum = { 0, 0, 0 };
	unsigned run = 0, longest = 0;
	bool leading = true;

	for (unsigned i = 0; i < LEAF_WORDS; i++) {
		uint64_t x = words[i];
		if (x == ALL_ONES) {
			run += 64;
			continue;
		}
		run += x ? ones_low(x) : 0;
		if (leading)
			sum.start = run;
		leading = false;
		if (run > longest)
			longest = run;
		run = x ? ones_high(x) : 0;
		if (x && longest < 62)
			longest = inner_longest(x, longest);
	}
	if (leading)
		sum.start = run;
	sum.end = run;
	sum.longest = run > longest ? run : longest;
	return sum;
}

size_t leaf_find(const uint64_t *words, size_t count)
{
	size_t run = 0;
	for (unsigned i = 0; i < LEAF_WORDS; i++) {
		uint64_t x = words[i];
		size_t base = (size_t)i * 64;
		if (run + ones_low(x) >= count)
			return base - run;
		if (x == ALL_ONES) {
			run += 64;
			continue;
		}
		uint64_t starts = count <= 64 ? run_starts(x, (unsigned)count) : 0;
		if (starts)
			return base + (size_t)__builtin_ctzl(starts);
		run = ones_high(x);
	}
	__builtin_unreachable();
}

/* How many ones directly precede bit `at`. */
static unsigned ones_before(const uint64_t *words, unsigned at)
{
	unsigned i = at / 64, in_word = at % 64, n = 0;
	if (in_word) {
		n = ones_high(words[i] << (64 - in_word)); /* zeros come in below: no more than in_word */
		if (n < in_word)
			return n;
	}
	while (i-- > 0) {
		unsigned more = ones_high(words[i]);
		n += more;
		if (more < 64)
			break;
	}
	return n;
}

unsigned leaf_run_at(const uint64_t *words, unsigned at)
{
	unsigned i = at / 64, in_word = at % 64, n = 0;
	if (in_word) {
		n = ones_low(words[i] >> in_word);
		if (n < 64 - in_word)
			return n;
		i++;
	}
	for (; i < LEAF_WORDS; i++) {
		unsigned more = ones_low(words[i]);
		n += more;
		if (more < 64)
			break;
	}
	return n;
}

/* One run grew: from the ones before the new ones to those behind them. */
void leaf_add(uint64_t *words, struct run_sum *sum, unsigned from, unsigned count)
{
	bitmap_set(words, from, count);
	unsigned begin = from - ones_before(words, from);
	unsigned end = from + count + leaf_run_at(words, from + count);
	if (begin == 0)
		sum->start = end;
	if (end == RUNSET_LEAF)
		sum->end = end - begin;
	if (end - begin > sum->longest)
		sum->longest = end - begin;
}

/* What is left of one run may be the longest of what is left: all are looked at. */
void leaf_remove(uint64_t *words, struct run_sum *sum, unsigned from, unsigned count)
{
	bitmap_clear(words, from, count);
	*sum = leaf_summary(words);
}
