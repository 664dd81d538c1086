/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the guard, which says when there is room for a helper, and the helper. */
#include <errno.h>

#include "region/exact.h"
#include "region/span.h"

/* Who holds less is not worth a process: shells, and what they run. */
#define HOLDS_LEAST (8 * MiB)

/* Twice what it needs, since others grow too. It is not taken in steps that the guard could
 * follow: so a grant of any part means that there is room for all. */
static bool has_room(struct region *r, size_t bytes)
{
	size_t granted = span_ask_guard(r, 2 * bytes, os_page_size(), budget_charged(r->budget));
	if (granted)
		span_tell_guard(r, granted);
	return granted > 0;
}

/* In a cgroup that is full it would not be the helper that is killed for its start, but
 * this process. */
static void start(struct region *r, unsigned place, size_t bytes)
{
	struct guard *g = r->guard;
	if (!has_room(r, bytes)) {
		charger_put_off(&g->charger);
		return;
	}
	guard_bypass(g, bytes);
	charger_start(&g->charger, place);
	guard_done(g, bytes);
}

static int take(struct region *r, size_t offset, size_t length)
{
	struct guard *g = r->guard;
	guard_bypass(g, length);
	int err = charger_take(&g->charger, &r->backing.file, offset, length);
	guard_done(g, length);
	if (err)
		guard_forget(g); /* what it believed was not so */
	return err;
}

int exact_take(struct region *r, size_t offset, size_t length)
{
	size_t bytes;
	if (likely(!r->exact) || budget_charged(r->budget) < HOLDS_LEAST)
		return -EAGAIN;
	unsigned place = guard_place(r->guard);
	if (unlikely(charger_wants(&r->guard->charger, place, &bytes)))
		start(r, place, bytes);
	return take(r, offset, length);
}
