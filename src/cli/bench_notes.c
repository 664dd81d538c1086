/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "cli/bench.h"
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

void bench_no_memory(void)
{
	cli_error("out of memory");
	exit(CLI_FAILURE);
}

void *bench_allocate(size_t count, size_t size)
{
	void *p = calloc(count, size);

	if (p == NULL && count != 0 && size != 0)
		bench_no_memory();
	return p;
}

char *bench_vformat(const char *format, va_list args)
{
	char *text;

	if (vasprintf(&text, format, args) < 0)
		bench_no_memory();
	return text;
}

const char *bench_note(struct bench_notes *n, const char *format, ...)
{
	va_list args;
	char **list;
	char *text;

	va_start(args, format);
	text = bench_vformat(format, args);
	va_end(args);
	for (size_t i = 0; i < n->count; i++) {
		if (strcmp(n->list[i], text) != 0)
			continue;
		free(text);
		return n->list[i];
	}
	list = reallocarray(n->list, n->count + 1, sizeof(*list));
	if (list == NULL)
		bench_no_memory();
	n->list = list;
	return n->list[n->count++] = text;
}

void bench_notes_free(struct bench_notes *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->list[i]);
	free(n->list);
	*n = (struct bench_notes){0};
}
