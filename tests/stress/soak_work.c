/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Those who use memory: workers that fill it up and let it go again, and hand blocks on to
 * each other; threads that live for a moment; and one that forks, whose children look at
 * what they were given, and allocate.
 */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/random.h"
#include "soak.h"

#define WORKERS 4
#define MOST_BLOCKS 1500
#define SLOTS 64
#define STACK ((size_t)256 << 10)
#define LOST_CHILD 127 /* heap/fork.c: no memory for a child's copy */

struct block {
	unsigned char *p; /* NULL: none */
	size_t size;
	struct place *place; /* NULL: of malloc */
	unsigned long age;
	uint64_t value;
};

/* ---- contents ------------------------------------------------------------------------ */

/* All of small ones; of large ones parts, and both ends. */
static size_t stride(size_t size) { return size <= 4096 ? 1 : 509; }

static unsigned char mark_at(uint64_t value, size_t at) { return (unsigned char)(value >> at % 7 * 8); }

static void write_marks(const struct block *b)
{
	for (size_t at = 0; at < b->size; at += stride(b->size))
		b->p[at] = mark_at(b->value, at);
	b->p[b->size - 1] = mark_at(b->value, b->size - 1);
}

/* `bytes` from the beginning of what was written as a block of `size`. */
static void check_marks(const unsigned char *p, size_t bytes, size_t size, uint64_t value)
{
	for (size_t at = 0; at < bytes; at += stride(size))
		EXPECT(p[at] == mark_at(value, at));
}

static void check_block(const struct block *b)
{
	check_marks(b->p, b->size, b->size, b->value);
	EXPECT(b->p[b->size - 1] == mark_at(b->value, b->size - 1));
}

/* ---- one block ------------------------------------------------------------------------- */

static size_t some_size(uint64_t *state)
{
	static const size_t most[] = { 16, 64, 64, 512, 512, 4000, 4000, 5000, 5000, 32000, 32000, 70000, 70000, 200000,
		                       600000, 4 * MIB };
	return random_step(state) % most[random_step(state) % (sizeof most / sizeof *most)] + 1;
}

static void *allocate(struct place *place, size_t size, size_t align, bool zero)
{
	struct sparena_heap *h = place ? place->heap : NULL;
	if (zero)
		return h ? sparena_heap_calloc(h, 1, size) : calloc(1, size);
	if (align)
		return h ? sparena_heap_aligned_alloc(h, align, size) : aligned_alloc(align, size);
	return h ? sparena_heap_malloc(h, size) : malloc(size);
}

static void *reallocate(const struct block *b, size_t size)
{
	return b->place ? sparena_heap_realloc(b->place->heap, b->p, size) : realloc(b->p, size);
}

/* With the place's lock held. Refused only with ENOMEM. */
static bool take_from(struct place *place, struct block *b, uint64_t *state)
{
	unsigned kind = random_step(state) % 8;
	size_t align = kind == 1 ? (size_t)16 << random_step(state) % 12 : 0;
	*b = (struct block){ .size = some_size(state), .place = place, .value = random_step(state) };
	errno = 0;
	b->p = allocate(place, b->size, align, kind == 0);
	atomic_fetch_add(&counts.operations, 1);
	if (!b->p) {
		EXPECT(errno == ENOMEM);
		atomic_fetch_add(&counts.refusals, 1);
		return false;
	}
	EXPECT(!align || (uintptr_t)b->p % align == 0);
	for (size_t at = 0; kind == 0 && at < b->size; at++)
		EXPECT(b->p[at] == 0);
	b->age = place ? place->age : 0;
	write_marks(b);
	return true;
}

/* Of malloc, or of one of the heaps that there are. False: refused. */
static bool take(struct block *b, uint64_t *state)
{
	struct place *place = random_step(state) % 3 ? NULL : &places[random_step(state) % HEAPS];
	bool taken = true;
	if (place)
		pthread_rwlock_rdlock(&place->lock);
	if (!place || place->heap)
		taken = take_from(place, b, state);
	if (place)
		pthread_rwlock_unlock(&place->lock);
	return taken;
}

/* A block of a heap that is gone is, too. */
static bool is_current(const struct block *b) { return !b->place || b->place->age == b->age; }

