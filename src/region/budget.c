/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <errno.h>

#include "region/region.h"

void budget_init(struct budget *b, size_t limit)
{
	atomic_init(&b->charged, 0);
	atomic_init(&b->limit, limit);
	atomic_init(&b->frees, 0);
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

int budget_charge(struct budget *b, size_t n, size_t keep)
{
	size_t charged = budget_charged(b);
	do {
		if (!fits(charged, budget_limit(b), n, keep))
			return -ENOMEM;
	} while (!atomic_compare_exchange_weak_explicit(&b->charged, &charged, charged + n,
	                                                memory_order_relaxed, memory_order_relaxed));
	return 0;
}

void budget_uncharge(struct budget *b, size_t n)
{
	size_t before = atomic_fetch_sub_explicit(&b->charged, n, memory_order_relaxed);
	assert(before >= n);
	(void)before;
	budget_note_free(b);
}
