/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/base.h"
#include "os/os.h"
#include "stats/stats.h"
#include "stats/table.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Twice what the longest format takes; a test writes the widest values. */
#define OUTPUT_MAX 8192
#define PATH_LENGTH_MAX 4096

enum unit { UNIT_bytes, UNIT_count, UNIT_ns, UNIT_text };

struct row {
	const char *name;
	const char *help;
	enum unit unit;
};

#define ROW(member, unit, help) {#member, help, UNIT_##unit},
#define INDEX(member, unit, help) INDEX_##member,
#define SAME_ORDER(member, unit, help)                                                              \
	_Static_assert(offsetof(struct sparena_stats, member) == sizeof(uint64_t) * INDEX_##member, \
	               "stats/table.h and sparena/stats.h have different orders");

static const struct row rows[] = {STATS_TABLE(ROW)};

enum { STATS_TABLE(INDEX) ROW_COUNT };
STATS_TABLE(SAME_ORDER)
_Static_assert(sizeof(struct sparena_stats) == sizeof(uint64_t) * ROW_COUNT,
               "a member of struct sparena_stats has no row in stats/table.h");

static uint64_t value_of(const struct sparena_stats *s, size_t i)
{
	uint64_t value;

	memcpy(&value, (const char *)s + i * sizeof(value), sizeof(value));
	return value;
}

/* Only a limit can be none. */
static bool is_none(size_t i, uint64_t value)
{
	return i == INDEX_limit && value == UINT64_MAX;
}

static const char *backing_name(uint64_t value)
{
	static const char *const names[] = {"anon", "hugetlb", "memfd", "memfd-hugetlb", "file"};

	return value < sizeof(names) / sizeof(names[0]) ? names[value] : "unknown";
}

static void add_time(struct text *t, uint64_t ns)
{
	if (ns >= UINT64_C(1000000000))
		text_add(t, "  %" PRIu64 ".%03" PRIu64 " s", ns / 1000000000, ns / 1000000 % 1000);
	else
		text_add(t, "  %" PRIu64 ".%03" PRIu64 " ms", ns / 1000000, ns / 1000 % 1000);
}

static void add_text(struct text *t, size_t i, uint64_t value)
{
	char human[SIZE_TEXT_MAX];

	text_add(t, "  %-16s ", rows[i].name);
	if (rows[i].unit == UNIT_text) {
		text_add(t, "%20s\n", backing_name(value));
		return;
	}
	if (is_none(i, value)) {
		text_add(t, "%20s\n", "none");
		return;
	}
	text_add(t, "%20" PRIu64, value);
	if (rows[i].unit == UNIT_ns) {
		add_time(t, value);
	} else if (rows[i].unit == UNIT_bytes && value >= KiB) {
		size_format_human(value, human);
		text_add(t, "  %s", human);
	}
	text_add(t, "\n");
}

static void add_json(struct text *t, size_t i, uint64_t value)
{
	text_add(t, "%s\n  \"%s\": ", i == 0 ? "" : ",", rows[i].name);
	if (rows[i].unit == UNIT_text)
		text_add(t, "\"%s\"", backing_name(value));
	else if (is_none(i, value))
		text_add(t, "null");
	else
		text_add(t, "%" PRIu64, value);
}

static void add_prometheus(struct text *t, size_t i, uint64_t value)
{
	const char *name = rows[i].name;
	bool grows = rows[i].unit == UNIT_count || rows[i].unit == UNIT_ns;

	text_add(t, "# HELP sparena_%s %s\n", name, rows[i].help);
	text_add(t, "# TYPE sparena_%s %s\n", name, grows ? "counter" : "gauge");
	if (rows[i].unit == UNIT_text)
		text_add(t, "sparena_%s{%s=\"%s\"} 1\n", name, name, backing_name(value));
	else if (is_none(i, value))
		text_add(t, "sparena_%s +Inf\n", name);
	else
		text_add(t, "sparena_%s %" PRIu64 "\n", name, value);
}

struct format {
	const char *name;
	const char *before;
	void (*add)(struct text *t, size_t i, uint64_t value);
	const char *after;
};

static const struct format formats[] = {
	{"text", "sparena statistics\n", add_text, ""},
	{"json", "{", add_json, "\n}\n"},
	{"prometheus", "", add_prometheus, ""},
};

static int write_as(const struct sparena_stats *s, const struct format *f, struct text *t)
{
	text_add(t, "%s", f->before);
	for (size_t i = 0; i < ROW_COUNT; i++)
		f->add(t, i, value_of(s, i));
	text_add(t, "%s", f->after);
	return t->cut ? -EOVERFLOW : 0;
}

int stats_write(const struct sparena_stats *s, int fd, const char *format)
{
	char output[OUTPUT_MAX];
	struct text t;
	int r;

	text_init(&t, output, sizeof(output));
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (format == NULL || strcmp(format, formats[i].name) != 0)
			continue;
		r = write_as(s, &formats[i], &t);
		return r != 0 ? r : os_write_all(fd, t.data, t.length);
	}
	return -EINVAL;
}

/* The path with %p and %% replaced. */
static int expand(const char *path, struct text *t)
{
	for (; *path != '\0'; path++) {
		if (path[0] == '%' && path[1] == 'p')
			text_add(t, "%d", os_pid());
		else
			text_add(t, "%c", path[0]);
		if (path[0] == '%' && (path[1] == 'p' || path[1] == '%'))
			path++;
	}
	return t->cut ? -ENAMETOOLONG : 0;
}

int stats_write_file(const struct sparena_stats *s, const char *path)
{
	char output[OUTPUT_MAX], expanded[PATH_LENGTH_MAX];
	struct text t, file;
	int r;

	text_init(&file, expanded, sizeof(expanded));
	r = expand(path, &file);
	if (r != 0)
		return r;
	text_init(&t, output, sizeof(output));
	r = write_as(s, &formats[1], &t);
	return r != 0 ? r : os_write_file(file.data, t.data, t.length);
}
