/* SPDX-License-Identifier: BSD-2-Clause */
/* check: huge pages, those that the kernel makes and those in pools. */
#include "cli/check.h"

#include "os/machine.h"

#include <stdio.h>
#include <string.h>

#define THP_DIR "/sys/kernel/mm/transparent_hugepage"
#define SLOWER "all works, but populating is several times slower"
#define POOL_EXAMPLE (128 * MiB) /* what the command that makes a pool asks for */

/* The setting that decides, as a command: that for all sizes, or the size's own. */
static const char *thp_fix(const struct os_thp_settings *s, char fix[REPORT_TEXT_MAX])
{
	if (strcmp(s->enabled, "never") != 0 && s->enabled[0] != '\0')
		snprintf(fix, REPORT_TEXT_MAX, "echo inherit > " THP_DIR "/hugepages-%zukB/enabled",
		         s->pmd_size / KiB);
	else
		snprintf(fix, REPORT_TEXT_MAX, "echo madvise > " THP_DIR "/enabled");
	return fix;
}

static void add_thp(struct report *r, const struct os_thp_settings *s)
{
	char fix[REPORT_TEXT_MAX];

	if (s->disabled && s->effective != OS_THP_NONE) {
		report_add(r, "thp", REPORT_NOTE, "switched off for this process and those that it starts",
		           SLOWER ": start programs without it (prctl PR_SET_THP_DISABLE)", NULL);
		return;
	}
	switch (s->effective) {
	case OS_THP_ALWAYS:
		report_add(r, "thp", REPORT_OK, "always",
		           "huge pages serve full chunks; chunks in small pieces are excepted from them, so "
		           "that no more is resident than was charged",
		           NULL);
		break;
	case OS_THP_MADVISE:
		report_add(r, "thp", REPORT_OK, "madvise",
		           "huge pages serve full chunks, where sparena asks for them", NULL);
		break;
	case OS_THP_NEVER:
		report_add(r, "thp", REPORT_NOTE, "never", SLOWER, thp_fix(s, fix));
		break;
	case OS_THP_NONE:
		report_add(r, "thp", REPORT_NOTE, "the kernel has no transparent huge pages", SLOWER, NULL);
		break;
	}
}

static void list_sizes(uint64_t sizes, char list[REPORT_TEXT_MAX])
{
	const char *separator = "";
	char size[SIZE_TEXT_MAX];
	struct text t;

	text_init(&t, list, REPORT_TEXT_MAX);
	for (unsigned bit = 0; bit < 64; bit++) {
		if ((sizes >> bit & 1) == 0)
			continue;
		size_format((size_t)1 << bit, size);
		text_add(&t, "%s%s", separator, size);
		separator = " ";
	}
}

/* The command that switches the sizes off. */
static void sizes_off(uint64_t sizes, char fix[REPORT_TEXT_MAX])
{
	const char *separator = "";
	struct text t;

	text_init(&t, fix, REPORT_TEXT_MAX);
	for (unsigned bit = 10; bit < 64; bit++) {
		if ((sizes >> bit & 1) == 0)
			continue;
		text_add(&t, "%secho never > " THP_DIR "/hugepages-%zukB/enabled", separator,
		         ((size_t)1 << bit) / KiB);
		separator = "; ";
	}
}

/* sparena asks for none but huge pages, and small ones may come in their place. */
static void add_sizes(struct report *r, const char *root, uint64_t sizes, const struct os_thp_settings *s)
{
	char list[REPORT_TEXT_MAX], used[REPORT_TEXT_MAX], fix[REPORT_TEXT_MAX], meaning[REPORT_TEXT_MAX];
	struct text t;
	bool huge = s->effective == OS_THP_ALWAYS || s->effective == OS_THP_MADVISE;
	uint64_t smaller = s->pmd_size > 0 ? sizes & (s->pmd_size - 1) : 0;
	uint64_t instead = huge ? os_mthp_advised(root, smaller) : 0;

	list_sizes(sizes, list);
	if (instead != 0) {
		list_sizes(instead, used);
		sizes_off(instead, fix);
		text_init(&t, meaning, sizeof(meaning));
		text_add(&t,
		         "sizes that the kernel knows; a chunk for which no huge page is free is made of "
		         "%s, and where the kernel splits those, pages not yet written lose their backing",
		         used);
		report_add(r, "mthp", REPORT_NOTE, list, meaning, fix);
		return;
	}
	report_add(r, "mthp", REPORT_OK, sizes == 0 ? "none" : list,
	           "sizes that the kernel knows; sparena does without the small ones, since pages not yet "
	           "written lose their backing when the kernel splits them",
	           NULL);
}

