/* SPDX-License-Identifier: BSD-2-Clause */
#include "by_prefix.h"

/* As the drop-in does: jemalloc starts with the program, before there are threads. */
__attribute__((constructor)) static void start(void)
{
	free(malloc(1));
}
