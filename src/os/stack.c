/* SPDX-License-Identifier: BSD-2-Clause */
/* A stack of our own, for work that a thread's may be too small for: makecontext(3). */
#include "os/stack.h"

#include <errno.h>
#include <stdint.h>

/* Where it is not told, it takes the change for a stack that has gone astray, and says so. */
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(from, end) 0
#endif

/* A signal handler of the program may come to run on it, too. */
#define STACK_SIZE ((size_t)64 << 10)

/* What is used of it for certain: resident from the beginning, not faulted in where there
 * is no memory. */
#define SURELY_USED ((size_t)16 << 10)

/* Sanitizers would have to be told of each change of stacks. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CAN_CHANGE 0
#else
#define CAN_CHANGE 1
#endif

static void make(struct os_stack *s)
{
	void *pages;

	s->tried = true;
	if (!CAN_CHANGE || os_new(STACK_SIZE, &pages) != 0)
		return;
	if (os_populate((char *)pages + STACK_SIZE - SURELY_USED, SURELY_USED) != 0)
		os_touch((char *)pages + STACK_SIZE - SURELY_USED, SURELY_USED, os_page_size());
	(void)VALGRIND_STACK_REGISTER(pages, (char *)pages + STACK_SIZE - 1);
	s->pages = pages;
}

/* Arguments are ints there. */
static void run(unsigned high, unsigned low)
{
	struct os_stack *s = (struct os_stack *)((uintptr_t)high << 32 | low);

	s->work(s->argument);
}

static bool change(struct os_stack *s)
{
	uintptr_t self = (uintptr_t)s;

	if (s->pages == NULL || getcontext(&s->there) != 0)
		return false;
	s->there.uc_stack.ss_sp = s->pages;
	s->there.uc_stack.ss_size = STACK_SIZE;
	s->there.uc_link = &s->here;
	makecontext(&s->there, (void (*)(void))run, 2, (unsigned)(self >> 32), (unsigned)self);
	return swapcontext(&s->here, &s->there) == 0;
}

void os_on_stack(struct os_stack *s, void (*work)(void *argument), void *argument)
{
	int saved_errno = errno;

	s->work = work;
	s->argument = argument;
	if (!s->tried)
		make(s);
	if (!change(s))
		work(argument);
	errno = saved_errno;
}

void os_stack_release(struct os_stack *s)
{
	if (s->pages != NULL)
		os_release(s->pages, STACK_SIZE);
	s->pages = NULL;
	s->tried = false;
}
