/* SPDX-License-Identifier: BSD-2-Clause */
/* Included before the stress tests in a sanitizer's build, whose malloc is another. */
#ifndef TESTS_STRESS_BY_PREFIX_H
#define TESTS_STRESS_BY_PREFIX_H

#include <stdlib.h> /* declares malloc, before it is another word for ours */

#include "heap/je.h"

#define malloc sparena_je_malloc
#define calloc sparena_je_calloc
#define free sparena_je_free

#endif
