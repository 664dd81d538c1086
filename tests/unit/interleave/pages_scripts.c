/* SPDX-License-Identifier: BSD-2-Clause */
/* One allocator of pages, whose limit is as large as what the threads want, or less. */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"
#include "model.h"
#include "os/os.h"
#include "pages/pages.h"
#include "scripts.h"

#define G SMALL_GRANULE
#define GRANULES 8u /* that are used: the lowest */
#define MOST_OPS 5u
#define DECAY_MS 80

enum kind { END, ALLOC, EXTEND, FREE, FREE_AT_ONCE, TRIM, PASS, ATTEND, FORK };

struct op {
	enum kind kind;
	unsigned count; /* granules */
};

#define A(count) { ALLOC, count }
#define E(count) { EXTEND, count }
#define X { FREE, 0 }
#define X_AT_ONCE { FREE_AT_ONCE, 0 }
#define T(count) { TRIM, count }
#define PASSES { PASS, 0 }
#define ATTENDS { ATTEND, 0 }
#define F { FORK, 0 }

struct script {
	unsigned limit;    /* granules */
	unsigned before;   /* of them were allocated and freed at the start */
	bool decays, at_once;
	bool sharding;
	bool attended;
	struct kernel_failures failures;
	struct op ops[MOST_THREADS][MOST_OPS];
};

static const struct script *script;
static struct budget budget, meta_budget;
static struct region data, meta;
static struct pages pages;
static struct model model;

/* Who attends: whether he sleeps until he is rung for. */
static struct os_bell bell;
static unsigned rings;
static bool sleeps;

void __wrap_os_bell_ring(struct os_bell *b);
void __wrap_os_bell_ring(struct os_bell *b)
{
	SOUND(b == &bell);
	rings++;
}

/* What a thread has, and what it is asking for. */
static struct holder {
	unsigned first, count; /* granules; count 0: none */
	unsigned wants;
	bool over;             /* all did not fit at some moment since it asked */
} holders[MOST_THREADS];

/* ---- which of the region's states a thread is about to change --------------------------------- */

static void note_act(const struct region *r, enum model_act act)
{
	if (schedule_is_on() && r == &data)
		model_act(&model, act);
}

int __real_region_commit_keep(struct region *r, size_t offset, size_t length, size_t keep);
int __wrap_region_commit_keep(struct region *r, size_t offset, size_t length, size_t keep);
int __wrap_region_commit_keep(struct region *r, size_t offset, size_t length, size_t keep)
{
	note_act(r, ACT_COMMIT);
	int err = __real_region_commit_keep(r, offset, length, keep);
	note_act(r, ACT_NONE);
	return err;
}

/* ---- before a schedule --------------------------------------------------------------------------- */

static void make_region(struct region *r, struct budget *b, size_t size, size_t granule)
{
	struct region_config c = {
		.backing = &backing_anon, .size = size, .size_min = size, .granule = granule, .closed = true,
		.piece = CHUNK_SIZE, .budget = b,
	};
	SOUND(region_init(r, &c) == 0);
}

static void make_pages(int64_t decay_ms)
{
	budget_init(&budget, SIZE_MAX);
	budget_init(&meta_budget, SIZE_MAX);
	make_region(&data, &budget, CHUNK_SIZE, G);
	size_t index_at = pages_first_index_bytes(G);
	make_region(&meta, &meta_budget, size_up(index_at + pages_index_bytes(data.size, G), CHUNK_SIZE), PAGE);
	struct pages_config c = {
		.region = &data, .size = data.size, .meta = &meta, .index_at = index_at, .thp = PAGES_THP_NEVER,
		.decay_ms = decay_ms,
	};
	SOUND(pages_init(&pages, &c) == 0);
}

static void drop_pages(void)
{
	pages_destroy(&pages);
	region_destroy(&data);
	region_destroy(&meta);
}

