/* SPDX-License-Identifier: BSD-2-Clause */
/* check: the machine's memory, what it promises of it, and where it swaps. */
#include "cli/check.h"

#include "os/machine.h"

#include <stdio.h>

#define AREAS_SHOWN 4

static void add_memory(struct report *r, const struct os_probe *p)
{
	char total[SIZE_TEXT_MAX], available[SIZE_TEXT_MAX], value[REPORT_TEXT_MAX];

	if (p->memory_total == 0) {
		report_add(r, "memory", REPORT_NOTE, "unknown",
		           "/proc/meminfo cannot be read, so no limit can be given as a percentage",
		           "mount -t proc proc /proc");
		return;
	}
	size_format_human(p->memory_total, total);
	size_format_human(p->memory_available, available);
	snprintf(value, sizeof(value), "%s, %s of it available", total, available);
	report_add(r, "memory", REPORT_OK, value, "a percentage as limit is of the first, or of a smaller cgroup", NULL);
}

#define OVERCOMMIT_FIX "sysctl vm.overcommit_memory=0"

/* Strict: CommitLimit may leave less than there is. */
static void add_strict(struct check *c)
{
	char value[REPORT_TEXT_MAX], room[SIZE_TEXT_MAX], all[SIZE_TEXT_MAX];
	size_t limit, used, left;

	if (os_commit(c->root, &limit, &used) != 0) {
		report_add(&c->report, "overcommit", REPORT_OK, "2 (strict)",
		           "what is opened counts against CommitLimit, what is only reserved does not", NULL);
		return;
	}
	left = limit > used ? limit - used : 0;
	size_format_human(left, room);
	size_format_human(limit, all);
	snprintf(value, sizeof(value), "2 (strict), %s left of %s", room, all);
	if (left < c->probe.memory_available)
		report_add(&c->report, "overcommit", REPORT_NOTE, value,
		           "malloc returns NULL when that is used up, also while memory is available",
		           OVERCOMMIT_FIX);
	else
		report_add(&c->report, "overcommit", REPORT_OK, value,
		           "no program is promised what is not there", NULL);
}

static void add_overcommit(struct check *c)
{
	switch (c->probe.overcommit) {
	case 0:
		report_add(&c->report, "overcommit", REPORT_OK, "0 (heuristic)",
		           "address space can be reserved freely", NULL);
		break;
	case 1:
		report_add(&c->report, "overcommit", REPORT_NOTE, "1 (always)",
		           "other programs can be promised more than there is: set a limit, so that this one "
		           "does not pay for them",
		           OVERCOMMIT_FIX);
		break;
	case 2:
		add_strict(c);
		break;
	default:
		report_add(&c->report, "overcommit", REPORT_NOTE, "unknown",
		           "/proc/sys/vm/overcommit_memory cannot be read", "mount -t proc proc /proc");
	}
}

static void list_areas(struct text *t, const struct os_swap *areas, size_t count)
{
	static const char *const kinds[] = {
		[OS_SWAP_PARTITION] = "partition", [OS_SWAP_FILE] = "file", [OS_SWAP_ZRAM] = "zram"};
	char size[SIZE_TEXT_MAX];

	for (size_t i = 0; i < size_min(count, AREAS_SHOWN); i++) {
		size_format_human(areas[i].size, size);
		text_add(t, "%s %s (%s, %s)", i == 0 ? ":" : ",", areas[i].name, kinds[areas[i].kind], size);
	}
	if (count > AREAS_SHOWN)
		text_add(t, " and %zu more", count - AREAS_SHOWN);
}

static const struct os_swap *find_zram(const struct os_swap *areas, size_t count)
{
	for (size_t i = 0; i < size_min(count, AREAS_SHOWN); i++)
		if (areas[i].kind == OS_SWAP_ZRAM)
			return &areas[i];
	return NULL;
}

static void add_swap(struct check *c)
{
	char total[SIZE_TEXT_MAX], left[SIZE_TEXT_MAX], value[2 * REPORT_TEXT_MAX], fix[REPORT_TEXT_MAX];
	struct os_swap areas[AREAS_SHOWN];
	size_t count = os_swaps(c->root, areas, AREAS_SHOWN);
	const struct os_swap *zram = find_zram(areas, count);
	struct text t;

	if (c->probe.swap_total == 0) {
		report_add(&c->report, "swap", REPORT_OK, "none", "what is backed stays in memory", NULL);
		return;
	}
	size_format_human(c->probe.swap_total, total);
	size_format_human(c->probe.swap_free, left);
	text_init(&t, value, sizeof(value));
	text_add(&t, "%s, %s of it free", total, left);
	list_areas(&t, areas, count);
	report_add(&c->report, "swap", REPORT_NOTE, value,
	           "a page that was swapped out is a page fault when it is used again; until then the swap "
	           "slot backs it",
	           "swapoff -a");
	if (zram == NULL)
		return;
	text_init(&t, fix, sizeof(fix));
	text_add(&t, "swapoff ");
	report_quote(&t, zram->name);
	report_add(&c->report, "zram", REPORT_NOTE, zram->name,
	           "is compressed memory: a page swapped out to it still takes some, so the machine holds "
	           "less than memory and swap add up to",
	           fix);
}

void check_memory(struct check *c)
{
	report_group(&c->report, "memory");
	add_memory(&c->report, &c->probe);
	add_overcommit(c);
	add_swap(c);
	if (c->probe.swap_total > 0 && os_zswap(c->root))
		report_add(&c->report, "zswap", REPORT_OK, "on",
		           "pages are compressed in memory before they are written to swap", NULL);
}
