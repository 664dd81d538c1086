/* SPDX-License-Identifier: BSD-2-Clause */
/* How many page faults this process had. */
#ifndef SPARENA_TESTS_FAULTS_H
#define SPARENA_TESTS_FAULTS_H

#include <stdlib.h>
#include <sys/resource.h>

/* ThreadSanitizer has a thread of its own, which has faults at any time: there, of the
 * calling thread. */
#if defined(__SANITIZE_THREAD__) && defined(RUSAGE_THREAD)
#define WHOSE_FAULTS RUSAGE_THREAD
#else
#define WHOSE_FAULTS RUSAGE_SELF
#endif

/* Under Valgrind, whose own faults would count as the program's, always 0. */
static inline long minor_faults(void)
{
	struct rusage usage;
	if (getenv("SPARENA_TEST_VALGRIND"))
		return 0;
	getrusage(WHOSE_FAULTS, &usage);
	return usage.ru_minflt;
}

#endif
