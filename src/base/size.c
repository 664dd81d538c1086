/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/base.h"

#include <errno.h>
#include <string.h>

/* Unit n is 2^(10 n). */
static const char units[] = "BKMGTPE";

bool size_up_checked(size_t v, size_t align, size_t *out)
{
	size_t sum;

	if (__builtin_add_overflow(v, align - 1, &sum))
		return false;
	*out = size_down(sum, align);
	return true;
}

bool size_add(size_t a, size_t b, size_t *out)
{
	size_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return false;
	*out = sum;
	return true;
}

bool size_mul(size_t a, size_t b, size_t *out)
{
	size_t product;

	if (__builtin_mul_overflow(a, b, &product))
		return false;
	*out = product;
	return true;
}

/* How far a unit text ("", "K", "GiB") shifts; -1 when it is none. */
static int unit_shift(const char *text, size_t length)
{
	const char *unit;
	char letter;

	if (length == 0)
		return 0;
	letter = text[0] >= 'a' && text[0] <= 'z' ? (char)(text[0] - 'a' + 'A') : text[0];
	unit = letter == '\0' ? NULL : strchr(units + 1, letter);
	if (unit == NULL)
		return -1;
	if (length == 1 || (length == 2 && text[1] == 'B') ||
	    (length == 3 && text[1] == 'i' && text[2] == 'B'))
		return 10 * (int)(unit - units);
	return -1;
}

int size_parse(const char *text, size_t length, size_t *out)
{
	size_t value = 0;
	bool fits = true;
	size_t i;
	int shift;

	for (i = 0; i < length && text[i] >= '0' && text[i] <= '9'; i++)
		fits = fits && size_mul(value, 10, &value) &&
		       size_add(value, (size_t)(text[i] - '0'), &value);
	if (i == 0)
		return -EINVAL;
	shift = unit_shift(text + i, length - i);
	if (shift < 0)
		return -EINVAL;
	if (!fits || !size_mul(value, (size_t)1 << shift, &value))
		return -ERANGE;
	*out = value;
	return 0;
}

void size_format(size_t v, char buffer[SIZE_TEXT_MAX])
{
	struct text t;
	unsigned unit = 0;

	while (v != 0 && v % 1024 == 0) {
		v /= 1024;
		unit++;
	}
	text_init(&t, buffer, SIZE_TEXT_MAX);
	text_add(&t, "%zu", v);
	if (unit > 0)
		text_add(&t, "%c", units[unit]);
}

void size_format_human(size_t v, char buffer[SIZE_TEXT_MAX])
{
	unsigned unit = v == 0 ? 0 : size_log2(v) / 10;
	unsigned shift = 10 * unit;
	size_t whole = v >> shift;
	size_t fraction = unit == 0 ? 0 : (v >> (shift - 10)) & 1023;
	size_t tenths = (fraction * 10 + 512) / 1024;
	struct text t;

	if (whole >= 100)
		tenths = fraction >= 512 ? 10 : 0;
	if (tenths == 10) {
		whole++;
		tenths = 0;
	}
	if (whole == 1024 && units[unit + 1] != '\0') {
		whole = 1;
		unit++;
	}
	text_init(&t, buffer, SIZE_TEXT_MAX);
	text_add(&t, "%zu", whole);
	if (tenths != 0)
		text_add(&t, ".%zu", tenths);
	text_add(&t, " %c%s", units[unit], unit == 0 ? "" : "iB");
}
