/* SPDX-License-Identifier: BSD-2-Clause */
/* sparena bench pageout: what needs no swap. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/bench_pageout.h"
#include "cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static char said[2048]; /* the last message */

void cli_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(said, sizeof(said), format, args);
	va_end(args);
}

int cli_usage(const char *command)
{
	assert_string_equal(command, "sparena bench pageout");
	return CLI_USAGE;
}

int cli_finish(int code)
{
	return code;
}

/* Nothing is printed here. */
void pageout_print_text(const struct pageout *b)
{
	(void)b;
}

void pageout_print_json(const struct pageout *b)
{
	(void)b;
}

void pageout_print_csv(const struct pageout *b)
{
	(void)b;
}

/* ---- options -------------------------------------------------------------------- */

static struct pageout_options options;

/* What the options make of it: -1, or the exit code. */
static int read_options(const char *one, const char *two)
{
	char name[] = "sparena bench pageout", a[64], b[64];
	char *argv[] = {name, a, b, NULL};

	snprintf(a, sizeof(a), "%s", one == NULL ? "" : one);
	snprintf(b, sizeof(b), "%s", two == NULL ? "" : two);
	argv[1] = one == NULL ? NULL : a;
	argv[2] = two == NULL ? NULL : b;
	optind = 0;
	said[0] = '\0';
	return pageout_read_options(&options, 1 + (one != NULL) + (two != NULL), argv);
}

static void test_defaults(void **state)
{
	(void)state;
	assert_int_equal(read_options(NULL, NULL), -1);
	assert_int_equal(options.common.sizes[0], 256 * MiB);
	assert_int_equal(options.common.size_count, 1);
	assert_int_equal(options.common.rounds, 10);
	assert_int_equal(options.common.format, BENCH_TEXT);
	assert_int_equal(options.data, 1u << PAGEOUT_ZERO | 1u << PAGEOUT_HALF);
	assert_int_equal(options.swap, PAGEOUT_AUTO);
	assert_string_equal(options.directory, "/var/tmp");
}

static void test_options(void **state)
{
	(void)state;
	assert_int_equal(read_options("--size=16M", "-r7"), -1);
	assert_int_equal(options.common.sizes[0], 16 * MiB);
	assert_int_equal(options.common.rounds, 7);
	assert_int_equal(read_options("--data=random,zero", "--json"), -1);
	assert_int_equal(options.data, 1u << PAGEOUT_RANDOM | 1u << PAGEOUT_ZERO);
	assert_int_equal(options.common.format, BENCH_JSON);
	assert_int_equal(read_options("-c", "--progress"), -1);
	assert_int_equal(options.common.format, BENCH_CSV);
	assert_true(options.common.progress);
	assert_int_equal(read_options("--swap=zram", NULL), -1);
	assert_int_equal(options.swap, PAGEOUT_ZRAM);
	assert_int_equal(read_options("--swap=system", NULL), -1);
	assert_int_equal(options.swap, PAGEOUT_SYSTEM);
	assert_int_equal(read_options("-Sfile", NULL), -1);
	assert_int_equal(options.swap, PAGEOUT_FILE);
	assert_string_equal(options.directory, "/var/tmp");
	assert_int_equal(read_options("--swap=file:/a:b", NULL), -1);
	assert_int_equal(options.swap, PAGEOUT_FILE);
}

static void refused(const char *option, const char *message)
{
	assert_int_equal(read_options(option, NULL), CLI_USAGE);
	if (strstr(said, message) == NULL)
		fail_msg("%s: \"%s\"", option, said);
}

static void test_wrong_options(void **state)
{
	(void)state;
	refused("--size=2M,4M", "one size, and not a list");
	refused("--size=5000", "no multiple of the page");
	refused("--rounds=0", "'0' is not a number from 1 to 1000");
	refused("--swap=zswap", "--swap: unknown 'zswap': there are auto, system, zram, file[:DIR]");
	refused("--swap=files/tmp", "--swap: unknown 'files/tmp'");
	refused("--swap=file:", "--swap: unknown 'file:'");
	refused("256M", "unexpected argument '256M'");
}

