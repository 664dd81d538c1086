/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * base: the ground floor. Checked size arithmetic, bitmaps, sizes as text, a
 * bounded text buffer. Nothing here makes a system call, allocates, keeps state
 * or includes a header of another floor: every function's result depends on its
 * arguments alone, so all of it may be used inside malloc.
 */
#ifndef SPARENA_BASE_BASE_H
#define SPARENA_BASE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KiB ((size_t)1 << 10)
#define MiB ((size_t)1 << 20)
#define GiB ((size_t)1 << 30)
#define TiB ((size_t)1 << 40)

#ifndef likely /* jemalloc's headers, which one file includes besides, have the same */
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#endif

/* ---- sizes ---------------------------------------------------------------- */

static inline size_t size_min(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t size_max(size_t a, size_t b) { return a > b ? a : b; }

/* So many thousandths of v, 1,000 at most; in this order, since a product may not fit. */
static inline size_t size_share(size_t v, unsigned thousandths)
{
	return v / 1000 * thousandths + v % 1000 * thousandths / 1000;
}

static inline bool size_is_pow2(size_t v) { return v != 0 && (v & (v - 1)) == 0; }

/* Largest multiple of `align` (a power of two) that is not above v. */
static inline size_t size_down(size_t v, size_t align) { return v & ~(align - 1); }

/*
 * Smallest multiple of `align` (a power of two) that is not below v. The caller
 * has made sure that it fits: see size_up_checked() for sizes from outside.
 */
static inline size_t size_up(size_t v, size_t align) { return (v + align - 1) & ~(align - 1); }

/* As size_up(), for untrusted v. Returns false, *out untouched, on overflow. */
bool size_up_checked(size_t v, size_t align, size_t *out);

/* *out = a + b, or a * b. Returns false, *out untouched, on overflow. */
bool size_add(size_t a, size_t b, size_t *out);
bool size_mul(size_t a, size_t b, size_t *out);

/* floor(log2(v)); v must not be 0. */
static inline unsigned size_log2(size_t v) { return 63u - (unsigned)__builtin_clzl(v); }

/*
 * Reads a size such as "4096", "64K", "1.5G" is refused, "2M", "1T" (powers of
 * 1024; an upper- or lower-case suffix K M G T P E, optionally followed by "iB"
 * or "B") from text[0..length). The whole text must be used.
 * Returns 0; -EINVAL: not a size; -ERANGE: does not fit in size_t.
 */
int size_parse(const char *text, size_t length, size_t *out);

/*
 * Writes v as the shortest exact text size_parse() reads back ("64K", "3M",
 * "4097") into buffer, always terminated.
 */
#define SIZE_TEXT_MAX 24
void size_format(size_t v, char buffer[SIZE_TEXT_MAX]);

/*
 * Writes v rounded for reading ("1.5 GiB", "640 KiB", "12 B") into buffer.
 */
void size_format_human(size_t v, char buffer[SIZE_TEXT_MAX]);

/* ---- bitmaps: bit i is word i / 64, bit i % 64 ---------------------------- */

#define BITMAP_WORD_BITS 64u
#define BITMAP_WORDS(bits) (((bits) + BITMAP_WORD_BITS - 1) / BITMAP_WORD_BITS)

static inline bool bitmap_get(const uint64_t *map, size_t bit)
{
	return (map[bit / BITMAP_WORD_BITS] >> (bit % BITMAP_WORD_BITS)) & 1;
}

/* Sets or clears bits [from, from + count). count may be 0. */
void bitmap_set(uint64_t *map, size_t from, size_t count);
void bitmap_clear(uint64_t *map, size_t from, size_t count);

/* Whether all, or none, of bits [from, from + count) are set (true when count is 0). */
bool bitmap_all(const uint64_t *map, size_t from, size_t count);
bool bitmap_none(const uint64_t *map, size_t from, size_t count);

/* How many of bits [from, from + count) are set. */
size_t bitmap_count(const uint64_t *map, size_t from, size_t count);

/* Index of the first set (or clear) bit in [from, end); end when there is none. */
size_t bitmap_next_set(const uint64_t *map, size_t from, size_t end);
size_t bitmap_next_clear(const uint64_t *map, size_t from, size_t end);

/* ---- text: a bounded buffer that never allocates -------------------------- */

struct text {
	char *data;      /* always terminated */
	size_t capacity; /* bytes at data, terminator included */
	size_t length;   /* bytes used, terminator excluded */
	bool cut;        /* something did not fit */
};

/* Starts an empty text over data[0..capacity); capacity must be at least 1. */
void text_init(struct text *t, char *data, size_t capacity);

/* Appends as printf would; what does not fit is left away and t->cut set. Only
 * conversions of integers and strings are used, for which vsnprintf(3) does not
 * allocate. */
void text_add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vadd(struct text *t, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

/* a, b and '\0' into out; false where they do not fit, and out is "". For threads with
 * little stack, of which printf's relatives take 1.5 KiB. */
bool text_join(char *out, size_t capacity, const char *a, const char *b);

/*
 * How many insertions, deletions, replacements and swaps of neighbours make b of
 * a[0..length): for "did you mean". Words longer than TEXT_DISTANCE_MAX are
 * TEXT_DISTANCE_MAX apart from everything.
 */
#define TEXT_DISTANCE_MAX 31
size_t text_distance(const char *a, size_t length, const char *b);

#endif