/* Calls fn with the block's heap kept from going. */
static void with_heap(struct block *b, void (*fn)(struct block *b, uint64_t *state), uint64_t *state)
{
	if (!b->p)
		return;
	if (b->place)
		pthread_rwlock_rdlock(&b->place->lock);
	struct place *place = b->place;
	if (!is_current(b))
		*b = (struct block){ 0 };
	else
		fn(b, state);
	if (place)
		pthread_rwlock_unlock(&place->lock);
	atomic_fetch_add(&counts.operations, 1);
}

static void give_block(struct block *b, uint64_t *state)
{
	(void)state;
	check_block(b);
	if (b->place)
		sparena_heap_free(b->place->heap, b->p);
	else
		free(b->p);
	*b = (struct block){ 0 };
}

static void resize_block(struct block *b, uint64_t *state)
{
	size_t size = some_size(state), old = b->size;
	check_block(b);
	errno = 0;
	unsigned char *p = reallocate(b, size);
	if (!p) {
		EXPECT(errno == ENOMEM || !b->place); /* jemalloc's own name leaves it alone */
		check_block(b);
		atomic_fetch_add(&counts.refusals, 1);
		return;
	}
	check_marks(p, old < size ? old : size, old, b->value);
	b->p = p;
	b->size = size;
	write_marks(b);
}

static void look_at_block(struct block *b, uint64_t *state)
{
	(void)state;
	check_block(b);
}

static void give(struct block *b) { with_heap(b, give_block, NULL); }

/* ---- handing on ------------------------------------------------------------------------- */

/* Whoever has the lock of a slot has its block, which nobody writes to meanwhile. */
static struct slot {
	pthread_mutex_t lock;
	struct block block;
} slots[SLOTS];

static void hand_on(struct block *b, uint64_t *state)
{
	struct slot *s = &slots[random_step(state) % SLOTS];
	pthread_mutex_lock(&s->lock);
	struct block other = s->block;
	s->block = *b;
	*b = other;
	pthread_mutex_unlock(&s->lock);
}

/* ---- workers ------------------------------------------------------------------------------ */

struct worker {
	pthread_t thread;
	uint64_t state;
	size_t target; /* so many blocks it wants to hold */
	struct block blocks[MOST_BLOCKS];
};

static struct worker workers[WORKERS];

static void give_some(struct worker *w, size_t count)
{
	while (count--)
		give(&w->blocks[random_step(&w->state) % MOST_BLOCKS]);
}

/* Up to its target, or until it is refused; then others are to have a chance. */
static void step(struct worker *w)
{
	size_t i = random_step(&w->state) % MOST_BLOCKS;
	struct block *b = &w->blocks[i];
	switch (random_step(&w->state) % 8) {
	case 0:
		with_heap(b, resize_block, &w->state);
		break;
	case 1:
		hand_on(b, &w->state);
		break;
	case 2:
		with_heap(b, look_at_block, NULL);
		break;
	default:
		if (i >= w->target)
			give(b);
		else if (!b->p && !take(b, &w->state))
			give_some(w, MOST_BLOCKS / 8);
	}
	if (random_step(&w->state) % 2000 == 0)
		w->target = random_step(&w->state) % (MOST_BLOCKS + 1);
}

static void *work(void *worker)
{
	struct worker *w = worker;
	w->target = MOST_BLOCKS;
	while (!atomic_load(&stop))
		step(w);
	for (size_t i = 0; i < MOST_BLOCKS; i++)
		give(&w->blocks[i]);
	return NULL;
}

/* ---- threads that live for a moment ---------------------------------------------------------- */

static void *live_shortly(void *seed)
{
	uint64_t state = (uintptr_t)seed | 1;
	struct block few[16] = { { 0 } };
	for (unsigned i = 0; i < 48; i++) {
		struct block *b = &few[random_step(&state) % 16];
		if (b->p)
			give(b);
		else
			(void)take(b, &state);
	}
	hand_on(&few[0], &state);
	for (unsigned i = 0; i < 16; i++)
		give(&few[i]);
	return NULL;
}

static pthread_attr_t small_stack;

static void *start_threads(void *seed)
{
	uint64_t state = (uintptr_t)seed;
	while (!atomic_load(&stop)) {
		pthread_t threads[4];
		unsigned started = 0, wanted = random_step(&state) % 4 + 1;
		while (started < wanted && pthread_create(&threads[started], &small_stack, live_shortly,
		                                          (void *)(uintptr_t)random_step(&state)) == 0)
			started++;
		for (unsigned i = 0; i < started; i++)
			pthread_join(threads[i], NULL);
		atomic_fetch_add(&counts.threads, started);
		usleep(started ? 1000 : 10000); /* its own bookkeeping may need malloc, too */
	}
	return NULL;
}

