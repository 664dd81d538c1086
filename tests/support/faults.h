/* SPDX-License-Identifier: BSD-2-Clause */
/* How many page faults this process had. */
#ifndef SPARENA_TESTS_FAULTS_H
#define SPARENA_TESTS_FAULTS_H

#include <stdlib.h>
#include <sys/resource.h>

/* Under Valgrind, whose own faults would count as the program's, always 0. Not
 * instrumented: what a sanitizer notes of calls may be a page fault itself. */
__attribute__((no_sanitize_address, no_sanitize_thread)) static inline long minor_faults(void)
{
	struct rusage usage;
	if (getenv("SPARENA_TEST_VALGRIND"))
		return 0;
	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

#endif
