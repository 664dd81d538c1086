/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A library that test_lifetime links and one that it opens: both allocate in their
 * constructor, hold on to it, and free and allocate in their destructor.
 */
#include <stdlib.h>
#include <string.h>

#include "early.h"

static char *held[64];

__attribute__((constructor)) static void begin(void)
{
	for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
		held[i] = malloc(1000 * (i + 1));
		if (!held[i])
			abort();
		memset(held[i], (int)i + 1, 1000 * (i + 1));
	}
	free(held[0]);
	held[0] = calloc(1, 1 << 20);
}

int EARLY_CHECK(void)
{
	for (size_t i = 1; i < sizeof held / sizeof *held; i++)
		for (size_t k = 0; k < 1000 * (i + 1); k++)
			if (!held[i] || held[i][k] != (char)(i + 1))
				return 0;
	return held[0] != NULL;
}

__attribute__((destructor)) static void end(void)
{
	if (!EARLY_CHECK())
		abort();
	for (size_t i = 0; i < sizeof held / sizeof *held; i++)
		free(held[i]);
	char *p = malloc(3 << 20);
	if (!p)
		abort();
	memset(p, 1, 3 << 20);
	free(p);
}
