/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults of the thread that forks, and everybody else's, which are none of our business. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "os/os.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* A page that is not there, between two that may not be touched, so that nothing else is
 * put in its place. */
static char *hole;
static unsigned asked, handled;
static bool can_mend;
static struct os_faults before;

static bool mend(const void *addr)
{
	asked++;
	errno = 77; /* nobody may see it */
	return can_mend && addr == hole && os_cover(hole, os_page_size()) == 0 &&
	       os_open(hole, os_page_size()) == 0;
}

/* The program's own. */
static void handle(int signal, siginfo_t *info, void *context)
{
	(void)context;
	handled++;
	if (info->si_code > 0 && (signal != SIGSEGV || info->si_addr != hole || os_cover(hole, os_page_size()) ||
	                          os_open(hole, os_page_size())))
		_exit(9);
}

static void set_handler(int flags)
{
	struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | flags};

	sigaddset(&action.sa_mask, SIGUSR1);
	assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
}

static int setup(void **state)
{
	void *p;

	(void)state;
	asked = handled = 0;
	can_mend = true;
	if (os_reserve(3 * os_page_size(), os_page_size(), &p) != 0)
		return -1;
	hole = (char *)p + os_page_size();
	return os_release(hole, os_page_size());
}

static int teardown(void **state)
{
	(void)state;
	return os_release(hole - os_page_size(), 3 * os_page_size());
}

static void *touch(void *unused)
{
	(*(volatile char *)hole)++;
	return unused;
}

static int end_of(void (*act)(void))
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		act();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void test_mends(void **state)
{
	(void)state;
	os_catch_faults(mend, &before);
	errno = 5;
	touch(NULL);
	assert_int_equal(errno, 5);
	os_release_faults(&before);
	assert_int_equal(asked, 1);
	assert_int_equal(*hole, 1);
}

static void touch_all_the_same(void)
{
	touch(NULL);
	_exit(hole[0] == 1 && asked == 1 && handled == 0 ? 0 : 1);
}

/* In the child of a fork in the middle of it. */
static void test_mends_in_child(void **state)
{
	(void)state;
	set_handler(0);
	os_catch_faults(mend, &before);
	assert_int_equal(end_of(touch_all_the_same), 0);
	os_release_faults(&before);
	assert_int_equal(asked, 0);
}

static void test_fault_that_cannot_be_mended(void **state)
{
	(void)state;
	signal(SIGSEGV, SIG_DFL); /* CMocka has its own in each test */
	can_mend = false;
	os_catch_faults(mend, &before);
	int status = end_of(touch_all_the_same);
	os_release_faults(&before);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);

	set_handler(0);
	os_catch_faults(mend, &before);
	touch(NULL);
	os_release_faults(&before);
	assert_int_equal(asked, 1);
	assert_int_equal(handled, 1);
}

/* What is mapped and may not be touched, as a stack's guard. */
static void test_guard_is_not_asked_for(void **state)
{
	(void)state;
	assert_int_equal(os_cover(hole, os_page_size()), 0);
	set_handler(0);
	os_catch_faults(mend, &before);
	touch(NULL);
	os_release_faults(&before);
	assert_int_equal(asked, 0);
	assert_int_equal(handled, 1);
}

/* In the parent those touch what is not there for reasons of their own. */
static void test_other_threads(void **state)
{
	pthread_t thread;

	(void)state;
	set_handler(0);
	os_catch_faults(mend, &before);
	assert_int_equal(pthread_create(&thread, NULL, touch, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	os_release_faults(&before);
	assert_int_equal(asked, 0);
	assert_int_equal(handled, 1);
}

static void test_all_is_as_before(void **state)
{
	char own[1 << 14];
	stack_t mine = {.ss_sp = own, .ss_size = sizeof(own)}, stack;
	struct sigaction action;
	sigset_t set, now;

	(void)state;
	set_handler(SA_ONSTACK | SA_RESTART);
	assert_int_equal(sigaltstack(&mine, NULL), 0);
	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);

	os_catch_faults(mend, &before);
	assert_int_equal(sigaction(SIGSEGV, NULL, &action), 0);
	assert_true(action.sa_sigaction != handle && sigismember(&action.sa_mask, SIGUSR1) == 1);
	assert_true(sigaltstack(NULL, &stack) == 0 && stack.ss_sp != own); /* it may not be there */
	touch(NULL);
	os_release_faults(&before);

	assert_int_equal(asked, 1);
	assert_int_equal(sigaction(SIGSEGV, NULL, &action), 0);
	assert_true(action.sa_sigaction == handle && sigismember(&action.sa_mask, SIGUSR1) == 1);
	assert_int_equal(action.sa_flags & (SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER | SA_RESETHAND),
	                 SA_SIGINFO | SA_ONSTACK | SA_RESTART);
	assert_true(sigaltstack(NULL, &stack) == 0 && stack.ss_sp == own);
	assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &set, &now), 0);
	assert_int_equal(sigismember(&now, SIGSEGV), 1);
	mine.ss_flags = SS_DISABLE;
	assert_int_equal(sigaltstack(&mine, NULL), 0);
}

static void send_to_ourselves(void)
{
	os_catch_faults(mend, &before);
	raise(SIGSEGV);
	os_release_faults(&before);
}

static void send_ignored(void)
{
	signal(SIGSEGV, SIG_IGN);
	send_to_ourselves();
	os_catch_faults(mend, &before);
	raise(SIGSEGV);
	touch(NULL); /* still caught */
	os_release_faults(&before);
	if (asked != 1 || signal(SIGSEGV, SIG_DFL) != SIG_IGN)
		_exit(1);
}

static void send_once(void)
{
	set_handler(SA_RESETHAND);
	send_to_ourselves();
	if (handled != 1 || asked != 0 || signal(SIGSEGV, SIG_IGN) != SIG_DFL)
		_exit(1);
}

/* A signal that somebody sent is no fault. */
static void test_sent_signals(void **state)
{
	(void)state;
	signal(SIGSEGV, SIG_DFL);
	int status = end_of(send_to_ourselves);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	assert_int_equal(end_of(send_ignored), 0);
	assert_int_equal(end_of(send_once), 0);
	set_handler(0);
	send_to_ourselves();
	assert_int_equal(handled, 1);
	assert_int_equal(asked, 0);
}

/* Another thread has remembered our handler meanwhile, and puts it back when it is done. */
static void test_put_back_too_late(void **state)
{
	struct sigaction ours, now;

	(void)state;
	set_handler(0);
	os_catch_faults(mend, &before);
	assert_int_equal(sigaction(SIGSEGV, NULL, &ours), 0);
	os_release_faults(&before);
	assert_int_equal(sigaction(SIGSEGV, &ours, NULL), 0);
	touch(NULL);
	assert_int_equal(asked, 0);
	assert_int_equal(handled, 1);
	os_catch_faults(mend, &before);
	os_release_faults(&before);
	assert_int_equal(sigaction(SIGSEGV, NULL, &now), 0);
	assert_true(now.sa_sigaction == handle);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_mends), TEST(test_mends_in_child), TEST(test_fault_that_cannot_be_mended),
		TEST(test_guard_is_not_asked_for), TEST(test_other_threads), TEST(test_all_is_as_before),
		TEST(test_sent_signals), TEST(test_put_back_too_late),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
