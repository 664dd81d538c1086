/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In front of jemalloc's header of this name: fewer rounds (ROUNDS_DIVISOR), since it is not
 * times that are looked for; nor are they compared, as they may be 0 then.
 */
#ifndef TESTS_JEMALLOC_BENCH_H
#define TESTS_JEMALLOC_BENCH_H

#define timer_ratio(a, b, text, size) malloc_snprintf(text, size, "-")

#include_next "test/bench.h"

#define compare_funcs(warm_up, rounds, ...) \
	compare_funcs((warm_up) / ROUNDS_DIVISOR, (rounds) / ROUNDS_DIVISOR, __VA_ARGS__)

#endif
