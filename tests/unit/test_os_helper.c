/* SPDX-License-Identifier: BSD-2-Clause */
/* The helper process: what it is, what it does, and its end. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "os/helper.h"

#include "../support/helper.h"

#define MIB ((size_t)1 << 20)
#define BALLAST MIB
#define SIZE (64 * MIB)

static struct os_helper h;
static struct os_helper_need need;
static char text[OS_HELPER_TEXT_MAX];
static unsigned open_before;
static int file;

static int set_up(void **state)
{
	(void)state;
	open_before = own_descriptors();
	file = memfd_create("test", MFD_CLOEXEC);
	assert_int_equal(ftruncate(file, (off_t)SIZE), 0);
	errno = 77;
	os_helper_measure(BALLAST, text, &need);
	int r = os_helper_start(BALLAST, need.weight, &h);
	assert_int_equal(errno, 77);
	return r;
}

/* Nothing of it is left, nor of what it took. */
static int tear_down(void **state)
{
	(void)state;
	int pid = h.pid;
	os_helper_end(&h);
	assert_int_equal(h.pid, 0);
	assert_true(pid == 0 || (kill(pid, 0) != 0 && errno == ESRCH));
	close(file);
	assert_int_equal(own_descriptors(), open_before);
	return 0;
}

static size_t bytes_of_file(void)
{
	struct stat st;
	assert_int_equal(fstat(file, &st), 0);
	return (size_t)st.st_blocks * 512;
}

static int ask(size_t offset, size_t length)
{
	int answer = 1;
	errno = 77;
	int r = os_helper_ask(&h, file, offset, length, &answer);
	assert_int_equal(errno, 77);
	return r ? r : answer;
}

/* ---- what it is ------------------------------------------------------------------- */

static long status_of(const char *name)
{
	const char *line = strstr(proc_text(h.pid, "status"), name);
	return line ? strtol(line + strlen(name) + 1, NULL, 10) : -1;
}

static void has_nothing_of_ours(void **state)
{
	char link[32], path[64];
	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: what such a process has is for root alone to see\n");
		skip();
	}
	assert_int_equal(descriptors_of(h.pid), 2);
	/* Its own stack, and next to no page tables. */
	assert_in_range(status_of("RssAnon:"), 0, 64);
	assert_in_range(status_of("RssFile:"), 0, 256);
	assert_in_range(status_of("VmPTE:"), 0, 256);
	assert_in_range(status_of("RssShmem:"), 16 << 10, 64 << 10); /* KiB: its weight */
	assert_null(strstr(proc_text(h.pid, "maps"), "[stack]"));
	assert_null(strstr(proc_text(h.pid, "maps"), "libc"));
	snprintf(path, sizeof path, "/proc/%d/cwd", h.pid);
	assert_int_equal(readlink(path, link, sizeof link), 1);
	assert_string_equal(proc_text(h.pid, "comm"), "sparena-helper\n");
	assert_int_equal(getsid(h.pid), h.pid);
}

/* A thousandth of anything is more than the processes of this machine differ by. */
static void goes_first(void **state)
{
	(void)state;
	assert_string_equal(proc_text(h.pid, "oom_score_adj"), "1000\n");
	assert_true(strtol(proc_text(h.pid, "oom_score"), NULL, 10) >
	            strtol(proc_text(getpid(), "oom_score"), NULL, 10) + 500);
}

