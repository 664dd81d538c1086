/* SPDX-License-Identifier: BSD-2-Clause */
/* check: with guard:helper, whether the kernel would take a helper process first, and alone. */
#include "cli/check.h"

#include "os/cgroup.h"
#include "os/helper.h"

#include <stdio.h>

/* The number in a file below `directory`; 0 where there is none. */
static size_t number_in(const char *directory, const char *file)
{
	char path[OS_CGROUP_PATH_MAX + 64];
	size_t value;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	return os_read_number(path, &value) == 0 ? value : 0;
}

/* A group that the kernel kills as a whole, version 2. */
static bool is_in_group(const struct check *c)
{
	struct os_cgroup g;

	if (os_cgroup_find(c->root, &g) != 0)
		return false;
	do {
		if (number_in(g.directory, "memory.oom.group") != 0)
			return true;
	} while (os_cgroup_up(&g));
	return false;
}

void check_helper(struct check *c)
{
	const char *value = NULL, *meaning = NULL, *fix = "leave guard:auto";

	if (!os_helper_goes_first(c->root)) {
		value = "oom_score_adj above 0";
		meaning = "the kernel would take the process before a helper, so none is started, and the "
			  "guard's estimate has to do";
		fix = "echo 0 > /proc/PID/oom_score_adj";
	} else if (is_in_group(c)) {
		value = "memory.oom.group";
		meaning = "the kernel kills a whole cgroup here, the process with its helper";
	} else if (number_in(c->root, "proc/sys/vm/panic_on_oom") != 0) {
		value = "vm.panic_on_oom";
		meaning = "the machine ends where it has no memory, before any helper does";
	}
	if (value != NULL)
		report_add(&c->report, "helper", REPORT_NOTE, value, meaning, fix);
	else
		report_add(&c->report, "helper", REPORT_OK, "goes first",
		           "the kernel takes the helper process, not this one", NULL);
}
