/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "cli/check.h"

#include "conf/conf.h"

#include <stdio.h>

#define MAP_COUNT_DEFAULT 65530

static void check_kernel(struct report *r, const struct os_probe *p)
{
	report_add(r, "kernel", REPORT_OK, p->kernel, "5.14 or later is what sparena is made for", NULL);
	if (p->populate)
		report_add(r, "populate", REPORT_OK, "MADV_POPULATE_WRITE works",
		           "memory is backed before malloc returns, and a failure to back it is an error",
		           NULL);
	else
		report_add(r, "populate", REPORT_PROBLEM, "the kernel has no MADV_POPULATE_WRITE",
		           "pages are touched instead: where memory runs short the kernel kills the process",
		           "boot Linux 5.14 or later");
	if (p->dontneed_locked)
		report_add(r, "locked", REPORT_OK, "MADV_DONTNEED_LOCKED works",
		           "memory goes back also in programs that call mlockall", NULL);
	else
		report_add(r, "locked", REPORT_NOTE, "the kernel has no MADV_DONTNEED_LOCKED",
		           "programs that call mlockall keep what they free", "boot Linux 5.18 or later");
}

#define THP_FIX "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"

static void check_thp(struct report *r, const struct os_probe *p)
{
	switch (p->thp) {
	case OS_THP_ALWAYS:
		report_add(r, "thp", REPORT_OK, "always",
		           "huge pages serve full chunks; chunks in small pieces are excepted from them, so "
		           "that "
		           "no more is resident than was charged",
		           NULL);
		break;
	case OS_THP_MADVISE:
		report_add(r, "thp", REPORT_OK, "madvise",
		           "huge pages serve full chunks where sparena asks for them", NULL);
		break;
	case OS_THP_NEVER:
		report_add(r, "thp", REPORT_NOTE, "never",
		           "all works, but populating is several times slower", THP_FIX);
		break;
	case OS_THP_NONE:
		report_add(r, "thp", REPORT_NOTE, "the kernel has no transparent huge pages",
		           "all works, but populating is several times slower", NULL);
		break;
	}
}

static void check_mthp(struct report *r, const struct os_probe *p)
{
	const char *separator = "";
	char list[REPORT_TEXT_MAX], size[SIZE_TEXT_MAX];
	struct text t;

	text_init(&t, list, sizeof(list));
	for (unsigned bit = 0; bit < 64; bit++) {
		if ((p->mthp_sizes >> bit & 1) == 0)
			continue;
		size_format((size_t)1 << bit, size);
		text_add(&t, "%s%s", separator, size);
		separator = " ";
	}
	report_add(r, "mthp", REPORT_OK, p->mthp_sizes == 0 ? "none" : list,
	           "sizes of huge pages that the kernel knows; sparena does without the small ones", NULL);
}

#define OVERCOMMIT_FIX "sysctl vm.overcommit_memory=0"

static void check_overcommit(struct report *r, const struct os_probe *p)
{
	switch (p->overcommit) {
	case 0:
		report_add(r, "overcommit", REPORT_OK, "0 (heuristic)",
		           "address space can be reserved freely", NULL);
		break;
	case 1:
		report_add(r, "overcommit", REPORT_NOTE, "1 (always)",
		           "other programs can be promised more than there is: set a limit, so that this one "
		           "does "
		           "not pay for them",
		           OVERCOMMIT_FIX);
		break;
	case 2:
		report_add(r, "overcommit", REPORT_OK, "2 (strict)",
		           "what is opened counts against CommitLimit, what is only reserved does not", NULL);
		break;
	default:
		report_add(r, "overcommit", REPORT_NOTE, "unknown",
		           "/proc/sys/vm/overcommit_memory cannot be read", "mount -t proc proc /proc");
	}
}

