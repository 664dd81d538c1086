/* SPDX-License-Identifier: BSD-2-Clause */
/* Blocks that the C library allocates and the program frees. */
#include <argz.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>
#include <wchar.h>

#include "cases.h"

/* A block of the allocator's: it knows its size, it grows, it can be freed. */
static void say_ours(void *p, size_t size)
{
	if (!p) {
		say("NULL, %s", error_name(errno));
		return;
	}
	if (malloc_usable_size(p) < size) {
		say("not a block of malloc's");
		return;
	}
	p = realloc(p, size + 100000);
	NEED(p);
	free(p);
	say("a block, grown and freed");
}

static void strings(size_t which)
{
	static const wchar_t wide[] = L"of wide characters";
	char *p = which == 0 ? strdup("a string") : which == 1 ? strndup("a string and more", 8) : NULL;
	if (which == 2)
		say_ours(wcsdup(wide), sizeof wide);
	else if (p && strcmp(p, "a string") == 0)
		say_ours(p, 9);
}

static void printed(size_t length)
{
	char *p = NULL;
	NEED(asprintf(&p, "%0*d", (int)length, 7) == (int)length && p[length - 1] == '7');
	say_ours(p, length + 1);
}

static void scanned(size_t with)
{
	char *p = NULL;
	(void)with;
	NEED(sscanf("word next", "%ms", &p) == 1 && strcmp(p, "word") == 0);
	say_ours(p, 5);
}

static void lines(size_t with)
{
	char text[50000];
	memset(text, 'x', sizeof text);
	memcpy(text, "short\nlonger than the one before\n", 33);
	FILE *f = fmemopen(text, sizeof text, "r");
	char *line = with ? malloc(3) : NULL; /* a block of the program's to begin with */
	size_t size = with ? 3 : 0;
	NEED(f && (!with || line));
	NEED(getline(&line, &size, f) == 6 && getline(&line, &size, f) == 27);
	NEED(getdelim(&line, &size, '\0', f) == (ssize_t)sizeof text - 33 && size > sizeof text - 33);
	fclose(f);
	say_ours(line, size);
}

static void memory_stream(size_t with)
{
	char *p = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&p, &size);
	(void)with;
	NEED(f);
	for (int i = 0; i < 20000; i++)
		fprintf(f, "%d,", i);
	NEED(fclose(f) == 0 && size == 108890 && strncmp(p, "0,1,2,", 6) == 0);
	say_ours(p, size + 1);
}

static void wide_stream(size_t with)
{
	wchar_t *p = NULL;
	size_t size = 0;
	FILE *f = open_wmemstream(&p, &size);
	(void)with;
	NEED(f && fwprintf(f, L"%05000d", 7) == 5000 && fclose(f) == 0 && size == 5000);
	say_ours(p, (size + 1) * sizeof *p);
}

static void paths(size_t which)
{
	char *p = which == 0 ? getcwd(NULL, 0) : which == 1 ? realpath("/proc/../", NULL) : get_current_dir_name();
	NEED(p && p[0] == '/');
	say_ours(p, strlen(p) + 1);
}

static void vector(size_t with)
{
	char *argz = NULL;
	size_t length = 0;
	(void)with;
	for (int i = 0; i < 1000; i++)
		NEED(argz_add(&argz, &length, "word") == 0);
	say_ours(argz, length);
}

const struct conformance_case text_cases[] = {
	{ "C library/strdup", strings, 0 },
	{ "C library/strndup", strings, 1 },
	{ "C library/wcsdup", strings, 2 },
	{ "C library/asprintf, 10 characters", printed, 10 },
	{ "C library/asprintf, 1,000,000 characters", printed, 1000000 },
	{ "C library/sscanf(%ms)", scanned, 0 },
	{ "C library/getline and getdelim", lines, 0 },
	{ "C library/getline into the program's block", lines, 1 },
	{ "C library/open_memstream", memory_stream, 0 },
	{ "C library/open_wmemstream", wide_stream, 0 },
	{ "C library/getcwd(NULL)", paths, 0 },
	{ "C library/realpath(NULL)", paths, 1 },
	{ "C library/get_current_dir_name", paths, 2 },
	{ "C library/argz_add", vector, 0 },
	{ NULL, NULL, 0 },
};
