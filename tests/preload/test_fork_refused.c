/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Forks that must fail, and new processes that need no copy. SPARENA_CONF names a shared
 * backing. Usage: test_fork_refused CASE.
 */
#include <fcntl.h>
#include <pty.h>
#include <sched.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "../support/status.h"
#include "fork.h"

enum { BLOCKS = 60 };

extern char **environ;

static struct block blocks[BLOCKS];

static void make_all(void)
{
	for (size_t i = 0; i < BLOCKS; i++)
		block_make(&blocks[i], (size_t)256 << 10, i);
}

static bool all_sound(void)
{
	for (size_t i = 0; i < BLOCKS; i++)
		if (!block_is_sound(&blocks[i]))
			return false;
	return true;
}

static void churn(void)
{
	struct block more[100];
	for (size_t i = 0; i < COUNT(more); i++)
		block_make(&more[i], size_of_block(i), i);
	for (size_t i = 0; i < COUNT(more); i++)
		block_drop(&more[i]);
	trim();
}

/* fork fails cleanly: no child is left, no descriptor, no charge; then all goes on. */
static void expect_refusal(int error)
{
	unsigned descriptors = open_descriptors();
	for (int i = 0; i < 3; i++) {
		errno = 0;
		pid_t child = fork();
		if (child == 0)
			_exit(0);
		CHECK(child == -1 && errno == error);
		CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
		CHECK(all_sound());
		churn();
		books_balance();
	}
	CHECK(open_descriptors() == descriptors);
}

/* For the reader of the test's output. */
static void print_refusal(const char *why)
{
	struct sparena_stats s;
	CHECK(SPARENA(sparena_stats_get)(NULL, &s, sizeof s) == 0);
	printf("%s: fork: %s; committed %llu and metadata %llu, resident %llu\n", why,
	       strerror(ENOMEM), (unsigned long long)s.committed, (unsigned long long)s.metadata,
	       (unsigned long long)s.resident);
}

static void expect_fork(void)
{
	pid_t child = fork();
	if (child == 0) {
		CHECK(all_sound());
		churn();
		_exit(0);
	}
	expect_good(child);
}

static struct rlimit lower(int resource, rlim_t value)
{
	struct rlimit before, now;
	CHECK(getrlimit(resource, &before) == 0);
	now = before;
	now.rlim_cur = value;
	CHECK(setrlimit(resource, &now) == 0);
	return before;
}

/* ---- no memory for the copy -------------------------------------------------------------- */

static size_t data_bytes(void)
{
	long kib = status_kib("VmData");
	CHECK(kib > 0);
	return (size_t)kib * 1024;
}

/* The child's memory is private, and so counted; the parent's is not. */
static void case_no_memory(void)
{
	make_all();
	struct rlimit before = lower(RLIMIT_DATA, data_bytes() + (8 << 20));
	expect_refusal(ENOMEM);
	print_refusal("ulimit -d");
	CHECK(setrlimit(RLIMIT_DATA, &before) == 0);
	expect_fork();
}

/* No address space but what the parent has. */
static void case_no_addresses(void)
{
	make_all();
	struct rlimit before = lower(RLIMIT_AS, 1 << 20);
	expect_refusal(ENOMEM);
	print_refusal("ulimit -v");
	CHECK(setrlimit(RLIMIT_AS, &before) == 0);
	expect_fork();
}

/* No pipe, by which the child tells that it has its memory. */
static void case_no_descriptors(void)
{
	make_all();
	expect_fork();
	struct rlimit before = lower(RLIMIT_NOFILE, 3);
	for (int i = 0; i < 3; i++) {
		errno = 0;
		CHECK(fork() == -1 && errno == ENOMEM);
		CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
		CHECK(all_sound());
		churn();
	}
	CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
	books_balance();
	expect_fork();
}

