/* SPDX-License-Identifier: BSD-2-Clause */
/* One leaf of a runset: RUNSET_LEAF bits, and what is known of the runs of ones in it. */
#ifndef SPARENA_PAGES_LEAF_H
#define SPARENA_PAGES_LEAF_H

#include "base/base.h"
#include "pages/runset.h"

#define LEAF_WORDS (RUNSET_LEAF / BITMAP_WORD_BITS)

/* Computed from nothing but the bits. */
struct run_sum leaf_summary(const uint64_t *words);

/* First run of `count` ones inside a leaf that is known to have one. */
size_t leaf_find(const uint64_t *words, size_t count);

/* How many ones begin at bit `at`. */
unsigned leaf_run_at(const uint64_t *words, unsigned at);

/* Adds bits [from, from + count), none of which is there, or takes them out, all of which
 * are; and keeps the summary true. */
void leaf_add(uint64_t *words, struct run_sum *sum, unsigned from, unsigned count);
void leaf_remove(uint64_t *words, struct run_sum *sum, unsigned from, unsigned count);

#endif
