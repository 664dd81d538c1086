/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check --semantics: how a trial's end is told, on planted rows; and that every row can fail:
 * here calls lie about what they do, and each row must notice one of the lies.
 * `test_semantics --rows` prints the tables as lines of Markdown, for tests/meta/test_semantics.sh.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/semantics.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The command's, in a file that is not linked here. */
int cli_finish(int code);
int cli_finish(int code)
{
	return code;
}

/* ---- calls that lie ------------------------------------------------------------------ */

static enum lie {
	TRUTH,
	IDLE,        /* nothing is done, and success said */
	READ_WRITES, /* populating for reading is for writing, or the other way round */
	WRITE_READS,
	WRITE_ZEROES,   /* populating loses what is there */
	OTHER_ERROR,    /* of what fails */
	GIVES_BACK,     /* what was populated before a failure */
	WILLNEED_READS, /* and maps */
	WILLNEED_FAILS,
	PAGEOUT_LOSES,
	DONTNEED_FREES,
	LIES,
} lie;

#define LYING(call)                                 \
	int __real_##call(void *addr, size_t size); \
	int __wrap_##call(void *addr, size_t size)
LYING(os_populate);
LYING(os_populate_read);
LYING(os_advise_willneed);
LYING(os_advise_pageout);
LYING(os_advise_dontneed);
LYING(os_remove);
int __real_os_punch(int fd, size_t offset, size_t length);
int __wrap_os_punch(int fd, size_t offset, size_t length);
int __real_usleep(unsigned us);
int __wrap_usleep(unsigned us);

static int after(int r, void *addr, size_t size)
{
	if (r != 0 && lie == OTHER_ERROR)
		return -EIO;
	if (r != 0 && lie == GIVES_BACK && __real_os_remove(addr, size) != 0)
		__real_os_advise_dontneed(addr, size);
	return r;
}

int __wrap_os_populate(void *addr, size_t size)
{
	if (lie == IDLE)
		return 0;
	if (lie == WRITE_READS)
		return __real_os_populate_read(addr, size);
	if (lie == WRITE_ZEROES)
		memset(addr, 0, size);
	return after(__real_os_populate(addr, size), addr, size);
}

int __wrap_os_populate_read(void *addr, size_t size)
{
	if (lie == IDLE)
		return 0;
	if (lie == READ_WRITES)
		return __real_os_populate(addr, size);
	return after(__real_os_populate_read(addr, size), addr, size);
}

int __wrap_os_advise_willneed(void *addr, size_t size)
{
	if (lie == WILLNEED_READS)
		return __real_os_populate_read(addr, size) == 0 ? 0 : -EFAULT;
	return lie == IDLE ? 0 : lie == WILLNEED_FAILS ? -EIO : __real_os_advise_willneed(addr, size);
}

int __wrap_os_advise_pageout(void *addr, size_t size)
{
	int r = lie == IDLE ? 0 : __real_os_advise_pageout(addr, size);

	if (lie == PAGEOUT_LOSES && __real_os_remove(addr, size) != 0)
		__real_os_advise_dontneed(addr, size);
	return r;
}

int __wrap_os_advise_dontneed(void *addr, size_t size)
{
	if (lie == DONTNEED_FREES && __real_os_remove(addr, size) == 0)
		return 0;
	return lie == IDLE ? 0 : __real_os_advise_dontneed(addr, size);
}

int __wrap_os_remove(void *addr, size_t size)
{
	return lie == IDLE ? 0 : __real_os_remove(addr, size);
}

int __wrap_os_punch(int fd, size_t offset, size_t length)
{
	return lie == IDLE ? 0 : __real_os_punch(fd, offset, length);
}

/* Who lies is not waited for. */
int __wrap_usleep(unsigned us)
{
	return lie == TRUTH ? __real_usleep(us) : 0;
}

/* ---- one row -------------------------------------------------------------------------- */

static char *text;
static size_t text_length;

static enum semantics_outcome outcome_of(const struct semantics_row *row, bool json)
{
	struct semantics_group g = {"group", "call", row, 1};
	struct semantics_count count = {0};
	struct report r;

	free(text);
	text = NULL;
	report_begin(&r, open_memstream(&text, &text_length), json);
	semantics_try(&g, &r, &count);
	report_end(&r);
	fclose(r.out);
	for (int i = 0; i <= SEMANTICS_NOT_TRIED; i++)
		if (count.of[i] != 0) {
			assert_int_equal(count.of[i], 1);
			assert_int_equal(r.problems, i == SEMANTICS_DIFFERS);
			return (enum semantics_outcome)i;
		}
	return SEMANTICS_DIED;
}

/* As one line, wherever it was broken. */
static void join_lines(char *p)
{
	char *to = p;

	for (; *p != '\0'; p++) {
		bool broken = *p == '\n';

		*to++ = broken ? ' ' : *p;
		if (broken)
			p += strspn(p, "\n ") - 1;
	}
	*to = '\0';
}

static void says(void (*try)(struct trial *t), enum semantics_outcome outcome, const char *expected)
{
	struct semantics_row row = {"row", "it is so", "a page", "shown", try};

	assert_int_equal(outcome_of(&row, false), outcome);
	join_lines(text);
	if (strstr(text, expected) == NULL)
		fail_msg("not \"%s\" but \"%s\"", expected, text);
}

