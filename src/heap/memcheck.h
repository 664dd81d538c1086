/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Explicit heaps under Valgrind's memcheck, which knows malloc, and nothing of memory that
 * others hand out: it is told of each block, so that it reports what is written beside it,
 * what is used when it was freed, and what is lost. (malloc of the drop-in it replaces by its
 * own.) Without Valgrind's header at build time there is none of this.
 */
#ifndef SPARENA_HEAP_MEMCHECK_H
#define SPARENA_HEAP_MEMCHECK_H

#include "heap/heap.h"

extern const struct heap_checks memcheck_checks;

/* A heap comes; NULL: there is no Valgrind to tell. It goes, and all its blocks with it. */
const struct heap_checks *memcheck_heap_made(const struct heap *h);
void memcheck_heap_gone(const struct heap *h);

#endif
