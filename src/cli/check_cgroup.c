/* SPDX-License-Identifier: BSD-2-Clause */
/* check: the memory cgroup of this process and those above it. */
#include "cli/check.h"

#include "os/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What binds, of all levels: each bound with the directory that sets it. */
struct bounds {
	struct os_cgroup_level level; /* the least of each limit */
	size_t headroom;              /* the least */
	size_t current, file;         /* where headroom is least; of the process's own where nothing binds */
	size_t box;                   /* the least of limit + swap allowed */
	char limit_at[OS_CGROUP_PATH_MAX];
	char high_at[OS_CGROUP_PATH_MAX];
	char headroom_at[OS_CGROUP_PATH_MAX];
	char broken_at[OS_CGROUP_PATH_MAX];
	int error; /* of the first level that can't be read */
};

static void set_if_less(size_t *least, char *at, size_t value, const char *directory)
{
	if (value >= *least)
		return;
	*least = value;
	if (at != NULL)
		memcpy(at, directory, strlen(directory) + 1);
}

/* How far a level lets its processes grow, swap of the machine included. */
static size_t box_of(const struct os_cgroup_level *l, size_t swap_total)
{
	size_t swap = size_min(l->swap_limit, swap_total), box;

	if (l->limit == OS_UNLIMITED || !size_add(l->limit, swap, &box))
		return OS_UNLIMITED;
	return box;
}

static void take_level(struct bounds *b, const struct os_cgroup *g, const struct os_cgroup_level *l,
                       size_t swap_total)
{
	size_t headroom = os_cgroup_headroom(l);

	if (headroom < b->headroom || b->headroom_at[0] == '\0') {
		b->headroom = headroom;
		b->current = l->current;
		b->file = l->file;
		memcpy(b->headroom_at, g->directory, strlen(g->directory) + 1);
	}
	set_if_less(&b->level.limit, b->limit_at, l->limit, g->directory);
	set_if_less(&b->level.high, b->high_at, l->high, g->directory);
	set_if_less(&b->level.swap_limit, NULL, l->swap_limit, g->directory);
	set_if_less(&b->box, NULL, box_of(l, swap_total), g->directory);
}

/* From the process's own upwards. */
static void read_levels(struct bounds *b, struct os_cgroup *g, size_t swap_total)
{
	*b = (struct bounds){
		.level = {.limit = OS_UNLIMITED, .high = OS_UNLIMITED, .swap_limit = OS_UNLIMITED},
		.headroom = OS_UNLIMITED,
		.box = OS_UNLIMITED,
	};
	do {
		struct os_cgroup_level l;
		int error = os_cgroup_read(g, &l);

		if (error == -ENOENT) /* no controller here: the next one above is charged */
			continue;
		if (error != 0 && b->error == 0) {
			b->error = error;
			memcpy(b->broken_at, g->directory, strlen(g->directory) + 1);
		}
		take_level(b, g, &l, swap_total);
	} while (os_cgroup_up(g));
}

static void add_place(struct report *r, const struct os_cgroup *g)
{
	char value[REPORT_PATH_MAX];

	snprintf(value, sizeof(value), "%s (version %d%s)", g->directory, g->version == OS_CGROUP_V1 ? 1 : 2,
	         g->hybrid ? ", hybrid" : "");
	if (g->exact)
		report_add(r, "cgroup", REPORT_OK, value,
		           "this process's memory counts there, and in all above it", NULL);
	else
		report_add(r, "cgroup", REPORT_NOTE, value,
		           "is the nearest that can be seen from here; this process's own is another, whose "
		           "limits are missed",
		           NULL);
}

/* "ECHO > DIRECTORY/FILE" */
static void set_command(char fix[REPORT_PATH_MAX], const char *echo, const char *directory, const char *file)
{
	char path[OS_CGROUP_PATH_MAX + 32];
	struct text t;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	text_init(&t, fix, REPORT_PATH_MAX);
	text_add(&t, "%s > ", echo);
	report_quote(&t, path);
}

/*
 * The limit that fits: an eighth of what is left stays for stacks, libraries, page tables and
 * the kernel's own, which count too.
 */
static size_t advice(const struct bounds *b)
{
	size_t most = size_min(b->headroom, b->level.high);

	return size_down(most - most / 8, MiB);
}

static bool guarded(const struct check *c)
{
	return !c->options_valid || c->conf.guard != CONF_GUARD_OFF;
}

