/* SPDX-License-Identifier: BSD-2-Clause */
/* What the C program runs, in the order of the table. */
#include "cases.h"

const struct conformance_case *const conformance_groups[] = {
	result_cases,
	align_cases,
	block_cases,
	limit_cases,
	thread_cases,
	fork_cases,
	start_cases,
#ifndef CONFORMANCE_STATIC
	dlopen_cases,
#endif
	environment_cases,
	glibc_cases,
	text_cases,
	libc_cases,
	misuse_cases,
	NULL,
};
