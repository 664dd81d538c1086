/* SPDX-License-Identifier: BSD-2-Clause */
/* What no program may do, and what happens when it does. */
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "cases.h"

static _Alignas(64) char in_data[256];

/* glibc says why it aborts: not in the table, which has the signal. */
static void no_messages(void)
{
	int null = open("/dev/null", O_WRONLY);
	NEED(null >= 0 && dup2(null, STDERR_FILENO) >= 0);
}

static void *foreign(size_t which)
{
	static _Alignas(64) __thread char in_thread[256];
	return opaque_block(which == 0 ? in_data + 64 : in_thread + 64);
}

static void free_foreign(size_t with)
{
	_Alignas(64) char on_stack[256] = "";
	no_messages();
	free(with == 2 ? opaque_block(on_stack + 64) : foreign(with));
	say(churn(1) ? "ignored" : "contents changed");
}

static void realloc_foreign(size_t with)
{
	no_messages();
	errno = 0;
	void *p = realloc(foreign(with), 100);
	say(p ? "a block" : "NULL, %s", error_name(errno));
	say(churn(2) ? "malloc works" : "contents changed");
}

static void twice(size_t with)
{
	void *p = malloc(with);
	NEED(p);
	no_messages();
	free(p);
	free(opaque_block(p));
	say("goes unnoticed");
	_exit(0); /* whatever follows is of no use */
}

const struct conformance_case misuse_cases[] = {
	{ "misuse/free of a static variable", free_foreign, 0 },
	{ "misuse/free of a thread-local variable", free_foreign, 1 },
	{ "misuse/free of an address on the stack", free_foreign, 2 },
	{ "misuse/realloc of a static variable", realloc_foreign, 0 },
	{ "misuse/free of 100 B twice", twice, 100 },
	{ "misuse/free of 4 MiB twice", twice, 4 * MIB },
	{ NULL, NULL, 0 },
};
