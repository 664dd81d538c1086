/* SPDX-License-Identifier: BSD-2-Clause */
/* SANITIZED: a sanitizer is in this program, which takes address space for itself. */
#ifndef SPARENA_TESTS_SANITIZED_H
#define SPARENA_TESTS_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#endif
