/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lockwatch.so, preloaded before the drop-in library: for how long its mutexes are waited for,
 * and held. At exit it writes to the file LOCKWATCH_OUT
 *   time WALL-NS PROCESSOR-NS
 *   LOCK WAITED-NS PAID-NS HELD-NS TAKEN CONTENDED, for each of sparena's by name, and for all
 *   of jemalloc's together, and all others of the process. What is waited and held is by the
 *   clock; paid is processor time that went into waiting and into waking those who wait.
 * LOCKWATCH_HEAP is where, from the library's beginning, the process's heap lies, by nm(1).
 * A wait begins when a trylock fails that is followed by a lock, so that jemalloc's spinning
 * counts; time on a condition variable is neither a wait nor a hold. Does not call malloc. Of
 * stock jemalloc it watches the locks, too.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "bench.h"
#include "heap/heap.h"

/* glibc's own names of them, which nobody gets between. */
int __pthread_mutex_lock(pthread_mutex_t *m);
int __pthread_mutex_trylock(pthread_mutex_t *m);
int __pthread_mutex_unlock(pthread_mutex_t *m);

#define SLOTS 256 /* threads alive at once; more would share them, and lose some counts */
#define DEPTH 32  /* locks that a thread holds */

static const struct {
	const char *name;
	size_t at;
} named[] = {
	{ "pages.lock", offsetof(struct heap, pages.lock) },
	{ "pages.growing", offsetof(struct heap, pages.growing) },
	{ "pages.sweeping", offsetof(struct heap, pages.sweeping) },
	{ "region.lock", offsetof(struct heap, data.lock) },
	{ "meta-pages.lock", offsetof(struct heap, meta_pages.lock) },
	{ "meta-region.lock", offsetof(struct heap, meta.lock) },
	{ "describing", offsetof(struct heap, describing) },
	{ "blocks_lock", offsetof(struct heap, blocks_lock) },
};

#define NAMED (sizeof named / sizeof named[0])
enum { JEMALLOC = NAMED, OTHERS, CLASSES };

struct tally {
	_Atomic uint64_t waited, paid, held, taken, contended;
};

static struct slot {
	_Alignas(128) struct tally tally[CLASSES];
} slots[SLOTS];

struct hold {
	pthread_mutex_t *mutex;
	uint64_t since;
	unsigned class;
};

struct self {
	struct slot *slot;
	struct hold hold[DEPTH];
	unsigned depth;
	pthread_mutex_t *failed; /* a trylock of it failed, at this time, and nothing was locked since */
	uint64_t failed_at;
};

static __thread struct self self __attribute__((tls_model("initial-exec")));
static _Atomic unsigned threads;
static uintptr_t library, library_end, heap;
static int (*real_wait)(pthread_cond_t *, pthread_mutex_t *);
static uint64_t began_ticks;
static double began_ns;

/* ---- time -------------------------------------------------------------------- */

static inline uint64_t ticks(void)
{
#if defined(__x86_64__)
	return __rdtsc();
#elif defined(__aarch64__)
	uint64_t t;
	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(t));
	return t;
#else
	return (uint64_t)bench_ns();
#endif
}

/* Of this thread, on a processor; a system call, so only where a wait was one. */
static uint64_t paid_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- what belongs to whom ------------------------------------------------------ */

static int find_library(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)size;
	(void)unused;
	if (!strstr(info->dlpi_name, "sparena_malloc") && !strstr(info->dlpi_name, "jemalloc"))
		return 0;
	library = info->dlpi_addr;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		uintptr_t end = info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
		if (info->dlpi_phdr[i].p_type == PT_LOAD && library + end > library_end)
			library_end = library + end;
	}
	return 1;
}

static void begin(void)
{
	const char *at = getenv("LOCKWATCH_HEAP");
	dl_iterate_phdr(find_library, NULL);
	heap = library && at ? library + strtoull(at, NULL, 16) : 0;
	began_ns = bench_ns();
	began_ticks = ticks();
}

static unsigned class_of(const pthread_mutex_t *m, const void *caller)
{
	for (unsigned i = 0; heap && i < NAMED; i++)
		if ((uintptr_t)m == heap + named[i].at)
			return i;
	return (uintptr_t)caller - library < library_end - library ? JEMALLOC : OTHERS;
}

/* ---- counting ------------------------------------------------------------------ */

/* No other thread that is alive has the slot, and a locked addition would take a tenth of what
 * is measured. */
static void add(_Atomic uint64_t *to, uint64_t what)
{
	uint64_t before = atomic_load_explicit(to, memory_order_relaxed);
	atomic_store_explicit(to, before + what, memory_order_relaxed);
}

