/* SPDX-License-Identifier: BSD-2-Clause */
/* check: how much room there is, who sets it, and what happens where it ends. */
#include "cli/check.h"

#include "os/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What has the least room of all that bound this process. */
struct binding {
	size_t room;
	char what[OS_CGROUP_PATH_MAX];
};

static void take_if_less(struct binding *b, size_t room, const char *what)
{
	if (room >= b->room)
		return;
	b->room = room;
	snprintf(b->what, sizeof(b->what), "%s", what);
}

/* "ROOM of LIMIT" */
static void add(struct report *r, const char *name, size_t room, size_t limit, const char *meaning)
{
	char value[2 * SIZE_TEXT_MAX + 8], left[SIZE_TEXT_MAX], all[SIZE_TEXT_MAX];

	size_format_human(room, left);
	size_format_human(limit, all);
	snprintf(value, sizeof(value), "%s of %s", left, all);
	report_add(r, name, REPORT_OK, value, meaning, NULL);
}

static void add_machine(struct check *c, struct binding *b)
{
	size_t room;

	if (c->probe.memory_total == 0)
		return;
	if (!size_add(c->probe.memory_available, c->probe.swap_free, &room))
		room = c->probe.memory_available;
	add(&c->report, "machine", room, c->probe.memory_total,
	    "what is available, and free swap; beyond it the kernel kills");
	take_if_less(b, room, "the machine");
}

static void add_level(struct check *c, const struct os_cgroup *g, const struct os_cgroup_level *l,
                      struct binding *b)
{
	char meaning[OS_CGROUP_PATH_MAX + 64];
	bool high = c->conf.guard == CONF_GUARD_HIGH;
	size_t room = os_cgroup_room(l, high, c->probe.swap_free);

	if (room == OS_UNLIMITED)
		return;
	snprintf(meaning, sizeof(meaning), "the limit of %s", g->directory);
	add(&c->report, "cgroup", room, high ? size_min(l->limit, l->high) : l->limit, meaning);
	take_if_less(b, room, g->directory);
}

static void add_cgroups(struct check *c, struct binding *b)
{
	struct os_cgroup_level l;
	struct os_cgroup g;

	if (os_cgroup_find(c->root, &g) != 0)
		return;
	do {
		if (os_cgroup_read(&g, &l) != -ENOENT)
			add_level(c, &g, &l, b);
	} while (os_cgroup_up(&g));
}

static void add_option(struct check *c, struct binding *b)
{
	char value[SIZE_TEXT_MAX];

	if (!c->options_valid || c->conf.limit == CONF_UNLIMITED)
		return;
	size_format_human(c->conf.limit, value);
	report_add(&c->report, "limit", REPORT_OK, value, "the option's: for the process alone", NULL);
	take_if_less(b, c->conf.limit, "the option limit");
}

/* What the end of the room is like, with sparena and without. */
static void add_end(struct check *c, const struct binding *b)
{
	char value[OS_CGROUP_PATH_MAX + SIZE_TEXT_MAX + 8], room[SIZE_TEXT_MAX];
	bool option = strcmp(b->what, "the option limit") == 0;

	if (b->room == OS_UNLIMITED)
		return;
	size_format_human(b->room, room);
	snprintf(value, sizeof(value), "%s, %s", b->what, room);
	if (option)
		report_add(&c->report, "binds", REPORT_OK, value,
		           "with sparena malloc returns NULL there; without, nothing stops the process before the "
		           "kernel kills",
		           NULL);
	else if (c->conf.guard == CONF_GUARD_OFF)
		report_add(&c->report, "binds", REPORT_NOTE, value,
		           "with guard:off the kernel kills a process there, with sparena as without",
		           "leave guard:auto");
	else
		report_add(&c->report, "binds", REPORT_OK, value,
		           "with sparena malloc returns NULL shortly before (guard_margin); without, the kernel "
		           "kills a process",
		           NULL);
}

/* Copies that are made when a page is written after fork(2), which no malloc is asked for. */
static void add_fork(struct check *c)
{
	const char *meaning = "a page that is written after fork is copied then, and nobody is asked: where there is "
			      "no room, the kernel kills";

	if (c->probe.overcommit == 2)
		report_add(&c->report, "fork", REPORT_OK, "promised",
		           "the machine has all copies promised before fork returns, or fork fails with ENOMEM; a "
		           "cgroup has not",
		           NULL);
	else
		report_add(&c->report, "fork", REPORT_OK, "not promised", meaning, NULL);
}

void check_room(struct check *c)
{
	struct binding b = {.room = OS_UNLIMITED};

	report_group(&c->report, "room");
	add_machine(c, &b);
	add_cgroups(c, &b);
	add_option(c, &b);
	add_end(c, &b);
	add_fork(c);
}
