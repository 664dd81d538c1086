/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much may be populated before the next look at the counters. Other processes grow at
 * the same time, with a guard each, so what all of them allow themselves must fit in what
 * is left:
 *
 * - a process that holds X of a limit L gets the share X / L of half of what is left: all
 *   X together are no more than L, however many there are;
 * - one that is small gets what is left divided by four times the number of processors,
 *   since what is between a look and its use is about one step a processor;
 * - some ms later what was allowed has lapsed: who knows what others did meanwhile.
 *
 * So steps shrink with what is left, and the margin has to cover only what no step
 * explains: page tables, stacks, counters that lag.
 */
#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "os/machine.h"
#include "region/guard.h"

#define MOST_ALLOWANCE (64 * MiB)
#define LEAST_ALLOWANCE (64 * KiB)
#define ALLOWED_MS 10
#define SCAN_MS 1000
#define MOST_CPUS 16u /* more do not grow in one cgroup at the same moment */

/* The statistics are added up from each processor's when that has 64 pages to tell. */
#define LAG_PER_CPU (64 * 4 * KiB)

/* What is left to others of a limit, where no option says so. Of the machine, whose
 * MemAvailable is an estimate, it may be more. */
#define MARGIN_SHARE 64
#define LEAST_MARGIN (1 * MiB)
#define MOST_MARGIN (16 * MiB)
#define MOST_MARGIN_OF_MACHINE (64 * MiB)

struct guard *guard_of_process(void)
{
	static struct guard guard = GUARD_INITIALIZER("");
	return &guard;
}

/* ---- finding the counters -------------------------------------------------------- */

static void let_go(struct guard *g)
{
	for (unsigned i = 0; i < g->levels; i++)
		os_cgroup_let_go(&g->files[i]);
	g->levels = 0;
}

static bool is_limited(struct guard *g, struct os_cgroup_files *files)
{
	struct os_cgroup_level level;
	(void)os_cgroup_reread(files, g->text, 0, &level);
	return level.limit != OS_UNLIMITED || level.high != OS_UNLIMITED;
}

/* From the process's own cgroup, g->found, upwards. What cannot be opened is done without;
 * of a cgroup without limits, those are watched. */
static void keep_levels(struct guard *g)
{
	do {
		struct os_cgroup_files *files = &g->files[g->levels];
		(void)os_cgroup_keep_limits(&g->found, files);
		if (files->limit.fd < 0)
			continue; /* no controller here: the next one above is charged */
		if (is_limited(g, files))
			(void)os_cgroup_keep_uses(&g->found, g->has_swap, files);
		g->levels++;
	} while (os_cgroup_up(&g->found) && g->levels < GUARD_MOST_LEVELS);
}

static bool is_same_place(const struct os_cgroup *a, const struct os_cgroup *b)
{
	return a->version == b->version && a->mount_length == b->mount_length && !strcmp(a->directory, b->directory);
}

static void keep_meminfo(struct guard *g)
{
	if (os_is_same_file(&g->meminfo))
		return;
	if (!text_join(g->text, sizeof g->text, g->root, "/proc/meminfo") || os_keep(g->text, &g->meminfo))
		g->meminfo.fd = -1;
}

static void read_memory(struct guard *g, struct os_memory *out)
{
	*out = (struct os_memory){ 0 };
	if (os_read_kept(&g->meminfo, g->text, sizeof g->text) == 0)
		os_memory_parse(g->text, out);
}

static void scan_machine(struct guard *g)
{
	struct os_memory memory;
	keep_meminfo(g);
	read_memory(g, &memory);
	if (g->has_swap != (memory.swap_total != 0))
		g->stale = true; /* its files are wanted now, or no more */
	g->has_swap = memory.swap_total != 0;
	g->swap_in_memory = g->has_swap ? os_swap_free_in_memory(g->root, g->text, sizeof g->text) : 0;
	g->cpus = os_cpus();
}

/* After chroot(2) nothing is found any more, but what is open still tells the truth. */
static void scan(struct guard *g, uint64_t now)
{
	scan_machine(g);
	g->scan_at = now + SCAN_MS;
	if (os_cgroup_find(g->root, &g->found))
		return;
	bool moved = !is_same_place(&g->place, &g->found);
	if (!moved && !g->stale)
		return;
	g->stale = false;
	g->moves += moved;
	g->place = g->found;
	let_go(g);
	keep_levels(g);
}

