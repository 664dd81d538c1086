/* SPDX-License-Identifier: BSD-2-Clause */
/* What a backing holds by the kernel's own account, asked without allocating. */
#ifndef SPARENA_TESTS_MATRIX_KERNEL_H
#define SPARENA_TESTS_MATRIX_KERNEL_H

#include <stdbool.h>
#include <stddef.h>

/* Says what is not so, and ends. */
__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...);

#define CHECK(condition)                                            \
	do {                                                        \
		if (!(condition))                                   \
			fail("line %d: %s", __LINE__, #condition);  \
	} while (0)

/* `how`: own, the books' view alone; pool:KIB, free pages of a pool of huge ones; room:PATH, st_blocks
 * of our file there (or memfd); data:PATH, SEEK_DATA. */
void kernel_begin(const char *how);

/* Finds the descriptor of the file behind the heap or region. */
void kernel_find_ours(void);

/* The backing holds exactly that. */
void kernel_check(size_t bytes);

/* After the end: nothing is held, no descriptor open. */
void kernel_check_gone(void);

#endif
