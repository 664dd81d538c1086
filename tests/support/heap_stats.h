/* SPDX-License-Identifier: BSD-2-Clause */
/* A heap's statistics, for tests by cmocka. */
#ifndef SPARENA_TESTS_HEAP_STATS_H
#define SPARENA_TESTS_HEAP_STATS_H

#include "sparena/stats.h"

static inline struct sparena_stats stats_of(struct sparena_heap *h)
{
	struct sparena_stats s;
	assert_int_equal(sparena_stats_get(h, &s, sizeof s), 0);
	return s;
}

#endif
