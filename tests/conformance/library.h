/* SPDX-License-Identifier: BSD-2-Clause */
/* What a library of the tests offers: one is linked, one is opened with dlopen(3). */
#ifndef TESTS_CONFORMANCE_LIBRARY_H
#define TESTS_CONFORMANCE_LIBRARY_H

#include <stdbool.h>

#define LIBRARY_BLOCK 100000
#define LIBRARY_TLS 5000

struct library {
	void *block; /* LIBRARY_BLOCK bytes, allocated by its constructor, freed by its destructor */
	bool (*whole)(void); /* what its constructor wrote to its blocks stands there still */
	char *(*thread_local_bytes)(void);
	bool handlers_on; /* its fork handlers, registered by its constructor, allocate */
};

extern struct library linked_library;
extern struct library opened_library;

#endif
