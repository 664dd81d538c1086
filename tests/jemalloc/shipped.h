/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Included before jemalloc's unit and stress tests. They would be compiled for a build of
 * jemalloc that is made for them, with other names and one field more for each thread. Here
 * they see the one that we have, under its names.
 */
#define JEMALLOC_MANGLE
#include "jemalloc/internal/jemalloc_preamble.h"
#include "jemalloc/internal/jemalloc_internal_includes.h"
