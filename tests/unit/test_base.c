/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BITS 700u /* no multiple of the word */

/* ---- sizes ---------------------------------------------------------------- */

static void test_rounding(void **state)
{
	size_t out = 7;

	(void)state;
	assert_int_equal(size_down(4097, 4096), 4096);
	assert_int_equal(size_up(4097, 4096), 8192);
	assert_int_equal(size_up(4096, 4096), 4096);
	assert_int_equal(size_up(0, 4096), 0);
	assert_true(size_up_checked(1, 4096, &out));
	assert_int_equal(out, 4096);
	assert_true(size_up_checked(SIZE_MAX - 4095, 4096, &out));
	assert_true(out == SIZE_MAX - 4095);
	out = 7;
	assert_false(size_up_checked(SIZE_MAX - 4094, 4096, &out));
	assert_false(size_up_checked(SIZE_MAX, 2, &out));
	assert_int_equal(out, 7);
}

static void test_arithmetic(void **state)
{
	size_t out = 7;

	(void)state;
	assert_false(size_add(SIZE_MAX, 1, &out));
	assert_false(size_mul(SIZE_MAX / 2 + 1, 2, &out));
	assert_int_equal(out, 7);
	assert_true(size_add(SIZE_MAX - 1, 1, &out));
	assert_true(out == SIZE_MAX);
	assert_true(size_mul(SIZE_MAX / 3, 3, &out));
	assert_true(out == SIZE_MAX / 3 * 3);
	assert_true(size_is_pow2(1) && size_is_pow2(MiB) && !size_is_pow2(0) && !size_is_pow2(12));
	assert_int_equal(size_log2(1), 0);
	assert_int_equal(size_log2(4097), 12);
	assert_int_equal(size_log2(SIZE_MAX), 63);
}

static int parse(const char *text, size_t *out)
{
	return size_parse(text, strlen(text), out);
}

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		size_t value;
	} good[] = {
		{"0", 0},
		{"4096", 4096},
		{"64K", 64 * KiB},
		{"64k", 64 * KiB},
		{"2M", 2 * MiB},
		{"3g", 3 * GiB},
		{"1T", TiB},
		{"1P", 1024 * TiB},
		{"15E", (size_t)15 << 60},
		{"1KiB", KiB},
		{"1kB", KiB},
		{"0E", 0},
		{"00012", 12},
		{"18446744073709551615", SIZE_MAX},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		size_t out = 1;

		assert_int_equal(parse(good[i].text, &out), 0);
		assert_true(out == good[i].value);
	}
}

static void test_parse_refuses(void **state)
{
	static const char *const bad[] = {"",    "K",   "B",   "-1",    "+1", " 1",   "1 ",   "1.5G", "12Q",
	                                  "1KK", "1Ki", "1iB", "1KiBB", "1B", "0x10", "1KIB", "1\t",  "%"};
	static const char *const large[] = {"18446744073709551616", "16E", "17592186044416M",
	                                    "99999999999999999999999999", "18014398509481984K"};
	size_t out = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (parse(bad[i], &out) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++)
		if (parse(large[i], &out) != -ERANGE)
			fail_msg("\"%s\" was taken", large[i]);
	/* The length counts, not the terminator; a NUL inside is no unit. */
	assert_int_equal(size_parse("1\0", 2, &out), -EINVAL);
	assert_int_equal(out, 7);
	assert_int_equal(size_parse("64MB,x", 3, &out), 0);
	assert_true(out == 64 * MiB);
}

static void check_round_trip(size_t v)
{
	char buffer[SIZE_TEXT_MAX];
	size_t out;

	size_format(v, buffer);
	assert_int_equal(parse(buffer, &out), 0);
	assert_true(out == v);
}

