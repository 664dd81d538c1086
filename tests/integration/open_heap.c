/* SPDX-License-Identifier: BSD-2-Clause */
/* open_heap LIBRARY: opens libsparena.so with dlopen(3), uses a heap, and closes it. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct sparena_heap;
static int (*create)(const char *options, struct sparena_heap **out);
static void (*destroy)(struct sparena_heap *h);
static void *(*take)(struct sparena_heap *h, size_t size);

static void *function(void *library, const char *name)
{
	void *f = dlsym(library, name);
	if (!f)
		printf("%s\n", dlerror());
	return f;
}

static void *use(void *context)
{
	size_t count = 0;
	for (char *p; (p = take(context, 50000)); count++)
		memset(p, 1, 50000);
	return (void *)count;
}

int main(int argc, char **argv)
{
	void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL, *count;
	struct sparena_heap *h;
	pthread_t thread;
	if (!library) {
		printf("%s\n", argc == 2 ? dlerror() : "usage: open_heap LIBRARY");
		return 1;
	}
	*(void **)&create = function(library, "sparena_heap_create");
	*(void **)&destroy = function(library, "sparena_heap_destroy");
	*(void **)&take = function(library, "sparena_heap_malloc");
	if (!create || !destroy || !take || create("limit:16M", &h))
		return 1;
	if (pthread_create(&thread, NULL, use, h) || pthread_join(thread, &count))
		return 1;
	destroy(h);
	printf("%zu blocks\n", (size_t)count);
	return (size_t)count > 250 ? 0 : 1;
}