/* As if others had had the lock. */
static void begin_sharding(void)
{
	for (int i = 0; i < 4; i++) {
		pages_lock_contended(&pages);
		pthread_mutex_unlock(&pages.lock);
	}
	SOUND(pages_is_sharding(&pages));
}

static void use_before(unsigned count)
{
	size_t offset;
	bool zeroed;
	SOUND(pages_alloc(&pages, count * G, PAGE, 0, &offset, &zeroed) == 0);
	memset(data.base + offset, 1, count * G);
	pages_free(&pages, offset, count * G);
}

static void begin(void)
{
	make_pages(script->at_once ? 0 : script->decays ? DECAY_MS : PAGES_DECAY_NEVER);
	if (script->before)
		use_before(script->before);
	if (script->sharding)
		begin_sharding();
	rings = 0;
	sleeps = false;
	if (script->attended)
		pages_attend_begin(&pages, &bell);
	budget_set_limit(&budget, script->limit * G);
	memset(holders, 0, sizeof holders);
	model_begin(&model, &data, GRANULES);
	model_write(&model, ~0ull);
	kernel_begin(&script->failures);
}

/* A thread's shard is its own for good: not in the first schedule only. */
static void enter(unsigned thread)
{
	size_t offset;
	(void)thread;
	make_pages(PAGES_DECAY_NEVER);
	use_before(1);
	begin_sharding();
	SOUND(pages_shard_take(&pages, PAGE, &offset));
	SOUND(pages_shard_free(&pages, offset, PAGE));
	pages_shards_drain(&pages);
	drop_pages();
}

/* ---- at each point ---------------------------------------------------------------------------------- */

static void look_at_demand(void)
{
	size_t all = 0;
	for (unsigned i = 0; i < MOST_THREADS; i++)
		all += (holders[i].count + holders[i].wants) * G;
	for (unsigned i = 0; i < MOST_THREADS; i++)
		holders[i].over = holders[i].over || all > budget_limit(&budget);
}

static void look(void)
{
	look_at_demand();
	model_look(&model);
	SOUND(budget_charged(&budget) <= budget_limit(&budget));
	SOUND(schedule_is_locked(&data.lock) || budget_charged(&budget) == model_charge(&model));
}

static unsigned in_flight; /* when the lock of pages was taken */

static void locked(const pthread_mutex_t *m)
{
	model_locked(&model, m);
	if (m == &pages.lock)
		in_flight = pages.in_flight;
}

static void unlocking(const pthread_mutex_t *m)
{
	model_unlocking(&model, m);
	SOUND(m != &pages.lock || !pages.forking || pages.in_flight <= in_flight); /* nothing new begins */
}

/* ---- operations --------------------------------------------------------------------------------------- */

static bool overlaps(const struct holder *a, const struct holder *b)
{
	return a->count && b->count && a->first < b->first + b->count && b->first < a->first + a->count;
}

static void hold(struct holder *h, size_t offset, unsigned count, bool zeroed)
{
	uint64_t span = model_span((unsigned)(offset / G), count);
	h->first = (unsigned)(offset / G);
	h->count = count;
	h->wants = 0;
	SOUND(offset % G == 0 && (model.last_committed & span) == span);
	for (unsigned i = 0; i < MOST_THREADS; i++)
		SOUND(&holders[i] == h || !overlaps(&holders[i], h));
	for (unsigned i = 0; i < count; i++)
		SOUND(!zeroed || model.value[h->first + i] == 0);
	model_write(&model, span);
}

/*
 * Refused is only who asked for more than there was; or who came while another thread had all
 * that is free, and the kernel would not take it.
 */
static void allocate(struct holder *h, unsigned count)
{
	size_t offset;
	bool zeroed;
	if (h->count)
		return;
	h->wants = count;
	h->over = false;
	int err = pages_alloc(&pages, count * G, PAGE, 0, &offset, &zeroed);
	if (!err) {
		schedule_point("write");
		hold(h, offset, count, zeroed);
		return;
	}
	h->wants = 0;
	SOUND(err == -ENOMEM);
	SOUND(h->over || kernel_failed());
}

