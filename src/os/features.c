/* SPDX-License-Identifier: BSD-2-Clause */
/* Abilities and settings of the kernel that only people want to know about. */
#define _GNU_SOURCE
#include "os/machine.h"

#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef PR_GET_MEMORY_MERGE
#define PR_GET_MEMORY_MERGE 68
#endif

int os_commit(const char *root, size_t *limit, size_t *used)
{
	char path[OS_MACHINE_PATH_MAX], text[4096];
	int r;

	if (snprintf(path, sizeof(path), "%s/proc/meminfo", root) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	r = os_read_file(path, text, sizeof(text), NULL);
	if (r == 0)
		r = os_field_bytes(text, "CommitLimit", limit);
	if (r == 0)
		r = os_field_bytes(text, "Committed_AS", used);
	return r;
}

bool os_has_pagemap(void)
{
	size_t bytes = 0;

	return os_resident(&bytes, 1, &bytes, NULL) == 0;
}

bool os_ksm_runs(const char *root)
{
	char path[OS_MACHINE_PATH_MAX];
	size_t run;

	if (snprintf(path, sizeof(path), "%s/sys/kernel/mm/ksm/run", root) >= (int)sizeof(path))
		return false;
	return os_read_number(path, &run) == 0 && run == 1;
}

bool os_ksm_may_merge(void)
{
	int saved_errno = errno;
	bool may = prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0) == 1;

	errno = saved_errno;
	return may;
}

static size_t hard_limit(int resource)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) != 0 || limit.rlim_max == RLIM_INFINITY)
		return OS_UNLIMITED;
	return limit.rlim_max;
}

void os_hard_limits(struct os_hard_limits *out)
{
	out->as = hard_limit(RLIMIT_AS);
	out->data = hard_limit(RLIMIT_DATA);
	out->memlock = hard_limit(RLIMIT_MEMLOCK);
}