/* ---- data ------------------------------------------------------------------------- */

static bool is_zero(const char *p, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (p[i] != 0)
			return false;
	return true;
}

static unsigned zeros_in(const char *p, size_t length)
{
	unsigned count = 0;

	for (size_t i = 0; i < length; i++)
		count += p[i] == 0;
	return count;
}

static void test_patterns(void **state)
{
	char *pattern = bench_allocate(1, PAGEOUT_PATTERN);

	(void)state;
	memset(pattern, 7, PAGEOUT_PATTERN);
	pageout_make_pattern(pattern, 4096, PAGEOUT_ZERO);
	assert_true(is_zero(pattern, PAGEOUT_PATTERN));
	pageout_make_pattern(pattern, 4096, PAGEOUT_HALF);
	for (size_t at = 0; at < PAGEOUT_PATTERN; at += 4096) {
		assert_true(is_zero(pattern + at + 2048, 2048));
		assert_in_range(zeros_in(pattern + at, 2048), 0, 40); /* 8 are to be expected */
	}
	pageout_make_pattern(pattern, 4096, PAGEOUT_RANDOM);
	for (size_t at = 0; at < PAGEOUT_PATTERN; at += 4096)
		assert_in_range(zeros_in(pattern + at, 4096), 0, 60);
	free(pattern);
}

/* No page is like another, or the kernel could do with one for both. */
static void test_pages_differ(void **state)
{
	size_t round = PAGEOUT_PATTERN / 4096;
	char *pattern = bench_allocate(1, PAGEOUT_PATTERN), one[4096], two[4096];

	(void)state;
	pageout_make_pattern(pattern, 4096, PAGEOUT_HALF);
	pageout_fill_page(one, pattern, 4096, 3);
	pageout_fill_page(two, pattern, 4096, 3 + round);
	assert_memory_equal(one + 8, two + 8, 4096 - 8);
	assert_memory_not_equal(one, two, 8);
	pageout_fill_page(two, pattern, 4096, 4);
	assert_memory_not_equal(one + 8, two + 8, 2040);
	free(pattern);
}

/* ---- folios ------------------------------------------------------------------------ */

static void test_folios(void **state)
{
	struct pageout_folios f = {.may_set = true};
	struct bench_notes notes = {0};

	(void)state;
	assert_string_equal(pageout_folios_word(64 * KiB, 64 * KiB), "madvise");
	assert_string_equal(pageout_folios_word(2 * MiB, 64 * KiB), "never");
	assert_null(pageout_folios_refuse(&f, os_page_size(), &notes));
	assert_string_equal(pageout_folios_refuse(&f, 64 * KiB, &notes),
	                    "the kernel makes no folios of that size");
	f.sizes = UINT64_C(1) << 16;
	assert_null(pageout_folios_refuse(&f, 64 * KiB, &notes));
	f.sizes = UINT64_C(1) << 11; /* no kernel has that, so that it is set to no word */
	f.may_set = false;
	assert_non_null(strstr(pageout_folios_refuse(&f, 2 * KiB, &notes), "hugepages-2kB/enabled"));
	bench_notes_free(&notes);
}

/* ---- swap --------------------------------------------------------------------------- */

static void test_free_swap(void **state)
{
	const struct os_swap areas[] = {{.size = 64 * MiB, .used = 60 * MiB},
	                                {.size = MiB, .used = MiB},
	                                {.size = MiB, .used = 2 * MiB},
	                                {.size = 8 * MiB}};

	(void)state;
	assert_int_equal(pageout_free(areas, 4), 12 * MiB);
	assert_int_equal(pageout_free(areas, 0), 0);
}

/* ---- cases and figures ---------------------------------------------------------------- */

static struct pageout bench;

static int list_cases(void **state)
{
	(void)state;
	read_options("--data=zero,half", "-r2");
	bench = (struct pageout){.options = &options, .size = MiB};
	bench.folios.may_set = true;
	bench.folios.sizes = UINT64_C(1) << 16 | UINT64_C(1) << 21;
	pageout_list_cases(&bench);
	return 0;
}

