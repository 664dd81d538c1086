/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <string.h>

#include "base/base.h"
#include "pages/leaf.h"

#define ARRAY_ALIGN ((size_t)64)
#define RUNSET_FANOUT_BITS 3u
_Static_assert(RUNSET_FANOUT == 1u << RUNSET_FANOUT_BITS, "fan-out and its logarithm");

/* ---- layout ---------------------------------------------------------------- */

/* Nodes of a level, in whole groups of siblings: the missing ones read as empty. */
static size_t level_nodes(size_t units, unsigned level)
{
	size_t nodes = (units + RUNSET_LEAF - 1) / RUNSET_LEAF;
	for (unsigned i = 0; i < level; i++)
		nodes = (nodes + RUNSET_FANOUT - 1) / RUNSET_FANOUT;
	return nodes;
}

static size_t level_bytes(size_t units, unsigned level)
{
	size_t nodes = size_up(level_nodes(units, level), RUNSET_FANOUT);
	return size_up(nodes * sizeof(struct run_sum), ARRAY_ALIGN);
}

static size_t bits_bytes(size_t units)
{
	return size_up(level_nodes(units, 0) * (RUNSET_LEAF / 8), ARRAY_ALIGN);
}

static unsigned level_count(size_t units)
{
	unsigned levels = 1;
	while (level_nodes(units, levels - 1) > 1)
		levels++;
	return levels;
}

size_t runset_bytes(size_t units)
{
	size_t bytes = bits_bytes(units);
	for (unsigned i = 0; i < level_count(units); i++)
		bytes += level_bytes(units, i);
	return bytes;
}

void runset_init(struct runset *s, void *memory, size_t units)
{
	char *at = memory;
	memset(s, 0, sizeof *s);
	s->units = units;
	s->levels = 1;
	/* From the root down, so that the small arrays share a page. */
	for (unsigned i = level_count(units); i-- > 0;) {
		s->sums[i] = (struct run_sum *)(void *)at;
		at += level_bytes(units, i);
	}
	s->bits = (uint64_t *)(void *)at;
}

int runset_cover(const struct runset *s, size_t from, size_t end,
                 int (*need)(void *context, void *addr, size_t bytes), void *context)
{
	size_t first = from / RUNSET_LEAF, last = (end - 1) / RUNSET_LEAF;
	int err = need(context, s->bits + first * LEAF_WORDS, (last - first + 1) * (RUNSET_LEAF / 8));
	for (unsigned i = 0; i < level_count(end) && !err; i++) {
		/* A parent is computed from all its children: whole groups. */
		size_t lo = size_down(first, RUNSET_FANOUT), hi = size_down(last, RUNSET_FANOUT);
		err = need(context, s->sums[i] + lo, (hi - lo + RUNSET_FANOUT) * sizeof(struct run_sum));
		if (!err && lo) /* roots of lower trees, where runset_reach() begins */
			err = need(context, s->sums[i], RUNSET_FANOUT * sizeof(struct run_sum));
		first /= RUNSET_FANOUT;
		last /= RUNSET_FANOUT;
	}
	return err;
}

/* ---- the tree -------------------------------------------------------------- */

/* Units below one node of a level. */
static size_t node_units(unsigned level)
{
	return (size_t)RUNSET_LEAF << (level * RUNSET_FANOUT_BITS);
}

static struct run_sum parent_summary(const struct run_sum *child, uint32_t child_units)
{
	struct run_sum sum = { 0, 0, 0 };
	uint32_t run = 0, longest = 0;
	bool leading = true;

	for (unsigned i = 0; i < RUNSET_FANOUT; i++) {
		if (!child[i].longest && !run) {
			leading = false;
			continue;
		}
		if (child[i].start == child_units) {
			run += child_units;
			continue;
		}
		run += child[i].start;
		if (leading)
			sum.start = run;
		leading = false;
		if (run > longest)
			longest = run;
		if (child[i].longest > longest)
			longest = child[i].longest;
		run = child[i].end;
	}
	if (leading)
		sum.start = run;
	sum.end = run;
	sum.longest = run > longest ? run : longest;
	return sum;
}

static bool same(struct run_sum a, struct run_sum b)
{
	return a.start == b.start && a.longest == b.longest && a.end == b.end;
}

/*
 * Makes a node's summary true again after one child's changed from `was` to `is`; says
 * whether it changed. Mostly the child's ends are as they were, so that no run that crosses
 * children changed, and there is nothing to compute.
 */
static bool refresh_parent(struct runset *s, unsigned level, size_t node, struct run_sum was, struct run_sum is)
{
	struct run_sum *sum = &s->sums[level][node];
	if (was.start == is.start && was.end == is.end) {
		if (is.longest <= sum->longest && (is.longest >= was.longest || was.longest < sum->longest))
			return false;
		if (is.longest > sum->longest) {
			sum->longest = is.longest;
			return true;
		}
	}
	struct run_sum now = parent_summary(&s->sums[level - 1][node * RUNSET_FANOUT], (uint32_t)node_units(level - 1));
	if (same(*sum, now))
		return false;
	*sum = now;
	return true;
}

/* After a change of one leaf's summary from `was`. */
static void refresh_above(struct runset *s, size_t node, struct run_sum was)
{
	struct run_sum is = s->sums[0][node];
	for (unsigned level = 1; level < s->levels; level++) {
		node /= RUNSET_FANOUT;
		struct run_sum above = s->sums[level][node];
		if (!refresh_parent(s, level, node, was, is))
			return;
		was = above;
		is = s->sums[level][node];
	}
}

