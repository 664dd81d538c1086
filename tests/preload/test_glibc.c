/* SPDX-License-Identifier: BSD-2-Clause */
/* glibc's own members of the family, C23's, and addresses that are not the heap's. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "family.h"

static const size_t MIB = 1024 * 1024;

static void test_valloc(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	(void)state;
	for (size_t size = 0; size < 5 * page; size += 1111) {
		void *v = valloc(size), *p = pvalloc(size);
		size_t whole = size ? (size + page - 1) / page * page : page;
		assert_true(v && p);
		assert_int_equal((uintptr_t)v % page, 0);
		assert_int_equal((uintptr_t)p % page, 0);
		assert_true(malloc_usable_size(v) >= size);
		assert_true(malloc_usable_size(p) >= whole);
		memset(p, 1, whole);
		free(v);
		free(p);
	}
}

static void test_trim(void **state)
{
	(void)state;
	void *p = malloc(64 * MIB);
	assert_non_null(p);
	assert_true(family_books().resident > 64 * MIB);
	free(p);
	malloc_trim(0);
	assert_true(family_books().resident < 32 * MIB);
	assert_int_equal(malloc_trim(0), 0);
	p = malloc(100);
	assert_non_null(p);
	free(p);
}

static void test_mallinfo2(void **state)
{
	(void)state;
	struct mallinfo2 before = mallinfo2();
	void *p = malloc(32 * MIB);
	assert_non_null(p);
	struct mallinfo2 with = mallinfo2();
	free(p);
	struct mallinfo2 after = mallinfo2();
	assert_true(with.uordblks >= before.uordblks + 32 * MIB);
	assert_true(with.uordblks < before.uordblks + 36 * MIB);
	assert_true(with.arena >= with.uordblks);
	assert_true(with.uordblks + with.fordblks <= with.arena);
	assert_true(after.uordblks < with.uordblks - 31 * MIB);
}

/* The old one, whose members are int. */
static void test_mallinfo(void **state)
{
	struct mallinfo (*info)(void);
	(void)state;
	*(void **)&info = library_function("mallinfo");
	struct mallinfo before = info();
	void *p = malloc(32 * MIB);
	assert_non_null(p);
	struct mallinfo with = info();
	assert_true(with.uordblks >= before.uordblks + 31 * (int)MIB);
	assert_true(with.arena >= with.uordblks && with.fordblks >= 0 && with.keepcost >= 0);
	free(p);
}

static void test_mallopt(void **state)
{
	(void)state;
	assert_int_equal(mallopt(M_MMAP_THRESHOLD, 1 << 20), 1);
	assert_int_equal(mallopt(M_ARENA_MAX, 2), 1);
	assert_int_equal(mallopt(4711, 1), 0);
}

/* What is written to descriptor 2 during call(), as text. */
static void capture_stderr(void (*call)(void), char *text, size_t size)
{
	int ends[2], saved = dup(STDERR_FILENO);
	assert_int_equal(pipe(ends), 0);
	assert_true(saved >= 0 && dup2(ends[1], STDERR_FILENO) >= 0);
	close(ends[1]);
	call();
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	size_t length = 0;
	ssize_t n;
	while (length < size - 1 && (n = read(ends[0], text + length, size - 1 - length)) > 0)
		length += (size_t)n;
	text[length] = '\0';
	close(ends[0]);
}

static void test_malloc_stats(void **state)
{
	char text[8192];
	(void)state;
	capture_stderr(malloc_stats, text, sizeof text);
	assert_non_null(strstr(text, "committed_peak"));
	assert_non_null(strstr(text, "allocated"));
}

