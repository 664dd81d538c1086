/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the C library does to blocks of malloc in a child before any handler runs, and how
 * faults are caught that this brings: none of it may reach the parent, and nobody else's
 * faults may get lost. Usage: test_fork_libc CASE.
 */
#include <locale.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "fork.h"

enum { FORKS = 20 };

static bool stop;

static bool running(void) { return !__atomic_load_n(&stop, __ATOMIC_RELAXED); }

static void end(pthread_t thread)
{
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	stop = false;
}

static void fork_once(void)
{
	pid_t child = fork();
	if (child == 0) {
		free(malloc(100000));
		_exit(0);
	}
	expect_good(child);
}

/* ---- streams ------------------------------------------------------------------------------ */

static FILE *stream;
static bool reading;

/* Holds the stream's lock until a line comes. */
static void *read_lines(void *unused)
{
	char line[64];
	__atomic_store_n(&reading, true, __ATOMIC_RELAXED);
	while (fgets(line, sizeof line, stream))
		CHECK(strncmp(line, "line", 4) == 0);
	return unused;
}

/* Waits until the reader waits, with the lock: between two lines it has none. */
static bool is_locked(void)
{
	for (int tries = 0; tries < 5000; tries++) {
		if (__atomic_load_n(&reading, __ATOMIC_RELAXED)) {
			if (ftrylockfile(stream) != 0)
				return true;
			funlockfile(stream);
		}
		usleep(1000);
	}
	return false;
}

/* The child makes all streams' locks free: its own, not those of the parent. */
static void case_streams(void)
{
	int ends[2];
	CHECK(pipe(ends) == 0);
	stream = fdopen(ends[0], "r");
	CHECK(stream);
	pthread_t reader = start(read_lines, NULL);
	CHECK(is_locked());
	for (int i = 0; i < FORKS; i++) {
		fork_once();
		CHECK(is_locked());
		CHECK(write(ends[1], "line\n", 5) == 5);
		usleep(1000);
	}
	close(ends[1]);
	pthread_join(reader, NULL);
	CHECK(ftrylockfile(stream) == 0);
	funlockfile(stream);
	fclose(stream);
}

/* What was a stream is something else soon. */
static void *open_and_close(void *unused)
{
	while (running()) {
		FILE *f[8];
		for (size_t i = 0; i < COUNT(f); i++)
			CHECK((f[i] = fopen("/dev/null", "w")));
		for (size_t i = 0; i < COUNT(f); i++)
			fclose(f[i]);
		for (size_t size = 400; size < 800; size += 16) {
			char *p[2] = { malloc(size), malloc(size) };
			CHECK(p[0] && p[1]);
			memset(p[0], 0x5a, size);
			memset(p[1], 0x5a, size);
			free(p[0]);
			free(p[1]);
		}
	}
	return unused;
}

/* The list of streams is whole in each child, which walks it when it exits. */
static void case_stream_list(void)
{
	struct block large;
	block_make(&large, 8 << 20, 1); /* which takes a while to copy */
	pthread_t other = start(open_and_close, NULL);
	for (int i = 0; i < FORKS; i++) {
		pid_t child = fork();
		if (child == 0) {
			alarm(20);
			FILE *f = fopen("/dev/null", "w");
			CHECK(f && fputs("text", f) >= 0);
			CHECK(fflush(NULL) == 0);
			exit(0);
		}
		expect_good(child);
	}
	end(other);
}

static void *fork_some(void *unused)
{
	for (int i = 0; i < FORKS; i++)
		fork_once();
	return unused;
}

/* A thread's, other than the first one's, finds its thread-local variables by a block of malloc. */
static void case_stream_in_thread(void)
{
	CHECK((stream = fopen("/dev/null", "w"))); /* so that children fault early */
	pthread_join(start(fork_some, NULL), NULL);
	fclose(stream);
}

/* ---- locales ------------------------------------------------------------------------------ */

/* As perl has one: numbers are read by it. */
static void case_locale(void)
{
	locale_t own = duplocale(LC_GLOBAL_LOCALE);
	CHECK(own && uselocale(own));
	for (int i = 0; i < FORKS; i++)
		fork_once();
	uselocale(LC_GLOBAL_LOCALE);
	freelocale(own);
}

/* ---- thread-specific data ---------------------------------------------------------------------- */

enum { KEYS = 200 };
static pthread_key_t key[KEYS];
static unsigned ready;

static void *hold_values(void *unused)
{
	for (uintptr_t i = 0; i < KEYS; i++)
		CHECK(pthread_setspecific(key[i], (void *)(i + 1)) == 0);
	__atomic_fetch_add(&ready, 1, __ATOMIC_RELAXED);
	while (running())
		for (uintptr_t i = 0; i < KEYS; i++)
			CHECK(pthread_getspecific(key[i]) == (void *)(i + 1));
	return unused;
}

/* Values of more than 32 keys are in a block of malloc; a child forgets other threads'. */
static void case_keys(void)
{
	for (size_t i = 0; i < KEYS; i++)
		CHECK(pthread_key_create(&key[i], NULL) == 0);
	pthread_t other = start(hold_values, NULL), another = start(hold_values, NULL);
	while (__atomic_load_n(&ready, __ATOMIC_RELAXED) < 2)
		usleep(1000);
	for (int i = 0; i < FORKS; i++)
		fork_once();
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(other, NULL);
	end(another);
}