/* After a change of the summaries of leaves [first, last]. */
static void refresh_all_above(struct runset *s, size_t first, size_t last)
{
	for (unsigned level = 1; level < s->levels; level++) {
		uint32_t units = (uint32_t)node_units(level - 1);
		first /= RUNSET_FANOUT;
		last /= RUNSET_FANOUT;
		for (size_t i = first; i <= last; i++)
			s->sums[level][i] = parent_summary(&s->sums[level - 1][i * RUNSET_FANOUT], units);
	}
}

/* Calls leaf_add() or leaf_remove() for each leaf of the range. */
static inline void change(struct runset *s, size_t from, size_t count,
                          void (*leaf)(uint64_t *, struct run_sum *, unsigned, unsigned))
{
	assert(count <= s->units && from <= s->units - count);
	size_t first = from / RUNSET_LEAF, last = (from + count - 1) / RUNSET_LEAF, end = from + count;
	struct run_sum was = s->sums[0][first];
	for (size_t i = first; i <= last; i++) {
		size_t next = size_min((i + 1) * RUNSET_LEAF, end);
		leaf(s->bits + i * LEAF_WORDS, &s->sums[0][i], (unsigned)(from % RUNSET_LEAF), (unsigned)(next - from));
		from = next;
	}
	if (first == last)
		refresh_above(s, first, was);
	else
		refresh_all_above(s, first, last);
}

void runset_reach(struct runset *s, size_t end)
{
	assert(s->levels && end <= s->units);
	for (unsigned needed = level_count(end); s->levels < needed; s->levels++)
		s->sums[s->levels][0] = parent_summary(s->sums[s->levels - 1], (uint32_t)node_units(s->levels - 1));
}

void runset_copy(struct runset *to, const struct runset *from, size_t end)
{
	assert(from->levels == level_count(end));
	memcpy(to->bits, from->bits, level_nodes(end, 0) * (RUNSET_LEAF / 8));
	for (unsigned i = 0; i < from->levels; i++)
		memcpy(to->sums[i], from->sums[i], level_nodes(end, i) * sizeof(struct run_sum));
	to->levels = from->levels;
}

void runset_add(struct runset *s, size_t from, size_t count)
{
	assert(bitmap_none(s->bits, from, count));
	change(s, from, count, leaf_add);
}

void runset_remove(struct runset *s, size_t from, size_t count)
{
	assert(bitmap_all(s->bits, from, count));
	change(s, from, count, leaf_remove);
}

bool runset_has(const struct runset *s, size_t from, size_t count)
{
	assert(count <= s->units && from <= s->units - count);
	return bitmap_all(s->bits, from, count);
}

/*
 * Goes down from a node that has a run of `count`. Among its children the run is
 * either inside one, or begins at the end of one and reaches over the next.
 */
static size_t descend(const struct runset *s, size_t count)
{
	size_t node = 0;
	for (unsigned level = s->levels - 1; level > 0; level--) {
		const struct run_sum *child = &s->sums[level - 1][node * RUNSET_FANOUT];
		size_t units = node_units(level - 1), run = 0;
		unsigned i = 0;
		for (;; i++) {
			if (run + child[i].start >= count)
				return (node * RUNSET_FANOUT + i) * units - run;
			if (child[i].longest >= count)
				break;
			run = child[i].start == units ? run + units : child[i].end;
		}
		node = node * RUNSET_FANOUT + i;
	}
	return node * RUNSET_LEAF + leaf_find(s->bits + node * LEAF_WORDS, count);
}

bool runset_find(const struct runset *s, size_t count, size_t align, size_t skew, size_t *at)
{
	size_t enough;
	if (!size_add(count, align - 1, &enough) || s->sums[s->levels - 1]->longest < enough)
		return false;
	*at = size_up(descend(s, enough) + skew, align) - skew;
	return true;
}

/* Steps over the widest node that begins at the leaf and has no such run. */
size_t runset_next_leaf(const struct runset *s, size_t leaf, size_t end, size_t count)
{
	while (leaf < end && s->sums[0][leaf].longest < count) {
		size_t node = leaf, width = 1;
		for (unsigned level = 1; level < s->levels && node % RUNSET_FANOUT == 0; level++) {
			if (s->sums[level][node / RUNSET_FANOUT].longest >= count)
				break;
			node /= RUNSET_FANOUT;
			width *= RUNSET_FANOUT;
		}
		leaf = (node + 1) * width;
	}
	return leaf < end ? leaf : end;
}

size_t runset_run_before(const struct runset *s, size_t end, size_t most)
{
	assert(end <= s->units || !most);
	size_t n = 0;
	while (n < most && n < end && bitmap_get(s->bits, end - 1 - n))
		n++;
	return n;
}

static void expect(bool sound)
{
	if (!sound)
		__builtin_trap();
}

void runset_check(const struct runset *s, size_t from, size_t end)
{
	for (size_t i = from; i < end; i++)
		expect(same(s->sums[0][i], leaf_summary(s->bits + i * LEAF_WORDS)));
	for (unsigned level = 1; level < s->levels; level++) {
		uint32_t units = (uint32_t)node_units(level - 1);
		from /= RUNSET_FANOUT;
		end = (end + RUNSET_FANOUT - 1) / RUNSET_FANOUT;
		for (size_t i = from; i < end; i++)
			expect(same(s->sums[level][i], parent_summary(&s->sums[level - 1][i * RUNSET_FANOUT], units)));
	}
}
