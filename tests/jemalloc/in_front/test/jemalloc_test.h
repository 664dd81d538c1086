/* SPDX-License-Identifier: BSD-2-Clause */
/* In front of jemalloc's header of this name: each of its tests asks first whether it is to run. */
#ifndef TESTS_JEMALLOC_TEST_H
#define TESTS_JEMALLOC_TEST_H

#include_next "test/jemalloc_test.h"

bool program_begins_test(const char *name);
void program_skips_test(const char *name);

#undef TEST_BEGIN
#define TEST_BEGIN(name)                         \
	static void name(void)                   \
	{                                        \
		if (!program_begins_test(#name)) \
			return;

/* What a test finds out by itself that it cannot do. */
#define test_skip(...) (program_skips_test(__func__), test_skip(__VA_ARGS__))

#endif
