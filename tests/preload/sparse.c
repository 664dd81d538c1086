/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Usage: sparse BLOCKS TOUCHED. Asks for so many blocks of 1 MiB, or until malloc returns
 * NULL, and writes so many of them; what it has stays. Prints "N MiB, errno E, resident R
 * MiB, again A", A being whether a block is to be had once one was freed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define MOST 8192

/* Nothing may be allocated for it: there may be no more. */
static long resident_mib(void)
{
	char text[128] = "";
	long size, pages = -1;
	int fd = open("/proc/self/statm", O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof text - 1) <= 0 || sscanf(text, "%ld %ld", &size, &pages) != 2)
		return -1;
	close(fd);
	return pages * sysconf(_SC_PAGESIZE) / (long)MIB;
}

int main(int argc, char **argv)
{
	static char *blocks[MOST];
	int most = argc > 1 ? atoi(argv[1]) : 0, touched = argc > 2 ? atoi(argv[2]) : 0, count = 0;
	errno = 0;
	while (count < most && count < MOST && (blocks[count] = malloc(MIB)))
		count++;
	int error = errno;
	for (int i = 0; i < count && i < touched; i++)
		memset(blocks[i], 1, MIB);
	long resident = resident_mib();
	if (count)
		free(blocks[count - 1]);
	char *volatile again = malloc(MIB);
	printf("%d MiB, errno %d, resident %ld MiB, again %d\n", count, error, resident, again != NULL);
	return 0;
}