static void add_defrag(struct report *r, const char *defrag)
{
	if (defrag[0] == '\0')
		return;
	if (strcmp(defrag, "never") == 0 || strcmp(defrag, "defer") == 0)
		report_add(r, "defrag", REPORT_NOTE, defrag,
		           "a chunk gets a huge page only when one is free just then, else small pages: "
		           "populating is slower on a machine that has been up for long",
		           "echo madvise > " THP_DIR "/defrag");
	else
		report_add(r, "defrag", REPORT_OK, defrag,
		           "the kernel makes room for a chunk's huge page when none is free, which can take "
		           "its time",
		           NULL);
}

/* khugepaged, and shared memory's: what might add to what was charged. */
static void add_background(struct report *r, const struct os_thp_settings *s)
{
	char value[64];

	if (s->max_ptes_none != OS_UNLIMITED) {
		snprintf(value, sizeof(value), "max_ptes_none %zu", s->max_ptes_none);
		report_add(r, "khugepaged", REPORT_OK, value,
		           "fills huge pages that are partly used, but not in memory that sparena holds in "
		           "small pieces: nothing becomes resident that was not charged",
		           NULL);
	}
	if (s->shmem[0] != '\0')
		report_add(r, "shmem", REPORT_OK, s->shmem,
		           "of shared memory (shmem_enabled), of which sparena has none", NULL);
}

/* The command that gives a pool as many pages. */
static void pool_command(const struct os_hugetlb *h, size_t pages, char fix[REPORT_TEXT_MAX])
{
	snprintf(fix, REPORT_TEXT_MAX, "echo %zu > /sys/kernel/mm/hugepages/hugepages-%zukB/nr_hugepages",
	         pages, h->page_size / KiB);
}

static void pool_value(const struct os_hugetlb *h, char value[REPORT_TEXT_MAX])
{
	char size[SIZE_TEXT_MAX];
	struct text t;

	size_format_human(h->total * h->page_size, size);
	text_init(&t, value, REPORT_TEXT_MAX);
	text_add(&t, "%zu page%s (%s), %zu free", h->total, h->total == 1 ? "" : "s", size, h->free);
	if (h->reserved > 0)
		text_add(&t, ", %zu of them reserved", h->reserved);
	if (h->surplus > 0)
		text_add(&t, ", %zu in surplus", h->surplus);
	if (h->overcommit > 0)
		text_add(&t, ", up to %zu in surplus allowed", h->overcommit);
}

static void add_pool(struct report *r, const struct os_hugetlb *h)
{
	char name[32], size[SIZE_TEXT_MAX], value[REPORT_TEXT_MAX], fix[REPORT_TEXT_MAX];
	char meaning[REPORT_TEXT_MAX];
	size_t idle = h->free > h->reserved ? h->free - h->reserved : 0;
	size_t lasting = h->total > h->surplus ? h->total - h->surplus : 0;

	size_format(h->page_size, size);
	snprintf(name, sizeof(name), "hugetlb %s", size);
	pool_value(h, value);
	if (h->total == 0) {
		pool_command(h, size_max(POOL_EXAMPLE / h->page_size, 1), fix);
		report_add(r, name, REPORT_OK, h->overcommit > 0 ? value : "no pool",
		           "backing:anon needs none; pages in a pool are for programs that ask for them",
		           fix);
	} else if (idle == 0) {
		report_add(r, name, REPORT_OK, value, "is all in other programs' use", NULL);
	} else {
		size_format_human(idle * h->page_size, size);
		snprintf(meaning, sizeof(meaning),
		         "%s of memory wait for programs that ask for them; backing:anon does not, so they "
		         "are out of its reach",
		         size);
		pool_command(h, lasting > idle ? lasting - idle : 0, fix);
		report_add(r, name, REPORT_NOTE, value, meaning, fix);
	}
}

void check_huge_pages(struct check *c)
{
	struct os_hugetlb pools[OS_HUGETLB_MAX];
	struct os_thp_settings thp;
	size_t count = os_hugetlb_pools(c->root, pools);

	os_thp_settings(c->root, &thp);
	report_group(&c->report, "huge pages");
	add_thp(&c->report, &thp);
	add_sizes(&c->report, c->root, c->probe.mthp_sizes, &thp);
	if (thp.effective == OS_THP_ALWAYS || thp.effective == OS_THP_MADVISE)
		add_defrag(&c->report, thp.defrag);
	add_background(&c->report, &thp);
	for (size_t i = 0; i < count; i++)
		add_pool(&c->report, &pools[i]);
	if (count == 0)
		report_add(&c->report, "hugetlb", REPORT_OK, "the kernel has no pools",
		           "backing:anon needs none", NULL);
}
