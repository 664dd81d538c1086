/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "model.h"

#include <string.h>
#include <sys/mman.h>

#include "kernel.h"
#include "os/os.h"

static uint64_t committed(const struct model *m) { return m->r->committed_map[0]; }

static uint64_t lingering(const struct model *m) { return m->r->lingering_map[0]; }

static char *at(const struct model *m, unsigned granule) { return m->r->base + granule * m->r->granule; }

static uint64_t bit(unsigned granule) { return 1ull << granule; }

void model_begin(struct model *m, struct region *r, unsigned granules)
{
	memset(m, 0, sizeof *m);
	m->r = r;
	m->granules = granules;
	m->last_committed = committed(m);
}

void model_act(struct model *m, enum model_act act) { m->act[schedule_self()] = act; }

/* ---- whose granules are, and who changes them ---------------------------------------------- */

void model_locked(struct model *m, const pthread_mutex_t *lock)
{
	if (lock != &m->r->lock)
		return;
	m->busy = m->r->busy_map[0];
	m->committed = committed(m);
	SOUND(m->committed == m->last_committed); /* nobody changes it without the lock */
}

/* New ones read zero. */
static void forget_values(struct model *m, uint64_t granules)
{
	for (unsigned i = 0; i < m->granules; i++)
		if (granules & bit(i))
			m->value[i] = 0;
}

static unsigned owners(const struct model *m)
{
	unsigned n = 0;
	for (unsigned i = 0; i < MOST_THREADS; i++)
		n += m->owned[i] != 0;
	return n;
}

/* Only who owns a granule lets it go, or changes what it is. */
void model_unlocking(struct model *m, const pthread_mutex_t *lock)
{
	if (lock != &m->r->lock)
		return;
	uint64_t *mine = &m->owned[schedule_self()], busy = m->r->busy_map[0];
	uint64_t let_go = m->busy & ~busy, changed = m->committed ^ committed(m);
	SOUND(!(let_go & ~*mine));
	SOUND(!(changed & ~*mine));
	SOUND(!m->r->forking || !(busy & ~m->busy)); /* or a fork might wait for ever */
	*mine = (*mine | (busy & ~m->busy)) & ~let_go;
	SOUND(m->r->in_flight == owners(m));
	forget_values(m, changed & committed(m));
	m->last_committed = committed(m);
}

/* ---- the books ----------------------------------------------------------------------------- */

static size_t bytes_of(const struct model *m, uint64_t granules)
{
	return (size_t)__builtin_popcountll(granules) * m->r->granule;
}

/* What a commit is about to populate is charged already. */
size_t model_charge(const struct model *m)
{
	uint64_t charged = committed(m) | lingering(m);
	for (unsigned i = 0; i < MOST_THREADS; i++)
		if (m->act[i] == ACT_COMMIT)
			charged |= m->owned[i];
	return bytes_of(m, charged);
}

static void look_at_states(const struct model *m)
{
	uint64_t owned = 0;
	for (unsigned i = 0; i < MOST_THREADS; i++) {
		SOUND(!(owned & m->owned[i]));
		owned |= m->owned[i];
	}
	SOUND(owned == m->r->busy_map[0]);
	SOUND(!(committed(m) & lingering(m)));
	SOUND(m->r->committed == bytes_of(m, committed(m)));
	SOUND(owned || m->r->lingering == bytes_of(m, lingering(m)));
}

/* ---- what is there -------------------------------------------------------------------------- */

/* In the hands of somebody who may give it back, or takes it only now. */
static uint64_t uncertain(const struct model *m)
{
	uint64_t granules = 0;
	for (unsigned i = 0; i < MOST_THREADS; i++)
		granules |= m->owned[i] & ~(m->act[i] == ACT_COMMIT ? m->last_committed : 0);
	return granules | lingering(m);
}

/* At the first and last bytes of each page. */
static bool has_value(const char *p, size_t size, uint8_t value)
{
	size_t page = os_page_size();
	for (size_t i = 0; i < size; i += page)
		if ((uint8_t)p[i] != value || (uint8_t)p[i + page - 1] != value)
			return false;
	return true;
}

static unsigned pages_in(const unsigned char *resident, size_t n)
{
	unsigned pages = 0;
	for (size_t i = 0; i < n; i++)
		pages += resident[i] & 1;
	return pages;
}

static void look_at_granule(const struct model *m, unsigned i, const unsigned char *resident)
{
	size_t pages = m->r->granule / os_page_size();
	if (uncertain(m) & bit(i))
		return;
	if (!(committed(m) & bit(i))) {
		SOUND(pages_in(resident, pages) == 0); /* gone back */
		return;
	}
	SOUND(pages_in(resident, pages) == pages); /* backed */
	SOUND(has_value(at(m, i), m->r->granule, m->value[i]));
}

static void look_at_memory(const struct model *m)
{
	static unsigned char resident[MODEL_GRANULES * 16];
	size_t pages = m->r->granule / os_page_size();
	SOUND(mincore(m->r->base, m->granules * m->r->granule, resident) == 0);
	for (unsigned i = 0; i < m->granules; i++)
		look_at_granule(m, i, resident + i * pages);
}

/* Most points are not between two states, and memory is what takes time to look at. */
static bool is_seen(struct model *m)
{
	uint64_t states[3] = { committed(m), uncertain(m), lingering(m) };
	bool seen = m->seen_all && m->seen_calls == kernel_calls() && !memcmp(m->seen, states, sizeof states);
	memcpy(m->seen, states, sizeof states);
	m->seen_calls = kernel_calls();
	m->seen_all = true;
	return seen;
}

void model_look(struct model *m)
{
	if (schedule_is_locked(&m->r->lock))
		return;
	look_at_states(m);
	if (!is_seen(m))
		look_at_memory(m);
}

/* ---- using it --------------------------------------------------------------------------------- */

void model_write(struct model *m, uint64_t span)
{
	static uint8_t stamp;
	uint64_t usable = span & m->last_committed & ~uncertain(m);
	stamp = stamp % 255 + 1;
	m->seen_all = false;
	for (unsigned i = 0; i < m->granules; i++)
		if (usable & bit(i)) {
			memset(at(m, i), stamp, m->r->granule);
			m->value[i] = stamp;
		}
}

static void use_up(struct model *m, size_t granule)
{
	struct region *r = m->r;
	SOUND(region_decommit(r, 0, m->granules * granule) == 0);
	SOUND(budget_charged(r->budget) == 0 && region_committed(r) == 0);
	if (budget_has_room(r->budget, granule, 0)) {
		SOUND(region_commit(r, 0, granule) == 0);
		SOUND(has_value(r->base, granule, 0));
	}
	region_check(r);
}

void model_check_child(struct model *m)
{
	struct region *r = m->r;
	size_t unit = region_unit(r, 0);
	SOUND(r->in_flight == 0 && r->busy_map[0] == 0 && !r->forking);
	memset(m->owned, 0, sizeof m->owned);
	region_settle(r);
	look_at_states(m);
	look_at_memory(m);
	SOUND(budget_charged(r->budget) == r->committed);
	region_check(r);
	use_up(m, unit);
}
