/* SPDX-License-Identifier: BSD-2-Clause */
#include "schedule.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../support/random.h"
#include "threads.h"

#define MOST_CHOICES 4096u
#define MOST_STEPS 16384u /* more than any script has: two threads chase each other */

static const struct exploration *exploration;

/* ---- what happened, and how to see it again ------------------------------------------- */

struct step {
	uint8_t thread;
	const char *what;
};

static struct step steps[MOST_STEPS];
static unsigned step_count;

/* Of the schedule that is run: the options that there were, and which was taken. */
struct choice {
	uint8_t taken;
	uint8_t options;
};

static struct choice path[MOST_CHOICES];
static unsigned path_length, path_at;
static unsigned bound, preempted;
static bool was_bound; /* a thread was not stopped for the bound alone */
static bool replaying;

static void print_path(void)
{
	const char *separator = "";
	fprintf(stderr, "  repeat with SPARENA_SCHEDULE=%s:%u:", exploration->name, bound);
	for (unsigned i = 0; i < path_at; i++) {
		if (!path[i].taken)
			continue;
		fprintf(stderr, "%s%u=%u", separator, i, path[i].taken);
		separator = ",";
	}
	fprintf(stderr, "\n");
}

/* A line each time that another thread goes on. */
static void print_steps(void)
{
	unsigned last = MOST_THREADS;
	for (unsigned i = 0; i < step_count; i++) {
		if (steps[i].thread != last)
			fprintf(stderr, "\n  %c: %s", 'A' + steps[i].thread, steps[i].what);
		else
			fprintf(stderr, "; %s", steps[i].what);
		last = steps[i].thread;
	}
	fprintf(stderr, "\n");
}

/* In a child the schedule is what led to the fork. */
_Noreturn void schedule_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
	print_path();
	print_steps();
	fflush(stderr);
	_exit(1);
}

static void on_signal(int number)
{
	fprintf(stderr, "signal %d\n", number);
	schedule_fail(__FILE__, __LINE__, "it goes on");
}

static void catch_signals(void)
{
	static const int numbers[] = { SIGABRT, SIGILL, SIGTRAP, SIGSEGV, SIGBUS };
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		signal(numbers[i], on_signal);
}

/* ---- choices ---------------------------------------------------------------------------- */

unsigned schedule_choose(unsigned n)
{
	if (n < 2)
		return 0;
	SOUND(path_at < MOST_CHOICES);
	if (path_at >= path_length && !replaying)
		path[path_length++] = (struct choice){ 0, (uint8_t)n };
	struct choice *c = &path[path_at++];
	if (replaying)
		c->options = (uint8_t)n;
	SOUND(c->options == n && c->taken < n); /* else something else than the schedule decides */
	return c->taken;
}

/* The next schedule in depth-first order; false: that was the last. */
static bool next_path(void)
{
	while (path_length && path[path_length - 1].taken + 1 == path[path_length - 1].options)
		path_length--;
	if (!path_length)
		return false;
	path[path_length - 1].taken++;
	return true;
}

/* NAME:BOUND:CHOICE=OPTION,... for this exploration. */
static bool read_path(const char *text)
{
	size_t length = strlen(exploration->name);
	if (!text || strncmp(text, exploration->name, length) || text[length] != ':')
		return false;
	char *at;
	bound = (unsigned)strtoul(text + length + 1, &at, 10);
	while (*at == ':' || *at == ',') {
		unsigned long choice = strtoul(at + 1, &at, 10);
		if (*at == '=' && choice < MOST_CHOICES)
			path[choice].taken = (uint8_t)strtoul(at + 1, &at, 10);
	}
	return true;
}

/* ---- threads ------------------------------------------------------------------------------ */

static struct thread {
	pthread_t id;
	sem_t go;
	const pthread_mutex_t *wants; /* goes on when nobody has it */
	const pthread_cond_t *waits;  /* goes on when it was woken, too */
	bool done;
} threads[MOST_THREADS];

static sem_t all_done;
static __thread int self = -1;
static bool is_child;

#define MOST_LOCKS 64u
static struct {
	const pthread_mutex_t *mutex;
	int owner;
} locks[MOST_LOCKS];
static unsigned lock_count;

bool schedule_is_on(void) { return self >= 0 && !is_child; }

unsigned schedule_self(void) { return (unsigned)self; }

void schedule_leave(void) { is_child = true; }

bool threads_in_child(void) { return is_child; }

static int *owner_of(const pthread_mutex_t *m)
{
	for (unsigned i = 0; i < lock_count; i++)
		if (locks[i].mutex == m)
			return &locks[i].owner;
	SOUND(lock_count < MOST_LOCKS);
	locks[lock_count].mutex = m;
	locks[lock_count].owner = -1;
	return &locks[lock_count++].owner;
}

bool schedule_is_locked(const pthread_mutex_t *m) { return *owner_of(m) >= 0; }

static bool can_go_on(const struct thread *t)
{
	return !t->done && !t->waits && (!t->wants || *owner_of(t->wants) < 0);
}

static void wait_for(sem_t *s)
{
	while (sem_wait(s))
		continue;
}

/* Who can go on: first of all who is there already. */
static unsigned list_options(struct thread *from, struct thread *options[])
{
	unsigned n = 0;
	if (from && can_go_on(from))
		options[n++] = from;
	for (unsigned i = 0; i < exploration->threads; i++)
		if (&threads[i] != from && can_go_on(&threads[i]))
			options[n++] = &threads[i];
	return n;
}

