/* SPDX-License-Identifier: BSD-2-Clause */
/* The groups of the C program. */
#ifndef TESTS_CONFORMANCE_CASES_H
#define TESTS_CONFORMANCE_CASES_H

#include "conformance.h"

extern const struct conformance_case result_cases[], align_cases[], block_cases[], thread_cases[], fork_cases[],
        start_cases[], dlopen_cases[], limit_cases[], environment_cases[], glibc_cases[],
        text_cases[], libc_cases[], misuse_cases[];

#endif
