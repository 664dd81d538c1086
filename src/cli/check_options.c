/* SPDX-License-Identifier: BSD-2-Clause */
/* check: the options, against what this machine has. */
#include "cli/check.h"

#include <stdio.h>

/* How much there is before the kernel kills: the machine, or the cgroup. */
static size_t box_of(const struct check *c)
{
	size_t machine = OS_UNLIMITED;

	if (c->probe.memory_total != 0 && !size_add(c->probe.memory_total, c->probe.swap_total, &machine))
		machine = OS_UNLIMITED;
	return size_min(machine, c->cgroup_box);
}

static void add_limit(struct check *c)
{
	char value[SIZE_TEXT_MAX + 16], size[SIZE_TEXT_MAX], meaning[REPORT_TEXT_MAX], fix[REPORT_TEXT_MAX];
	size_t box = box_of(c);
	bool in_cgroup = box == c->cgroup_box && box != OS_UNLIMITED;
	bool guarded = c->conf.guard != CONF_GUARD_OFF;

	size_format(c->conf.limit, size);
	snprintf(value, sizeof(value), "limit:%s", size);
	if (c->conf.limit > box || (c->conf.limit == box && box != OS_UNLIMITED)) {
		size_format_human(box, size);
		snprintf(meaning, sizeof(meaning), "is not below the %s that the %s: %s", size,
		         in_cgroup ? "cgroup allows" : "machine has",
		         guarded ? "the guard refuses before it is reached"
		                 : "the kernel kills before malloc returns NULL");
		size_format(in_cgroup ? c->cgroup_advice : size_down(c->probe.memory_available / 2, MiB),
		            size);
		snprintf(fix, sizeof(fix), "choose a smaller limit, as in limit:%s", size);
		report_add(&c->report, "options", guarded ? REPORT_NOTE : REPORT_PROBLEM, value, meaning,
		           fix);
	} else if (c->probe.memory_total != 0 && c->conf.limit > c->probe.memory_available) {
		report_add(&c->report, "options", REPORT_NOTE, value,
		           "is more than the memory that is available now",
		           "choose a smaller limit, as in limit:50%");
	} else if (in_cgroup && c->conf.limit > c->cgroup_advice) {
		size_format(c->cgroup_advice, size);
		snprintf(fix, sizeof(fix), "choose a smaller limit, as in limit:%s", size);
		report_add(
			&c->report, "options", REPORT_NOTE, value,
			"leaves little in the cgroup for stacks, libraries and page tables, which count too",
			fix);
	} else {
		report_add(&c->report, "options", REPORT_OK, value, "is available", NULL);
	}
}

static void add_fit(struct check *c)
{
	char value[SIZE_TEXT_MAX + 16], size[SIZE_TEXT_MAX];

	if (c->conf.reserve != CONF_AUTO && c->conf.reserve > c->reservation &&
	    c->reservation < CHECK_RESERVATION_MAX) {
		size_format(c->conf.reserve, size);
		snprintf(value, sizeof(value), "reserve:%s", size);
		report_add(&c->report, "options", REPORT_PROBLEM, value,
		           "is more address space than can be reserved", "leave reserve:auto");
	} else if (c->conf.limit == CONF_UNLIMITED) {
		report_add(&c->report, "options", REPORT_OK, "valid",
		           c->conf.guard == CONF_GUARD_OFF
		                   ? "without a limit the machine or its cgroup is the limit, where the kernel "
		                     "kills"
		                   : "without a limit the machine or its cgroup is the limit, and the guard refuses "
		                     "before",
		           NULL);
	} else {
		add_limit(c);
	}
}

void check_options(struct check *c)
{
	report_group(&c->report, "start");
	if (!c->options_given)
		return;
	if (!c->options_valid)
		report_add(&c->report, "options", REPORT_PROBLEM, "not valid", c->options_error, NULL);
	else
		add_fit(c);
	if (c->options_valid && c->conf.guard == CONF_GUARD_HELPER)
		check_helper(c);
}
