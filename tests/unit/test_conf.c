/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"
#include "conf/about.h"
#include "conf/conf.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define TOTAL (10 * GiB)
#define PROCESS CONF_SCOPE_PROCESS
#define REGION CONF_SCOPE_REGION
#define HEAP CONF_SCOPE_HEAP

static struct conf c;
static char error[CONF_ERROR_MAX];

static int parse(const char *text, unsigned scope)
{
	conf_default(&c);
	return conf_parse(&c, text, scope, TOTAL, error);
}

/* Parses text that is right. */
static const struct conf *good(const char *text, unsigned scope)
{
	if (parse(text, scope) != 0)
		fail_msg("\"%s\": %s", text, error);
	assert_string_equal(error, "");
	return &c;
}

/* Parses text that is wrong, for which the message must be this one. */
static void bad(const char *text, unsigned scope, const char *message)
{
	assert_int_equal(parse(text, scope), -EINVAL);
	assert_string_equal(error, message);
}

/* ---- the table --------------------------------------------------------------- */

static void test_default(void **state)
{
	(void)state;
	memset(&c, 0xff, sizeof(c));
	conf_default(&c);
	assert_int_equal(c.backing, CONF_BACKING_ANON);
	assert_int_equal(c.thp, CONF_THP_AUTO);
	assert_int_equal(c.fork, CONF_FORK_COPY);
	assert_int_equal(c.populate, CONF_POPULATE_AUTO);
	assert_true(c.page == CONF_AUTO && !c.keep);
	assert_string_equal(c.path, "");
	assert_true(c.reserve == CONF_AUTO && c.limit == CONF_UNLIMITED);
	assert_true(c.guard == CONF_GUARD_AUTO && c.guard_margin == CONF_AUTO);
	assert_int_equal(c.decay_ms, 500);
	assert_int_equal(c.commit_ahead, 2 * MiB);
	assert_true(c.lazy_above == CONF_LAZY_NEVER);
	assert_int_equal(c.thread_cache, 32 * KiB);
	assert_true(c.lock == CONF_LOCK_OFF && c.merge == CONF_MERGE_OFF);
	assert_false(c.background || c.harden || c.trap || c.closed || c.stats_print || c.strict || c.log);
	assert_string_equal(c.stats_file, "");
}

/* The text of each default is a value that its own option takes. */
static void test_table(void **state)
{
	struct conf before;
	char text[128];

	(void)state;
	assert_int_equal(conf_option_count, 25);
	conf_default(&before);
	for (size_t i = 0; i < conf_option_count; i++) {
		const struct conf_option *o = &conf_options[i];

		assert_true(o->help[0] != '\0' && o->values[0] != '\0');
		assert_true((o->scope & ~(unsigned)(PROCESS | REGION | HEAP)) == 0 && o->scope != 0);
		snprintf(text, sizeof(text), "%s:%s", o->key, o->initial);
		good(text, o->scope);
		assert_memory_equal(&c, &before, sizeof(c));
	}
}

/* ---- values ------------------------------------------------------------------- */

static void test_nothing(void **state)
{
	struct conf before;

	(void)state;
	conf_default(&before);
	good(NULL, PROCESS);
	good("", PROCESS);
	good(",", PROCESS);
	good(",,", PROCESS);
	assert_memory_equal(&c, &before, sizeof(c));
}

