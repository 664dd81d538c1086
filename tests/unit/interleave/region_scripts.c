/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations on overlapping granules of a region, and of two on one budget. */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"
#include "model.h"
#include "os/os.h"
#include "scripts.h"

#define G (2 * os_page_size()) /* of more than one page, so that half of it can be there */
#define GRANULES 8u            /* that are used */
#define MOST_OPS 5u
#define NO_LIMIT 100u          /* granules */

enum kind { END, COMMIT, DECOMMIT, LIMIT, FORK, QUERY, SETTLE, THIN, MEND };

struct op {
	enum kind kind;
	unsigned from, count; /* granules; LIMIT: to so many */
	unsigned region;
};

#define C(from, count) { COMMIT, from, count, 0 }
#define D(from, count) { DECOMMIT, from, count, 0 }
#define C2(from, count) { COMMIT, from, count, 1 }
#define D2(from, count) { DECOMMIT, from, count, 1 }
#define L(count) { LIMIT, 0, count, 0 }
#define F { FORK, 0, 0, 0 }
#define Q(from, count) { QUERY, from, count, 0 }
#define S { SETTLE, 0, 0, 0 }
#define T(keep) { THIN, 0, keep, 0 }
#define M { MEND, 0, 0, 0 }

struct script {
	const struct backing_ops *backing;
	unsigned limit;  /* granules; 0: none */
	unsigned before; /* of them, from the first on, are committed at the start */
	bool closed, huge, two, view;
	struct kernel_failures failures;
	struct op ops[MOST_THREADS][MOST_OPS];
};

static const struct script *script;
static struct budget budget;
static struct region regions[2];
static struct model models[2];

static unsigned region_count(void) { return script->two ? 2 : 1; }

static size_t unit(void) { return script->huge ? SMALL_GRANULE : G; }

static unsigned granules(void) { return script->huge ? CHUNK_PARTS : GRANULES; }

/* ---- before a schedule ------------------------------------------------------------------------ */

/* What a commit that the limit refused was promised: the next one is refused as well, unless
 * the budget's frees tell. */
struct refusal {
	size_t bytes;
	size_t frees;
};

/* The operation that a thread is in. */
static struct doing {
	const struct op *op;
	size_t most_limit; /* that was in force meanwhile */
	size_t need;       /* bytes missing when it last got the lock */
	bool tight;        /* they did not fit at some moment */
	bool charged;
	size_t frees;
	unsigned failures; /* of the kernel, in this thread or another */
	struct refusal refused[MOST_OPS];
	unsigned refusals;
} doing[MOST_THREADS];

static size_t last_charged;

static void make_region(struct region *r)
{
	struct region_config config = {
		.backing = script->backing, .size = CHUNK_SIZE, .size_min = CHUNK_SIZE, .granule = unit(),
		.huge_in = script->huge, .closed = script->closed, .piece = CHUNK_SIZE, .budget = &budget,
	};
	SOUND(region_init(r, &config) == 0);
}

static void begin(void)
{
	budget_init(&budget, script->limit ? script->limit * unit() : SIZE_MAX);
	memset(doing, 0, sizeof doing);
	for (unsigned i = 0; i < region_count(); i++) {
		make_region(&regions[i]);
		if (script->before)
			SOUND(region_commit(&regions[i], 0, script->before * unit()) == 0);
		model_begin(&models[i], &regions[i], granules());
		model_write(&models[i], ~0ull);
	}
	last_charged = budget_charged(&budget);
	kernel_begin(&script->failures);
}

/* ---- at each point ------------------------------------------------------------------------------ */

static size_t missing(const struct op *op)
{
	uint64_t span = model_span(op->from, op->count);
	return (size_t)__builtin_popcountll(span & ~regions[op->region].committed_map[0]) * unit();
}

static void look_at_limit(void)
{
	size_t charged = budget_charged(&budget), limit = budget_limit(&budget);
	for (unsigned i = 0; i < MOST_THREADS; i++) {
		struct doing *d = &doing[i];
		if (limit > d->most_limit)
			d->most_limit = limit;
		if (d->op && d->op->kind == COMMIT && !models[d->op->region].owned[i])
			d->tight = d->tight || charged > limit || missing(d->op) > limit - charged;
	}
	/* Who charged is who was running. A lower limit may be below what is charged. */
	SOUND(charged <= last_charged || charged <= doing[schedule_self()].most_limit);
	last_charged = charged;
}

