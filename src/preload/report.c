/* SPDX-License-Identifier: BSD-2-Clause */
/* What tells of the heap, or sets it: glibc's functions. */
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "heap/heap.h"
#include "os/os.h"
#include "preload/preload.h"
#include "stats/stats.h"

/* Keeps nothing back: `pad` is advice for heaps that end at one place. */
EXPORT int malloc_trim(size_t pad)
{
	(void)pad;
	return heap_purge(&heap_process) > 0;
}

EXPORT struct mallinfo2 mallinfo2(void)
{
	struct sparena_stats s;
	heap_stats(&heap_process, &s, false);
	return (struct mallinfo2){
		.arena = s.committed,
		.uordblks = s.allocated,
		.fordblks = s.committed > s.allocated ? s.committed - s.allocated : 0,
		.keepcost = heap_process.pages.resident_free,
	};
}

static int as_int(size_t n)
{
	return n < INT_MAX ? (int)n : INT_MAX;
}

/* Of old programs: its members are int, and stop at what that holds. */
EXPORT struct mallinfo mallinfo(void)
{
	struct mallinfo2 m = mallinfo2();
	return (struct mallinfo){
		.arena = as_int(m.arena),
		.uordblks = as_int(m.uordblks),
		.fordblks = as_int(m.fordblks),
		.keepcost = as_int(m.keepcost),
	};
}

struct mallinfo __libc_mallinfo(void);
EXPORT struct mallinfo __libc_mallinfo(void) __attribute__((alias("mallinfo"))); /* as in libc_names.c */

/* glibc's parameters tune glibc's heap: known ones are accepted and change nothing. */
EXPORT int mallopt(int parameter, int value)
{
	(void)value;
	switch (parameter) {
	case M_MXFAST:
	case M_TRIM_THRESHOLD:
	case M_TOP_PAD:
	case M_MMAP_THRESHOLD:
	case M_MMAP_MAX:
	case M_CHECK_ACTION:
	case M_PERTURB:
	case M_ARENA_TEST:
	case M_ARENA_MAX:
		return 1;
	default:
		return 0;
	}
}

EXPORT void malloc_stats(void)
{
	struct sparena_stats s;
	heap_stats(&heap_process, &s, true);
	(void)stats_write(&s, STDERR_FILENO, "text"); /* it returns nothing to say so with */
}

EXPORT int malloc_info(int options, FILE *stream)
{
	struct sparena_stats s;
	if (options) {
		errno = EINVAL;
		return -1;
	}
	heap_stats(&heap_process, &s, false);
	int n = fprintf(stream,
	                "<malloc version=\"sparena-1\">\n"
	                "<system type=\"current\" size=\"%llu\"/>\n<system type=\"max\" size=\"%llu\"/>\n"
	                "<total type=\"allocated\" size=\"%llu\"/>\n<total type=\"metadata\" size=\"%llu\"/>\n"
	                "</malloc>\n",
	                (unsigned long long)s.committed, (unsigned long long)s.committed_peak,
	                (unsigned long long)s.allocated, (unsigned long long)s.metadata);
	return n < 0 ? -1 : 0;
}

__attribute__((destructor)) static void at_exit(void)
{
	heap_at_exit();
}