/* ---- one look ------------------------------------------------------------------------ */

/* What all levels come to. */
struct view {
	size_t box;       /* the least limit */
	size_t room;      /* the least room, less what is to be left to others */
	size_t allowance; /* the least */
};

static size_t share_of(size_t held, size_t limit, size_t room)
{
	if (held >= limit)
		return room / 2;
	return (size_t)((unsigned __int128)held * room / limit / 2);
}

static size_t margin_of(const struct guard_terms *t, size_t limit, size_t most)
{
	size_t margin = t->margin ? t->margin : size_min(size_max(limit / MARGIN_SHARE, LEAST_MARGIN), most);
	return t->metadata ? margin / 2 : margin;
}

static size_t less(size_t room, size_t bytes)
{
	return room > bytes ? room - bytes : 0;
}

static void add_level(struct view *v, const struct guard *g, const struct guard_request *q, size_t limit,
                      size_t room)
{
	size_t held = size_min(q->held, g->granted);
	size_t cpus = size_min(size_max(g->cpus, 1), MOST_CPUS);
	size_t allowance = size_max(share_of(held, limit, room), room / (4 * cpus));
	v->box = size_min(v->box, limit);
	v->room = size_min(v->room, room);
	v->allowance = size_min(v->allowance, allowance);
}

/* Bytes of file pages that are surely there. */
static void believe_less(struct os_cgroup_level *l, unsigned cpus)
{
	l->file = less(l->file, cpus * LAG_PER_CPU);
}

static void look_at_cgroups(struct guard *g, const struct guard_request *q, size_t swap_free, struct view *v)
{
	size_t enough = q->bytes + q->terms.margin + g->in_flight + MOST_ALLOWANCE;
	for (unsigned i = 0; i < g->levels; i++) {
		struct os_cgroup_level l;
		int err = os_cgroup_reread(&g->files[i], g->text, enough, &l);
		if (err == -ESTALE || err == -ENODEV)
			g->stale = true;
		size_t limit = q->terms.high ? size_min(l.limit, l.high) : l.limit;
		if (limit == OS_UNLIMITED)
			continue;
		g->stale = g->stale || g->files[i].current.fd < 0; /* it had none before */
		believe_less(&l, g->cpus);
		size_t room = os_cgroup_room(&l, q->terms.high, swap_free);
		size_t margin = margin_of(&q->terms, limit, MOST_MARGIN);
		add_level(v, g, q, limit, less(room, margin + g->in_flight));
	}
}

static void look_at_machine(struct guard *g, const struct guard_request *q, const struct os_memory *m,
                            size_t swap_free, struct view *v)
{
	size_t margin = margin_of(&q->terms, m->total, MOST_MARGIN_OF_MACHINE), room;
	if (!m->total)
		return;
	if (!size_add(m->available, swap_free, &room))
		room = m->available;
	add_level(v, g, q, m->total, less(room, margin + g->in_flight));
}

static struct view look_once(struct guard *g, const struct guard_request *q)
{
	struct view v = { OS_UNLIMITED, OS_UNLIMITED, MOST_ALLOWANCE };
	struct os_memory m;
	read_memory(g, &m);
	look_at_machine(g, q, &m, less(m.swap_free, g->swap_in_memory), &v);
	look_at_cgroups(g, q, m.swap_free, &v);
	g->stale = g->stale || !m.total;
	return v;
}

struct looking {
	struct guard *guard;
	const struct guard_request *request;
	uint64_t now;
	struct view view;
};

/* Once more where descriptors turn out to be lost. */
static void look_twice(void *argument)
{
	struct looking *l = argument;
	struct guard *g = l->guard;
	if (l->now >= g->scan_at)
		scan(g, l->now);
	l->view = look_once(g, l->request);
	if (unlikely(g->stale)) {
		scan(g, l->now);
		l->view = look_once(g, l->request);
		g->stale = false; /* if it did not help: until the next scan */
	}
}

static struct view look(struct guard *g, const struct guard_request *q, uint64_t now)
{
	struct looking l = { .guard = g, .request = q, .now = now };
	os_on_stack(&g->stack, look_twice, &l);
	g->box = l.view.box;
	return l.view;
}

/* ---- asking ----------------------------------------------------------------------- */

/* Whether what was granted on the terms `a` may be granted on `b` too. */
static bool is_no_easier(const struct guard_terms *a, const struct guard_terms *b)
{
	return a->margin == b->margin && a->high >= b->high && a->metadata <= b->metadata;
}