static void look(void)
{
	size_t charge = 0;
	bool locked = false;
	look_at_limit();
	for (unsigned i = 0; i < region_count(); i++) {
		locked = locked || schedule_is_locked(&regions[i].lock);
		model_look(&models[i]);
		charge += model_charge(&models[i]);
	}
	SOUND(locked || budget_charged(&budget) == charge);
}

static void locked(const pthread_mutex_t *m)
{
	struct doing *d = &doing[schedule_self()];
	for (unsigned i = 0; i < region_count(); i++)
		model_locked(&models[i], m);
	if (d->op && d->op->kind == COMMIT && m == &regions[d->op->region].lock)
		d->need = missing(d->op);
}

static void unlocking(const pthread_mutex_t *m)
{
	unsigned self = schedule_self();
	for (unsigned i = 0; i < region_count(); i++) {
		model_unlocking(&models[i], m);
		doing[self].charged = doing[self].charged || models[i].owned[self];
	}
}

/* ---- operations ----------------------------------------------------------------------------------- */

/* The states as the thread left them when it let the lock go, which was just now. */
static bool is_committed(const struct op *op)
{
	uint64_t span = model_span(op->from, op->count);
	return (models[op->region].last_committed & span) == span;
}

static bool has_lingering(const struct op *op) { return regions[op->region].lingering_map[0] != 0; }

static void note_refusal(struct doing *d)
{
	if (!d->charged)
		d->refused[d->refusals++] = (struct refusal){ d->need, d->frees };
}

static void commit(const struct op *op, struct doing *d)
{
	bool lingered = has_lingering(op);
	int err = region_commit(&regions[op->region], op->from * unit(), op->count * unit());
	bool failed = kernel_failed() > d->failures;
	if (!err) {
		SOUND(is_committed(op));
		schedule_point("write");
		model_write(&models[op->region], model_span(op->from, op->count));
		return;
	}
	SOUND(err == -ENOMEM || (failed && err == -EAGAIN));
	SOUND(d->tight || failed || lingered || has_lingering(op));
	if (d->tight && !failed)
		note_refusal(d);
}

static void decommit(const struct op *op, const struct doing *d)
{
	int err = region_decommit(&regions[op->region], op->from * unit(), op->count * unit());
	uint64_t left = models[op->region].last_committed & model_span(op->from, op->count);
	if (err == -EINVAL && script->huge)
		return; /* a part of a chunk that is whole */
	SOUND(err ? err == -EPERM && kernel_failed() > d->failures : !left);
}

static void query(const struct op *op)
{
	struct region *r = &regions[op->region];
	const struct model *m = &models[op->region];
	size_t n = region_committed(r);
	SOUND(n == (size_t)__builtin_popcountll(m->last_committed) * unit());
	bool all = region_is_committed(r, op->from * unit(), op->count * unit());
	SOUND(all == is_committed(op));
}

static void be_child(void)
{
	schedule_leave();
	for (unsigned i = 0; i < region_count(); i++) {
		struct region *r = &regions[i];
		if (region_is_shared(r))
			SOUND((script->view ? region_fork_view(r) : region_fork_copy(r)) == 0);
		region_fork_child(r);
	}
	SOUND(region_count() == 1);
	model_check_child(&models[0]);
	_exit(0);
}

static void fork_all(void)
{
	int status;
	for (unsigned i = 0; i < region_count(); i++)
		region_fork_prepare(&regions[i]);
	schedule_point("fork");
	pid_t child = fork();
	SOUND(child >= 0);
	if (child == 0)
		be_child();
	SOUND(waitpid(child, &status, 0) == child);
	SOUND(status == 0);
	for (unsigned i = 0; i < region_count(); i++)
		region_fork_parent(&regions[i]);
}