static int free_cases(void **state)
{
	(void)state;
	for (unsigned i = 0; i < bench.case_count; i++)
		free(bench.cases[i].ns);
	bench_notes_free(&bench.notes);
	return 0;
}

static void test_cases(void **state)
{
	const struct pageout_case *c = bench.cases;

	(void)state;
	assert_int_equal(bench.case_count, 2 * (3 + 4));
	assert_true(c[0].folio == 4 * KiB && c[0].data == PAGEOUT_ZERO && c[0].way == PAGEOUT_WAYS);
	assert_true(c[1].folio == 64 * KiB && c[1].why == NULL);
	assert_string_equal(c[2].why, "it is less than one of them");
	assert_true(c[3].folio == 4 * KiB && c[3].data == PAGEOUT_HALF);
	assert_true(c[6].way == PAGEOUT_TOUCH && c[6].data == PAGEOUT_ZERO && c[6].folio == 4 * KiB);
	assert_true(c[13].way == PAGEOUT_WILL_READ && c[13].data == PAGEOUT_HALF);
}

static void measured(unsigned i, uint64_t one, uint64_t two)
{
	bench.cases[i].ns[0] = one;
	bench.cases[i].ns[1] = two;
	bench.cases[i].rounds = 2;
}

static void test_ratio(void **state)
{
	(void)state;
	assert_true(isnan(pageout_ratio(&bench, &bench.cases[7])));
	measured(6, 100, 300);
	measured(7, 50, 50);
	measured(11, 40, 40);
	assert_true(pageout_ratio(&bench, &bench.cases[6]) == 1);
	assert_true(pageout_ratio(&bench, &bench.cases[7]) == 0.25);
	assert_true(isnan(pageout_ratio(&bench, &bench.cases[11]))); /* of other data */
	bench.cases[6].why = "it failed";
	assert_true(isnan(pageout_ratio(&bench, &bench.cases[7])));
}

/* Only what went out counts. */
static void test_rate(void **state)
{
	(void)state;
	assert_true(isnan(pageout_rate(&bench, &bench.cases[0])));
	assert_true(isnan(pageout_share(&bench.cases[0], 0)));
	measured(0, 1000000000 / 1024, 1000000000 / 1024);
	assert_true(isnan(pageout_rate(&bench, &bench.cases[0])));
	bench.cases[0].out = 1.5; /* of two rounds */
	assert_true(pageout_share(&bench.cases[0], bench.cases[0].out) == 0.75);
	assert_true(fabs(pageout_rate(&bench, &bench.cases[0]) - 0.75) < 1e-5);
}

static void test_own_share(void **state)
{
	(void)state;
	measured(0, 1, 1);
	measured(3, 1, 1);
	bench.cases[0].own = 2;
	bench.cases[3].own = 1;
	assert_true(isnan(pageout_own_share(&bench))); /* the system's */
	bench.swap.own = true;
	assert_true(pageout_own_share(&bench) == 0.75);
}

/* ---- signals ------------------------------------------------------------------------------ */

static void nothing(void) {}

/* One that is ignored stays so; another is noted, and comes once all is undone. */
static unsigned came;

static void count(int number)
{
	came += number == SIGTERM;
}

static void test_signals(void **state)
{
	(void)state;
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, count);
	pageout_hold_signals(nothing);
	raise(SIGHUP);
	assert_false(pageout_interrupted());
	raise(SIGTERM);
	assert_true(pageout_interrupted());
	assert_int_equal(came, 0);
	pageout_release_signals();
	assert_int_equal(came, 1);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
}

#define WITH_CASES(name) cmocka_unit_test_setup_teardown(name, list_cases, free_cases)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_wrong_options),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_pages_differ),
		cmocka_unit_test(test_folios),
		cmocka_unit_test(test_free_swap),
		WITH_CASES(test_cases),
		WITH_CASES(test_ratio),
		WITH_CASES(test_rate),
		WITH_CASES(test_own_share),
		cmocka_unit_test(test_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