static bool is_allowed(const struct guard *g, const struct guard_request *q, uint64_t now)
{
	return q->bytes <= g->allowance && now < g->until && is_no_easier(&g->terms, &q->terms);
}

/* What may be done at once. The smallest steps need no allowance: the margin covers them. */
static size_t step_for(const struct guard_request *q, size_t allowance)
{
	return size_down(size_min(q->bytes, size_max(allowance, LEAST_ALLOWANCE)), q->unit);
}

static size_t refuse(struct guard *g, size_t lack)
{
	g->allowance = 0;
	g->lack = size_max(lack, 1);
	return 0;
}

static size_t decide(struct guard *g, const struct guard_request *q)
{
	uint64_t now = os_clock_ms();
	if (is_allowed(g, q, now))
		return q->bytes;
	struct view v = look(g, q, now);
	size_t step = step_for(q, v.allowance);
	if (q->bytes > v.room)
		return refuse(g, q->bytes - v.room);
	if (!step)
		return refuse(g, 1);
	g->allowance = size_max(v.allowance, step);
	g->until = now + ALLOWED_MS;
	g->terms = q->terms;
	return step;
}

size_t guard_ask(struct guard *g, const struct guard_request *q)
{
	pthread_mutex_lock(&g->lock);
	size_t step = decide(g, q);
	if (step) {
		g->lack = 0;
		g->allowance -= step;
		g->in_flight += step;
		g->granted += step;
	}
	pthread_mutex_unlock(&g->lock);
	return step;
}

void guard_done(struct guard *g, size_t granted)
{
	pthread_mutex_lock(&g->lock);
	g->in_flight -= granted;
	pthread_mutex_unlock(&g->lock);
}

void guard_bypass(struct guard *g, size_t bytes)
{
	pthread_mutex_lock(&g->lock);
	g->allowance = less(g->allowance, bytes);
	g->in_flight += bytes;
	g->granted += bytes;
	pthread_mutex_unlock(&g->lock);
}

void guard_forget(struct guard *g)
{
	pthread_mutex_lock(&g->lock);
	g->allowance = 0;
	pthread_mutex_unlock(&g->lock);
}

/* ---- questions, and the end --------------------------------------------------------- */

static void scan_now(void *guard) { scan(guard, os_clock_ms()); }

unsigned guard_place(struct guard *g)
{
	pthread_mutex_lock(&g->lock);
	if (os_clock_ms() >= g->scan_at)
		os_on_stack(&g->stack, scan_now, g);
	unsigned moves = g->moves;
	pthread_mutex_unlock(&g->lock);
	return moves;
}

size_t guard_lack(struct guard *g)
{
	pthread_mutex_lock(&g->lock);
	size_t lack = g->lack;
	pthread_mutex_unlock(&g->lock);
	return lack;
}

size_t guard_box(struct guard *g)
{
	struct guard_request nothing = { .unit = 1 };
	int before = os_hold_cancel();
	pthread_mutex_lock(&g->lock);
	uint64_t now = os_clock_ms();
	if (!g->box || now >= g->until) {
		(void)look(g, &nothing, now);
		g->until = now + ALLOWED_MS;
		g->allowance = 0;
	}
	size_t box = g->box;
	pthread_mutex_unlock(&g->lock);
	os_allow_cancel(before);
	return box;
}

void guard_close(struct guard *g)
{
	pthread_mutex_lock(&g->lock);
	let_go(g);
	os_close_file(&g->meminfo);
	os_stack_release(&g->stack);
	g->place.directory[0] = '\0';
	g->scan_at = 0;
	g->allowance = 0;
	pthread_mutex_unlock(&g->lock);
	charger_close(&g->charger);
}

void guard_fork_prepare(struct guard *g)
{
	charger_fork_prepare(&g->charger);
	pthread_mutex_lock(&g->lock);
}

void guard_fork_parent(struct guard *g)
{
	pthread_mutex_unlock(&g->lock);
	charger_fork_parent(&g->charger);
}

/* What is in flight, is so in the parent; and what is held, is shared with it. */
void guard_fork_child(struct guard *g)
{
	g->in_flight = 0;
	g->granted = 0;
	g->allowance = 0;
	g->scan_at = 0;
	pthread_mutex_unlock(&g->lock);
	charger_fork_child(&g->charger);
}