static void test_format(void **state)
{
	char buffer[SIZE_TEXT_MAX];

	(void)state;
	size_format(0, buffer);
	assert_string_equal(buffer, "0");
	size_format(64 * KiB, buffer);
	assert_string_equal(buffer, "64K");
	size_format(1536 * MiB, buffer);
	assert_string_equal(buffer, "1536M");
	size_format(4097, buffer);
	assert_string_equal(buffer, "4097");
	size_format(SIZE_MAX, buffer);
	assert_string_equal(buffer, "18446744073709551615");
	for (unsigned i = 0; i < 64; i++) {
		check_round_trip((size_t)1 << i);
		check_round_trip(((size_t)1 << i) - 1);
		check_round_trip(((size_t)1 << i) + 1);
	}
}

static void test_format_human(void **state)
{
	static const struct {
		size_t v;
		const char *text;
	} cases[] = {
		{0, "0 B"},
		{12, "12 B"},
		{1023, "1023 B"},
		{KiB, "1 KiB"},
		{1536, "1.5 KiB"},
		{640 * KiB, "640 KiB"},
		{MiB - 1, "1 MiB"},
		{3 * GiB / 2, "1.5 GiB"},
		{2 * GiB - 1, "2 GiB"},
		{99 * KiB + 1000, "100 KiB"},
		{100 * KiB + 512, "101 KiB"},
		{TiB, "1 TiB"},
		{SIZE_MAX, "16 EiB"},
	};
	char buffer[SIZE_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_format_human(cases[i].v, buffer);
		assert_string_equal(buffer, cases[i].text);
	}
}

/* ---- bitmaps against an array of bool ------------------------------------- */

struct model {
	bool bit[BITS];
};

static size_t model_count(const struct model *m, size_t from, size_t count)
{
	size_t total = 0;

	for (size_t i = from; i < from + count; i++)
		total += m->bit[i];
	return total;
}

static size_t model_next(const struct model *m, size_t from, size_t end, bool wanted)
{
	for (size_t i = from; i < end; i++)
		if (m->bit[i] == wanted)
			return i;
	return end;
}

static void change(uint64_t *map, struct model *m, size_t from, size_t count, bool value)
{
	if (value)
		bitmap_set(map, from, count);
	else
		bitmap_clear(map, from, count);
	for (size_t i = from; i < from + count; i++)
		m->bit[i] = value;
}

static void compare(const uint64_t *map, const struct model *m, size_t from, size_t count)
{
	size_t set = model_count(m, from, count);
	size_t end = from + count;

	assert_int_equal(bitmap_count(map, from, count), set);
	assert_int_equal(bitmap_all(map, from, count), set == count);
	assert_int_equal(bitmap_none(map, from, count), set == 0);
	assert_int_equal(bitmap_next_set(map, from, end), model_next(m, from, end, true));
	assert_int_equal(bitmap_next_clear(map, from, end), model_next(m, from, end, false));
}

/* A length that is often short, often a word, sometimes all. */
static size_t some_length(size_t room)
{
	static const size_t lengths[] = {0, 1, 2, 63, 64, 65, 127, 128, 129, BITS};
	size_t wanted = random() % 2 ? lengths[random() % 10] : (size_t)random() % (room + 1);

	return size_min(wanted, room);
}

static void test_bitmap_random(void **state)
{
	uint64_t map[BITMAP_WORDS(BITS) + 1] = {0};
	static struct model m;

	(void)state;
	srandom(1);
	map[BITMAP_WORDS(BITS)] = UINT64_C(0x5a5a5a5a5a5a5a5a);
	for (int round = 0; round < 20000; round++) {
		size_t from = (size_t)random() % (BITS + 1);
		size_t count = some_length(BITS - from);

		change(map, &m, from, count, random() % 2);
		for (size_t i = 0; i < BITS; i++)
			assert_int_equal(bitmap_get(map, i), m.bit[i]);
		from = (size_t)random() % (BITS + 1);
		compare(map, &m, from, some_length(BITS - from));
	}
	assert_true(map[BITMAP_WORDS(BITS)] == UINT64_C(0x5a5a5a5a5a5a5a5a));
}

