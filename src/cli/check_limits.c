/* SPDX-License-Identifier: BSD-2-Clause */
/* check: the limits of this process, which those that it starts inherit. */
#include "cli/check.h"

#include "os/machine.h"

#include <stdio.h>

#define MAP_COUNT_DEFAULT 65530
#define COMMAND_MAX sizeof(((struct check *)0)->raise_as)

struct rlimit_row {
	const char *name;
	const char *ulimit, *prlimit; /* what the commands call it */
	const char *meaning;
	bool matters;
};

/* A shell can raise a soft limit by itself, root alone a hard one. */
static void raise_command(const struct rlimit_row *row, size_t soft, size_t hard, char fix[COMMAND_MAX])
{
	if (soft == OS_UNLIMITED)
		fix[0] = '\0';
	else if (hard == OS_UNLIMITED)
		snprintf(fix, COMMAND_MAX, "ulimit %s unlimited", row->ulimit);
	else
		snprintf(fix, COMMAND_MAX, "sudo prlimit --pid $$ --%s=unlimited", row->prlimit);
}

/* The command that lifts it stays in `fix`. */
static void add_rlimit(struct report *r, const struct rlimit_row *row, size_t soft, size_t hard,
                       char fix[COMMAND_MAX])
{
	char value[SIZE_TEXT_MAX];

	raise_command(row, soft, hard, fix);
	if (soft == OS_UNLIMITED) {
		report_add(r, row->name, REPORT_OK, "unlimited", row->meaning, NULL);
		return;
	}
	size_format_human(soft, value);
	report_add(r, row->name, row->matters ? REPORT_NOTE : REPORT_OK, value, row->meaning,
	           row->matters ? fix : NULL);
}

static const struct rlimit_row as = {"RLIMIT_AS", "-v", "as",
                                     "bounds the address space, reserved space included", true};
static const struct rlimit_row data = {"RLIMIT_DATA", "-d", "data",
                                       "bounds what can be opened for memory, the program's own included",
                                       true};
static const struct rlimit_row memlock = {
	"RLIMIT_MEMLOCK", "-l", "memlock",
	"matters only to the option lock, and to programs that call mlockall, where reserved space counts", false};

static void add_map_count(struct report *r, size_t count)
{
	char value[SIZE_TEXT_MAX];

	if (count == 0)
		return;
	snprintf(value, sizeof(value), "%zu", count);
	if (count >= MAP_COUNT_DEFAULT)
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

static void add_reservation(struct check *c)
{
	const char *fix = c->raise_as[0] == '\0' ? NULL : c->raise_as;
	char value[SIZE_TEXT_MAX];

	c->reservation = largest_reservation(c->probe.page_size);
	size_format_human(c->reservation, value);
	if (c->reservation >= CHECK_RESERVATION_MAX)
		report_add(&c->report, "reservation", REPORT_OK, value,
		           "of address space can be reserved, or more", NULL);
	else if (c->reservation >= CONF_LIMIT_MINIMUM)
		report_add(&c->report, "reservation", REPORT_NOTE, value,
		           "is the most address space that can be reserved, and bounds the heap", fix);
	else
		report_add(&c->report, "reservation", REPORT_PROBLEM, value,
		           "is the most address space that can be reserved, less than start-up needs", fix);
}

void check_limits(struct check *c)
{
	char unused[COMMAND_MAX];
	struct os_hard_limits hard;

	os_hard_limits(&hard);
	report_group(&c->report, "limits of the process");
	add_rlimit(&c->report, &as, c->probe.limit_as, hard.as, c->raise_as);
	add_rlimit(&c->report, &data, c->probe.limit_data, hard.data, c->raise_data);
	add_rlimit(&c->report, &memlock, c->probe.limit_memlock, hard.memlock, unused);
	add_map_count(&c->report, c->probe.max_map_count);
	add_reservation(c);
}
