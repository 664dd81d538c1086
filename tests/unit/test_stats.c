/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stats/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The names as documented, independently of the table. */
static const char *const names[] = {
	"limit",         "committed",        "committed_peak", "resident",  "metadata",    "reserved",
	"allocated",     "exhausted",        "commits",        "decommits", "populate_ns", "faults_avoided",
	"foreign_frees", "uncached_threads", "backing",        "page_size", "granule",
	"guarded",       "helper_lost",      "lazy",           "swapped",   "broken",      "merged",
};

#define NAME_COUNT (sizeof(names) / sizeof(names[0]))

static char output[65536];

/* What stats_write() writes, in output. */
static int write_as(const struct sparena_stats *s, const char *format)
{
	int fd = memfd_create("stats", 0);
	int r = stats_write(s, fd, format);
	ssize_t n = pread(fd, output, sizeof(output) - 1, 0);

	close(fd);
	assert_true(n >= 0);
	output[n] = '\0';
	return r;
}

/* Member i is 1000 + i, but for the backing. */
static struct sparena_stats sample(void)
{
	struct sparena_stats s;
	uint64_t values[NAME_COUNT];

	assert_int_equal(sizeof(s), sizeof(values));
	for (size_t i = 0; i < NAME_COUNT; i++)
		values[i] = 1000 + i;
	memcpy(&s, values, sizeof(s));
	s.backing = 0;
	return s;
}

static bool has(const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	return strstr(output, line) != NULL;
}

static void test_json(void **state)
{
	struct sparena_stats s = sample();

	(void)state;
	assert_int_equal(write_as(&s, "json"), 0);
	assert_int_equal(strncmp(output, "{\n  \"limit\": 1000,\n  \"committed\": 1001,\n", 37), 0);
	for (size_t i = 0; i < NAME_COUNT; i++) {
		const char *end = i + 1 == NAME_COUNT ? "\n}\n" : ",\n";

		if (strcmp(names[i], "backing") == 0)
			assert_true(has("\n  \"backing\": \"anon\"%s", end));
		else
			assert_true(has("\n  \"%s\": %zu%s", names[i], 1000 + i, end));
	}
	s.limit = UINT64_MAX;
	s.resident = UINT64_MAX;
	assert_int_equal(write_as(&s, "json"), 0);
	assert_true(has("\"limit\": null,"));
	assert_true(has("\"resident\": 18446744073709551615,"));
}

static void test_prometheus(void **state)
{
	struct sparena_stats s = sample();

	(void)state;
	assert_int_equal(write_as(&s, "prometheus"), 0);
	for (size_t i = 0; i < NAME_COUNT; i++) {
		assert_true(has("# HELP sparena_%s ", names[i]));
		assert_true(has("# TYPE sparena_%s ", names[i]));
		if (strcmp(names[i], "backing") != 0)
			assert_true(has("\nsparena_%s %zu\n", names[i], 1000 + i));
	}
	assert_true(has("\nsparena_backing{backing=\"anon\"} 1\n"));
	assert_true(has("# TYPE sparena_committed gauge\n"));
	assert_true(has("# TYPE sparena_exhausted counter\n"));
	assert_true(has("# TYPE sparena_populate_ns counter\n"));
	s.limit = UINT64_MAX;
	assert_int_equal(write_as(&s, "prometheus"), 0);
	assert_true(has("\nsparena_limit +Inf\n"));
}

static void test_text(void **state)
{
	struct sparena_stats s = sample();

	(void)state;
	s.committed = 64 << 20;
	s.populate_ns = 12345678;
	assert_int_equal(write_as(&s, "text"), 0);
	assert_true(has("  limit                            1000\n"));
	assert_true(has("  committed                    67108864  64 MiB\n"));
	assert_true(has("  populate_ns                  12345678  12.345 ms\n"));
	assert_true(has("  commits                          1008\n"));
	assert_true(has("  backing                          anon\n"));
	s.limit = UINT64_MAX;
	s.populate_ns = UINT64_C(61002000000);
	assert_int_equal(write_as(&s, "text"), 0);
	assert_true(has("  limit                            none\n"));
	assert_true(has("  61.002 s\n"));
	for (size_t i = 0; i < NAME_COUNT; i++)
		assert_true(has("\n  %s ", names[i]));
}

/* The widest values still fit. */
static void test_widest(void **state)
{
	static const char *const formats[] = {"text", "json", "prometheus"};
	struct sparena_stats s;

	(void)state;
	memset(&s, 0xfe, sizeof(s));
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(write_as(&s, formats[i]), 0);
		assert_true(has("granule"));
		assert_true(has("unknown"));
	}
}

static void test_refuses(void **state)
{
	struct sparena_stats s = sample();

	(void)state;
	assert_int_equal(write_as(&s, "xml"), -EINVAL);
	assert_string_equal(output, "");
	assert_int_equal(write_as(&s, ""), -EINVAL);
	assert_int_equal(write_as(&s, NULL), -EINVAL);
	assert_int_equal(stats_write(&s, -1, "json"), -EBADF);
}

static void test_file(void **state)
{
	char directory[] = "/tmp/sparena-test-XXXXXX";
	struct sparena_stats s = sample();
	char path[128], expected[128], text[4096];
	ssize_t n;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/%%p-%%%%-%%x%%", directory);
	snprintf(expected, sizeof(expected), "%s/%d-%%-%%x%%", directory, getpid());
	assert_int_equal(stats_write_file(&s, path), 0);
	fd = open(expected, O_RDONLY);
	assert_true(fd >= 0);
	n = read(fd, text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	close(fd);
	assert_int_equal(write_as(&s, "json"), 0);
	assert_string_equal(text, output);
	unlink(expected);
	rmdir(directory);
	assert_int_equal(stats_write_file(&s, path), -ENOENT);
	memset(output, 'x', 5000);
	output[5000] = '\0';
	assert_int_equal(stats_write_file(&s, output), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),   cmocka_unit_test(test_prometheus), cmocka_unit_test(test_text),
		cmocka_unit_test(test_widest), cmocka_unit_test(test_refuses),    cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
