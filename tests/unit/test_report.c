/* SPDX-License-Identifier: BSD-2-Clause */
/* How `sparena check` writes what it found. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/report.h"

#include <stdlib.h>
#include <string.h>

static struct report r;
static char *text;
static size_t text_length;

static void begin(bool json)
{
	free(text);
	text = NULL;
	report_begin(&r, open_memstream(&text, &text_length), json);
}

static void end(void)
{
	report_end(&r);
	fclose(r.out);
}

/* ---- how it is written -------------------------------------------------------------- */

static void test_lines(void **state)
{
	(void)state;
	begin(false);
	report_group(&r, "first");
	report_add(&r, "name", REPORT_OK, "value", "meaning", NULL);
	report_group(&r, "empty");
	report_group(&r, "second");
	report_add(&r, "other", REPORT_NOTE, "value", "meaning", "command > /a/b");
	end();
	assert_string_equal(text, "first\n"
	                          "  name           ok       value: meaning\n"
	                          "\nsecond\n"
	                          "  other          note     value: meaning\n"
	                          "                          to change it: command > /a/b\n"
	                          "\nsparena can keep its promise here.\n");
}

/* Whatever the words' lengths, no line is longer than it should be. */
static void test_wrapping(void **state)
{
	char value[200], *line;

	(void)state;
	for (size_t length = 1; length < 74; length++) {
		memset(value, 'v', sizeof(value));
		value[length] = '\0';
		begin(false);
		report_add(&r, "name", REPORT_PROBLEM, value,
		           "a bb ccc dddd eeeee ffffff ggggggg hhhhhhhh iiiiiiiii jjjjjjjjjj kkkkkkkkkkk "
		           "llllllllllll mmmmmmmmmmmmm",
		           NULL);
		end();
		assert_non_null(strstr(text, "mmmmmmmmmmmmm\n\nsparena cannot keep"));
		for (line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
			assert_true(strlen(line) <= REPORT_COLUMNS);
	}
}

static void test_control_characters(void **state)
{
	(void)state;
	begin(false);
	report_add(&r, "name", REPORT_OK, "a\033[31m\tb\177\xff\xc2\x9b\xc3\xa4", "m", "rm \033");
	end();
	assert_non_null(strstr(text, "a\\033[31m\\011b\\177\\377\\302\\233\xc3\xa4: m"));
	assert_non_null(strstr(text, "rm \\033"));
}

static const char *json_of(const char *value)
{
	static char out[256];
	char *start, *end_of;

	begin(true);
	report_add(&r, "n", REPORT_OK, value, "m", NULL);
	end();
	start = strstr(text, "\"value\": \"");
	assert_non_null(start);
	start += strlen("\"value\": \"");
	end_of = strstr(start, "\",\n");
	assert_non_null(end_of);
	snprintf(out, sizeof(out), "%.*s", (int)(end_of - start), start);
	return out;
}

static void test_json_strings(void **state)
{
	(void)state;
	assert_string_equal(json_of("a\"b\\c/"), "a\\\"b\\\\c/");
	assert_string_equal(json_of("\1\n\t\033\177"), "\\u0001\\u000a\\u0009\\u001b\\u007f");
	/* UTF-8 of one to four bytes, at both ends of each range. */
	assert_string_equal(json_of("\xc2\x80\xdf\xbf"), "\xc2\x80\xdf\xbf");
	assert_string_equal(json_of("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"),
	                    "\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf");
	assert_string_equal(json_of("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"), "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
	/* Alone, cut, too long, a surrogate, beyond the last. */
	assert_string_equal(json_of("\x80x\xff"), "\\ufffdx\\ufffd");
	assert_string_equal(json_of("\xc3"), "\\ufffd");
	assert_string_equal(json_of("\xe2\x82x"), "\\ufffd\\ufffdx");
	assert_string_equal(json_of("\xc0\x80\xc1\xbf"), "\\ufffd\\ufffd\\ufffd\\ufffd");
	assert_string_equal(json_of("\xe0\x9f\xbf"), "\\ufffd\\ufffd\\ufffd");
	assert_string_equal(json_of("\xf0\x8f\xbf\xbf"), "\\ufffd\\ufffd\\ufffd\\ufffd");
	assert_string_equal(json_of("\xed\xa0\x80"), "\\ufffd\\ufffd\\ufffd");
	assert_string_equal(json_of("\xf4\x90\x80\x80"), "\\ufffd\\ufffd\\ufffd\\ufffd");
	assert_string_equal(json_of("\xf5\x80\x80\x80"), "\\ufffd\\ufffd\\ufffd\\ufffd");
}

static void test_json(void **state)
{
	(void)state;
	begin(true);
	end();
	assert_string_equal(text, "{\"version\": 1,\n \"findings\": [\n ],\n \"problems\": 0}\n");
	begin(true);
	report_group(&r, "g");
	report_add(&r, "a", REPORT_PROBLEM, "v", "m", "f");
	report_add(&r, "b", REPORT_OK, "v", "m", NULL);
	end();
	assert_string_equal(
		text, "{\"version\": 1,\n \"findings\": [\n"
		      "  {\"group\": \"g\", \"name\": \"a\", \"state\": \"problem\", \"value\": \"v\",\n"
		      "   \"meaning\": \"m\",\n   \"fix\": \"f\"},\n"
		      "  {\"group\": \"g\", \"name\": \"b\", \"state\": \"ok\", \"value\": \"v\",\n"
		      "   \"meaning\": \"m\",\n   \"fix\": null}\n"
		      " ],\n \"problems\": 1}\n");
}

static void quoted_is(const char *word, const char *expected)
{
	char buffer[64];
	struct text t;

	text_init(&t, buffer, sizeof(buffer));
	report_quote(&t, word);
	assert_string_equal(buffer, expected);
}

static void test_quoting(void **state)
{
	(void)state;
	quoted_is("/sys/fs/cgroup/a-b_c.d@1:2/memory.max", "/sys/fs/cgroup/a-b_c.d@1:2/memory.max");
	quoted_is("", "''");
	quoted_is("/a b", "'/a b'");
	quoted_is("/a'b", "'/a'\\''b'");
	quoted_is("/$(rm -r x)\\;", "'/$(rm -r x)\\;'");
	quoted_is("~", "'~'");
}

static int free_text(void **state)
{
	(void)state;
	free(text);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_wrapping),
		cmocka_unit_test(test_control_characters),
		cmocka_unit_test(test_json_strings),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_quoting),
	};

	return cmocka_run_group_tests(tests, NULL, free_text);
}
