/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload: the drop-in library, libsparena_malloc.so. malloc, free, calloc,
 * aligned_alloc and posix_memalign are jemalloc's own entry points, exported by
 * the linker with nothing in between; here is the rest of the malloc family,
 * sparena_*() for the process heap, and what happens at exit. Nothing here may
 * allocate, except for a caller who asks for it.
 */
#ifndef SPARENA_PRELOAD_PRELOAD_H
#define SPARENA_PRELOAD_PRELOAD_H

#define EXPORT __attribute__((visibility("default")))

#endif
