/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a thread in the background does: gives back what is due, while the program is idle
 * too, so that no free() has to; and commits ahead, so that few requests have to. It looks
 * once an epoch while anything was freed lately, and else sleeps until it is rung for.
 */
#include "pages/pages.h"

/* Between parts of a long sweep: others wait for the same locks. */
#define BREATH_MS 1

void pages_attend_begin(struct pages *p, struct os_bell *bell)
{
	p->bell = bell;
	atomic_store(&p->wishes, PAGES_WISH_AGE); /* there may be something already */
	atomic_store(&p->attended, true);
}

void pages_attend_end(struct pages *p)
{
	atomic_store(&p->attended, false);
	atomic_store(&p->wishes, PAGES_WISHES);
	pages_unwatch(p);
}

void pages_ring(struct pages *p, unsigned wish)
{
	if (!(atomic_fetch_or(&p->wishes, wish) & wish))
		os_bell_ring(p->bell);
}

/* All that comes to be free and committed is stamped; the stamp of a short run may be old, and
 * such runs are counted. */
struct comings {
	uint64_t last_stamp;
	size_t frees;
};

static struct comings comings(struct pages *p)
{
	pthread_mutex_lock(&p->lock);
	struct comings c = { p->last_stamp, atomic_load_explicit(&p->frees, memory_order_relaxed) };
	pthread_mutex_unlock(&p->lock);
	return c;
}

static bool are_same(const struct comings *a, const struct comings *b)
{
	return a->last_stamp == b->last_stamp && a->frees == b->frees;
}

/*
 * Nothing is due, and nothing will be. What comes from here on rings; what came since `before`
 * is seen under the locks that it came under.
 */
static bool falls_idle(struct pages *p, const struct comings *before)
{
	atomic_fetch_and(&p->wishes, ~PAGES_WISH_AGE);
	bool held = pages_shards_hold(p);
	struct comings now = comings(p);
	bool idle = !held && are_same(&now, before);
	if (!idle)
		atomic_fetch_or(&p->wishes, PAGES_WISH_AGE);
	return idle;
}

static uint64_t age(struct pages *p)
{
	if (!p->epoch_ms)
		return OS_FOREVER;
	struct comings before = comings(p);
	uint64_t epoch = pages_epoch(p);
	if (pages_sweep_part(p, epoch))
		return BREATH_MS;
	bool young = before.last_stamp + PAGES_EPOCHS_PER_DECAY + 1 >= epoch;
	return young || !falls_idle(p, &before) ? p->epoch_ms : OS_FOREVER;
}

uint64_t pages_attend(struct pages *p, size_t keep)
{
	atomic_store_explicit(&p->attending, true, memory_order_relaxed);
	if (atomic_fetch_and(&p->wishes, ~PAGES_WISH_AHEAD) & PAGES_WISH_AHEAD)
		pages_go_ahead(p, keep);
	uint64_t ms = age(p);
	atomic_store_explicit(&p->attending, false, memory_order_relaxed);
	return ms;
}
