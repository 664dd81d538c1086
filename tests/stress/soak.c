/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For $SPARENA_SOAK_SECONDS (or its argument, or 40), in phases: threads that come and go use blocks of all sizes, of malloc and of heaps that come and go, under limits that
 * move, while children are forked and, in stress_soak, calls of the kernel fail at random.
 * After each phase all is freed: the books must balance, all of the limit must be to be had
 * again, and memory, address space and descriptors must be what they were after the first
 * phases. SPARENA_TEST_SEED repeats what each thread wants, not who comes first.
 */
#include <dirent.h>
#include <malloc.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../support/books.h"
#include "../support/random.h"
#include "../support/sanitized.h"
#include "soak.h"

/* Phases until all is in place that stays: arenas, caches, stacks that are kept. */
#define WARM 2
#define MOST_DATA ((rlim_t)3 << 30) /* what leaks is refused before it is the machine's last */

struct counts counts;
atomic_bool stop;

uint64_t stream(unsigned number)
{
	uint64_t state = (random_seed * 0x9E3779B97F4A7C15u + random_op) * 0x9E3779B97F4A7C15u + number + 1;
	return random_step(&state) | 1;
}

/* ---- what is left after a phase ------------------------------------------------------ */

struct left {
	struct sparena_stats s;
	long resident, address_space; /* of the process, KiB */
	unsigned descriptors;
};

static unsigned descriptors(void)
{
	unsigned n = 0;
	DIR *d = opendir("/proc/self/fd");
	EXPECT(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Of small pages, as the heap has no others any more: under some settings of the machine the
 * kernel makes stacks and the like huge at any time, with what nobody asked for. */
static long resident(void)
{
	const char *path = "/proc/self/smaps_rollup";
	return proc_kib(path, "Rss:") - proc_kib(path, "AnonHugePages:");
}

static struct left look(void)
{
	return (struct left){ books_balance(), resident(), status_kib("VmSize:"), descriptors() };
}

/* Nothing is charged that is not there: a limit's worth can be had at once, and goes back. */
static void all_is_to_be_had(const struct sparena_stats *s)
{
	static void *blocks[SOAK_LIMIT / MIB];
	size_t room = s->limit - s->committed - s->metadata, n = 0;
	while (n < room / MIB - 12 && (blocks[n] = malloc(MIB - 4096))) /* 8 are the reserve's */
		n++;
	EXPECT(n == room / MIB - 12);
	while (n--)
		free(blocks[n]);
}

/*
 * `slack` more may be there than after the first phases. What stays of metadata is what each
 * arena once had use for at most, and who has most is another one each time; and jemalloc's map
 * of all addresses where heaps ever were, 2 MiB for 1 GiB of them.
 */
static void expect_flat(const char *what, unsigned long long first, unsigned long long now, unsigned long long slack)
{
	if (now <= first + slack)
		return;
	fprintf(stderr, "%s has grown from %llu to %llu\n", what, first, now);
	EXPECT(!"flat");
}

static void compare(const struct left *first, const struct left *now)
{
	expect_flat("committed", first->s.committed, now->s.committed, 2 * MIB);
	expect_flat("metadata", first->s.metadata, now->s.metadata, 6 * MIB);
	expect_flat("descriptors", first->descriptors, now->descriptors, 0);
	if (SANITIZED) /* which keep memory of their own */
		return;
	expect_flat("resident, KiB,", (size_t)first->resident, (size_t)now->resident, 8 * 1024);
	expect_flat("address space, KiB,", (size_t)first->address_space, (size_t)now->address_space, 1024);
}

static void print_head(void)
{
	printf("seed %u\n%5s %5s %10s %9s %7s %6s %5s %7s %6s %5s %9s %8s %8s %8s %10s %3s\n", random_seed, "phase", "s",
	       "operations", "refused", "faults", "forks", "lost", "threads", "heaps", "ref.", "committed", "metadata",
	       "resident", "RSS", "VmSize KiB", "fds");
}

static void print_row(unsigned long seconds, const struct left *l)
{
	printf("%5lu %5lu %10lu %9lu %7lu %6lu %5lu %7lu %6lu %5lu %9llu %8llu %8llu %8ld %10ld %3u\n", random_op, seconds,
	       counts.operations, counts.refusals, counts.faults, counts.forks, counts.lost_forks, counts.threads,
	       counts.heaps, counts.heaps_refused, (unsigned long long)l->s.committed >> 10,
	       (unsigned long long)l->s.metadata >> 10, (unsigned long long)l->s.resident >> 10, l->resident,
	       l->address_space, l->descriptors);
}

/* ---- phases ------------------------------------------------------------------------- */

static void run_phase(unsigned long seconds)
{
	memset(&counts, 0, sizeof counts);
	atomic_store(&stop, false);
	alarm((unsigned)seconds + 120); /* a deadlock is the end */
	work_start();
	sleep((unsigned)seconds);
	atomic_store(&stop, true);
	work_end();
	faults_end();
	heaps_end();
	EXPECT(sparena_heap_set_limit(NULL, SOAK_LIMIT) == 0);
	EXPECT(sparena_heap_purge(NULL) == 0);
	struct sparena_stats s = books_balance();
	all_is_to_be_had(&s);
	EXPECT(sparena_heap_purge(NULL) == 0);
}

static unsigned long all_forks, all_faults, all_refusals;

static void soak(unsigned long seconds)
{
	/* Ten, of 2 to 10 s. */
	unsigned long phase = seconds < 20 ? 2 : seconds > 100 ? 10 : seconds / 10;
	static struct left first;
	time_t start = time(NULL);
	for (; (unsigned long)(time(NULL) - start) < seconds; random_op++) {
		run_phase(phase);
		struct left now = look();
		print_row((unsigned long)(time(NULL) - start), &now);
		if (random_op < WARM)
			first = now;
		compare(&first, &now);
		all_forks += counts.forks;
		all_faults += counts.faults;
		all_refusals += counts.refusals;
	}
}

int main(int argc, char **argv)
{
	struct rlimit data = { MOST_DATA, MOST_DATA };
	setvbuf(stdout, NULL, _IOLBF, 0);
	mallopt(M_ARENA_MAX, 1); /* the C library's malloc would take 64 MiB of address space a thread */
	if (!SANITIZED)
		EXPECT(setrlimit(RLIMIT_DATA, &data) == 0);
	random_start(1);
	heaps_init();
	print_head();
	soak(environment_number("SPARENA_SOAK_SECONDS", argc > 1 ? strtoul(argv[1], NULL, 10) : 40));
	printf("%lu forks, %lu faults, %lu refusals\n", all_forks, all_faults, all_refusals);
	EXPECT(all_forks && all_refusals && (all_faults || !faults_happen));
	return 0;
}