static void is_so(struct trial *t)
{
	trial_result(t, "a call", -EINVAL, -EINVAL);
	trial_number(t, "resident", 3, 3);
	trial_bytes(t, "memory", "ccc", 3, 'c');
}

static void other_result(struct trial *t)
{
	trial_result(t, "a call", 0, -EINVAL);
}

static void other_number(struct trial *t)
{
	trial_number(t, "resident", 3, 4);
}

static void other_byte(struct trial *t)
{
	trial_bytes(t, "memory", "ccdc", 4, 'c');
}

static void killed(struct trial *t)
{
	(void)t;
	raise(SIGKILL);
}

static void leaves(struct trial *t)
{
	(void)t;
	os_exit(0);
}

static void not_needed(struct trial *t)
{
	trial_need(t, "this", 0);
	trial_need(t, "that", -ENOSYS);
}

static void too_long(struct trial *t)
{
	(void)t;
	alarm(1);
	for (;;)
		pause();
}

static void ends_are_told(void **state)
{
	(void)state;
	says(is_so, SEMANTICS_AS_DOCUMENTED, "ok       as documented: it is so (a page)");
	says(other_result, SEMANTICS_DIFFERS,
	     "problem  differs: a call: success, not: Invalid argument; documented is: it is so "
	     "(a page)");
	says(other_number, SEMANTICS_DIFFERS,
	     "problem  differs: resident: 3, not 4; documented is: it is so (a page)");
	says(other_byte, SEMANTICS_DIFFERS,
	     "problem  differs: memory: byte 2 is 100, not 99; documented is: it is so (a page)");
	says(killed, SEMANTICS_DIFFERS,
	     "problem  differs: the process was ended by: Killed; documented is: it is so (a page)");
	says(leaves, SEMANTICS_DIFFERS,
	     "problem  differs: the process ended by itself; documented is: it is so (a page)");
	says(not_needed, SEMANTICS_NOT_TRIED, "note     not tried: that: Function not implemented");
	says(too_long, SEMANTICS_NOT_TRIED, "note     not tried: it takes too long here");
}

static void ends_are_told_as_json(void **state)
{
	struct semantics_row row = {"row", "it is so", "a page", "shown", other_number};

	(void)state;
	outcome_of(&row, true);
	assert_non_null(strstr(text, "\"name\": \"row\", \"state\": \"problem\", \"value\": \"differs\""));
	assert_non_null(strstr(text, "\"problems\": 1}"));
}

/* ---- all rows --------------------------------------------------------------------------- */

static void rows_are_well_formed(void **state)
{
	(void)state;
	for (size_t g = 0; g < SEMANTICS_GROUPS; g++)
		for (size_t i = 0; i < semantics_groups[g]->count; i++) {
			const struct semantics_row *row = &semantics_groups[g]->rows[i];

			assert_true(strlen(row->name) <= 14);
			assert_null(strpbrk(row->behaviour, "|\n"));
			assert_null(strpbrk(row->shown, "|\n"));
			for (size_t j = 0; j < i; j++)
				assert_string_not_equal(row->name, semantics_groups[g]->rows[j].name);
		}
}

/* The row must notice some lie. */
static bool can_fail(const struct semantics_row *row)
{
	bool noticed = false;

	for (lie = IDLE; lie < LIES && !noticed; lie++)
		noticed = outcome_of(row, false) == SEMANTICS_DIFFERS;
	lie = TRUTH;
	return noticed;
}

static void every_row_can_fail(void **state)
{
	size_t tried = 0, wrong = 0;

	(void)state;
	for (size_t g = 0; g < SEMANTICS_GROUPS; g++)
		for (size_t i = 0; i < semantics_groups[g]->count; i++) {
			const struct semantics_row *row = &semantics_groups[g]->rows[i];
			enum semantics_outcome outcome = outcome_of(row, false);

			tried += outcome != SEMANTICS_NOT_TRIED;
			if (outcome != SEMANTICS_AS_DOCUMENTED)
				print_message("%s.%s: %s", semantics_groups[g]->name, row->name, text);
			if (outcome == SEMANTICS_DIFFERS ||
			    (outcome == SEMANTICS_AS_DOCUMENTED && !can_fail(row))) {
				print_message("%s.%s: differs, or cannot fail\n", semantics_groups[g]->name,
				              row->name);
				wrong++;
			}
		}
	print_message("%zu rows were tried\n", tried);
	assert_int_equal(wrong, 0);
	assert_true(tried > 20);
}

/* ---- for people --------------------------------------------------------------------------- */

static int print_rows(void)
{
	for (size_t g = 0; g < SEMANTICS_GROUPS; g++) {
		const struct semantics_group *group = semantics_groups[g];

		printf("## %s\n", group->call);
		for (size_t i = 0; i < group->count; i++)
			printf("| `%s.%s` | %s | %s | %s |\n", group->name, group->rows[i].name,
			       group->rows[i].behaviour, group->rows[i].source, group->rows[i].shown);
	}
	return fflush(stdout) == 0 ? 0 : 1;
}

static int free_text(void **state)
{
	(void)state;
	free(text);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_are_told),
		cmocka_unit_test(ends_are_told_as_json),
		cmocka_unit_test(rows_are_well_formed),
		cmocka_unit_test(every_row_can_fail),
	};

	if (argc == 2 && strcmp(argv[1], "--rows") == 0)
		return print_rows();
	return cmocka_run_group_tests(tests, NULL, free_text);
}
