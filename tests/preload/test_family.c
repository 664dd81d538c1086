/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the standard, POSIX and glibc's manual say of malloc and its relatives, asked
 * of the drop-in. Built twice: linked with it, and plain for LD_PRELOAD.
 */
#include "../support/faults.h"
#include "family.h"

static const size_t KIB = 1024, MIB = 1024 * 1024;

/* Sizes at and around the steps at which an allocator changes its ways. */
static const size_t sizes[] = {
	1, 7, 8, 16, 17, 31, 100, 127, 129, 1000, 1024, 4095, 4096, 4097, 14336, 14337, 16384, 32768,
	65535, 65536, 65537, 131072, 1000000, 1048576, 2097151, 2097152, 2097153, 3000000, 4194304, 8388608,
};

/* Sizes that nothing can hold. */
static const size_t impossible[] = { SIZE_MAX, SIZE_MAX - 4096, (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX };

static void fill(unsigned char *p, size_t size, unsigned seed)
{
	for (size_t i = 0; i < size; i++)
		p[i] = (unsigned char)(seed + i * 7 + (i >> 12));
}

static void check(const unsigned char *p, size_t size, unsigned seed)
{
	for (size_t i = 0; i < size; i++)
		if (p[i] != (unsigned char)(seed + i * 7 + (i >> 12)))
			fail_msg("byte %zu of %zu changed", i, size);
}

static void test_zero_sizes(void **state)
{
	(void)state;
	void *a = malloc(0), *b = malloc(0), *c = calloc(0, 8), *d = calloc(8, 0);
	assert_non_null(a);
	assert_non_null(b);
	assert_non_null(c);
	assert_non_null(d);
	assert_ptr_not_equal(a, b);
	assert_ptr_not_equal(c, d);
	free(a);
	free(b);
	free(c);
	free(d);
	free(NULL);
}

static void test_impossible_sizes(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(impossible); i++) {
		void *out = &out;
		assert_refused(malloc(impossible[i]), ENOMEM);
		assert_refused(calloc(1, impossible[i]), ENOMEM);
		assert_refused(calloc(impossible[i], 1), ENOMEM);
		assert_refused(realloc(NULL, impossible[i]), ENOMEM);
		assert_refused(aligned_alloc(64, impossible[i]), ENOMEM);
		assert_refused(memalign(64, impossible[i]), ENOMEM);
		assert_refused(valloc(impossible[i]), ENOMEM);
		assert_refused(pvalloc(impossible[i]), ENOMEM);
		assert_int_equal(posix_memalign(&out, 64, impossible[i]), ENOMEM);
		assert_ptr_equal(out, &out);
	}
}

static void test_products_overflow(void **state)
{
	(void)state;
	void *kept = malloc(100);
	fill(kept, 100, 1);
	assert_refused(calloc(opaque_size(SIZE_MAX / 2), 3), ENOMEM);
	assert_refused(calloc(3, opaque_size(SIZE_MAX / 2)), ENOMEM);
	assert_refused(calloc(opaque_size((size_t)1 << 32), (size_t)1 << 32), ENOMEM); /* 0 once wrapped */
	assert_refused(reallocarray(NULL, opaque_size(SIZE_MAX / 2), 3), ENOMEM);
	assert_refused(reallocarray(opaque(kept), opaque_size((size_t)1 << 32), (size_t)1 << 32), ENOMEM);
	check(kept, 100, 1);
	kept = reallocarray(kept, 100, 10);
	assert_non_null(kept);
	check(kept, 100, 1);
	free(kept);
}

static void test_bad_alignments(void **state)
{
	static const size_t bad[] = { 0, 3, 24, 4095, 4097, SIZE_MAX };
	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		size_t align = opaque_size(bad[i]);
		void *out = &out;
		assert_refused(aligned_alloc(align, 100), EINVAL);
		assert_refused(memalign(align, 100), EINVAL);
		assert_int_equal(posix_memalign(&out, align, 100), EINVAL);
		assert_ptr_equal(out, &out);
	}
	for (size_t align = 1; align < sizeof(void *); align *= 2) {
		void *out = &out;
		assert_int_equal(posix_memalign(&out, opaque_size(align), 100), EINVAL);
		assert_ptr_equal(out, &out);
	}
}

static bool is_aligned(const void *p, size_t align)
{
	return ((uintptr_t)p & (align - 1)) == 0;
}

