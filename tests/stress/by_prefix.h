/* SPDX-License-Identifier: BSD-2-Clause */
/* Included before stress tests whose malloc is another: in a sanitizer's build, and soak.c. */
#ifndef TESTS_STRESS_BY_PREFIX_H
#define TESTS_STRESS_BY_PREFIX_H

#include <stdlib.h> /* declares malloc, before it is another word for ours */

#include "heap/je.h"

#define malloc sparena_je_malloc
#define calloc sparena_je_calloc
#define realloc sparena_je_realloc
#define aligned_alloc sparena_je_aligned_alloc
#define free sparena_je_free

#endif
