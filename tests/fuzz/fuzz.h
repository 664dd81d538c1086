/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a target offers, as libFuzzer calls it, and what it may use. Without libFuzzer (any
 * compiler but Clang) drive.c stands in its place: it runs the corpus, and random changes of it.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Says what did not hold, and ends: the fuzzer keeps the input. */
#define MUST(holds)                                                                         \
	do {                                                                                \
		if (!(holds)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #holds); \
			abort();                                                            \
		}                                                                           \
	} while (0)

#endif