/* What it has, by what lies right behind, if nobody has that. */
static void extend(struct holder *h, unsigned count)
{
	if (!h->count)
		return;
	h->wants = count;
	h->over = false;
	int err = pages_commit_at(&pages, (h->first + h->count) * G, count * G, 0);
	h->wants = 0;
	SOUND(!err || err == -EBUSY || (err == -ENOMEM && (h->over || kernel_failed())));
	if (!err)
		hold(h, h->first * G, h->count + count, false);
}

/* Until it has returned somebody may miss it. */
static void release(struct holder *h, void (*free_it)(struct pages *p, size_t offset, size_t bytes))
{
	struct holder was = *h;
	if (!was.count)
		return;
	h->wants = was.count;
	h->count = 0;
	free_it(&pages, was.first * G, was.count * G);
	h->wants = 0;
}

static void be_child(void)
{
	schedule_leave();
	region_fork_child(&meta);
	region_fork_child(&data);
	pages_fork_child(&pages);
	pages_check(&pages);
	model_look(&model);
	for (unsigned i = 0; i < MOST_THREADS; i++)
		release(&holders[i], pages_free);
	pages_check(&pages);
	pages_trim(&pages, SIZE_MAX);
	SOUND(budget_charged(&budget) == pages.allocated); /* what a thread was about to get */
	region_check(&data);
	_exit(0);
}

static void fork_all(void)
{
	int status;
	pages_fork_prepare(&pages);
	region_fork_prepare(&data);
	region_fork_prepare(&meta);
	schedule_point("fork");
	pid_t child = fork();
	SOUND(child >= 0);
	if (child == 0)
		be_child();
	SOUND(waitpid(child, &status, 0) == child);
	SOUND(status == 0);
	region_fork_parent(&meta);
	region_fork_parent(&data);
	pages_fork_parent(&pages);
}

static void act(const struct op *op, struct holder *h)
{
	switch (op->kind) {
	case ALLOC: allocate(h, op->count); break;
	case EXTEND: extend(h, op->count); break;
	case FREE: release(h, pages_free); break;
	case FREE_AT_ONCE: release(h, pages_free_at_once); break;
	case TRIM: (void)pages_trim(&pages, op->count * G); break;
	case PASS:
		kernel_pass(2 * DECAY_MS);
		pages_tick(&pages);
		break;
	case ATTEND:
		kernel_pass(2 * DECAY_MS);
		sleeps = pages_attend(&pages, 0) == OS_FOREVER;
		break;
	case FORK: fork_all(); break;
	case END: break;
	}
}

static void run(unsigned thread)
{
	for (const struct op *op = script->ops[thread]; op->kind != END; op++)
		act(op, &holders[thread]);
}

/* ---- at the end ----------------------------------------------------------------------------------------- */

static void end(void)
{
	size_t resident;
	SOUND(!sleeps || rings || (!pages.resident_free && !pages_shards_hold(&pages))); /* of that he must know */
	for (unsigned i = 0; i < MOST_THREADS; i++)
		release(&holders[i], pages_free);
	pages_check(&pages);
	SOUND(pages.allocated == 0 && pages.waiting == 0 && !pages.forking);
	pages_trim(&pages, SIZE_MAX);
	region_check(&data);
	region_check(&meta);
	SOUND(budget_charged(&budget) == 0);
	SOUND(region_resident(&data, 0, CHUNK_SIZE, &resident) == 0 && resident == 0);
	drop_pages();
}

static void explore(const struct scenario *s, struct schedule_counts *counts)
{
	struct exploration e = {
		.name = s->name, .threads = s->threads, .bound = s->bound, .enter = enter, .begin = begin, .run = run,
		.look = look, .end = end, .locked = locked, .unlocking = unlocking,
	};
	script = s->script;
	schedule_explore(&e, counts);
}

