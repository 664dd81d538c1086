/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernel: system calls that populate and give back, wrapped. Others may go on before each,
 * and in the middle, as they could in the kernel; and some fail, where that is asked for.
 */
#ifndef SPARENA_TESTS_INTERLEAVE_KERNEL_H
#define SPARENA_TESTS_INTERLEAVE_KERNEL_H

#include <stdbool.h>

/* Which calls may fail; whether one does is a choice of the schedule's. */
struct kernel_failures {
	unsigned most;      /* so many in a schedule */
	int populate_error; /* what populating fails with; 0: it does not */
	bool discards;      /* giving back may fail too, with EPERM */
	bool again;         /* populating says EAGAIN once, and then works */
};

/* For the next schedule. */
void kernel_begin(const struct kernel_failures *failures);

/* Failures in this schedule so far. */
unsigned kernel_failed(void);

/* Calls so far: without one, and a write, memory is as it was. */
unsigned long kernel_calls(void);

/* The clock stands still but for this. */
void kernel_pass(unsigned ms);

#endif
