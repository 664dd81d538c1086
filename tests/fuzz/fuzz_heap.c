/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any sequence of operations on several heaps by their public interface, the process's among
 * them, in this thread and in others that end at once, with calls of the kernel that fail
 * and time that passes in between. heap_model.h says what must hold. An operation is four
 * bytes.
 */
#include <pthread.h>

#include "heap_model.h"

#define MOST_OPERATIONS 400

/* ---- what fails, and when ---------------------------------------------------------- */

static unsigned fail_in, fail_for, fail_with; /* so many calls from now; so many; with which error */
static uint64_t now;

static int failing(const int *errors, unsigned count)
{
	if (!fail_in || (fail_in > 1 && --fail_in))
		return 0;
	if (!--fail_for)
		fail_in = 0;
	faults++;
	return -errors[fail_with % count];
}

#include "../support/failing.h"

uint64_t __wrap_os_clock_ms(void);
uint64_t __wrap_os_clock_ms(void) { return now; }

static void plan_failure(uint8_t how, uint8_t more)
{
	fail_in = how % 16;
	fail_for = how / 16 + 1u;
	fail_with = more;
}

/* ---- operations -------------------------------------------------------------------- */

struct operation {
	uint8_t code, which, how, more;
};

static bool is_elsewhere(const struct operation *op) { return op->code >= 192; }

/* 1 byte to 16 MiB, more often small than large. */
static size_t size_of(const struct operation *op)
{
	return ((size_t)(256 + op->more) << op->how % 25 >> 9) + op->how / 25 % 3;
}

static void check_new(struct block *b, size_t align)
{
	if (!b->p) {
		check_refusal(b->of, b->size, align);
		return;
	}
	MUST(errno == 42);
	check_fits(b, align);
	check_place(b, align);
	write_marks(b);
}

/* Nobody has so much, however it is asked for. */
static void ask_too_much(struct model *m, const struct operation *op)
{
	size_t size = PTRDIFF_MAX - 4095 + (size_t)op->more * 64;
	void *p = op->which & 1 ? sparena_heap_malloc(m->h, size) : sparena_heap_calloc(m->h, size / 8, 16);
	MUST(!p && errno == ENOMEM);
	MUST(!sparena_heap_aligned_alloc(m->h, op->more | 3, 100) && errno == EINVAL);
}

static void take(struct model *m, struct block *b, const struct operation *op)
{
	bool zero = op->code % 16 == 3;
	size_t align = op->code % 16 == 4 ? (size_t)1 << op->which % 23 : 1, size = size_of(op);
	if (op->how == 255) {
		ask_too_much(m, op);
		return;
	}
	struct block new = { .size = size ? size : 1, .of = m, .value = (unsigned char)(op->code ^ op->which), .busy = true };
	new.p = zero        ? sparena_heap_calloc(m->h, new.size, 1)
	        : align > 1 ? sparena_heap_aligned_alloc(m->h, align, new.size)
	                    : sparena_heap_malloc(m->h, new.size);
	if (new.p && zero)
		check_zero(new.p, new.size);
	check_new(&new, align);
	new.busy = false;
	if (new.p)
		*b = new;
}

static void give(struct block *b)
{
	check_contents(b);
	errno = 42;
	sparena_heap_free(b->of->h, b->p);
	MUST(errno == 42);
	*b = (struct block){ 0 };
}

static void resize(struct block *b, const struct operation *op)
{
	size_t size = size_max(size_of(op), 1), old = b->size;
	check_contents(b);
	b->busy = true;
	unsigned char *before = b->p, *p = sparena_heap_realloc(b->of->h, b->p, size);
	b->busy = false;
	if (!p) {
		check_contents(b);
		MUST(size > usable(b));
		check_refusal(b->of, size, 1);
		return;
	}
	MUST(errno == 42);
	check_marks(p, size_min(old, size), old, b->value);
	b->p = p;
	b->size = size;
	/* One that shrank may be as large as it was, where no smaller one was to be had, and grow
	 * in that later. */
	if (p != before)
		check_fits(b, 1);
	if (size > old)
		check_place(b, 1);
	write_marks(b);
}

static bool evict(void *context, size_t need)
{
	struct model *m = context;
	for (unsigned i = 0; need && i < MOST_BLOCKS; i++)
		if (blocks[i].p && blocks[i].of == m && !blocks[i].busy) {
			give(&blocks[i]);
			return true;
		}
	return false;
}

static void set_limit(struct model *m, uint8_t how)
{
	check_books(m); /* above the new one it may stay */
	m->limit = how == 255 ? SIZE_MAX : (size_t)(how + 8) * 128 * KiB;
	MUST(sparena_heap_set_limit(m->h, m->limit) == 0);
}

/* ---- heaps come and go --------------------------------------------------------------- */

static void options_of(const struct operation *op, char *text, size_t size)
{
	static const char *const backings[] = { "anon", "anon", "memfd", "anon,populate:touch", "anon,lazy_above:64K",
	                                        "anon,lazy_above:512K", "file,path:/dev/shm", "memfd,populate:touch" };
	static const char *const thp[] = { "auto", "always", "never", "auto" };
	static const char *const decay[] = { "0", "never", "500", "40" };
	snprintf(text, size, "limit:%uM,backing:%s,thp:%s,decay_ms:%s,commit_ahead:%s,guard:%s%s%s%s", 4u + op->more % 14u,
	         backings[op->how % 8], thp[op->how / 8 % 4], decay[op->how / 32 % 4], op->more & 16 ? "64K" : "2M",
	         op->more & 32 ? "off" : "auto", op->more >= 192 ? ",reserve:128M" : "",
	         op->which & 64 ? ",harden:true" : "", op->which & 128 ? ",trap:true" : "");
}

