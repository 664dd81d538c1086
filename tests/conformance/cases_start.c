/* SPDX-License-Identifier: BSD-2-Clause */
/* Before main and after it. */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "cases.h"

/* ---- before main ------------------------------------------------------------------------------ */

static void *from_preinit, *from_constructor;
static bool churned_early;

#define PREINIT "start and end/.preinit_array"

/* Before the constructors of all libraries, an allocator's own among them. Not in the other
 * cases: there, constructors come first. */
static void preinit(int argc, char **argv, char **variables)
{
	(void)variables;
	if (argc < 2 || strcmp(argv[1], PREINIT) != 0)
		return;
	from_preinit = malloc(1000);
	if (from_preinit)
		fill(from_preinit, 1000, 1);
}
__attribute__((section(".preinit_array"), used)) static void (*const at_preinit)(int, char **, char **) = preinit;

__attribute__((constructor(102))) static void construct(void)
{
	churned_early = churn(2);
	from_constructor = calloc(1, MIB);
}

static void before_constructors(size_t with)
{
	(void)with;
	NEED(from_preinit);
	say(is_filled(from_preinit, 1000, 1) ? "contents kept" : "contents changed");
	free(from_preinit);
	say("freed");
}

static void in_constructor(size_t with)
{
	(void)with;
	say(churned_early && from_constructor && is_zero(from_constructor, MIB) ? "contents kept" : "refused or changed");
	free(from_constructor);
	say("freed");
}

/* ---- after main -------------------------------------------------------------------------------- */

static const char *at_the_end; /* what a destructor says, in the case that wants it */
static void *of_main;

static void *churn_thread(void *ok)
{
	*(bool *)ok = churn(3);
	return NULL;
}

static void end(const char *where)
{
	pthread_t thread;
	bool ok = false;
	NEED(is_filled(of_main, MIB, 4));
	free(of_main);
	NEED(of_main = malloc(MIB));
	fill(of_main, MIB, 4);
	NEED(pthread_create(&thread, NULL, churn_thread, &ok) == 0 && pthread_join(thread, NULL) == 0);
	say(churn(5) && ok ? "%s: allocates and frees" : "%s: refused or changed", where);
}

static void in_atexit(void) { end("atexit"); }
static void in_on_exit(int status, void *arg)
{
	(void)status;
	(void)arg;
	end("on_exit");
}
static void in_quick_exit(void) { end("at_quick_exit"); }

__attribute__((destructor)) static void destroy(void)
{
	if (at_the_end)
		end(at_the_end);
}

static void begin_end(void)
{
	NEED(of_main = malloc(MIB));
	fill(of_main, MIB, 4);
}

static void after_main(size_t with)
{
	(void)with;
	begin_end();
	at_the_end = "destructor";
	NEED(on_exit(in_on_exit, NULL) == 0);
	NEED(atexit(in_atexit) == 0);
}

static void quickly(size_t with)
{
	(void)with;
	begin_end();
	NEED(at_quick_exit(in_quick_exit) == 0);
	quick_exit(0);
}

/* More than the C library has room for without asking malloc. */
static int many_ran;
static void one_of_many(void)
{
	free(malloc(100));
	if (++many_ran == 1000)
		say("all ran");
}

static void many_handlers(size_t with)
{
	(void)with;
	for (int i = 0; i < 1000; i++)
		NEED(atexit(one_of_many) == 0);
}

/* Buffers of streams are blocks too, and written out at the very end. */
static void streams(size_t with)
{
	static char buffer[100];
	FILE *f = fdopen(dup(STDOUT_FILENO), "w"), *own = fdopen(dup(STDOUT_FILENO), "w");
	(void)with;
	NEED(f && own && setvbuf(own, buffer, _IOFBF, sizeof buffer) == 0);
	fputs("written at exit", f);
	free(malloc(MIB));
}

const struct conformance_case start_cases[] = {
	{ PREINIT, before_constructors, 0 },
	{ "start and end/constructor", in_constructor, 0 },
	{ "start and end/atexit, on_exit, destructor", after_main, 0 },
	{ "start and end/quick_exit", quickly, 0 },
	{ "start and end/1,000 handlers of atexit", many_handlers, 0 },
	{ "start and end/streams flushed at exit", streams, 0 },
	{ NULL, NULL, 0 },
};