/* Enough of XML for this: what is opened is closed, in order, in one root. */
static void assert_is_xml(const char *text)
{
	char open[8][32];
	int depth = 0, roots = 0;
	for (const char *p = text; (p = strchr(p, '<')); p++) {
		const char *end = strchr(p, '>');
		assert_non_null(end);
		size_t length = strcspn(p + 1, " />");
		if (p[1] == '/') {
			length = strcspn(p + 2, " />");
			assert_true(depth > 0);
			depth--;
			assert_int_equal(strlen(open[depth]), length);
			assert_memory_equal(open[depth], p + 2, length);
		} else if (end[-1] != '/') {
			assert_true(depth < 8 && length < sizeof open[0]);
			roots += depth == 0;
			memcpy(open[depth], p + 1, length);
			open[depth++][length] = '\0';
		}
	}
	assert_int_equal(depth, 0);
	assert_int_equal(roots, 1);
}

static void test_malloc_info(void **state)
{
	char text[8192] = "";
	(void)state;
	FILE *f = tmpfile();
	assert_non_null(f);
	assert_int_equal(malloc_info(0, f), 0);
	rewind(f);
	size_t n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	assert_true(n > 0);
	assert_int_equal(strncmp(text, "<malloc version=", 16), 0);
	assert_is_xml(text);

	errno = 0;
	assert_int_equal(malloc_info(1, stderr), -1);
	assert_int_equal(errno, EINVAL);
}

static void test_other_frees(void **state)
{
	void (*sized)(void *, size_t), (*aligned_sized)(void *, size_t, size_t), (*c)(void *);
	(void)state;
	*(void **)&sized = library_function("free_sized");
	*(void **)&aligned_sized = library_function("free_aligned_sized");
	*(void **)&c = library_function("cfree");
	sized(NULL, 0);
	aligned_sized(NULL, 16, 0);
	c(NULL);
	/* 6 GiB in all: under the limit only if each is freed. */
	for (int i = 0; i < 2000; i++) {
		void *a = malloc(MIB), *b = aligned_alloc(4096, MIB), *d = malloc(MIB);
		assert_true(a && b && d);
		sized(a, MIB);
		aligned_sized(b, 4096, MIB);
		c(d);
	}
}

/* ---- addresses that are not the heap's --------------------------------------- */

static char in_data[64] = "data";

static void each_foreign(void (*call)(void *))
{
	char on_stack[64] = "stack";
	char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(map != MAP_FAILED);
	memset(map, 7, 8192);
	call(opaque(on_stack + 16));
	call(opaque(in_data + 16));
	call(opaque(map));
	call(opaque(map + 4096));
	call(opaque((void *)(uintptr_t)0x1000)); /* nothing is mapped there */
	assert_string_equal(on_stack, "stack");
	assert_string_equal(in_data, "data");
	assert_int_equal(map[0], 7);
	assert_int_equal(map[4096], 7);
	munmap(map, 8192);
}

enum { FOREIGN = 5 };

static void foreign_free(void *p) { free(p); }

static void foreign_realloc(void *p)
{
	assert_refused(realloc(p, 100), ENOMEM);
	assert_null(realloc(p, opaque_size(0)));
}

static void foreign_usable_size(void *p)
{
	assert_int_equal(malloc_usable_size(p), 0);
}

static void test_foreign_free(void **state)
{
	(void)state;
	uint64_t before = family_stats().foreign_frees;
	each_foreign(foreign_free);
	assert_int_equal(family_stats().foreign_frees, before + FOREIGN);
	free(NULL);
	free(malloc(10));
	assert_int_equal(family_stats().foreign_frees, before + FOREIGN);
}

static void test_foreign_others(void **state)
{
	(void)state;
	uint64_t before = family_stats().foreign_frees;
	each_foreign(foreign_realloc);
	assert_int_equal(family_stats().foreign_frees, before + 2 * FOREIGN);
	each_foreign(foreign_usable_size);
	void *p = malloc(100);
	assert_non_null(p);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valloc),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_mallinfo2),
		cmocka_unit_test(test_mallinfo),
		cmocka_unit_test(test_mallopt),
		cmocka_unit_test(test_malloc_stats),
		cmocka_unit_test(test_malloc_info),
		cmocka_unit_test(test_other_frees),
		cmocka_unit_test(test_foreign_free),
		cmocka_unit_test(test_foreign_others),
	};
	return cmocka_run_group_tests(tests, family_setup, NULL);
}
