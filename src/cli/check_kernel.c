/* SPDX-License-Identifier: BSD-2-Clause */
/* check: what the kernel can do. */
#include "cli/check.h"

#include "os/machine.h"

static void add_populate(struct report *r, const struct os_probe *p)
{
	report_add(r, "release", REPORT_OK, p->kernel, "sparena is made for Linux 5.14 and later", NULL);
	if (p->populate)
		report_add(r, "populate", REPORT_OK, "MADV_POPULATE_WRITE works",
		           "memory is backed before malloc returns, and a failure to back it is an error",
		           NULL);
	else
		report_add(r, "populate", REPORT_PROBLEM, "the kernel has no MADV_POPULATE_WRITE",
		           "pages are touched instead: where memory runs short the kernel kills the process",
		           "boot Linux 5.14 or later");
}

static void add_locked(struct report *r, const struct os_probe *p)
{
	if (p->dontneed_locked)
		report_add(r, "locked", REPORT_OK, "MADV_DONTNEED_LOCKED works",
		           "memory goes back also in programs that call mlockall", NULL);
	else
		report_add(r, "locked", REPORT_NOTE, "the kernel has no MADV_DONTNEED_LOCKED",
		           "programs that call mlockall keep what they free", "boot Linux 5.18 or later");
}

static void add_pagemap(struct report *r)
{
	if (os_can_scan_pagemap())
		report_add(r, "pagemap", REPORT_OK, "PAGEMAP_SCAN works",
		           "statistics can tell what is resident", NULL);
	else if (os_has_pagemap())
		report_add(r, "pagemap", REPORT_NOTE, "the kernel has no PAGEMAP_SCAN",
		           "statistics count a page as resident also when it was only read",
		           "boot Linux 6.7 or later");
	else
		report_add(r, "pagemap", REPORT_NOTE, "/proc/self/pagemap cannot be read",
		           "statistics cannot tell what is resident", "mount -t proc proc /proc");
}

/* Merging makes pages that are alike one again, after they were backed. */
static void add_ksm(struct report *r, const char *root)
{
	bool runs = os_ksm_runs(root), may = os_ksm_may_merge();

	if (runs && may)
		report_add(r, "ksm", REPORT_PROBLEM,
		           "merges the pages of this process and those that it starts",
		           "a write to a page that was merged needs memory anew, and where it runs short the "
		           "kernel kills",
		           "echo 2 > /sys/kernel/mm/ksm/run");
	else if (may)
		report_add(
			r, "ksm", REPORT_NOTE, "off, but this process has asked for it",
			"once it is switched on, pages that were backed are merged: start programs without "
			"it (systemd's MemoryKSM=)",
			NULL);
	else
		report_add(r, "ksm", REPORT_OK, runs ? "on" : "off",
		           "merges pages only where a program asks for it", NULL);
}

void check_kernel(struct check *c)
{
	report_group(&c->report, "kernel");
	add_populate(&c->report, &c->probe);
	add_locked(&c->report, &c->probe);
	add_pagemap(&c->report);
	add_ksm(&c->report, c->root);
}