/* Of a whole chunk in one piece; or there is none. */
static void thin(const struct op *op)
{
	int err = region_thin(&regions[0], 0, (uint32_t)model_span(0, op->count));
	SOUND(err == 0 || err == -EINVAL);
}

static void mend(void)
{
	int err = region_mend(&regions[0], 0);
	SOUND(err == 0 || err == -EBUSY);
}

static void act(const struct op *op, struct doing *d)
{
	switch (op->kind) {
	case COMMIT: commit(op, d); break;
	case DECOMMIT: decommit(op, d); break;
	case LIMIT: budget_set_limit(&budget, op->count * unit()); break;
	case FORK: fork_all(); break;
	case QUERY: query(op); break;
	case SETTLE: region_settle(&regions[op->region]); break;
	case THIN: thin(op); break;
	case MEND: mend(); break;
	case END: break;
	}
}

static void run(unsigned thread)
{
	struct doing *d = &doing[thread];
	for (const struct op *op = script->ops[thread]; op->kind != END; op++) {
		d->op = op;
		d->most_limit = budget_limit(&budget);
		d->tight = d->charged = false;
		d->failures = kernel_failed();
		d->frees = budget_frees(&budget);
		models[op->region].act[thread] = op->kind == COMMIT ? ACT_COMMIT : ACT_OTHER;
		act(op, d);
		models[op->region].act[thread] = ACT_NONE;
		d->op = NULL;
	}
}

/* ---- at the end -------------------------------------------------------------------------------------- */

static void check_refusals(const struct doing *d)
{
	for (unsigned i = 0; i < d->refusals; i++)
		SOUND(budget_frees(&budget) != d->refused[i].frees ||
		      !budget_has_room(&budget, d->refused[i].bytes, 0));
}

static void drop(struct region *r)
{
	size_t resident;
	SOUND(r->waiting == 0 && !r->forking);
	region_settle(r);
	region_check(r);
	SOUND(r->lingering == 0);
	SOUND(region_decommit(r, 0, granules() * unit()) == 0);
	SOUND(region_resident(r, 0, CHUNK_SIZE, &resident) == 0 && resident == 0);
	region_destroy(r);
}

static void end(void)
{
	size_t committed = 0, lingering = 0;
	for (unsigned i = 0; i < MOST_THREADS; i++)
		check_refusals(&doing[i]);
	for (unsigned i = 0; i < region_count(); i++) {
		committed += regions[i].committed;
		lingering += regions[i].lingering;
	}
	SOUND(budget_charged(&budget) == committed + lingering);
	for (unsigned i = 0; i < region_count(); i++)
		drop(&regions[i]);
	SOUND(budget_charged(&budget) == 0);
}

static void explore(const struct scenario *s, struct schedule_counts *counts)
{
	struct exploration e = {
		.name = s->name, .threads = s->threads, .bound = s->bound, .begin = begin, .run = run, .look = look,
		.end = end, .locked = locked, .unlocking = unlocking,
	};
	script = s->script;
	schedule_explore(&e, counts);
}

/* ---- scenarios ---------------------------------------------------------------------------------------- */

#define SCRIPT(name_, threads_, bound_, forks_, ...)                                      \
	{                                                                                 \
		.name = name_, .threads = threads_, .bound = bound_, .forks = forks_,     \
		.script = &(const struct script){ __VA_ARGS__ }, .explore = explore,      \
	}
#define ON(kind) .backing = &backing_##kind
/* On private memory, and on shared. */
#define BOTH(name, threads, bound, forks, ...)                                     \
	SCRIPT(name "_anon", threads, bound, forks, ON(anon), __VA_ARGS__),        \
	SCRIPT(name "_memfd", threads, bound, forks, ON(memfd), __VA_ARGS__)
#define FAILING(...) .failures = { __VA_ARGS__ }

