/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/base.h"

/* Bits [from, 64) of a word; from < 64. */
static uint64_t mask_from(size_t from)
{
	return UINT64_MAX << from;
}

/* Bits [0, last] of a word; last < 64. */
static uint64_t mask_to(size_t last)
{
	return UINT64_MAX >> (BITMAP_WORD_BITS - 1 - last);
}

/* A range of at least one bit as words [first, last] with masks for both ends. */
struct span {
	size_t first, last;
	uint64_t head, tail;
};

static struct span span_of(size_t from, size_t count)
{
	size_t final = from + count - 1;
	struct span s = {
		.first = from / BITMAP_WORD_BITS,
		.last = final / BITMAP_WORD_BITS,
		.head = mask_from(from % BITMAP_WORD_BITS),
		.tail = mask_to(final % BITMAP_WORD_BITS),
	};

	if (s.first == s.last)
		s.head = s.tail = s.head & s.tail;
	return s;
}

void bitmap_set(uint64_t *map, size_t from, size_t count)
{
	struct span s;

	if (count == 0)
		return;
	s = span_of(from, count);
	map[s.first] |= s.head;
	for (size_t i = s.first + 1; i < s.last; i++)
		map[i] = UINT64_MAX;
	map[s.last] |= s.tail;
}

void bitmap_clear(uint64_t *map, size_t from, size_t count)
{
	struct span s;

	if (count == 0)
		return;
	s = span_of(from, count);
	map[s.first] &= ~s.head;
	for (size_t i = s.first + 1; i < s.last; i++)
		map[i] = 0;
	map[s.last] &= ~s.tail;
}

bool bitmap_all(const uint64_t *map, size_t from, size_t count)
{
	struct span s;

	if (count == 0)
		return true;
	s = span_of(from, count);
	if ((map[s.first] & s.head) != s.head)
		return false;
	for (size_t i = s.first + 1; i < s.last; i++)
		if (map[i] != UINT64_MAX)
			return false;
	return (map[s.last] & s.tail) == s.tail;
}

bool bitmap_none(const uint64_t *map, size_t from, size_t count)
{
	struct span s;

	if (count == 0)
		return true;
	s = span_of(from, count);
	if ((map[s.first] & s.head) != 0)
		return false;
	for (size_t i = s.first + 1; i < s.last; i++)
		if (map[i] != 0)
			return false;
	return (map[s.last] & s.tail) == 0;
}

static size_t word_count(uint64_t word)
{
	return (size_t)__builtin_popcountll(word);
}

size_t bitmap_count(const uint64_t *map, size_t from, size_t count)
{
	struct span s;
	size_t total;

	if (count == 0)
		return 0;
	s = span_of(from, count);
	total = word_count(map[s.first] & s.head);
	if (s.first == s.last)
		return total;
	for (size_t i = s.first + 1; i < s.last; i++)
		total += word_count(map[i]);
	return total + word_count(map[s.last] & s.tail);
}

/* First bit in [from, end) that is set in map XOR flip. */
static inline size_t next(const uint64_t *map, size_t from, size_t end, uint64_t flip)
{
	size_t i = from / BITMAP_WORD_BITS;
	uint64_t word;

	if (from >= end)
		return end;
	word = (map[i] ^ flip) & mask_from(from % BITMAP_WORD_BITS);
	while (word == 0) {
		if (++i > (end - 1) / BITMAP_WORD_BITS)
			return end;
		word = map[i] ^ flip;
	}
	return size_min(i * BITMAP_WORD_BITS + (size_t)__builtin_ctzll(word), end);
}

size_t bitmap_next_set(const uint64_t *map, size_t from, size_t end)
{
	return next(map, from, end, 0);
}

size_t bitmap_next_clear(const uint64_t *map, size_t from, size_t end)
{
	return next(map, from, end, UINT64_MAX);
}