static void test_alignments(void **state)
{
	static const size_t lengths[] = { 0, 1, 100, 4096, 70000 };
	(void)state;
	for (size_t align = 1; align <= 1024 * MIB; align *= 2) {
		for (size_t i = 0; i < COUNT(lengths); i++) {
			void *p = aligned_alloc(align, lengths[i]);
			if (!p) {
				assert_int_equal(errno, ENOMEM);
				assert_true(align > 4 * MIB);
				continue;
			}
			assert_true(is_aligned(p, align));
			assert_true(malloc_usable_size(p) >= lengths[i]);
			memset(p, 0xa5, lengths[i]);
			free(p);
		}
	}
}

static void test_posix_memalign(void **state)
{
	(void)state;
	for (size_t align = sizeof(void *); align <= 4 * MIB; align *= 2) {
		void *p = NULL;
		errno = 77;
		assert_int_equal(posix_memalign(&p, align, 100), 0);
		assert_int_equal(errno, 77);
		assert_true(p && is_aligned(p, align));
		free(p);
	}
}

static void test_ordinary_alignment(void **state)
{
	(void)state;
	for (size_t size = 0; size < 5000; size += size < 300 ? 1 : 61) {
		void *p = malloc(size);
		assert_true(p && is_aligned(p, size < 16 ? 8 : 16));
		free(p);
	}
}

static void test_usable_size(void **state)
{
	(void)state;
	assert_int_equal(malloc_usable_size(NULL), 0);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		unsigned char *p = malloc(sizes[i]), *next = malloc(sizes[i]);
		assert_true(p && next);
		size_t usable = malloc_usable_size(p);
		assert_true(usable >= sizes[i]);
		fill(next, sizes[i], 3);
		memset(p, 0xff, usable);
		check(next, sizes[i], 3);
		free(p);
		free(next);
	}
}

static void test_realloc_ends(void **state)
{
	(void)state;
	void *p = realloc(NULL, 100);
	assert_non_null(p);
	assert_true(malloc_usable_size(p) >= 100);
	assert_null(realloc(p, opaque_size(0)));
	p = realloc(NULL, opaque_size(0));
	assert_non_null(p);
	free(p);

	/* It really is freed: else this would run into the limit. */
	for (int i = 0; i < 4000; i++) {
		p = malloc(MIB);
		assert_non_null(p);
		assert_null(realloc(p, opaque_size(0)));
	}
}

static void test_realloc_keeps(void **state)
{
	(void)state;
	unsigned char *p = NULL;
	size_t had = 0;
	for (size_t pass = 0; pass < 2; pass++) {
		for (size_t k = 0; k < COUNT(sizes); k++) {
			size_t size = sizes[pass ? COUNT(sizes) - 1 - k : k];
			p = realloc(p, size);
			assert_non_null(p);
			check(p, had < size ? had : size, 5);
			fill(p, size, 5);
			had = size;
		}
	}
	free(p);
}

/* Every size to every other, so that shrinking in place and moving both happen. */
static void test_realloc_pairs(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i += 3) {
		for (size_t k = 0; k < COUNT(sizes); k += 2) {
			unsigned char *p = malloc(sizes[i]);
			assert_non_null(p);
			fill(p, sizes[i], 9);
			p = realloc(p, sizes[k]);
			assert_non_null(p);
			check(p, sizes[i] < sizes[k] ? sizes[i] : sizes[k], 9);
			free(p);
		}
	}
}

static void test_realloc_refused(void **state)
{
	static const size_t big[] = { SIZE_MAX, PTRDIFF_MAX, (size_t)1 << 46, (size_t)4 << 30 };
	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		unsigned char *p = malloc(sizes[i]);
		assert_non_null(p);
		fill(p, sizes[i], 11);
		for (size_t k = 0; k < COUNT(big); k++)
			assert_refused(realloc(opaque(p), opaque_size(big[k])), ENOMEM);
		check(p, sizes[i], 11);
		free(p);
	}
}

static void test_errno_untouched(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		errno = 4242;
		void *p = malloc(sizes[i]), *q = calloc(1, sizes[i]);
		assert_int_equal(errno, 4242);
		p = realloc(p, sizes[i] * 2);
		assert_int_equal(errno, 4242);
		assert_true(p && q);
		free(p);
		free(q);
		assert_int_equal(errno, 4242);
	}
}

static bool is_zero(const unsigned char *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (p[i])
			return false;
	return true;
}