const struct scenario region_scenarios[] = {
	BOTH("commit_commit", 2, ALL_SCHEDULES, false, .ops = { { C(0, 4) }, { C(0, 4) } }),
	BOTH("commit_commit_limit", 2, ALL_SCHEDULES, false, .limit = 4, .ops = { { C(0, 3) }, { C(2, 3) } }),
	BOTH("commit_decommit", 2, 3, false, .before = 4, .ops = { { D(0, 4), C(0, 2) }, { C(2, 4), D(1, 3) } }),
	BOTH("commit_decommit_limit", 3, 2, false, .limit = 4,
	     .ops = { { C(0, 3), D(0, 3) }, { C(2, 3) }, { L(2), L(6) } }),
	BOTH("commit_decommit_query", 3, 2, false, .before = 2,
	     .ops = { { C(0, 4), D(2, 2) }, { D(0, 3) }, { Q(0, 4), Q(0, 2) } }),
	BOTH("populate_fails", 2, 2, false, .limit = 6, FAILING(.most = 1, .populate_error = ENOMEM),
	     .before = 1, .ops = { { C(0, 4) }, { C(2, 4), D(3, 2) } }),
	BOTH("populate_fails_beside", 2, 3, false, FAILING(.most = 1, .populate_error = ENOMEM),
	     .ops = { { C(0, 4) }, { C(4, 4) } }),
	SCRIPT("populate_again", 2, 2, false, ON(anon), FAILING(.most = 2, .populate_error = EAGAIN),
	       .ops = { { C(0, 4) }, { C(2, 4) } }),
	SCRIPT("populate_again_once", 2, 2, false, ON(anon), FAILING(.most = 2, .again = true),
	       .ops = { { C(0, 4) }, { C(2, 4) } }),
	BOTH("rollback_sticks", 2, 2, false, .limit = 6, FAILING(.most = 2, .populate_error = ENOMEM, .discards = true),
	     .ops = { { C(0, 4) }, { C(3, 2), S } }),
	BOTH("discard_fails", 2, 2, false, .before = 4, FAILING(.most = 1, .discards = true),
	     .ops = { { D(0, 4) }, { D(2, 2), C(1, 3) } }),
	BOTH("decommit_fork", 2, 2, true, .before = 4, .ops = { { D(0, 4), C(0, 2) }, { F } }),
	BOTH("commit_fork", 2, 2, true, .before = 1, .ops = { { C(0, 4) }, { F, C(2, 4) } }),
	BOTH("fork_limit", 2, 2, true, .before = 2, .limit = 4, .ops = { { F, C(0, 4) }, { L(3), C(2, 2) } }),
	SCRIPT("commit_fork_view", 2, 2, true, ON(memfd), .view = true, .before = 1, .ops = { { C(0, 4) }, { F } }),
	SCRIPT("fork_fork_commit", 3, 1, true, ON(anon), .before = 2, .ops = { { F }, { F }, { C(1, 3) } }),
	SCRIPT("commit_fork_decommit", 3, 1, true, ON(anon), .before = 2, .ops = { { C(2, 2) }, { F }, { D(0, 2) } }),
	BOTH("commit_decommit_commit", 3, 2, false, .before = 1, .ops = { { C(0, 4) }, { D(0, 4) }, { C(2, 4) } }),
	BOTH("two_decommits_wait", 3, 2, false, .before = 4, .ops = { { D(0, 2), C(0, 2) }, { D(0, 4) }, { C(1, 4) } }),
	BOTH("opening", 2, 3, false, .closed = true, .ops = { { C(0, 2) }, { C(2, 3), D(0, 2) } }),
	BOTH("one_budget", 2, 3, false, .two = true, .limit = 4, .ops = { { C(0, 3) }, { C2(0, 3), D2(0, 3) } }),
	BOTH("one_budget_fails", 2, 3, false, .two = true, .limit = 4, FAILING(.most = 1, .populate_error = ENOMEM),
	     .ops = { { C(0, 3) }, { C2(0, 2) } }),
	SCRIPT("lingering_fork", 2, 2, true, ON(anon), FAILING(.most = 2, .populate_error = ENOMEM, .discards = true),
	       .ops = { { C(0, 4), S }, { F } }),
	SCRIPT("thin_decommit", 2, 2, false, ON(anon), .huge = true, .before = 32,
	       .ops = { { T(8), D(0, 4) }, { D(0, 32), M, C(0, 32) } }),
	{ .name = NULL },
};