/* The kernel's own refusal is passed on as it is. */
static void case_no_process(void)
{
	make_all();
	if (getuid() == 0)
		CHECK(setresuid(65534, 65534, 65534) == 0);
	lower(RLIMIT_NPROC, 0);
	for (int i = 0; i < 3; i++) {
		errno = 0;
		CHECK(fork() == -1 && errno == EAGAIN);
		CHECK(all_sound());
		churn();
	}
}

/* Where all there is, is used up: the child goes, not the parent, though the parent is
 * larger. The test's script has put us into a control group of 64 MiB. */
static void case_no_room(void)
{
	struct block filler[128];
	make_all();
	for (size_t i = 0; i < COUNT(filler); i++)
		block_make(&filler[i], (size_t)256 << 10, i);
	for (int i = 0; i < 3; i++) {
		errno = 0;
		CHECK(fork() == -1 && errno == ENOMEM);
		CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
		CHECK(all_sound());
		books_balance();
	}
	print_refusal("control group");
	for (size_t i = 0; i < COUNT(filler); i++)
		block_drop(&filler[i]);
	trim();
	expect_fork();
	books_balance();
}

/* ---- stacks in the heap -------------------------------------------------------------------- */

static void *fork_from_here(void *unused)
{
	(void)unused;
	errno = 0;
	CHECK(fork() == -1 && errno == ENOMEM);
	CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
	return NULL;
}

static bool go;

static void *wait_to_go(void *unused)
{
	while (!__atomic_load_n(&go, __ATOMIC_RELAXED))
		usleep(1000);
	return unused;
}

static pthread_t start_on_block(void *(*f)(void *), void *stack, size_t size)
{
	pthread_t thread;
	pthread_attr_t attributes;
	CHECK(pthread_attr_init(&attributes) == 0);
	CHECK(pthread_attr_setstack(&attributes, stack, size) == 0);
	CHECK(pthread_create(&thread, &attributes, f, NULL) == 0);
	pthread_attr_destroy(&attributes);
	return thread;
}

/* Who stands on a block cannot fork; who has others standing there can. */
static void case_stack(void)
{
	enum { SIZE = 256 << 10 };
	void *stack[3];
	make_all();
	for (size_t i = 0; i < COUNT(stack); i++)
		CHECK((stack[i] = aligned_alloc(4096, SIZE)));
	pthread_t waiting[2];
	for (size_t i = 0; i < COUNT(waiting); i++)
		waiting[i] = start_on_block(wait_to_go, stack[i], SIZE);
	for (int i = 0; i < 5; i++)
		expect_fork();
	pthread_join(start_on_block(fork_from_here, stack[2], SIZE), NULL);
	__atomic_store_n(&go, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < COUNT(waiting); i++)
		CHECK(pthread_join(waiting[i], NULL) == 0);
	expect_fork();
}

static ucontext_t outside;

static void fork_on_block(void) { expect_refusal(ENOMEM); }

/* A coroutine: nothing but the stack is a block. Its child would copy what the parent goes
 * on using. */
static void case_coroutine(void)
{
	enum { SIZE = 256 << 10 };
	ucontext_t inside;
	make_all();
	CHECK(getcontext(&inside) == 0);
	inside.uc_stack.ss_size = SIZE;
	inside.uc_stack.ss_sp = malloc(SIZE);
	inside.uc_link = &outside;
	CHECK(inside.uc_stack.ss_sp);
	makecontext(&inside, fork_on_block, 0);
	CHECK(swapcontext(&outside, &inside) == 0);
	free(inside.uc_stack.ss_sp);
	expect_fork();
}

/* ---- nothing is copied -------------------------------------------------------------------- */

static pid_t by_spawn(void)
{
	pid_t child;
	char *arguments[] = { (char *)"true", NULL };
	CHECK(posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ) == 0);
	return child;
}

static pid_t by_vfork(void)
{
	pid_t child = vfork();
	if (child == 0) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(1);
	}
	return child;
}

