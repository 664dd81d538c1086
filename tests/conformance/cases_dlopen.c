/* SPDX-License-Identifier: BSD-2-Clause */
/* Libraries, linked and opened; and whose the functions of the family are. */
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#include "cases.h"
#include "library.h"

static void *open_library(struct library **out)
{
	void *handle = dlopen(CONFORMANCE_OPENED, RTLD_NOW);
	NEED(handle);
	*out = (struct library *)dlsym(handle, "opened_library");
	NEED(*out);
	return handle;
}

static void linked(size_t with)
{
	(void)with;
	say(linked_library.whole() ? "its blocks whole" : "its blocks changed");
	free(linked_library.block);
	linked_library.block = NULL;
	say("freed by the program");
}

static void opened(size_t with)
{
	struct library *library;
	(void)with;
	for (int i = 0; i < 20; i++) {
		void *handle = open_library(&library);
		NEED(churn(1) && library->whole());
		NEED(dlclose(handle) == 0);
	}
	say("opened and closed 20 times");
}

static void freed_after_close(size_t with)
{
	struct library *library;
	(void)with;
	void *handle = open_library(&library);
	void *block = library->block;
	library->block = NULL;
	NEED(dlclose(handle) == 0);
	NEED(dlopen(CONFORMANCE_OPENED, RTLD_NOW | RTLD_NOLOAD) == NULL);
	say(is_filled(block, LIBRARY_BLOCK, 1) ? "contents kept" : "contents changed");
	free(block);
	say("freed");
}

static void fork_handlers(size_t with)
{
	(void)with;
	linked_library.handlers_on = true;
	child_begins(); /* the parent may hang as well */
	pid_t child = fork();
	if (child == 0) {
		child_begins();
		_exit(churn(2) ? 0 : 1);
	}
	if (child_went_well(child))
		say("parent and child go on");
}

static void *open_in_thread(void *arg)
{
	for (int i = 0; i < 10; i++) {
		struct library *library;
		void *handle = open_library(&library);
		NEED(churn(2) && dlclose(handle) == 0);
	}
	return arg;
}

static void opened_in_threads(size_t with)
{
	pthread_t threads[4];
	(void)with;
	for (size_t i = 0; i < COUNT(threads); i++)
		NEED(pthread_create(&threads[i], NULL, open_in_thread, NULL) == 0);
	for (size_t i = 0; i < COUNT(threads); i++)
		pthread_join(threads[i], NULL);
	say("opened and closed");
}

/* The loader gives each thread its copy of an opened library's variables, by malloc. */
static void *use_variable(void *library)
{
	char *mine = ((struct library *)library)->thread_local_bytes();
	NEED(is_zero(mine, LIBRARY_TLS));
	fill(mine, LIBRARY_TLS, 3);
	NEED(churn(3) && is_filled(mine, LIBRARY_TLS, 3));
	return NULL;
}

static void thread_locals(size_t with)
{
	struct library *library;
	(void)with;
	for (int round = 0; round < 5; round++) {
		void *handle = open_library(&library);
		for (int i = 0; i < 10; i++) {
			pthread_t thread;
			NEED(pthread_create(&thread, NULL, use_variable, library) == 0);
			use_variable(library);
			NEED(pthread_join(thread, NULL) == 0);
			memset(library->thread_local_bytes(), 0, LIBRARY_TLS);
		}
		NEED(dlclose(handle) == 0);
	}
	say("each thread has its own");
}

static void no_such_library(size_t with)
{
	(void)with;
	NEED(!dlopen("/nonexistent.so", RTLD_NOW));
	const char *message = dlerror();
	say(message && strstr(message, "nonexistent") ? "an error message" : "no message");
	say(dlerror() ? "again" : "once");
}

/* ---- names ---------------------------------------------------------------------------------------- */

#define NAMES(X)                                                                                     \
	X(free) X(calloc) X(realloc) X(reallocarray) X(aligned_alloc) X(posix_memalign) X(memalign)  \
	X(valloc) X(pvalloc) X(malloc_usable_size) X(malloc_trim) X(mallinfo) X(mallinfo2)           \
	X(mallopt) X(malloc_stats) X(malloc_info) X(cfree) X(free_sized) X(free_aligned_sized)       \
	X(__libc_malloc) X(__libc_calloc) X(__libc_realloc) X(__libc_memalign) X(__libc_valloc)      \
	X(__libc_pvalloc) X(__libc_free) X(__libc_mallinfo) X(__libc_mallopt)
#define INDEX(name) INDEX_##name,
#define STRING(name) #name,
#define CASE(name) { "names/" #name, whose, INDEX_##name },

enum { NAMES(INDEX) };
static const char *const names[] = { NAMES(STRING) };

/* A family of two libraries would free the one's blocks with the other's function. */
static void whose(size_t with)
{
	Dl_info of_malloc, of_this;
	void *f = dlsym(RTLD_DEFAULT, names[with]);
	NEED(dladdr(dlsym(RTLD_DEFAULT, "malloc"), &of_malloc));
	if (!f)
		say("there is none");
	else if (dladdr(f, &of_this) && of_this.dli_fbase == of_malloc.dli_fbase)
		say("from where malloc is");
	else
		say("from elsewhere");
}

const struct conformance_case dlopen_cases[] = {
	{ "libraries/linked, allocates in its constructor", linked, 0 },
	{ "libraries/linked, its fork handlers allocate", fork_handlers, 0 },
	{ "libraries/opened, allocates in its constructor and destructor", opened, 0 },
	{ "libraries/its block freed after dlclose", freed_after_close, 0 },
	{ "libraries/opened in threads", opened_in_threads, 0 },
	{ "libraries/thread-local variables of an opened one", thread_locals, 0 },
	{ "libraries/dlopen of none", no_such_library, 0 },
	NAMES(CASE)
	{ NULL, NULL, 0 },
};