static void test_values(void **state)
{
	(void)state;
	assert_int_equal(good("backing:anon,thp:never", PROCESS)->thp, CONF_THP_NEVER);
	assert_int_equal(good("thp:always", REGION)->thp, CONF_THP_ALWAYS);
	assert_int_equal(good("reserve:1T", PROCESS)->reserve, TiB);
	assert_int_equal(good("reserve:1T,reserve:auto", PROCESS)->reserve, CONF_AUTO);
	assert_int_equal(good("guard:off", REGION)->guard, CONF_GUARD_OFF);
	assert_int_equal(good("guard:helper", REGION)->guard, CONF_GUARD_HELPER);
	assert_int_equal(good("guard:high,guard_margin:8M", HEAP)->guard, CONF_GUARD_HIGH);
	assert_int_equal(c.guard_margin, 8 * MiB);
	assert_int_equal(good("guard_margin:8M,guard_margin:auto", PROCESS)->guard_margin, CONF_AUTO);
	assert_int_equal(good("limit:64M", PROCESS)->limit, 64 * MiB);
	assert_int_equal(good("limit:0", PROCESS)->limit, 0);
	assert_true(good("limit:64M,limit:none", REGION)->limit == CONF_UNLIMITED);
	assert_int_equal(good("decay_ms:0", PROCESS)->decay_ms, 0);
	assert_true(good("decay_ms:never", PROCESS)->decay_ms == CONF_DECAY_NEVER);
	assert_true(good("decay_ms:4611686018427387903", PROCESS)->decay_ms == INT64_MAX / 2);
	assert_int_equal(good("commit_ahead:64K", PROCESS)->commit_ahead, 64 * KiB);
	assert_int_equal(good("lazy_above:64K", PROCESS)->lazy_above, 64 * KiB);
	assert_int_equal(good("lazy_above:1000001", HEAP)->lazy_above, 1000001);
	assert_int_equal(good("thread_cache:16K", PROCESS)->thread_cache, 16 * KiB);
	assert_int_equal(good("thread_cache:1M", PROCESS)->thread_cache, MiB);
	assert_true(good("lazy_above:1M,lazy_above:never", HEAP)->lazy_above == CONF_LAZY_NEVER);
	assert_true(good("closed:true", REGION)->closed);
	assert_true(good("stats_print:true", PROCESS)->stats_print);
	assert_false(good("stats_print:true,stats_print:false", PROCESS)->stats_print);
	assert_true(good("strict:true,log:true", PROCESS)->strict && c.log);
	assert_string_equal(good("stats_file:/a:b/%p,", PROCESS)->stats_file, "/a:b/%p");
	assert_string_equal(good("stats_file:/a,stats_file:", PROCESS)->stats_file, "");
}

static void test_backings(void **state)
{
	static const char *const names[] = {"anon", "hugetlb", "memfd", "memfd-hugetlb", "file"};
	char text[64];

	(void)state;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(text, sizeof(text), "backing:%s", names[i]);
		assert_int_equal(good(text, PROCESS)->backing, i);
		assert_int_equal(good(text, REGION)->backing, i);
	}
	assert_int_equal(CONF_BACKING_FILE, 4);
	assert_string_equal(good("path:/a:b c,keep:true", REGION)->path, "/a:b c");
	assert_true(c.keep);
	assert_string_equal(good("path:/a,path:", PROCESS)->path, "");
	assert_int_equal(good("page:2M", PROCESS)->page, 2 * MiB);
	assert_int_equal(good("page:1G", REGION)->page, GiB);
	assert_int_equal(good("page:2M,page:auto", PROCESS)->page, CONF_AUTO);
	assert_int_equal(good("fork:exec", PROCESS)->fork, CONF_FORK_EXEC);
	assert_int_equal(good("fork:deny", PROCESS)->fork, CONF_FORK_DENY);
	assert_int_equal(good("populate:touch", REGION)->populate, CONF_POPULATE_TOUCH);
}

static void test_percent(void **state)
{
	size_t odd = (size_t)1 << 62 | 12345;

	(void)state;
	assert_int_equal(good("limit:50%", PROCESS)->limit, 5 * GiB);
	assert_int_equal(good("limit:100%", PROCESS)->limit, TOTAL);
	assert_int_equal(good("limit:1%", PROCESS)->limit, TOTAL / 100);
	/* total * percent would not fit. */
	assert_int_equal(conf_parse(&c, "limit:99%", PROCESS, odd, error), 0);
	assert_true(c.limit == (size_t)((unsigned __int128)odd * 99 / 100));
	bad("limit:0%", PROCESS, "limit:\"0%\" is not a percentage: use 1% to 100% of the machine or cgroup");
	bad("limit:101%", PROCESS,
	    "limit:\"101%\" is not a percentage: use 1% to 100% of the machine or cgroup");
	/* It stays known that it is a share, and of what it is. */
	assert_int_equal(good("limit:50%", PROCESS)->limit_share, 500);
	conf_set_box(&c, 64 * MiB);
	assert_int_equal(c.limit, 32 * MiB);
	conf_set_box(&c, CONF_UNLIMITED);
	assert_int_equal(c.limit, 32 * MiB);
	assert_int_equal(good("limit:auto", HEAP)->limit, TOTAL / 8 * 7);
	conf_set_box(&c, 64 * MiB);
	assert_int_equal(c.limit, 56 * MiB);
	assert_int_equal(good("limit:auto,limit:1G", REGION)->limit_share, 0);
	conf_set_box(&c, 64 * MiB);
	assert_int_equal(c.limit, GiB);
	assert_true(good("limit:auto,limit:none", REGION)->limit == CONF_UNLIMITED && c.limit_share == 0);
	assert_int_equal(parse("limit:%", PROCESS), -EINVAL);
	assert_int_equal(parse("limit:5x%", PROCESS), -EINVAL);
	assert_int_equal(parse("limit:99999999999999999999999%", PROCESS), -EINVAL);
	assert_int_equal(parse("reserve:50%", PROCESS), -EINVAL);
	assert_int_equal(conf_parse(&c, "limit:50%", PROCESS, 0, error), -EINVAL);
	assert_non_null(strstr(error, "use a size"));
}

