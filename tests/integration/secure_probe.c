/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linked with the drop-in as an archive, so that it can be made set-user-ID anywhere. Prints
 * the limit that counts, -1 for none, and whether what malloc gives reads as zero where others
 * wrote before: "limit N, foreign bytes M".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sparena/stats.h"

#define BLOCK ((size_t)4 << 20)

int main(void)
{
	struct sparena_stats s;
	if (sparena_stats_get(NULL, &s, sizeof s))
		return 2;
	unsigned char *p = malloc(BLOCK);
	size_t foreign = 0;
	for (size_t i = 0; p && i < BLOCK; i++)
		foreign += p[i] != 0;
	if (p)
		memset(p, 0x5a, BLOCK);
	printf("limit %lld, foreign bytes %zu\n", s.limit == UINT64_MAX ? -1LL : (long long)s.limit, foreign);
	free(p);
	return 0;
}
