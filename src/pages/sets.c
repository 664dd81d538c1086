/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages from one place to another, with the lock held. */
#include <errno.h>

#include "os/os.h"
#include "pages/pages.h"

uint64_t pages_epoch(const struct pages *p)
{
	return p->epoch_ms ? os_clock_ms() / p->epoch_ms : 0;
}

bool pages_find_run(struct pages *p, const struct runset *s, size_t start, size_t unit, const struct pages_request *q,
                     size_t bytes, size_t *offset)
{
	size_t align = size_max(q->align / unit, 1), at;
	size_t first = ((uintptr_t)p->region->base + p->from + start) / unit;
	if (!runset_find(s, bytes / unit, align, first & (align - 1), &at))
		return false;
	*offset = start + at * unit;
	return true;
}

void pages_stamp(struct pages *p, size_t offset, size_t bytes, uint64_t epoch)
{
	for (size_t g = offset / p->granule; g <= (offset + bytes - 1) / p->granule; g++)
		p->stamps[g] = (uint16_t)epoch;
	p->last_stamp = epoch;
	pages_wish(p, PAGES_WISH_AGE);
}

/* To the set of its zone: what is counted and stamped already. */
void pages_add_resident(struct pages *p, size_t offset, size_t bytes)
{
	struct pages_zone *z = pages_zone_at(p, offset);
	runset_add(&z->resident, pages_page(z, offset), bytes / PAGE);
}

void pages_put_resident(struct pages *p, size_t offset, size_t bytes, uint64_t epoch)
{
	pages_stamp(p, offset, bytes, epoch);
	pages_add_resident(p, offset, bytes);
	p->resident_free += bytes;
}

void pages_take_resident(struct pages *p, size_t offset, size_t bytes)
{
	struct pages_zone *z = pages_zone_at(p, offset);
	runset_remove(&z->resident, pages_page(z, offset), bytes / PAGE);
	p->resident_free -= bytes;
}

bool pages_is_resident(struct pages *p, size_t offset, size_t bytes)
{
	struct pages_zone *z = pages_zone_at(p, offset);
	return offset + bytes <= z->frontier && runset_has(&z->resident, pages_page(z, offset), bytes / PAGE);
}

void pages_put_absent(struct pages *p, enum pages_kind kind, size_t offset, size_t bytes)
{
	struct pages_zone *z = &p->zone[kind];
	runset_add(&z->absent, offset / z->unit, bytes / z->unit);
}

void pages_put_uncommitted(struct pages *p, enum pages_kind kind, size_t offset, size_t bytes, int err)
{
	size_t unit = p->zone[kind].unit;
	if (likely(err != -EHWPOISON)) {
		pages_put_absent(p, kind, offset, bytes);
		return;
	}
	for (size_t at = offset; at < offset + bytes; at += unit) {
		if (region_is_broken(p->region, p->from + at, unit))
			__atomic_store_n(&p->retired, p->retired + unit, __ATOMIC_RELAXED); /* read without the lock */
		else
			pages_put_absent(p, kind, at, unit);
	}
}

size_t pages_note_free(struct pages *p)
{
	size_t frees = atomic_load_explicit(&p->frees, memory_order_relaxed);
	atomic_store_explicit(&p->frees, frees + 1, memory_order_relaxed);
	if (p->waiting)
		pthread_cond_broadcast(&p->changed);
	return frees;
}

/* An operation that holds pages outside every set while the lock is open. */
void pages_begin(struct pages *p)
{
	p->in_flight++;
}

void pages_end(struct pages *p)
{
	p->in_flight--;
	if (p->waiting)
		pthread_cond_broadcast(&p->changed);
}

void pages_wait(struct pages *p)
{
	p->waiting++;
	int before = os_hold_cancel();
	pthread_cond_wait(&p->changed, &p->lock);
	os_allow_cancel(before);
	p->waiting--;
}