static void add_limit(struct check *c, const struct bounds *b, enum os_cgroup_version version)
{
	char value[REPORT_PATH_MAX], size[SIZE_TEXT_MAX], fix[REPORT_PATH_MAX];

	if (b->level.limit == OS_UNLIMITED) {
		report_add(&c->report, "limit", REPORT_OK, "none",
		           "the machine's memory is the bound, as far as can be seen from here", NULL);
		return;
	}
	size_format_human(b->level.limit, size);
	snprintf(value, sizeof(value), "%s, set on %s", size, b->limit_at);
	if (c->cgroup_advice < CONF_LIMIT_MINIMUM) {
		set_command(fix, "echo 64M", b->limit_at,
		            version == OS_CGROUP_V1 ? "memory.limit_in_bytes" : "memory.max");
		report_add(&c->report, "limit", REPORT_PROBLEM, value, "leaves less than start-up needs",
		           fix);
	} else if (c->options_valid && c->conf.limit < b->box) {
		report_add(&c->report, "limit", REPORT_OK, value,
		           "the kernel kills beyond it; the limit given as an option comes first", NULL);
	} else {
		size_format(c->cgroup_advice, size);
		snprintf(fix, sizeof(fix), "sparena run --limit %s -- PROGRAM", size);
		report_add(
			&c->report, "limit", REPORT_NOTE, value,
			guarded(c) ? "the kernel kills beyond it, the guard refuses before; a limit leaves "
				     "room for what is not malloc's"
				   : "the kernel kills beyond it, unless sparena has a limit below it",
			fix);
	}
}

static void add_high(struct check *c, const struct bounds *b)
{
	char value[REPORT_PATH_MAX], size[SIZE_TEXT_MAX], fix[REPORT_PATH_MAX];

	if (b->level.high == OS_UNLIMITED) {
		report_add(&c->report, "high", REPORT_OK, "none", "the kernel does not slow the process down",
		           NULL);
		return;
	}
	size_format_human(b->level.high, size);
	snprintf(value, sizeof(value), "%s, set on %s", size, b->high_at);
	set_command(fix, "echo max", b->high_at, "memory.high");
	report_add(&c->report, "high", REPORT_NOTE, value,
	           "beyond it the kernel slows the process down: have the limit below it, or lift it", fix);
}

static void add_use(struct check *c, const struct bounds *b)
{
	char value[REPORT_PATH_MAX], used[SIZE_TEXT_MAX], file[SIZE_TEXT_MAX], room[SIZE_TEXT_MAX];
	char meaning[REPORT_TEXT_MAX];

	if (b->headroom_at[0] == '\0')
		return;
	size_format_human(b->current, used);
	size_format_human(size_min(b->file, b->current), file);
	snprintf(value, sizeof(value), "%s, %s of it file cache", used, file);
	if (b->headroom == OS_UNLIMITED) {
		report_add(&c->report, "use", REPORT_OK, value, "by all processes in it", NULL);
		return;
	}
	size_format_human(b->headroom, room);
	snprintf(meaning, sizeof(meaning), "leaves %s, since the kernel can take the cache back", room);
	report_add(&c->report, "use", b->headroom >= CONF_LIMIT_MINIMUM ? REPORT_OK : REPORT_NOTE, value,
	           meaning, NULL);
}

static void add_swap(struct check *c, const struct bounds *b)
{
	char size[SIZE_TEXT_MAX];

	if (b->level.swap_limit == 0) {
		report_add(&c->report, "swap", REPORT_OK, "not allowed", "what is backed stays in memory",
		           NULL);
		return;
	}
	size_format_human(b->level.swap_limit, size);
	report_add(&c->report, "swap", REPORT_OK, b->level.swap_limit == OS_UNLIMITED ? "allowed" : size,
	           c->probe.swap_total == 0 ? "the machine has none" : "as far as the machine has it", NULL);
}

static void add_failure(struct report *r, int error, enum os_cgroup_version version)
{
	if (error == -ENOENT)
		report_add(r, "cgroup", REPORT_OK, "none", "the machine's memory is the bound", NULL);
	else if (error == -ENODEV)
		report_add(r, "cgroup", REPORT_NOTE, version == OS_CGROUP_V1 ? "version 1" : "version 2",
		           "the hierarchy is not mounted, so its limits cannot be seen from here",
		           version == OS_CGROUP_V1
		                   ? "mkdir -p /sys/fs/cgroup/memory && mount -t cgroup -o memory cgroup "
		                     "/sys/fs/cgroup/memory"
		                   : "mount -t cgroup2 cgroup2 /sys/fs/cgroup");
	else
		report_add(r, "cgroup", REPORT_NOTE, strerror(-error),
		           "/proc/self/cgroup and /proc/self/mountinfo cannot be read, so a limit cannot be "
		           "seen",
		           "mount -t proc proc /proc");
}

void check_cgroup(struct check *c)
{
	struct os_cgroup g;
	struct bounds b;
	char value[REPORT_PATH_MAX];
	int error = os_cgroup_find(c->root, &g);

	report_group(&c->report, "cgroup");
	if (error != 0) {
		add_failure(&c->report, error, g.version);
		return;
	}
	add_place(&c->report, &g);
	read_levels(&b, &g, c->probe.swap_total);
	c->cgroup_box = b.box;
	c->cgroup_advice = advice(&b);
	add_limit(c, &b, g.version);
	if (g.version == OS_CGROUP_V2)
		add_high(c, &b);
	add_use(c, &b);
	add_swap(c, &b);
	if (b.error == 0)
		return;
	snprintf(value, sizeof(value), "%s: %s", b.broken_at, strerror(-b.error));
	report_add(&c->report, "unreadable", REPORT_NOTE, value, "a limit may be missed", NULL);
}
