/* SPDX-License-Identifier: BSD-2-Clause */
/* For the tests of the malloc family: what both programs need. */
#ifndef TESTS_PRELOAD_FAMILY_H
#define TESTS_PRELOAD_FAMILY_H

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sparena/stats.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* The call returns NULL with errno `error`. */
#define assert_refused(call, error)           \
	do {                                  \
		errno = 0;                    \
		assert_null(call);            \
		assert_int_equal(errno, error); \
	} while (0)

/* Values that the compiler does not see through. */
static inline size_t opaque_size(size_t size)
{
	__asm__("" : "+r"(size));
	return size;
}

static inline void *opaque(void *p)
{
	__asm__("" : "+r"(p));
	return p;
}

/* The plain program finds the library's own functions only when it is preloaded. */
static inline void *library_function(const char *name)
{
	void *f = dlsym(RTLD_DEFAULT, name);
	if (!f)
		fail_msg("no %s: is libsparena_malloc.so loaded?", name);
	return f;
}

static inline struct sparena_stats family_stats(void)
{
	int (*get)(struct sparena_heap *, struct sparena_stats *, size_t);
	struct sparena_stats s;
	*(void **)&get = library_function("sparena_stats_get");
	assert_int_equal(get(NULL, &s, sizeof s), 0);
	return s;
}

/* Also says whether what is charged is what the kernel says is resident. */
static inline struct sparena_stats family_books(void)
{
	struct sparena_stats s = family_stats();
	assert_int_equal(s.committed + s.metadata, s.resident);
	assert_true(s.resident <= s.limit);
	return s;
}

/* Under a limit, so that a test that goes wrong cannot take the machine along. */
static inline int family_setup(void **state)
{
	(void)state;
	assert_true(family_stats().limit <= (uint64_t)1 << 30);
	return 0;
}

#endif