static void is_no_child_to_wait_for(void **state)
{
	(void)state;
	assert_true(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	kill_helper(h.pid);
	assert_true(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

static void signals_do_not_reach_it(void **state)
{
	(void)state;
	for (int s = 1; s < NSIG; s++)
		if (s != SIGKILL && s != SIGSTOP)
			kill(h.pid, s);
	assert_int_equal(ask(0, MIB), 0);
}

static void descriptor_is_out_of_the_way(void **state)
{
	(void)state;
	assert_true(h.socket.fd >= 100);
	assert_int_equal(fcntl(h.socket.fd, F_GETFD), FD_CLOEXEC);
}

/* ---- what it does ------------------------------------------------------------------- */

static void takes_room(void **state)
{
	(void)state;
	assert_int_equal(ask(2 * MIB, 4 * MIB), 0);
	assert_int_equal(bytes_of_file(), 4 * MIB);
	assert_int_equal(ask(0, 16 * MIB), 0);
	assert_int_equal(bytes_of_file(), 16 * MIB);
	assert_true(geteuid() != 0 || descriptors_of(h.pid) == 2);
}

static void says_what_is_wrong(void **state)
{
	int answer = 0, ends_of_pipe[2];
	(void)state;
	assert_int_equal(ask(0, 0), -EINVAL);
	assert_int_equal(pipe(ends_of_pipe), 0);
	assert_int_equal(os_helper_ask(&h, ends_of_pipe[1], 0, MIB, &answer), 0);
	assert_int_equal(answer, -ESPIPE);
	close(ends_of_pipe[0]);
	close(ends_of_pipe[1]);
	/* No descriptor at all: it is not even asked. */
	assert_int_equal(os_helper_ask(&h, 9999, 0, MIB, &answer), -EBADF);
	assert_int_equal(ask(0, MIB), 0);
	assert_int_equal(bytes_of_file(), MIB);
}

/* ---- its end ------------------------------------------------------------------------- */

static void killed_between_requests(void **state)
{
	(void)state;
	assert_int_equal(ask(0, MIB), 0);
	kill_helper(h.pid);
	assert_int_equal(ask(MIB, MIB), -EPIPE);
	assert_int_equal(bytes_of_file(), MIB);
}

static void killed_in_a_request(void **state)
{
	(void)state;
	pthread_t killer = stop_and_kill_soon(&h.pid);
	assert_int_equal(ask(0, SIZE), -EPIPE);
	pthread_join(killer, NULL);
	assert_int_equal(bytes_of_file(), 0);
}

/* Its end of the socket stays open in some other process, so that nobody hears of its end by it. */
static void silence_is_its_end(void **state)
{
	char path[64], link[64];
	int pidfd = (int)syscall(SYS_pidfd_open, h.pid, 0), kept = -1;
	(void)state;
	for (int fd = 0; fd < 1024 && kept < 0; fd++) {
		snprintf(path, sizeof path, "/proc/%d/fd/%d", h.pid, fd);
		if (readlink(path, link, sizeof link) > 7 && !strncmp(link, "socket:", 7))
			kept = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	}
	close(pidfd);
	if (kept < 0) { /* for root alone */
		print_message("skipped: its descriptor is not to be had\n");
		skip();
	}
	kill_helper(h.pid);
	uint64_t before = os_clock_ms();
	assert_int_equal(ask(0, MIB), -EPIPE);
	assert_true(os_clock_ms() - before < 5000); /* it is not waited for as for one that is slow */
	close(kept);
}

/* Somebody else waited for it: the id may be another process's by now. */
static void waited_for_by_others(void **state)
{
	(void)state;
	kill_helper(h.pid);
	assert_int_equal(waitpid(h.pid, NULL, __WALL), h.pid);
	assert_int_equal(ask(0, MIB), -EPIPE);
}

static void descriptor_is_closed(void **state)
{
	int pid = h.pid;
	(void)state;
	close(h.socket.fd);
	assert_int_equal(ask(0, MIB), -ESTALE);
	assert_true(ends(pid));
}

/* By the system call: that it is in use is what a sanitizer would complain of. */
static void *close_soon(void *fd)
{
	usleep(50000);
	syscall(SYS_close, *(int *)fd);
	return NULL;
}

/* What it does then is not known, until it has ended. */
static void descriptor_is_closed_in_a_request(void **state)
{
	pthread_t thread;
	int fd = h.socket.fd;
	(void)state;
	assert_int_equal(kill(h.pid, SIGSTOP), 0);
	assert_int_equal(pthread_create(&thread, NULL, close_soon, &fd), 0);
	assert_int_equal(ask(0, MIB), -EPIPE);
	pthread_join(thread, NULL);
	os_helper_end(&h);
	assert_int_equal(bytes_of_file(), 0);
}

static void descriptor_is_replaced(void **state)
{
	int stranger = open("/dev/null", O_RDWR | O_CLOEXEC), fd = h.socket.fd;
	(void)state;
	assert_int_equal(dup2(stranger, fd), fd);
	assert_int_equal(ask(0, MIB), -ESTALE);
	os_helper_end(&h);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	close(fd);
	close(stranger);
}

/* A process that has a helper, and a child which keeps all its descriptors. */
static int start_parent(int *helper, int *grandchild)
{
	int ends_of_pipe[2], ids[2];
	assert_int_equal(pipe(ends_of_pipe), 0);
	int pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct os_helper own;
		ids[0] = os_helper_start(BALLAST, 0, &own) == 0 ? own.pid : -1;
		ids[1] = fork();
		if (ids[1] == 0)
			for (;;)
				pause();
		if (write(ends_of_pipe[1], ids, sizeof ids) < 0)
			_exit(1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(ends_of_pipe[0], ids, sizeof ids), sizeof ids);
	close(ends_of_pipe[0]);
	close(ends_of_pipe[1]);
	*helper = ids[0];
	*grandchild = ids[1];
	return pid;
}

static void ends_with_its_process(void **state)
{
	int helper, grandchild;
	(void)state;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	int pid = start_parent(&helper, &grandchild);
	assert_true(helper > 0 && !has_ended(helper));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(ends(helper));
	assert_int_equal(waitpid(helper, NULL, 0), helper);
	assert_int_equal(kill(grandchild, SIGKILL), 0);
	assert_int_equal(waitpid(grandchild, NULL, 0), grandchild);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

static void child_leaves_it(void **state)
{
	int status;
	(void)state;
	int pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		os_helper_leave(&h);
		_exit(h.pid == 0 && h.socket.fd < 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(ask(0, MIB), 0);
}

/* A thread whose stack is not there in children: it is not started, and nothing hangs. */
static void *start_there(void *unused)
{
	struct os_helper own;
	(void)unused;
	int r = os_helper_start(BALLAST, 0, &own);
	os_helper_end(&own);
	return r == 0 || r == -EPIPE ? NULL : &h;
}

static void stack_that_children_have_not(void **state)
{
	pthread_attr_t attr;
	pthread_t thread;
	void *wrong;
	(void)state;
	void *stack = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(stack != MAP_FAILED && madvise(stack, MIB, MADV_DONTFORK) == 0);
	pthread_attr_init(&attr);
	assert_int_equal(pthread_attr_setstack(&attr, stack, MIB), 0);
	assert_int_equal(pthread_create(&thread, &attr, start_there, NULL), 0);
	assert_int_equal(pthread_join(thread, &wrong), 0);
	assert_null(wrong);
	munmap(stack, MIB);
}

static void room_is_told(void **state)
{
	(void)state;
	struct os_helper_need before = need;
	assert_in_range(before.cost, BALLAST, 256 * MIB);
	assert_true(before.weight >= 1000 * os_page_size() + 16 * MIB);
	char *more = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(more, 1, 32 * MIB);
	os_helper_measure(BALLAST, text, &need);
	assert_true(need.cost >= before.cost + 31 * MIB);
	munmap(more, 32 * MIB);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(has_nothing_of_ours), TEST(goes_first), TEST(is_no_child_to_wait_for),
		TEST(signals_do_not_reach_it), TEST(descriptor_is_out_of_the_way),
		TEST(takes_room), TEST(says_what_is_wrong),
		TEST(killed_between_requests), TEST(killed_in_a_request), TEST(silence_is_its_end),
		TEST(waited_for_by_others),
		TEST(descriptor_is_closed), TEST(descriptor_is_closed_in_a_request),
		TEST(descriptor_is_replaced),
		TEST(ends_with_its_process), TEST(child_leaves_it),
		TEST(stack_that_children_have_not), TEST(room_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
