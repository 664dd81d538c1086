/* SPDX-License-Identifier: BSD-2-Clause */
/* The library's own start: before jemalloc's constructor, and before the C library's; and
 * after it. */
#define _GNU_SOURCE
#include <unistd.h>

#include "heap/heap.h"
#include "preload/preload.h"

/* glibc hands constructors what main() is handed. Else the options would have to be read
 * from /proc/self/environ, which is not everywhere. */
__attribute__((constructor(101))) static void begin(int argc, char **argv, char **variables)
{
	(void)argc;
	(void)argv;
	if (!environ)
		environ = variables;
}

__attribute__((constructor)) static void begin_background(void) { heap_process_background(); }
