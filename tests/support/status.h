/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel says of this process. */
#ifndef SPARENA_TESTS_STATUS_H
#define SPARENA_TESTS_STATUS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A number of a file of /proc/self, in KiB; -1: there is none of that name. */
static inline long proc_kib(const char *path, const char *name)
{
	char line[256];
	long value = -1;
	FILE *f = fopen(path, "r");
	if (!f)
		abort();
	while (fgets(line, sizeof line, f))
		if (strncmp(line, name, strlen(name)) == 0)
			value = strtol(line + strlen(name) + 1, NULL, 10);
	fclose(f);
	return value;
}

static inline long status_kib(const char *name) { return proc_kib("/proc/self/status", name); }

#endif
