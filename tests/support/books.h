/* SPDX-License-Identifier: BSD-2-Clause */
/* What a program that runs on the drop-in library can see of its books. */
#ifndef SPARENA_TESTS_BOOKS_H
#define SPARENA_TESTS_BOOKS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "sparena/stats.h"
#include "status.h"

#define CHECK(condition)                                                                  \
	do {                                                                              \
		if (!(condition)) {                                                       \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                          \
		}                                                                         \
	} while (0)

/* Charged, and resident by the kernel's view, must be the same at a quiet moment; what is
 * charged only (lazy_above) is resident as far as it was touched. */
static inline struct sparena_stats books_balance(void)
{
	struct sparena_stats s;
	CHECK(sparena_stats_get(NULL, &s, sizeof s) == 0);
	unsigned long long backed = s.committed + s.metadata;
	if (backed > s.resident || s.resident > backed + s.lazy || backed + s.lazy > s.limit) {
		fprintf(stderr, "books: committed %llu + metadata %llu, lazy %llu, ",
		        (unsigned long long)s.committed, (unsigned long long)s.metadata, (unsigned long long)s.lazy);
		fprintf(stderr, "resident %llu, limit %llu\n", (unsigned long long)s.resident,
		        (unsigned long long)s.limit);
		abort();
	}
	return s;
}

#endif
