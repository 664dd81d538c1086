/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Usage: harden_victim MISTAKE SIZE. Makes a mistake with a block of malloc or one of its kin
 * and says "survived" when nobody stopped it.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t size;

static void overrun_malloc(void)
{
	char *p = malloc(size);
	p[size] = 0;
	free(p);
}

static void overrun_calloc(void)
{
	char *p = calloc(1, size);
	memset(p, 1, size + 1);
	free(p);
}

static void overrun_realloc(void)
{
	char *p = realloc(malloc(size), size + 1000);
	p[size + 1000] = 0;
	(void)!realloc(p, 1);
}

static void overrun_aligned(void)
{
	void *p = NULL;
	if (posix_memalign(&p, 64, size) == 0)
		memset(p, 1, size + 1);
	free(p);
}

static void overrun_memalign(void)
{
	char *p = memalign(4096, size);
	p[size] = 1;
	printf("%zu\n", malloc_usable_size(p));
}

/* usable_size says no more than what was asked for, and that much may be written. */
static void use_all(void)
{
	char *p = malloc(size);
	size_t usable = malloc_usable_size(p);
	memset(p, 1, usable);
	free(p);
	if (usable == size)
		puts("exact");
}

static void free_twice(void)
{
	void *p = malloc(size);
	free(p);
	free(p);
}

static void free_inside(void)
{
	char *p = malloc(size);
	free(p + 16);
}

static void free_local(void)
{
	char local[64];
	void *volatile p = local;
	free(p);
}

static void realloc_freed(void)
{
	void *p = malloc(size);
	free(p);
	p = realloc(p, size * 2);
}

static void realloc_foreign(void)
{
	static char global[64];
	void *volatile p = global;
	p = realloc(p, size);
}

static void touch_freed(void)
{
	volatile char *p = malloc(size);
	p[size / 2] = 1;
	free((void *)(unsigned long)p);
	if (p[size / 2])
		puts("it is still there");
}

/* What the C library takes and gives, too. */
static void getline_frees(void)
{
	char *line = NULL;
	size_t room = 0;
	FILE *f = fopen("/proc/self/status", "r");
	while (f && getline(&line, &room, f) > 0)
		;
	if (f)
		fclose(f);
	free(line);
	errno = 0;
	if (malloc((size_t)1 << 60) || errno != ENOMEM)
		puts("no ENOMEM");
	puts("exact");
}

static const struct {
	const char *name;
	void (*make)(void);
} mistakes[] = {
	{ "overrun_malloc", overrun_malloc }, { "overrun_calloc", overrun_calloc },
	{ "overrun_realloc", overrun_realloc }, { "overrun_aligned", overrun_aligned },
	{ "overrun_memalign", overrun_memalign }, { "use_all", use_all }, { "free_twice", free_twice },
	{ "free_inside", free_inside }, { "free_local", free_local }, { "realloc_freed", realloc_freed },
	{ "realloc_foreign", realloc_foreign },
	{ "touch_freed", touch_freed }, { "getline_frees", getline_frees },
};

int main(int argc, char **argv)
{
	size = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++)
		if (argc == 3 && strcmp(mistakes[i].name, argv[1]) == 0) {
			mistakes[i].make();
			puts("survived");
			return 0;
		}
	return 2;
}
