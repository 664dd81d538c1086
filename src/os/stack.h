/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stack: malloc may be called with as little as 500 bytes of stack left: a thread with the
 * least one (16 KiB) has 3 KiB besides its own data. What needs more runs on one that
 * belongs to its subject.
 */
#ifndef SPARENA_OS_STACK_H
#define SPARENA_OS_STACK_H

#include <ucontext.h>

#include "os/os.h"

/* Zeros at first. */
struct os_stack {
	bool tried;
	void *pages; /* NULL: there is none */
	ucontext_t here, there;
	void (*work)(void *argument);
	void *argument;
};

/*
 * Runs work(argument) on this stack; on the caller's where there is no memory for one.
 * Keep others out meanwhile. No pthread_exit, longjmp or cancellation out of it. errno is
 * left as it was.
 */
void os_on_stack(struct os_stack *s, void (*work)(void *argument), void *argument);

void os_stack_release(struct os_stack *s);

#endif
