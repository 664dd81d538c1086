/* SPDX-License-Identifier: BSD-2-Clause */
/* The library's own start: before jemalloc's constructor, and before the C library's; and
 * after it. */
#define _GNU_SOURCE
#include <unistd.h>

#include "heap/heap.h"
#include "heap/je.h"
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

/* The thread of background:true, now that the program can have threads. */
__attribute__((constructor)) static void begin_background(void)
{
	struct heap *h = &heap_process;
	if (!h->meta.base)
		(void)sparena_je_nallocx(1, 0); /* which starts jemalloc, and takes nothing */
	if (h->data.base && heap_background_start(h))
		heap_say("background: no thread is to be had: memory goes back with the next activity", "");
}
