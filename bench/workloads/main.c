/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * workload NAME [SCALE [THREADS]]: does the work of that name and prints what it has to say as
 * lines of "metric value", the last one final_kib, what is resident at its end. SCALE
 * is 1 (quick, a tenth of a second) to 10 (unless told otherwise), a second or so;
 * THREADS, of those that have several, 2 to 64 (4 unless told otherwise).
 * workload --list [SCALE]: a line for each, "NAME MIB plain|sparse TEXT", MIB being
 * the most that it holds.
 */

#include "workload.h"

static const struct workload *const themes[] = {
	workloads_small, workloads_sizes, workloads_threads,
	workloads_large, workloads_grow,  workloads_latency,
};

size_t workload_threads = 4;

#define THEMES (sizeof themes / sizeof themes[0])

static int list(unsigned scale)
{
	for (size_t i = 0; i < THEMES; i++)
		for (const struct workload *w = themes[i]; w->name; w++)
			printf("%s %zu %s %s\n", w->name, w->fixed_mib + scale * w->scale_mib,
			       w->sparse ? "sparse" : "plain", w->text);
	return fflush(stdout) ? 1 : 0;
}

static int run(const char *name, unsigned scale)
{
	for (size_t i = 0; i < THEMES; i++)
		for (const struct workload *w = themes[i]; w->name; w++)
			if (!strcmp(w->name, name)) {
				w->run(scale);
				bench_print("final_kib", bench_resident_mib() * 1024);
				return 0;
			}
	dprintf(STDERR_FILENO, "workload: there is no '%s': workload --list\n", name);
	return 2;
}

int main(int argc, char **argv)
{
	if (argc < 2 || argc > 4) {
		dprintf(STDERR_FILENO, "usage: workload NAME|--list [SCALE [THREADS]]\n");
		return 2;
	}
	size_t scale = argc > 2 ? bench_number(argv[2]) : SCALE_MOST;
	if (scale < 1 || scale > SCALE_MOST) {
		dprintf(STDERR_FILENO, "workload: scale is 1 to %u\n", SCALE_MOST);
		return 2;
	}
	if (argc > 3)
		workload_threads = bench_number(argv[3]);
	if (workload_threads < 2 || workload_threads > THREADS_MOST) {
		dprintf(STDERR_FILENO, "workload: threads are 2 to %u\n", THREADS_MOST);
		return 2;
	}
	if (!strcmp(argv[1], "--list"))
		return list((unsigned)scale);
	return run(argv[1], (unsigned)scale);
}