static void create(struct model *m, const struct operation *op)
{
	char options[256];
	struct sparena_heap *h = NULL;
	options_of(op, options, sizeof options);
	int err = sparena_heap_create(options, &h);
	MUST(err <= 0 && (err == 0) == (h != NULL));
	if (err) {
		MUST(faults != op_faults);
		return;
	}
	*m = (struct model){ .exists = true, .h = h, .inside = (struct heap *)(void *)h, .faults_before = faults };
	m->limit = stats_of(m, sizeof(struct sparena_stats)).limit;
	MUST(m->limit == (4u + op->more % 14u) * MiB);
}

/* With nothing that fails: all that is free goes back, and what is left is what is held. */
static void settle(struct model *m)
{
	fail_in = 0;
	heap_each_region(m->inside, region_settle);
	MUST(sparena_heap_purge(m->h) == 0);
	check_books(m);
	check_settled(m);
}

static void print_stats(struct model *m, uint8_t how)
{
	static const char *const formats[] = { "text", "json", "prometheus", "none such" };
	static int nowhere = -1;
	if (nowhere < 0)
		nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	MUST(sparena_stats_print(m->h, nowhere, formats[how % 4]) == (how % 4 == 3 ? -EINVAL : 0));
	struct sparena_stats first = stats_of(m, 2 * sizeof(uint64_t));
	MUST(first.committed <= first.limit + m->charged && first.committed_peak == 0);
}

static void on_whole(struct model *m, const struct operation *op)
{
	switch (op->which % 8) {
	case 0:
	case 1:
		if (op->which % 8 && !is_elsewhere(op)) /* of two threads each has its cache */
			settle(m);
		else
			MUST(sparena_heap_purge(m->h) == 0);
		break;
	case 2:
	case 3:
		set_limit(m, op->how);
		break;
	case 4:
		print_stats(m, op->how);
		break;
	case 5:
		m->evicts = op->how & 1;
		sparena_heap_on_exhausted(m->h, m->evicts ? evict : NULL, m);
		break;
	case 6:
		now += (uint64_t)op->how * 8;
		break;
	default:
		if (m != &models[0])
			destroy(m);
	}
}

/* ---- a sequence ---------------------------------------------------------------------- */

static void *operate(void *operation)
{
	const struct operation *op = operation;
	struct model *m = &models[op->code / 16 % MOST_HEAPS];
	struct block *b = &blocks[op->which % MOST_BLOCKS];
	errno = 42;
	if (!m->exists)
		create(m, op);
	else if (op->code % 16 == 15)
		plan_failure(op->how, op->more);
	else if (op->code % 16 >= 12)
		on_whole(m, op);
	else if (b->p && op->code % 16 >= 9)
		resize(b, op);
	else if (b->p)
		give(b);
	else
		take(m, b, op);
	return NULL;
}

/* In a thread of its own, whose cache goes with it. */
static void operate_elsewhere(struct operation *op)
{
	pthread_t thread;
	MUST(pthread_create(&thread, NULL, operate, op) == 0);
	MUST(pthread_join(thread, NULL) == 0);
}

static void begin(void)
{
	struct model *m = &models[0];
	fail_in = faults = 0;
	if (!m->exists)
		setenv("SPARENA_CONF", "limit:24M,thp:never,thread_cache:256K,reserve:64M,strict:true", 1);
	*m = (struct model){ .exists = true, .inside = &heap_process };
	sparena_heap_free(NULL, sparena_heap_malloc(NULL, 1));
	m->limit = PROCESS_LIMIT;
	MUST(sparena_heap_set_limit(NULL, PROCESS_LIMIT) == 0);
	settle(m);
}

/* Half of the heaps are emptied first; the others go with what is in them. */
static void end(void)
{
	for (unsigned i = 0; i < MOST_BLOCKS; i++)
		if (blocks[i].p && (blocks[i].of - models) % 2 == 0)
			give(&blocks[i]);
		else if (blocks[i].p)
			check_contents(&blocks[i]);
	for (unsigned i = 0; i < MOST_HEAPS; i++)
		if (models[i].exists)
			settle(&models[i]);
	MUST(region_committed(&heap_process.data) == 0);
	MUST(region_committed(&heap_process.meta) < PROCESS_LIMIT / 4); /* nothing adds up from input to input */
	sparena_heap_on_exhausted(NULL, NULL, NULL);
	for (unsigned i = 1; i < MOST_HEAPS; i++)
		if (models[i].exists)
			destroy(&models[i]);
}

/* Now and then of all heaps, and else of that which the operation was for. */
static void check_after(size_t operations, struct model *m)
{
	for (unsigned i = 0; i < MOST_HEAPS; i++)
		if (models[i].exists && (m == &models[i] || operations % 8 == 7))
			check_books(&models[i]);
	if (m->exists)
		check_stats(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	begin();
	for (size_t i = 0; i + 4 <= size && i < 4 * MOST_OPERATIONS; i += 4) {
		struct operation op = { data[i], data[i + 1], data[i + 2], data[i + 3] };
		op_faults = faults;
		if (is_elsewhere(&op))
			operate_elsewhere(&op);
		else
			operate(&op);
		check_after(i / 4, &models[op.code / 16 % MOST_HEAPS]);
	}
	end();
	return 0;
}