/* Every range of three words, in an empty and in a full map. */
static void test_bitmap_edges(void **state)
{
	(void)state;
	for (size_t from = 0; from <= 192; from++) {
		for (size_t end = from; end <= 192; end++) {
			uint64_t map[3] = {0};

			bitmap_set(map, from, end - from);
			assert_int_equal(bitmap_count(map, 0, 192), end - from);
			assert_true(bitmap_all(map, from, end - from));
			assert_int_equal(bitmap_next_set(map, 0, 192), from == end ? 192 : from);
			memset(map, 0xff, sizeof(map));
			bitmap_clear(map, from, end - from);
			assert_int_equal(bitmap_count(map, 0, 192), 192 - (end - from));
			assert_true(bitmap_none(map, from, end - from));
			assert_int_equal(bitmap_next_clear(map, 0, 192), from == end ? 192 : from);
		}
	}
}

/* A range that ends with the map must not make anything look behind it, where a
 * page is that faults. */
static void test_bitmap_end(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t *map = (uint64_t *)(void *)(pages + page) - 2;

	(void)state;
	assert_true(pages != MAP_FAILED);
	assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
	assert_int_equal(bitmap_next_set(map, 0, 128), 128);
	assert_int_equal(bitmap_next_set(map, 128, 128), 128);
	assert_true(bitmap_all(map, 128, 0) && bitmap_none(map, 128, 0));
	bitmap_set(map, 128, 0);
	bitmap_set(map, 64, 64);
	assert_int_equal(bitmap_next_clear(map, 64, 128), 128);
	assert_int_equal(bitmap_count(map, 0, 128), 64);
	bitmap_clear(map, 0, 128);
	assert_true(bitmap_none(map, 0, 128));
	munmap(pages, 2 * page);
}

/* ---- text ----------------------------------------------------------------- */

static void test_text(void **state)
{
	char data[9];
	struct text t;

	(void)state;
	memset(data, 'x', sizeof(data));
	text_init(&t, data, 8);
	assert_string_equal(data, "");
	text_add(&t, "%s%d", "abc", 42);
	assert_string_equal(data, "abc42");
	text_add(&t, "67");
	assert_int_equal(t.length, 7);
	assert_false(t.cut);
	text_add(&t, "%s", "");
	assert_false(t.cut);
	text_add(&t, "8");
	assert_true(t.cut);
	assert_string_equal(data, "abc4267");
	text_add(&t, "long %d", 1);
	assert_int_equal(t.length, 7);
	assert_int_equal(data[8], 'x');
	text_init(&t, data, 1);
	text_add(&t, "a");
	assert_true(t.cut && data[0] == '\0' && t.length == 0);
}

static void test_join(void **state)
{
	char out[8] = "xxxxxxx";

	(void)state;
	assert_true(text_join(out, 7, "abc", "def"));
	assert_string_equal(out, "abcdef");
	assert_int_equal(out[7], '\0');
	assert_false(text_join(out, 6, "abc", "def"));
	assert_string_equal(out, "");
	assert_false(text_join(out, 3, "abc", ""));
	assert_true(text_join(out, 4, "", "abc"));
	assert_string_equal(out, "abc");
	assert_true(text_join(out, 1, "", ""));
}

static size_t distance(const char *a, const char *b)
{
	return text_distance(a, strlen(a), b);
}

static void test_distance(void **state)
{
	(void)state;
	assert_int_equal(distance("limit", "limit"), 0);
	assert_int_equal(distance("lmit", "limit"), 1);
	assert_int_equal(distance("limitt", "limit"), 1);
	assert_int_equal(distance("lomit", "limit"), 1);
	assert_int_equal(distance("tph", "thp"), 1);
	assert_int_equal(distance("", "thp"), 3);
	assert_int_equal(distance("kitten", "sitting"), 3);
	assert_int_equal(text_distance("thpxx", 3, "thp"), 0);
	assert_int_equal(distance("0123456789012345678901234567890123456789", "a"), TEXT_DISTANCE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rounding),      cmocka_unit_test(test_arithmetic),
		cmocka_unit_test(test_parse),         cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_format),        cmocka_unit_test(test_format_human),
		cmocka_unit_test(test_bitmap_random), cmocka_unit_test(test_bitmap_edges),
		cmocka_unit_test(test_bitmap_end),    cmocka_unit_test(test_text),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_distance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
