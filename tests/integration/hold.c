/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Takes memory and gives it back as it is told on standard input, a line each:
 *   take MIB   in blocks of 64 KiB, written to, until malloc returns NULL; prints "took MIB"
 *   give MIB   frees the latest; prints "gave MIB"
 *   purge      malloc_trim(3); prints "purged"
 *   close      closes all descriptors above 2; prints "closed"
 *   root DIR   chroot(2); prints "root 0", or an errno
 *   nobody     drops its privileges; prints "nobody 0", or an errno
 *   maps       prints "maps N", how many mappings there are
 *   books      the library's; prints "books N", what is resident and not charged, or the reverse
 *   lost       prints "lost N", helper processes
 *   fork       a child takes 1 MiB; prints "fork 0", or its status
 * Ends with its input. Everything by system calls, so that nobody else allocates.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sparena/stats.h"

#pragma weak sparena_stats_get /* of a library that is loaded before it */

#define BLOCK ((size_t)64 << 10)
#define A_MIB (((size_t)1 << 20) / BLOCK)

static void *blocks[4096 * A_MIB]; /* the machine's memory is not ours to use up */
static size_t count;

static size_t take(size_t n)
{
	size_t before = count;
	while (count - before < n && count < sizeof blocks / sizeof *blocks && (blocks[count] = malloc(BLOCK)))
		memset(blocks[count++], 1, BLOCK);
	return count - before;
}

static size_t give(size_t n)
{
	size_t before = count;
	while (count && before - count < n)
		free(blocks[--count]);
	return before - count;
}

static struct sparena_stats stats(void)
{
	struct sparena_stats s = { 0 };
	if (sparena_stats_get && sparena_stats_get(NULL, &s, sizeof s))
		s.resident = 1;
	return s;
}

static long long difference(void)
{
	struct sparena_stats s = stats();
	return (long long)(s.resident - s.committed - s.metadata);
}

static int in_child(void)
{
	int status = -1;
	pid_t pid = fork();
	if (pid == 0)
		_exit(take(A_MIB) == A_MIB ? 0 : 1);
	return pid > 0 && waitpid(pid, &status, 0) == pid ? status : errno;
}

static size_t mappings(void)
{
	char part[4096];
	size_t lines = 0;
	ssize_t n;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	while ((n = read(fd, part, sizeof part)) > 0)
		for (ssize_t i = 0; i < n; i++)
			lines += part[i] == '\n';
	close(fd);
	return lines;
}

static int result(int r) { return r ? errno : 0; }

static void obey(const char *line, char *answer, size_t size)
{
	size_t n = strtoul(line + strcspn(line, " "), NULL, 10);
	if (!strncmp(line, "take", 4)) {
		size_t got = take(n * A_MIB);
		snprintf(answer, size, "took %zu\n", got / A_MIB);
	} else if (!strncmp(line, "give", 4)) {
		snprintf(answer, size, "gave %zu\n", give(n * A_MIB) / A_MIB);
	} else if (!strncmp(line, "purge", 5)) {
		malloc_trim(0);
		snprintf(answer, size, "purged\n");
	} else if (!strncmp(line, "close", 5)) {
		for (int fd = 3; fd < 1024; fd++)
			close(fd);
		snprintf(answer, size, "closed\n");
	} else if (!strncmp(line, "root", 4)) {
		snprintf(answer, size, "root %d\n", result(chroot(line + 5)) + result(chdir("/")));
	} else if (!strncmp(line, "nobody", 6)) {
		snprintf(answer, size, "nobody %d\n", result(setgid(65534)) + result(setuid(65534)));
	} else if (!strncmp(line, "maps", 4)) {
		snprintf(answer, size, "maps %zu\n", mappings());
	} else if (!strncmp(line, "books", 5)) {
		snprintf(answer, size, "books %lld\n", difference());
	} else if (!strncmp(line, "lost", 4)) {
		snprintf(answer, size, "lost %llu\n", (unsigned long long)stats().helper_lost);
	} else if (!strncmp(line, "fork", 4)) {
		snprintf(answer, size, "fork %d\n", in_child());
	} else {
		snprintf(answer, size, "what?\n");
	}
}

int main(void)
{
	char line[256], answer[64];
	for (;;) {
		size_t length = 0;
		while (length < sizeof line - 1 && read(STDIN_FILENO, line + length, 1) == 1 && line[length] != '\n')
			length++;
		if (!length)
			return 0;
		line[length] = '\0';
		obey(line, answer, sizeof answer);
		if (write(STDOUT_FILENO, answer, strlen(answer)) < 0)
			return 1;
	}
}