/* ---- the program's own faults ------------------------------------------------------------------ */

enum { PAGES = 64, PAGE = 4096 };
static char *guarded;
static unsigned opened, sent, received;

/* As a collector of garbage, or a database: opens the page that was touched. */
static void open_page(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	char *at = info->si_addr;
	if (info->si_code <= 0) {
		received++;
		return;
	}
	CHECK(at >= guarded && at < guarded + PAGES * PAGE);
	CHECK(mprotect(guarded + (at - guarded) / PAGE * PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
	__atomic_fetch_add(&opened, 1, __ATOMIC_RELAXED);
}

static void touch_guarded(void)
{
	CHECK(mprotect(guarded, PAGES * PAGE, PROT_NONE) == 0);
	for (int i = 0; i < PAGES; i++)
		guarded[i * PAGE]++;
}

/* Its stack for signals is a block of malloc, too. */
static void use_signal_stack(void)
{
	stack_t own = { .ss_sp = malloc(1 << 16), .ss_size = 1 << 16 };
	CHECK(own.ss_sp && sigaltstack(&own, NULL) == 0);
}

static void *fault_all_the_time(void *unused)
{
	use_signal_stack();
	while (running()) {
		touch_guarded();
		CHECK(pthread_kill(pthread_self(), SIGSEGV) == 0 && received == ++sent);
	}
	return unused;
}

static bool handler_is_ours(void)
{
	struct sigaction now;
	stack_t stack;
	CHECK(sigaction(SIGSEGV, NULL, &now) == 0 && sigaltstack(NULL, &stack) == 0);
	return now.sa_sigaction == open_page && (now.sa_flags & SA_ONSTACK) && (now.sa_flags & SA_SIGINFO) &&
	       sigismember(&now.sa_mask, SIGUSR1) == 1 && stack.ss_size == 1 << 16;
}

static void case_faults(void)
{
	struct sigaction action = { .sa_sigaction = open_page, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	sigemptyset(&action.sa_mask);
	sigaddset(&action.sa_mask, SIGUSR1);
	guarded = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(guarded != MAP_FAILED);
	CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
	use_signal_stack();
	CHECK((stream = fopen("/dev/null", "w"))); /* so that children fault early */
	pthread_t other = start(fault_all_the_time, NULL);
	for (int i = 0; i < 2 * FORKS; i++) {
		pid_t child = fork();
		if (child == 0) {
			CHECK(handler_is_ours());
			touch_guarded();
			_exit(0);
		}
		expect_good(child);
		CHECK(handler_is_ours());
	}
	end(other);
	CHECK(opened >= PAGES);
	fclose(stream);
}

/* With the signal blocked, and ignored; both are as they were afterwards. */
static void case_blocked(void)
{
	sigset_t set, now;
	struct sigaction action;
	pthread_t other = start(open_and_close, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
	CHECK(signal(SIGSEGV, SIG_IGN) != SIG_ERR);
	for (int i = 0; i < FORKS; i++) {
		pid_t child = fork();
		free(malloc(100000));
		CHECK(pthread_sigmask(SIG_SETMASK, NULL, &now) == 0 && sigismember(&now, SIGSEGV) == 1);
		CHECK(sigaction(SIGSEGV, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
		if (child == 0)
			_exit(0);
		expect_good(child);
	}
	end(other);
}

/* ---- descriptors --------------------------------------------------------------------------------- */

static bool read_and_drop(struct block *blocks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!block_is_sound(&blocks[i]))
			return false;
		block_write(&blocks[i], 7);
		block_drop(&blocks[i]);
	}
	return true;
}

/*
 * A server that closes all it did not open, and then has other files there. What was
 * mapped can be mapped once more; huge pages cannot, so that there fork fails.
 */
static void case_closed(void)
{
	struct block blocks[40];
	for (size_t i = 0; i < COUNT(blocks); i++)
		block_make(&blocks[i], size_of_block(i), i);
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	for (int fd = 3; fd < 200; fd++)
		CHECK(dup(2) == fd);
	for (int i = 0; i < 3; i++) {
		errno = 0;
		pid_t child = fork();
		if (child == 0) {
			CHECK(read_and_drop(blocks, COUNT(blocks)));
			for (int fd = 3; fd < 200; fd++)
				CHECK(close(fd) == 0);
			_exit(0);
		}
		if (has_option("page:2M"))
			CHECK(child == -1 && errno == ENOMEM);
		else
			expect_good(child);
	}
	CHECK(read_and_drop(blocks, COUNT(blocks)));
}

static const struct test_case cases[] = {
	{ "streams", case_streams }, { "stream_list", case_stream_list }, { "stream_in_thread", case_stream_in_thread },
	{ "keys", case_keys },       { "faults", case_faults },           { "blocked", case_blocked },
	{ "closed", case_closed },   { "locale", case_locale },
};

int main(int argc, char **argv) { return run_case(cases, COUNT(cases), argc, argv); }