static void start_others(void)
{
	char line[16] = "";
	expect_good(by_spawn());
	expect_good(by_vfork());
	CHECK(system("exit 7") == 7 << 8);
	FILE *f = popen("echo hello", "r");
	CHECK(f && fgets(line, sizeof line, f) && strcmp(line, "hello\n") == 0);
	CHECK(pclose(f) == 0);
	CHECK(all_sound());
	books_balance();
}

/* A copy would not fit. */
static void case_spawn(void)
{
	make_all();
	lower(RLIMIT_DATA, data_bytes() + (8 << 20));
	expect_refusal(ENOMEM);
	start_others();
}

/* A view fits, though it counts as a copy would. */
static void case_spawn_view(void)
{
	make_all();
	start_others();
	expect_fork();
	books_balance();
}

/* ---- fork:deny ------------------------------------------------------------------------------- */

/* glibc's own callers go past our fork(): what they make has a view, or a copy. */
static void fork_by_pty(void)
{
	char answer[16] = "";
	int terminal;
	pid_t child = forkpty(&terminal, NULL, NULL, NULL);
	CHECK(child >= 0);
	if (child == 0) {
		CHECK(all_sound());
		execl("/bin/echo", "echo", "here", (char *)NULL);
		_exit(1);
	}
	CHECK(read(terminal, answer, sizeof answer - 1) >= 4 && strncmp(answer, "here", 4) == 0);
	expect_good(child);
	close(terminal);
}

static int daemon_tells[2];

/* In a process of its own, since the parent ends in daemon(3); told by the environment. */
static void daemonize(void)
{
	make_all();
	CHECK(daemon(1, 1) == 0);
	CHECK(all_sound());
	churn();
	CHECK(write(atoi(getenv("DAEMON_TELLS")), "fine", 4) == 4);
	exit(0);
}

static void start_daemon(void)
{
	char answer[8] = "", number[16];
	char *arguments[] = { (char *)"test_fork_refused", (char *)"daemonize", NULL };
	pid_t child;
	CHECK(pipe(daemon_tells) == 0);
	snprintf(number, sizeof number, "%d", daemon_tells[1]);
	CHECK(setenv("DAEMON_TELLS", number, 1) == 0);
	CHECK(posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ) == 0);
	expect_good(child);
	close(daemon_tells[1]);
	CHECK(read(daemon_tells[0], answer, 4) == 4 && strcmp(answer, "fine") == 0);
	close(daemon_tells[0]);
}

static void case_deny(void)
{
	make_all();
	expect_refusal(ENOMEM);
	print_refusal("fork:deny");
	fork_by_pty();
	CHECK(all_sound());
	start_daemon();
	expect_good(by_spawn());
	CHECK(system("true") == 0);
	books_balance();
	expect_refusal(ENOMEM);
}

/* ---- past all handlers --------------------------------------------------------------------- */

/* Children of a bare system call find no heap: they cannot corrupt the parent's. */
static void case_raw(void)
{
	make_all();
	for (int i = 0; i < 3; i++) {
		pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
		if (child == 0) {
			signal(SIGSEGV, SIG_DFL);
			blocks[i].p[0]++;
			_exit(0);
		}
		int status = end_of(child);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
		CHECK(all_sound());
	}
	expect_fork();
}

static const struct test_case cases[] = {
	{ "no_memory", case_no_memory },   { "no_addresses", case_no_addresses },
	{ "no_descriptors", case_no_descriptors }, { "no_process", case_no_process },
	{ "no_room", case_no_room },       { "stack", case_stack },
	{ "spawn", case_spawn },           { "spawn_view", case_spawn_view },
	{ "deny", case_deny },             { "daemonize", daemonize },
	{ "raw", case_raw },               { "coroutine", case_coroutine },
};

int main(int argc, char **argv) { return run_case(cases, COUNT(cases), argc, argv); }
