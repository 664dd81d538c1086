/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "os/os.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>

#define STACK_SIZE ((size_t)64 << 10)

/* A handler has no context of its own: these are the caller's, one at a time. */
static bool (*mend_at)(const void *addr);
static struct sigaction others;

/*
 * The thread that forks, until it is done with that: in the child, the only one. In the
 * parent it touches nothing meanwhile that is not there. No thread-local variable, as those
 * of a library are found by a table of the thread's, which is a block of malloc.
 */
static _Atomic uintptr_t forker;

static bool forks(void)
{
	return atomic_load_explicit(&forker, memory_order_relaxed) == (uintptr_t)pthread_self();
}

static bool is_default(const struct sigaction *action)
{
	return !(action->sa_flags & SA_SIGINFO) &&
	       (action->sa_handler == SIG_DFL || action->sa_handler == SIG_IGN);
}

/* As if this handler had not been there. */
static void pass_on(int signal, siginfo_t *info, void *context)
{
	struct sigaction to = others;

	if (is_default(&to)) {
		bool sent = info->si_code <= 0;

		if (sent && to.sa_handler == SIG_IGN)
			return;
		/* A fault comes again, and then ends the process; a signal that was sent does not. */
		sigaction(signal, &to, NULL);
		if (sent)
			raise(signal);
		return;
	}
	if (to.sa_flags & SA_RESETHAND)
		others = (struct sigaction){.sa_handler = SIG_DFL};
	if (to.sa_flags & SA_SIGINFO)
		to.sa_sigaction(signal, info, context);
	else
		to.sa_handler(signal);
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
	int saved_errno = errno;
	bool mended = info->si_code == SEGV_MAPERR && forks() && mend_at(info->si_addr);

	errno = saved_errno;
	if (!mended)
		pass_on(signal, info, context);
}

static bool is_ours(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == on_fault;
}

/*
 * Flags and mask are those of the handler that it may have to go on to. Ours is there
 * already if another thread saw it during the last fork, and put it back when it was gone.
 */
static void install(void)
{
	struct sigaction ours;

	if (sigaction(SIGSEGV, NULL, &ours) != 0)
		return; /* a sandbox denies it */
	if (!is_ours(&ours))
		others = ours;
	ours = others;
	if (is_default(&ours)) {
		ours.sa_flags = 0;
		sigemptyset(&ours.sa_mask);
	}
	ours.sa_flags = (ours.sa_flags | SA_SIGINFO) & ~SA_RESETHAND;
	ours.sa_sigaction = on_fault;
	sigaction(SIGSEGV, &ours, NULL);
}

/* The thread's own signal stack may lie in the memory that is not there. */
static bool take_stack(struct os_faults *before)
{
	static char stack[STACK_SIZE] __attribute__((aligned(16)));
	stack_t own = {.ss_sp = stack, .ss_size = sizeof(stack)};

	return (others.sa_flags & SA_ONSTACK) && sigaltstack(&own, &before->stack) == 0;
}

static bool set_blocked(bool blocked)
{
	sigset_t set, before;

	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	pthread_sigmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &set, &before);
	return sigismember(&before, SIGSEGV) == 1;
}

void os_catch_faults(bool (*mend)(const void *addr), struct os_faults *before)
{
	int saved_errno = errno;

	mend_at = mend;
	atomic_store_explicit(&forker, (uintptr_t)pthread_self(), memory_order_relaxed);
	install();
	before->on_own_stack = take_stack(before);
	before->blocked = set_blocked(false);
	errno = saved_errno;
}

void os_release_faults(const struct os_faults *before)
{
	int saved_errno = errno;
	struct sigaction now;

	if (before->blocked)
		set_blocked(true);
	if (before->on_own_stack)
		sigaltstack(&before->stack, NULL);
	/* Somebody else's, set meanwhile, stays. */
	if (sigaction(SIGSEGV, NULL, &now) == 0 && is_ours(&now))
		sigaction(SIGSEGV, &others, NULL);
	atomic_store_explicit(&forker, 0, memory_order_relaxed);
	errno = saved_errno;
}
