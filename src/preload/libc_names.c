/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * glibc's other names for the family. A program that puts a function of its own around
 * malloc reaches the original by them, and frees by the plain ones; and in a static
 * program they would bring glibc's malloc in beside ours.
 */
#include <malloc.h>
#include <stdlib.h>

#include "heap/je.h"
#include "preload/preload.h"

void *__libc_malloc(size_t size);
EXPORT void *__libc_malloc(size_t size) { return sparena_je_malloc(size); }

void *__libc_calloc(size_t n, size_t size);
EXPORT void *__libc_calloc(size_t n, size_t size) { return sparena_je_calloc(n, size); }

void *__libc_realloc(void *p, size_t size);
EXPORT void *__libc_realloc(void *p, size_t size) { return realloc(p, size); }

void *__libc_memalign(size_t align, size_t size);
EXPORT void *__libc_memalign(size_t align, size_t size) { return sparena_je_aligned_alloc(align, size); }

void *__libc_valloc(size_t size);
EXPORT void *__libc_valloc(size_t size) { return valloc(size); }

void *__libc_pvalloc(size_t size);
EXPORT void *__libc_pvalloc(size_t size) { return pvalloc(size); }

void __libc_free(void *p);
EXPORT void __libc_free(void *p) { sparena_je_free(p); }

int __libc_mallopt(int parameter, int value);
EXPORT int __libc_mallopt(int parameter, int value) { return mallopt(parameter, value); }
