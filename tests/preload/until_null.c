/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Allocates and writes 1 MiB blocks until malloc returns NULL, or 64 MiB with an
 * argument "some". Prints what there was: "secure S, M MiB, errno E". What the
 * scripts run under options and limits.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#define MOST 8192 /* the machine's memory is not ours to use up */

int main(int argc, char **argv)
{
	static char *blocks[MOST];
	int most = argc > 1 && strcmp(argv[1], "some") == 0 ? 64 : MOST, count = 0;
	errno = 0;
	while (count < most && (blocks[count] = malloc(1 << 20)))
		memset(blocks[count++], 1, 1 << 20);
	int error = errno;
	for (int i = 0; i < count; i++)
		free(blocks[i]);
	char *again = malloc(1 << 20);
	printf("secure %lu, %d MiB, errno %d, again %d\n", getauxval(AT_SECURE), count, error, again != NULL);
	free(again);
	return 0;
}
