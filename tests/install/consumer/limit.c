/* SPDX-License-Identifier: BSD-2-Clause */
/* A user's program: takes memory until malloc says no, asks sparena what it knows of
 * that, frees, and goes on. Its names are common ones, which the library must not mind. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sparena/sparena.h>
#include <sparena/stats.h>

static struct node {
	struct node *next;
	char data[65536 - sizeof(void *)];
} *nodes;

int region_commit(int x);
int region_commit(int x) { return x + 1; }

static size_t fill(void)
{
	size_t count = 0;
	struct node *n;

	errno = 0;
	while ((n = malloc(sizeof(*n))) != NULL) {
		memset(n, 1, sizeof(*n));
		n->next = nodes;
		nodes = n;
		count++;
	}
	return errno == ENOMEM ? count : 0;
}

static void drop(void)
{
	while (nodes != NULL) {
		struct node *n = nodes;

		nodes = n->next;
		free(n);
	}
}

int main(void)
{
	struct sparena_stats s;
	size_t first = fill(), second;

	drop();
	second = fill();
	drop();
	if (sparena_stats_get(NULL, &s, sizeof(s)) != 0)
		return 1;
	printf("version %s, limit %llu, %s\n", sparena_version(), (unsigned long long)s.limit,
	       first > 0 && second >= first ? "refused and went on" : "WRONG");
	return first > 0 && second >= first && region_commit(1) == 2 ? 0 : 1;
}
