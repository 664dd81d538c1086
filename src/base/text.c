/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/base.h"

#include <stdio.h>
#include <string.h>

void text_init(struct text *t, char *data, size_t capacity)
{
	t->data = data;
	t->capacity = capacity;
	t->length = 0;
	t->cut = false;
	data[0] = '\0';
}

void text_vadd(struct text *t, const char *format, va_list args)
{
	size_t room = t->capacity - t->length;
	int length = vsnprintf(t->data + t->length, room, format, args);

	if (length < 0) {
		t->data[t->length] = '\0';
		t->cut = true;
	} else if ((size_t)length >= room) {
		t->length = t->capacity - 1;
		t->cut = true;
	} else {
		t->length += (size_t)length;
	}
}

void text_add(struct text *t, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text_vadd(t, format, args);
	va_end(args);
}

bool text_join(char *out, size_t capacity, const char *a, const char *b)
{
	size_t first = strlen(a), second = strlen(b);

	out[0] = '\0';
	if (first >= capacity || second >= capacity - first)
		return false;
	memcpy(out, a, first);
	memcpy(out + first, b, second + 1);
	return true;
}

size_t text_distance(const char *a, size_t length, const char *b)
{
	unsigned char d[TEXT_DISTANCE_MAX + 1][TEXT_DISTANCE_MAX + 1];
	size_t other = strlen(b);

	if (length > TEXT_DISTANCE_MAX || other > TEXT_DISTANCE_MAX)
		return TEXT_DISTANCE_MAX;
	for (size_t i = 0; i <= length; i++) {
		for (size_t j = 0; j <= other; j++) {
			size_t best;

			if (i == 0 || j == 0) {
				d[i][j] = (unsigned char)(i + j);
				continue;
			}
			best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1] ? 1u : 0u);
			best = size_min(best, d[i - 1][j] + 1u);
			best = size_min(best, d[i][j - 1] + 1u);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = size_min(best, d[i - 2][j - 2] + 1u);
			d[i][j] = (unsigned char)best;
		}
	}
	return d[length][other];
}