/* ---- forks ---------------------------------------------------------------------------------- */

#define KEPT 200

static struct block kept[KEPT];

static void each_lock(int (*fn)(pthread_rwlock_t *lock))
{
	for (unsigned i = 0; i < HEAPS; i++)
		EXPECT(fn(&places[i].lock) == 0);
}

/* What nobody had in hand at that moment. Shared memory is copied later than the rest. */
static void child_checks_slots(void)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		struct slot *s = &slots[i];
		if (pthread_mutex_trylock(&s->lock))
			continue;
		const struct block *b = &s->block;
		if (b->p && is_current(b) && (!b->place || !b->place->shared))
			check_block(b);
	}
}

/* What it has is its own. */
static bool is_child_s(const struct place *place) { return !place || (place->heap && !place->is_view); }

/* With the places' locks held, and alone. */
static void child(uint64_t *state)
{
	struct block own[16] = { { 0 } };
	alarm(60); /* a deadlock here is a failure there */
	faults_set(0);
	for (unsigned i = 0; i < KEPT; i++)
		if (kept[i].p && is_child_s(kept[i].place) && is_current(&kept[i]))
			give_block(&kept[i], NULL);
	child_checks_slots();
	for (unsigned i = 0; i < 100; i++) {
		struct block *b = &own[random_step(state) % 16];
		struct place *place = i % 2 ? NULL : &places[random_step(state) % HEAPS];
		if (b->p)
			give_block(b, NULL);
		else if (is_child_s(place))
			(void)take_from(place, b, state);
	}
	_exit(0);
}

/* Where fork() is the C library's, a child that got no memory ends. */
static void end_of(pid_t pid)
{
	int status = -1;
	EXPECT(waitpid(pid, &status, 0) == pid);
	if (faults_happen && WIFEXITED(status) && WEXITSTATUS(status) == LOST_CHILD) {
		atomic_fetch_add(&counts.lost_forks, 1);
		return;
	}
	if (status)
		fprintf(stderr, "child: %s %d\n", WIFSIGNALED(status) ? "signal" : "exit code",
		        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	EXPECT(status == 0);
	atomic_fetch_add(&counts.forks, 1);
}

static void fork_once(uint64_t *state)
{
	each_lock(pthread_rwlock_rdlock);
	pid_t pid = fork();
	if (pid == 0)
		child(state);
	int error = errno;
	if (pid > 0)
		end_of(pid);
	else
		atomic_fetch_add(&counts.lost_forks, 1);
	each_lock(pthread_rwlock_unlock);
	EXPECT(pid > 0 || error == ENOMEM || error == EAGAIN);
}

static void *fork_children(void *seed)
{
	uint64_t state = (uintptr_t)seed;
	while (!atomic_load(&stop)) {
		for (unsigned i = 0; i < 20; i++) {
			struct block *b = &kept[random_step(&state) % KEPT];
			if (b->p)
				give(b);
			else
				(void)take(b, &state);
		}
		fork_once(&state);
		usleep(20 * 1000);
	}
	for (unsigned i = 0; i < KEPT; i++)
		give(&kept[i]);
	return NULL;
}

/* ---- a phase --------------------------------------------------------------------------------- */

static pthread_t starter, forker, changer;

static void start(pthread_t *thread, void *(*fn)(void *), void *argument)
{
	EXPECT(pthread_create(thread, &small_stack, fn, argument) == 0);
}

void work_start(void)
{
	static bool ready;
	for (unsigned i = 0; i < SLOTS && !ready; i++)
		pthread_mutex_init(&slots[i].lock, NULL);
	if (!ready) {
		pthread_attr_init(&small_stack);
		pthread_attr_setstacksize(&small_stack, STACK);
	}
	ready = true;
	for (unsigned i = 0; i < WORKERS; i++) {
		workers[i].state = stream(i);
		start(&workers[i].thread, work, &workers[i]);
	}
	start(&starter, start_threads, (void *)(uintptr_t)stream(WORKERS));
	start(&forker, fork_children, (void *)(uintptr_t)stream(WORKERS + 1));
	start(&changer, heaps_change, (void *)(uintptr_t)stream(WORKERS + 2));
}

void work_end(void)
{
	pthread_join(changer, NULL);
	pthread_join(starter, NULL);
	pthread_join(forker, NULL);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(workers[i].thread, NULL);
	for (unsigned i = 0; i < SLOTS; i++)
		give(&slots[i].block);
}