/* ---- errors ------------------------------------------------------------------- */

static void test_bad_values(void **state)
{
	(void)state;
	bad("limit:12Q", PROCESS,
	    "limit:\"12Q\" is not a size: use bytes or a number with K, M, G, T (64M), a percentage (50%), "
	    "auto or none");
	bad("limit:", PROCESS,
	    "limit:\"\" is not a size: use bytes or a number with K, M, G, T (64M), a percentage (50%), "
	    "auto or none");
	bad("limit:18446744073709551616", PROCESS,
	    "limit:\"18446744073709551616\" is too large: at most 16E less one byte");
	bad("reserve:x", PROCESS,
	    "reserve:\"x\" is not a size: use bytes or a number with K, M, G, T (64M) or auto");
	bad("guard:on", PROCESS, "guard:\"on\" is not known: use auto, off, high or helper");
	bad("guard_margin:0", PROCESS,
	    "guard_margin:\"0\" leaves nothing: use a size or auto, or guard:off");
	bad("guard_margin:x", PROCESS,
	    "guard_margin:\"x\" is not a size: use bytes or a number with K, M, G, T (64M) or auto");
	bad("reserve:0", PROCESS, "reserve:\"0\" reserves nothing: use a size or auto");
	bad("thp:on", PROCESS, "thp:\"on\" is not known: use auto, always or never");
	bad("thp:auto|always", PROCESS, "thp:\"auto|always\" is not known: use auto, always or never");
	bad("thp:", PROCESS, "thp:\"\" is not known: use auto, always or never");
	bad("backing:disk", PROCESS,
	    "backing:\"disk\" is not known: use anon, hugetlb, memfd, memfd-hugetlb or file");
	bad("backing:memfd-", REGION,
	    "backing:\"memfd-\" is not known: use anon, hugetlb, memfd, memfd-hugetlb or file");
	bad("page:4K", PROCESS, "page:\"4K\" is no size of huge pages: use 2M, 1G or auto");
	bad("page:3M", PROCESS, "page:\"3M\" is no size of huge pages: use 2M, 1G or auto");
	bad("page:huge", PROCESS,
	    "page:\"huge\" is not a size: use bytes or a number with K, M, G, T (64M) or auto");
	bad("fork:no", PROCESS, "fork:\"no\" is not known: use copy, exec or deny");
	bad("fork:deny", REGION, "option \"fork\" is for heaps, not for one region: leave it away here");
	bad("populate:never", PROCESS, "populate:\"never\" is not known: use auto or touch");
	bad("keep:yes", PROCESS, "keep:\"yes\" is neither true nor false");
	bad("log:yes", PROCESS, "log:\"yes\" is neither true nor false");
	bad("log:truely", PROCESS, "log:\"truely\" is neither true nor false");
	bad("decay_ms:10K", PROCESS,
	    "decay_ms:\"10K\" is not a number of milliseconds: use 0, 500, 10000 or never");
	bad("decay_ms:-1", PROCESS,
	    "decay_ms:\"-1\" is not a number of milliseconds: use 0, 500, 10000 or never");
	bad("decay_ms:4611686018427387904", PROCESS,
	    "decay_ms:\"4611686018427387904\" is too long: use never");
	bad("decay_ms:99999999999999999999", PROCESS,
	    "decay_ms:\"99999999999999999999\" is too long: use never");
}

static void test_bad_commit_ahead(void **state)
{
	static const char *const texts[] = {"commit_ahead:0", "commit_ahead:32K", "commit_ahead:3M",
	                                    "commit_ahead:65537", "commit_ahead:x"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(parse(texts[i], PROCESS), -EINVAL);
		assert_int_equal(c.commit_ahead, 2 * MiB);
	}
}