/* ---- scenarios --------------------------------------------------------------------------------------------- */

#define SCRIPT(name_, threads_, bound_, forks_, ...)                                  \
	{                                                                             \
		.name = name_, .threads = threads_, .bound = bound_, .forks = forks_, \
		.script = &(const struct script){ __VA_ARGS__ }, .explore = explore,  \
	}
#define FAILING(...) .failures = { __VA_ARGS__ }

const struct scenario pages_scenarios[] = {
	SCRIPT("pages_at_limit", 2, 3, false, .limit = 2, .before = 2, .ops = { { A(1), X, A(1) }, { A(1), X, A(1) } }),
	SCRIPT("pages_at_limit_fresh", 2, 2, false, .limit = 2, .ops = { { A(1), X }, { A(1), X } }),
	SCRIPT("pages_at_limit_at_once", 2, 2, false, .limit = 2, .before = 2, .at_once = true,
	       .ops = { { A(1), X, A(1) }, { A(1), X, A(1) } }),
	SCRIPT("pages_over_limit", 2, 2, false, .limit = 3, .before = 3, .ops = { { A(2), X, A(3) }, { A(2), X } }),
	SCRIPT("pages_three", 3, 1, false, .limit = 3, .before = 3, .ops = { { A(1), X }, { A(1), X }, { A(1), X } }),
	SCRIPT("pages_trim", 2, 2, false, .limit = 2, .before = 2, .ops = { { A(1), X, A(2) }, { T(2) } }),
	SCRIPT("pages_free_at_once", 2, 2, false, .limit = 2, .ops = { { A(1), X_AT_ONCE, A(1) }, { A(1), X_AT_ONCE } }),
	SCRIPT("pages_decay", 2, 2, false, .limit = 3, .before = 3, .decays = true,
	       .ops = { { A(1), X, A(2) }, { PASSES, A(1) } }),
	SCRIPT("pages_shards", 2, 2, false, .limit = 2, .before = 2, .sharding = true, .decays = true,
	       .ops = { { A(1), X, A(1) }, { A(1), X } }),
	SCRIPT("pages_attended", 2, 3, false, .limit = 2, .before = 1, .decays = true, .attended = true,
	       .ops = { { A(1), X }, { ATTENDS } }),
	SCRIPT("pages_attended_shards", 2, 2, false, .limit = 2, .before = 2, .decays = true, .attended = true,
	       .sharding = true, .ops = { { A(1), X }, { ATTENDS } }),
	SCRIPT("pages_populate_fails", 2, 2, false, .limit = 2, FAILING(.most = 1, .populate_error = ENOMEM),
	       .ops = { { A(1), X }, { A(1) } }),
	SCRIPT("pages_discard_fails", 2, 2, false, .limit = 2, .before = 2, FAILING(.most = 1, .discards = true),
	       .ops = { { A(1), X, A(2) }, { T(2) } }),
	SCRIPT("pages_others_shard", 2, 2, false, .limit = 2, .before = 2, .sharding = true, .decays = true,
	       .ops = { { A(1), X }, { A(2), X, A(2) } }),
	SCRIPT("pages_fork", 2, 2, true, .limit = 2, .before = 1, .ops = { { A(2), X, A(1) }, { F } }),
	SCRIPT("pages_fork_shards", 2, 2, true, .limit = 2, .before = 2, .sharding = true, .decays = true,
	       .ops = { { A(1), X }, { F } }),
	SCRIPT("pages_fork_trim", 3, 1, true, .limit = 2, .before = 2, .ops = { { A(1), X }, { F }, { T(2) } }),
	SCRIPT("pages_extend", 2, 2, false, .limit = 2, .ops = { { A(1), E(1) }, { A(1), X } }),
	SCRIPT("pages_fork_extend", 2, 2, true, .limit = 2, .ops = { { A(1), E(1) }, { A(1), X, F } }),
	{ .name = NULL },
};
