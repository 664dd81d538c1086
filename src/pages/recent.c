/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Short runs that were just freed, last in first out, a stack for each length: a slab
 * that goes and comes back takes no walk through the trees. All with the lock held.
 */
#include "pages/pages.h"

/* The stack for runs of so many bytes; NULL: too long for one. */
static struct pages_recent *stack_for(struct pages *p, size_t bytes)
{
	size_t length = bytes / PAGE;
	return length <= PAGES_RECENT_LONGEST ? &p->recent[length - 1] : NULL;
}

bool pages_recent_pop(struct pages *p, size_t bytes, size_t *offset)
{
	struct pages_recent *stack = stack_for(p, bytes);
	if (!stack || !stack->count)
		return false;
	*offset = stack->offset[--stack->count];
	p->recent_bytes -= bytes;
	return true;
}

/* The older half moves on, so that the next frees find room. */
static void make_room(struct pages *p, struct pages_recent *stack, size_t bytes)
{
	unsigned half = PAGES_RECENT_MOST / 2;
	for (unsigned i = 0; i < half; i++)
		pages_add_resident(p, stack->offset[i], bytes);
	for (unsigned i = half; i < PAGES_RECENT_MOST; i++)
		stack->offset[i - half] = stack->offset[i];
	stack->count -= half;
	p->recent_bytes -= half * bytes;
}

bool pages_recent_push(struct pages *p, size_t offset, size_t bytes)
{
	struct pages_recent *stack = stack_for(p, bytes);
	if (!stack)
		return false;
	if (stack->count == PAGES_RECENT_MOST)
		make_room(p, stack, bytes);
	stack->offset[stack->count++] = offset;
	p->recent_bytes += bytes;
	return true;
}

bool pages_recent_flush(struct pages *p)
{
	if (!p->recent_bytes)
		return false;
	for (size_t length = 1; length <= PAGES_RECENT_LONGEST; length++) {
		struct pages_recent *stack = &p->recent[length - 1];
		while (stack->count)
			pages_add_resident(p, stack->offset[--stack->count], length * PAGE);
	}
	p->recent_bytes = 0;
	return true;
}