static void test_unknown(void **state)
{
	(void)state;
	bad("lmit:1G", PROCESS,
	    "unknown option \"lmit\": did you mean \"limit\"? known are backing, path, keep, page, "
	    "thp, reserve, limit, guard, guard_margin, decay_ms, commit_ahead, background, lazy_above, thread_cache, harden, trap, lock, merge, fork, "
	    "populate, stats_print, stats_file, strict, log");
	bad("zzzzzz:1", REGION, "unknown option \"zzzzzz\": known are backing, path, keep, page, thp, limit, "
	                        "guard, guard_margin, trap, lock, merge, populate, closed");
	bad("limit=1G", PROCESS, "\"limit=1G\" has no value: write key:value, as in limit:64M");
	bad("closed:true", PROCESS,
	    "option \"closed\" is for regions, not for the process: leave it away here");
	bad("closed:true", HEAP,
	    "option \"closed\" is for regions, not for one heap: leave it away here");
	bad("strict:true", HEAP,
	    "option \"strict\" is for the process, not for one heap: leave it away here");
	bad("strict:true", REGION,
	    "option \"strict\" is for the process, not for one region: leave it away here");
	assert_int_equal(parse(":1", PROCESS), -EINVAL);
	assert_int_equal(parse("lim:1M", PROCESS), -EINVAL);
	assert_int_equal(parse("limits:1M", PROCESS), -EINVAL);
}

/* Whatever was written, the message is one printable line. */
static void test_hostile(void **state)
{
	char text[2000];

	(void)state;
	assert_int_equal(parse("a\nb\033[0m:1", PROCESS), -EINVAL);
	assert_null(strpbrk(error, "\n\033"));
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(parse(text, PROCESS), -EINVAL);
	assert_true(strlen(error) < CONF_ERROR_MAX);
	text[1000] = ':';
	assert_int_equal(parse(text, PROCESS), -EINVAL);
	memcpy(text, "path:", 5);
	text[1000] = 'x';
	text[5 + CONF_PATH_MAX - 1] = '\0';
	good(text, REGION);
	text[5 + CONF_PATH_MAX - 1] = 'x';
	text[5 + CONF_PATH_MAX] = '\0';
	assert_int_equal(parse(text, REGION), -EINVAL);
	text[5 + CONF_PATH_MAX] = 'x';
	memcpy(text, "stats_file:", 11);
	text[1000] = 'x';
	text[11 + CONF_PATH_MAX - 1] = '\0';
	good(text, PROCESS);
	assert_int_equal(strlen(c.stats_file), CONF_PATH_MAX - 1);
	text[11 + CONF_PATH_MAX - 1] = 'x';
	text[11 + CONF_PATH_MAX] = '\0';
	assert_int_equal(parse(text, PROCESS), -EINVAL);
	assert_string_equal(c.stats_file, "");
}

/* What came before the error stays, what comes after is not reached. */
static void test_stops(void **state)
{
	(void)state;
	assert_int_equal(parse("log:true,thp:bad,strict:true", PROCESS), -EINVAL);
	assert_true(c.log && !c.strict);
	assert_int_equal(c.thp, CONF_THP_AUTO);
}

static char reported[4][CONF_ERROR_MAX];
static size_t reports;

static void report(const char *reason)
{
	assert_true(reports < 4);
	strcpy(reported[reports++], reason);
}

static void test_lenient(void **state)
{
	(void)state;
	conf_default(&c);
	reports = 0;
	assert_int_equal(conf_parse_lenient(&c, "thp:bad,log:true,nolimit,limit:8M", PROCESS, TOTAL, report),
	                 2);
	assert_int_equal(reports, 2);
	assert_non_null(strstr(reported[0], "thp:\"bad\""));
	assert_non_null(strstr(reported[1], "nolimit"));
	assert_true(c.log && c.limit == 8 * MiB && c.thp == CONF_THP_AUTO);
	assert_int_equal(conf_parse_lenient(&c, NULL, PROCESS, TOTAL, report), 0);
}

/* ---- checks ------------------------------------------------------------------- */

static int check(const char *text)
{
	return conf_check(good(text, PROCESS), CONF_LIMIT_MINIMUM, error);
}