static void check_memory(struct report *r, const struct os_probe *p)
{
	char total[SIZE_TEXT_MAX], other[SIZE_TEXT_MAX], value[REPORT_TEXT_MAX];

	if (p->memory_total == 0) {
		report_add(r, "memory", REPORT_NOTE, "unknown",
		           "/proc/meminfo cannot be read, so no limit can be given as a percentage",
		           "mount -t proc proc /proc");
		return;
	}
	size_format_human(p->memory_total, total);
	size_format_human(p->memory_available, other);
	snprintf(value, sizeof(value), "%s, %s of it available", total, other);
	report_add(r, "memory", REPORT_OK, value, "a percentage as limit is of the first", NULL);
	if (p->swap_total == 0) {
		report_add(r, "swap", REPORT_OK, "none", "what is backed stays in memory", NULL);
		return;
	}
	size_format_human(p->swap_total, total);
	size_format_human(p->swap_free, other);
	snprintf(value, sizeof(value), "%s, %s of it free", total, other);
	report_add(
		r, "swap", REPORT_NOTE, value,
		"memory that was swapped out faults when it is used again; it is backed by its swap slot, so "
		"that cannot fail",
		"swapoff -a");
}

static void check_rlimit(struct report *r, const char *name, size_t limit, bool matters, const char *meaning,
                         const char *fix)
{
	char value[SIZE_TEXT_MAX];

	if (limit == OS_UNLIMITED) {
		report_add(r, name, REPORT_OK, "unlimited", meaning, NULL);
		return;
	}
	size_format_human(limit, value);
	report_add(r, name, matters ? REPORT_NOTE : REPORT_OK, value, meaning, matters ? fix : NULL);
}

static void check_limits(struct report *r, const struct os_probe *p)
{
	char value[SIZE_TEXT_MAX];

	check_rlimit(r, "RLIMIT_AS", p->limit_as, true, "bounds what can be reserved", "ulimit -v unlimited");
	check_rlimit(r, "RLIMIT_DATA", p->limit_data, true, "bounds what can be committed",
	             "ulimit -d unlimited");
	check_rlimit(r, "RLIMIT_MEMLOCK", p->limit_memlock, false,
	             "matters only to programs that call mlockall, where reserved space counts",
	             "ulimit -l unlimited");
	if (p->max_map_count == 0)
		return;
	snprintf(value, sizeof(value), "%zu", p->max_map_count);
	if (p->max_map_count >= MAP_COUNT_DEFAULT)
		report_add(r, "max_map_count", REPORT_OK, value, "mappings that a process may have", NULL);
	else
		report_add(r, "max_map_count", REPORT_NOTE, value,
		           "mappings that a process may have are fewer than usual, which scattered memory "
		           "can use up",
		           "sysctl vm.max_map_count=65530");
}

/* The largest power of two of address space that can be had at once; 0: none. */
static size_t largest_reservation(size_t page)
{
	for (size_t size = CHECK_RESERVATION_MAX; size >= page; size /= 2) {
		void *p;

		if (os_reserve(size, page, &p) != 0)
			continue;
		os_release(p, size);
		return size;
	}
	return 0;
}

static size_t check_reservation(struct report *r, const struct os_probe *p)
{
	size_t size = largest_reservation(p->page_size);
	char value[SIZE_TEXT_MAX];

	size_format_human(size, value);
	if (size >= CHECK_RESERVATION_MAX)
		report_add(r, "reservation", REPORT_OK, value, "of address space can be reserved, or more",
		           NULL);
	else if (size >= CONF_LIMIT_MINIMUM)
		report_add(r, "reservation", REPORT_NOTE, value,
		           "is the most address space that can be reserved, and bounds the heap",
		           "ulimit -v unlimited");
	else
		report_add(r, "reservation", REPORT_PROBLEM, value,
		           "is the most address space that can be reserved, less than start-up needs",
		           "ulimit -v unlimited");
	return size;
}

size_t check_machine(struct report *r, const struct os_probe *p)
{
	check_kernel(r, p);
	check_thp(r, p);
	check_mthp(r, p);
	check_overcommit(r, p);
	check_memory(r, p);
	check_limits(r, p);
	return check_reservation(r, p);
}
