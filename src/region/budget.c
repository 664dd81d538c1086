/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <errno.h>

#include "region/region.h"

void budget_init(struct budget *b, size_t limit)
{
	atomic_init(&b->charged, 0);
	atomic_init(&b->limit, limit);
	atomic_init(&b->frees, 0);
	atomic_init(&b->refused, 0);
	atomic_init(&b->share, 0);
}

static bool fits(size_t charged, size_t limit, size_t n, size_t keep)
{
	size_t above;
	return size_add(n, keep, &above) && charged <= limit && above <= limit - charged;
}

bool budget_has_room(const struct budget *b, size_t n, size_t keep)
{
	return fits(budget_charged(b), budget_limit(b), n, keep);
}

static bool try_charge(struct budget *b, size_t n, size_t keep)
{
	size_t charged = atomic_load(&b->charged);
	do {
		if (!fits(charged, budget_limit(b), n, keep))
			return false;
	} while (!atomic_compare_exchange_weak(&b->charged, &charged, charged + n));
	return true;
}

/* Tried once more when the refusal is counted: from then on whoever takes a charge back
 * sees it, and until then what was taken back is seen here. */
int budget_charge(struct budget *b, size_t n, size_t keep)
{
	if (try_charge(b, n, keep))
		return 0;
	atomic_fetch_add(&b->refused, 1);
	return try_charge(b, n, keep) ? 0 : -ENOMEM;
}

void budget_take_back(struct budget *b, size_t n, size_t refused)
{
	size_t before = atomic_fetch_sub(&b->charged, n);
	assert(before >= n);
	(void)before;
	if (budget_refused(b) != refused)
		budget_note_free(b);
}

void budget_uncharge(struct budget *b, size_t n)
{
	size_t before = atomic_fetch_sub_explicit(&b->charged, n, memory_order_relaxed);
	assert(before >= n);
	(void)before;
	budget_note_free(b);
}

static void change_limit(struct budget *b, size_t limit)
{
	atomic_store_explicit(&b->limit, limit, memory_order_relaxed);
	budget_note_free(b);
}

void budget_set_limit(struct budget *b, size_t limit)
{
	atomic_store_explicit(&b->share, 0, memory_order_relaxed);
	change_limit(b, limit);
}

void budget_set_share(struct budget *b, unsigned thousandths)
{
	atomic_store_explicit(&b->share, thousandths, memory_order_relaxed);
}

void budget_set_box(struct budget *b, size_t box)
{
	unsigned share = atomic_load_explicit(&b->share, memory_order_relaxed);
	size_t limit = size_share(box, share);
	if (share && box != SIZE_MAX && limit != budget_limit(b))
		change_limit(b, limit);
}