static void test_check(void **state)
{
	(void)state;
	assert_int_equal(check(""), 0);
	assert_int_equal(check("limit:4M"), 0);
	assert_int_equal(check("reserve:1G,limit:1G"), 0);
	assert_int_equal(check("reserve:1M"), 0);
	assert_int_equal(check("limit:100T"), 0);
	assert_string_equal(error, "");
	assert_int_equal(check("limit:64K"), -EINVAL);
	assert_string_equal(error, "limit:64K is below the 4M that start-up needs");
	assert_int_equal(check("limit:4194303"), -EINVAL);
	assert_int_equal(check("limit:0"), -EINVAL);
	assert_int_equal(check("reserve:1G,limit:2G"), -EINVAL);
	assert_string_equal(error, "reserve:1G is smaller than limit:2G: reserve at least as much address "
	                           "space as the limit, or leave reserve:auto");
}

/* Options of which each is right, but not with the others. */
static void test_mismatch(void **state)
{
	static const struct {
		const char *text, *error;
	} wrong[] = {
		{"backing:file", "backing:file needs path:, a directory or a new file's name"},
		{"backing:file,page:2M", "backing:file needs path:, a directory or a new file's name"},
		{"path:/tmp", "path: is for backing:file alone"},
		{"backing:memfd,path:/tmp", "path: is for backing:file alone"},
		{"keep:true", "keep: is for backing:file alone"},
		{"backing:hugetlb,keep:true", "keep: is for backing:file alone"},
		{"merge:on,backing:memfd", "merge:on is for backing:anon alone"},
		{"lazy_above:1M,backing:memfd", "lazy_above: is for backing:anon alone"},
		{"lazy_above:1M,backing:hugetlb", "lazy_above: is for backing:anon alone"},
		{"backing:file,path:/tmp,lazy_above:64K", "lazy_above: is for backing:anon alone"},
		{"guard:helper", "guard:helper is for backing:memfd alone"},
		{"guard:helper,backing:memfd-hugetlb", "guard:helper is for backing:memfd alone"},
		{"page:2M", "page: is for backing:hugetlb, memfd-hugetlb and file alone"},
		{"backing:memfd,page:1G", "page: is for backing:hugetlb, memfd-hugetlb and file alone"},
	};
	static const char *const right[] = {
		"backing:file,path:/tmp", "backing:file,path:/tmp/x,keep:true,page:2M", "backing:hugetlb,page:1G",
		"backing:memfd-hugetlb,page:2M,limit:8M", "backing:memfd,keep:false,page:auto,path:", "backing:memfd,guard:helper",
		"lazy_above:1M,backing:anon", "lazy_above:never,backing:memfd",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(check(wrong[i].text), -EINVAL);
		assert_string_equal(error, wrong[i].error);
	}
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
		assert_int_equal(check(right[i]), 0);
}

/* A limit has room for one page beside what start-up needs. */
static void test_limit_and_page(void **state)
{
	(void)state;
	assert_int_equal(check("backing:hugetlb,page:2M,limit:6M"), 0);
	assert_int_equal(check("backing:hugetlb,page:2M,limit:5M"), -EINVAL);
	assert_string_equal(error, "limit:5M is below the 6M that start-up needs");
	assert_int_equal(check("backing:memfd-hugetlb,page:1G,limit:1G"), -EINVAL);
	assert_int_equal(conf_check(good("backing:hugetlb,page:2M,limit:2M", REGION), 0, error), 0);
	assert_int_equal(conf_check(good("backing:hugetlb,page:2M,limit:1M", REGION), 0, error), -EINVAL);
}

/* ---- about --------------------------------------------------------------------- */

static void *other_thread(void *unused)
{
	(void)unused;
	assert_string_equal(sparena_last_error(), "");
	about_set_error("other");
	return NULL;
}

static void test_about(void **state)
{
	char text[1000];
	pthread_t thread;

	(void)state;
	assert_string_equal(sparena_version(), SPARENA_VERSION);
	assert_true(sparena_features() <= (SPARENA_FEATURE_POPULATE | SPARENA_FEATURE_THP));
	assert_string_equal(sparena_last_error(), "");
	about_set_error("100%s");
	assert_string_equal(sparena_last_error(), "100%s");
	assert_int_equal(pthread_create(&thread, NULL, other_thread, NULL), 0);
	pthread_join(thread, NULL);
	assert_string_equal(sparena_last_error(), "100%s");
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	about_set_error(text);
	assert_int_equal(strlen(sparena_last_error()), CONF_ERROR_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_backings),
		cmocka_unit_test(test_percent),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_bad_commit_ahead),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_stops),
		cmocka_unit_test(test_lenient),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_mismatch),
		cmocka_unit_test(test_limit_and_page),
		cmocka_unit_test(test_about),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