static struct tally *tally(unsigned class)
{
	if (!self.slot) {
		if (!began_ticks)
			begin();
		self.slot = &slots[atomic_fetch_add(&threads, 1) % SLOTS];
	}
	return &self.slot->tally[class];
}

static void begin_hold(pthread_mutex_t *m, unsigned class)
{
	if (self.depth < DEPTH)
		self.hold[self.depth] = (struct hold){ m, ticks(), class };
	self.depth++;
}

/* `since` is 0 where nobody had it. */
static void got(pthread_mutex_t *m, const void *caller, uint64_t since, uint64_t paid)
{
	tally(0);
	unsigned class = class_of(m, caller);
	struct tally *t = tally(class);
	add(&t->taken, 1);
	if (since) {
		add(&t->waited, ticks() - since);
		add(&t->paid, paid);
		add(&t->contended, 1);
	}
	self.failed = NULL;
	begin_hold(m, class);
}

static unsigned end_hold(pthread_mutex_t *m)
{
	uint64_t now = ticks();
	for (unsigned i = self.depth < DEPTH ? self.depth : DEPTH; i-- > 0;)
		if (self.hold[i].mutex == m) {
			unsigned class = self.hold[i].class;
			add(&tally(class)->held, now - self.hold[i].since);
			self.depth--;
			for (; i < self.depth && i + 1 < DEPTH; i++)
				self.hold[i] = self.hold[i + 1];
			return class;
		}
	return OTHERS;
}

#define EXPORTED __attribute__((visibility("default")))

/* ---- in their place -------------------------------------------------------------- */

EXPORTED int pthread_mutex_trylock(pthread_mutex_t *m)
{
	int err = __pthread_mutex_trylock(m);
	if (!err) {
		got(m, __builtin_return_address(0), self.failed == m ? self.failed_at : 0, 0);
	} else if (self.failed != m) {
		self.failed = m;
		self.failed_at = ticks();
	}
	return err;
}

EXPORTED int pthread_mutex_lock(pthread_mutex_t *m)
{
	uint64_t since = self.failed == m ? self.failed_at : 0, paid = 0;
	int err = __pthread_mutex_trylock(m);
	if (err) {
		since = since ? since : ticks();
		paid = paid_ns();
		err = __pthread_mutex_lock(m);
		paid = paid_ns() - paid;
	}
	if (!err)
		got(m, __builtin_return_address(0), since, paid);
	return err;
}

EXPORTED int pthread_mutex_unlock(pthread_mutex_t *m)
{
	self.failed = NULL;
	unsigned class = end_hold(m);
	if (m->__data.__lock <= 1) /* nobody is to be woken */
		return __pthread_mutex_unlock(m);
	uint64_t before = paid_ns();
	int err = __pthread_mutex_unlock(m);
	add(&tally(class)->paid, paid_ns() - before);
	return err;
}

EXPORTED int pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	const void *caller = __builtin_return_address(0);
	end_hold(m);
	int err = real_wait(c, m);
	begin_hold(m, class_of(m, caller));
	return err;
}

__attribute__((constructor)) static void find_real(void)
{
	*(void **)&real_wait = dlsym(RTLD_NEXT, "pthread_cond_wait");
}

/* ---- the end --------------------------------------------------------------------- */

static void write_line(int fd, const char *name, unsigned class, double ns_per_tick)
{
	double waited = 0, paid = 0, held = 0, taken = 0, contended = 0;
	for (unsigned i = 0; i < SLOTS; i++) {
		struct tally *t = &slots[i].tally[class];
		waited += (double)t->waited;
		paid += (double)t->paid;
		held += (double)t->held;
		taken += (double)t->taken;
		contended += (double)t->contended;
	}
	dprintf(fd, "%s %.0f %.0f %.0f %.0f %.0f\n", name, waited * ns_per_tick, paid, held * ns_per_tick, taken,
	        contended);
}

__attribute__((destructor)) static void tell(void)
{
	const char *path = getenv("LOCKWATCH_OUT");
	int fd = path && began_ticks ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
	double wall = bench_ns() - began_ns, per_tick = wall / (double)(ticks() - began_ticks);
	if (fd < 0)
		return;
	struct timespec cpu;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	dprintf(fd, "time %.0f %.0f\n", wall, (double)cpu.tv_sec * 1e9 + (double)cpu.tv_nsec);
	for (unsigned i = 0; i < NAMED; i++)
		write_line(fd, named[i].name, i, per_tick);
	write_line(fd, "jemalloc", JEMALLOC, per_tick);
	write_line(fd, "others", OTHERS, per_tick);
	close(fd);
}