static void test_calloc_reads_zero(void **state)
{
	(void)state;
	for (size_t round = 0; round < 4; round++) {
		for (size_t i = 0; i < COUNT(sizes); i++) {
			void *dirty[8];
			size_t n = sizes[i] > 100 * KIB ? 3 : COUNT(dirty);
			for (size_t k = 0; k < n; k++) {
				dirty[k] = malloc(sizes[i]);
				assert_non_null(dirty[k]);
				memset(dirty[k], 0xee, malloc_usable_size(dirty[k]));
			}
			for (size_t k = 0; k < n; k++)
				free(dirty[k]);
			if (round & 1)
				malloc_trim(0);
			for (size_t k = 0; k < n; k++) {
				dirty[k] = calloc(round & 2 ? sizes[i] : 1, round & 2 ? 1 : sizes[i]);
				assert_non_null(dirty[k]);
				assert_true(is_zero(dirty[k], sizes[i]));
			}
			for (size_t k = 0; k < n; k++)
				free(dirty[k]);
		}
	}
}

static void test_backed(void **state)
{
	enum { MOST = 40 };
	unsigned char *blocks[MOST];
	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		for (size_t k = 0; k < MOST; k++)
			assert_non_null(blocks[k] = k % 2 ? calloc(1, sizes[i]) : malloc(sizes[i]));
		long before = minor_faults();
		for (size_t k = 0; k < MOST; k++)
			for (size_t at = 0; at < sizes[i]; at += 1000)
				((volatile unsigned char *)blocks[k])[at] = 1;
		assert_int_equal(minor_faults(), before);
		for (size_t k = 0; k < MOST; k++)
			free(blocks[k]);
	}
}

/* Nothing was promised that is not there: NULL comes before trouble, and goes again. */
static void test_limit_and_back(void **state)
{
	enum { MOST = 2000 };
	static unsigned char *blocks[MOST];
	size_t n[2];
	(void)state;
	for (size_t round = 0; round < 2; round++) {
		size_t count = 0;
		while (count < MOST && (blocks[count] = malloc(MIB - 1)))
			memset(blocks[count++], 1, MIB - 1);
		assert_int_equal(errno, ENOMEM);
		assert_true(count > 100 && count * MIB <= family_books().limit);
		for (size_t i = 0; i < count; i++)
			free(blocks[i]);
		n[round] = count;
	}
	assert_true(n[1] + 2 >= n[0]);
}

/* A smaller block may not be had any more: then the old one serves. */
static void test_shrink_at_limit(void **state)
{
	struct link {
		struct link *next;
	} *chain = NULL, *p;
	unsigned char *blocks[] = { malloc(1000), malloc(100000), malloc(3 * MIB) };
	static const size_t had[] = { 1000, 100000, 3 * 1024 * 1024 };
	(void)state;
	for (size_t i = 0; i < COUNT(blocks); i++) {
		assert_non_null(blocks[i]);
		fill(blocks[i], had[i], 13);
	}
	for (size_t size = MIB; size >= 64; size /= 2)
		for (; (p = malloc(size)); chain = p)
			p->next = chain;
	assert_refused(malloc(100), ENOMEM);
	for (size_t i = 0; i < COUNT(blocks); i++) {
		errno = 77;
		blocks[i] = realloc(blocks[i], 100);
		assert_non_null(blocks[i]);
		assert_int_equal(errno, 77);
		check(blocks[i], 100, 13);
		assert_refused(realloc(opaque(blocks[i]), 4 * MIB), ENOMEM);
		free(blocks[i]);
	}
	for (; chain; chain = p) {
		p = chain->next;
		free(chain);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zero_sizes),
		cmocka_unit_test(test_impossible_sizes),
		cmocka_unit_test(test_products_overflow),
		cmocka_unit_test(test_bad_alignments),
		cmocka_unit_test(test_alignments),
		cmocka_unit_test(test_posix_memalign),
		cmocka_unit_test(test_ordinary_alignment),
		cmocka_unit_test(test_usable_size),
		cmocka_unit_test(test_realloc_ends),
		cmocka_unit_test(test_realloc_keeps),
		cmocka_unit_test(test_realloc_pairs),
		cmocka_unit_test(test_realloc_refused),
		cmocka_unit_test(test_errno_untouched),
		cmocka_unit_test(test_calloc_reads_zero),
		cmocka_unit_test(test_backed),
		cmocka_unit_test(test_limit_and_back),
		cmocka_unit_test(test_shrink_at_limit),
	};
	return cmocka_run_group_tests(tests, family_setup, NULL);
}