static struct thread *choose_thread(struct thread *from)
{
	struct thread *options[MOST_THREADS];
	unsigned n = list_options(from, options);
	if (!n) {
		for (unsigned i = 0; i < exploration->threads; i++)
			if (!threads[i].done)
				schedule_fail(__FILE__, __LINE__, "some thread can go on (deadlock)");
		return NULL;
	}
	bool may_stay = options[0] == from;
	if (may_stay && preempted >= bound) {
		was_bound = was_bound || n > 1;
		return from;
	}
	unsigned which = schedule_choose(n);
	preempted += may_stay && which;
	return options[which];
}

static void hand_over(struct thread *from)
{
	struct thread *to = choose_thread(from);
	if (to == from)
		return;
	bool comes_back = from && !from->done; /* the next schedule may begin at once */
	sem_post(to ? &to->go : &all_done);
	if (comes_back)
		wait_for(&from->go);
}

static void reach(const char *what)
{
	int before = errno;
	SOUND(step_count < MOST_STEPS);
	exploration->look();
	hand_over(&threads[self]);
	steps[step_count++] = (struct step){ (uint8_t)self, what };
	errno = before;
}

void schedule_point(const char *what)
{
	if (schedule_is_on())
		reach(what);
}

void schedule_atomic(const char *what) { schedule_point(what); }

/* ---- locks, and waiting, of the threads ------------------------------------------------------ */

static void take(const pthread_mutex_t *m)
{
	SOUND(*owner_of(m) < 0);
	*owner_of(m) = self;
	exploration->locked(m);
}

static void let_go(const pthread_mutex_t *m)
{
	SOUND(*owner_of(m) == self);
	exploration->unlocking(m);
	*owner_of(m) = -1;
}

void threads_lock(const pthread_mutex_t *m)
{
	threads[self].wants = m;
	reach("lock");
	threads[self].wants = NULL;
	take(m);
}

bool threads_try_lock(const pthread_mutex_t *m)
{
	reach("try lock");
	if (schedule_is_locked(m))
		return false;
	take(m);
	return true;
}

void threads_unlock(const pthread_mutex_t *m)
{
	reach("unlock");
	let_go(m);
}

void threads_begin_wait(const pthread_cond_t *c, const pthread_mutex_t *m)
{
	reach("wait");
	threads[self].waits = c;
	threads[self].wants = m;
	let_go(m);
}

void threads_end_wait(const pthread_mutex_t *m)
{
	reach("go on");
	threads[self].wants = NULL;
	take(m);
}

void threads_wake(const pthread_cond_t *c, bool all)
{
	struct thread *waiting[MOST_THREADS];
	unsigned n = 0;
	reach(all ? "wake all" : "wake one");
	for (unsigned i = 0; i < exploration->threads; i++)
		if (threads[i].waits == c)
			waiting[n++] = &threads[i];
	unsigned first = n && !all ? schedule_choose(n) : 0;
	for (unsigned i = first; i < (all ? n : n ? first + 1 : 0); i++)
		waiting[i]->waits = NULL;
}

/* ---- schedule after schedule ------------------------------------------------------------------- */

static void *work(void *index)
{
	unsigned thread = (unsigned)(uintptr_t)index;
	if (exploration->enter)
		exploration->enter(thread);
	sem_post(&all_done);
	self = (int)thread;
	for (;;) {
		wait_for(&threads[self].go);
		exploration->run(thread);
		threads[self].done = true;
		exploration->look();
		hand_over(&threads[self]);
	}
	return NULL;
}

static void start_threads(void)
{
	sem_init(&all_done, 0, 0);
	for (unsigned i = 0; i < exploration->threads; i++) {
		sem_init(&threads[i].go, 0, 0);
		SOUND(pthread_create(&threads[i].id, NULL, work, (void *)(uintptr_t)i) == 0);
		wait_for(&all_done);
	}
}

static void run_one(void)
{
	path_at = step_count = preempted = lock_count = 0;
	exploration->begin();
	for (unsigned i = 0; i < exploration->threads; i++) {
		threads[i].done = false;
		threads[i].wants = NULL;
		threads[i].waits = NULL;
	}
	hand_over(NULL);
	wait_for(&all_done);
	exploration->end();
	SOUND(replaying || path_at == path_length);
}

static bool run_bound(struct schedule_counts *counts, unsigned long most)
{
	*counts = (struct schedule_counts){ .bound = bound };
	path_length = 0;
	was_bound = false;
	do {
		run_one();
		counts->schedules++;
		counts->points += step_count;
		if (counts->schedules == most && next_path()) {
			counts->cut = true;
			return false;
		}
	} while (next_path());
	return true;
}

/* With fewer operations asked for than a million, fewer schedules. */
static unsigned long most_schedules(void)
{
	unsigned long most = random_ops(1000000) / 40;
	return most > 1000 ? most : 1000;
}

/* With few preemptions first, so that the schedule of a failure has few. */
void schedule_explore(const struct exploration *e, struct schedule_counts *counts)
{
	unsigned long most = most_schedules();
	exploration = e;
	catch_signals();
	start_threads();
	replaying = read_path(getenv("SPARENA_SCHEDULE"));
	if (replaying) {
		run_one();
		*counts = (struct schedule_counts){ 1, step_count, bound, false };
		return;
	}
	for (bound = 0; bound <= e->bound; bound++) {
		if (!run_bound(counts, most))
			return;
		if (!was_bound) { /* more of them would be no others */
			counts->bound = ALL_SCHEDULES;
			return;
		}
		if (e->bound == ALL_SCHEDULES && bound == 2)
			bound = ALL_SCHEDULES - 1;
	}
}
