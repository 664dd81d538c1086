/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The process's heap, as the drop-in has it (by other names than malloc), with every system
 * call failing in turn: start-up, growth, exhaustion, threads, fork, purge, limit, exit; on
 * private memory and on shared, with the guard, and with a helper process.
 */
#define _GNU_SOURCE
#include "heaps.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "heap/heap.h"
#include "preload/preload.h"

static char directory[] = "/dev/shm/sparena-test-XXXXXX";
static char named[64], stats_file[64];

/* ---- options ------------------------------------------------------------------------------ */

/* Files that earlier runs left are gone. */
static void remove_files(void)
{
	unlink(stats_file);
	unlink(named);
}

static void set_options(const char *text)
{
	char all[512];
	look_begin();
	remove_files();
	snprintf(all, sizeof all, "limit:8M,%s,strict:true,log:true,stats_print:true,stats_file:%s,%s%s",
	         strstr(text, "thp:") ? "decay_ms:500" : "thp:never", stats_file, text, strstr(text, "file,path:") ? named : "");
	setenv("SPARENA_CONF", all, 1);
	lazy_above = strstr(text, "lazy_above:128K") ? 128 * KiB : SIZE_MAX;
	look_end();
}

static bool has(const char *option) { return strstr(getenv("SPARENA_CONF"), option); }

/* ---- start-up ------------------------------------------------------------------------------- */

static void try_to_start(void)
{
	errno = 0;
	void *p = block_malloc(1);
	MUST(p || errno == ENOMEM);
	block_free(p);
}

/* What failed once is had at the next try, and what goes on failing when the fault is over. */
static void start(void)
{
	errno = 0;
	void *p = block_malloc(1);
	if (!p) {
		MUST(errno == ENOMEM);
		if (fault_lasts())
			MUST(tries_leave_nothing(try_to_start) || may_lose() || heap_process.meta.base);
		calm();
		if (point.which == ALL_CALLS)
			unlink(named); /* which could neither be emptied nor removed */
		p = block_malloc(1);
		MUST(p);
	}
	block_free(p);
}

static void use(const struct scenario *s)
{
	set_options(s->options);
	look_begin();
	start();
	look_end();
	run_phase(s->act);
}

/* ---- fork ------------------------------------------------------------------------------------- */

static void act_in_child(void)
{
	struct block more;
	alarm(20);
	check_blocks(blocks);
	take(&more, 2 * MiB, 'c');
	give(&more);
	clean_block(100 * KiB);
	block_trim();
	check_blocks(blocks);
	_exit(0);
}

/* False: it cannot be had. */
static bool fork_one(void)
{
	errno = 0;
	pid_t child = fork();
	if (child == 0)
		act_in_child();
	if (child > 0)
		look_at_end_of(child);
	else
		MUST(errno == ENOMEM || errno == EAGAIN || errno == ENOSYS);
	check_blocks(blocks);
	return child > 0;
}

static void fork_once(void)
{
	bool done = fork_one();
	MUST(done || point.at);
	calm();
	MUST(fork_one());
}

static void use_start(const struct scenario *s)
{
	set_options(s->options);
	struct point p = point;
	start();
	point = p;
	run_phase(use_first_blocks);
	look_begin();
	MUST(fork_one());
	MUST_BE_EQUAL(fork_handlers, 1); /* jemalloc asks for them once */
	look_end();
}

/* The C library has not set environ yet; the options are those that this program began with. */
static void use_start_without_environ(const struct scenario *s)
{
	set_options(s->options);
	char **variables = environ;
	environ = NULL;
	start();
	environ = variables;
	run_phase(use_first_blocks);
}

static void on_signal(int signal) { _exit(signal); }

/* The program handles faults itself, on a stack of its own, and goes on doing so. */
static void fork_with_handler(void)
{
	static char memory[64 * KiB];
	stack_t stack = { .ss_sp = memory, .ss_size = sizeof memory }, stack_after;
	struct sigaction handler = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK }, after;
	look_begin();
	MUST(sigaltstack(&stack, NULL) == 0 && sigaction(SIGSEGV, &handler, NULL) == 0);
	look_end();
	fork_once();
	look_begin();
	MUST(sigaltstack(NULL, &stack_after) == 0 && sigaction(SIGSEGV, NULL, &after) == 0);
	if (point.which != SET_STACK && point.which != ALL_CALLS) /* which nobody can put back then */
		MUST(stack_after.ss_sp == stack.ss_sp && after.sa_handler == on_signal);
	signal(SIGSEGV, SIG_DFL);
	look_end();
}

/* The program closed all descriptors, so the parent lends the child its memory. */
static void fork_without_descriptors(void)
{
	look_begin();
	for (int fd = 3; fd < 1000; fd++)
		if (fd != points_output)
			close(fd);
	look_end();
	fork_once();
}

/* The child has no room for its copy. */
static void fork_without_room(void)
{
	char text[8192];
	size_t used;
	struct rlimit before, limit;
	look_begin();
	MUST(os_read_file("/proc/self/status", text, sizeof text, NULL) == 0);
	MUST(os_field_bytes(text, "VmData", &used) == 0);
	MUST(getrlimit(RLIMIT_DATA, &before) == 0);
	limit = (struct rlimit){ used + 256 * KiB, before.rlim_max };
	MUST(setrlimit(RLIMIT_DATA, &limit) == 0);
	look_end();
	MUST(!fork_one());
	look_begin();
	MUST(setrlimit(RLIMIT_DATA, &before) == 0);
	look_end();
	fork_once();
}

/* ---- exit --------------------------------------------------------------------------------------- */

/* A file of statistics is there whole, or who reads the messages knows. */
static void check_exit(void)
{
	struct stat st;
	bool fault = point.at;
	look_begin();
	bool written = stat(stats_file, &st) == 0 && st.st_size > 100;
	bool gone = stat(named, &st) != 0;
	MUST(written || fault);
	MUST(gone || fault || !has("path:"));
	look_end();
}

static void use_exit(const struct scenario *s)
{
	set_options(s->options);
	look_begin();
	start();
	many_sizes(blocks, LARGEST);
	look_end();
	heap_at_exit();
	check_exit();
	look_begin();
	check_blocks(blocks); /* memory is used until the very end */
	look_end();
}

/* ---- huge pages ---------------------------------------------------------------------------------------- */

/* Parts of those that are in use are given back when there is nothing else. */
static void use_huge_pages(const struct scenario *s)
{
	set_options(s->options);
	look_begin();
	start();
	MUST(sparena_heap_set_limit(heap, 24 * MiB) == 0);
	look_end();
	thins = true;
	exhaustion(MiB);
	look_begin();
	calm();
	give_blocks(blocks);
	block_trim();
	block_trim();
	check_books();
	look_end();
}

/* ---- with a helper -------------------------------------------------------------------------------- */

/* It is there from 8 MiB on. */
static void grow_by_helper(void)
{
	static struct block more[12];
	MUST(sparena_heap_set_limit(heap, 32 * MiB) == 0);
	for (unsigned i = 0; i < 12; i++)
		take(&more[i], MiB, (char)(i + 1));
	for (unsigned i = 0; i < 12; i++)
		give(&more[i]);
	block_trim();
	MUST(sparena_heap_set_limit(heap, LIMIT) == 0);
}

static void use_helper(const struct scenario *s)
{
	int pid;
	use(s);
	look_begin();
	pid = guard_of_process()->charger.helper.pid;
	if (pid > 0)
		MUST(kill(pid, SIGSTOP) == 0); /* so that it has to be killed */
	look_end();
	charger_end(&guard_of_process()->charger);
	look_begin();
	calm();
	charger_end(&guard_of_process()->charger);
	look_end();
}

/* ---- all of them ------------------------------------------------------------------------------------ */

#define ANON "guard:off"
#define GUARD "guard:auto"
#define HUGE "guard:off,thp:always"
#define LAZY "guard:off,lazy_above:128K"
#define MEMFD "guard:off,backing:memfd"
#define VIEW "guard:off,fork:exec,backing:memfd"
#define NAMED "guard:off,backing:file,path:"
#define HELPER "guard:helper,backing:memfd"

static const struct scenario all[] = {
	{ "start", use_start, ANON, NULL, true, 2, 0 },
	{ "start, guard", use_start, GUARD, NULL, true, 12, 0 },
	{ "start, lazy_above", use_start, LAZY, NULL, true, 8, 0 },
	{ "start, memfd", use_start, MEMFD, NULL, true, 8, 0 },
	{ "start, named file", use_start, NAMED, NULL, true, 8, 0 },
	{ "start, no environ", use_start_without_environ, ANON, NULL, true, 12, 0 },
	{ "growth", use, ANON, grow, true, 1, 0 },
	{ "growth, guard", use, GUARD, grow, true, 8, 0 },
	{ "growth, lazy_above", use, LAZY, grow, true, 2, 0 },
	{ "growth, memfd", use, MEMFD, grow, true, 6, 0 },
	{ "growth, named file", use, NAMED, grow, true, 8, 0 },
	{ "growth, helper", use_helper, HELPER, grow_by_helper, true, 40, 0 },
	{ "exhaustion", use, ANON, exhaust, true, 1, 0 },
	{ "exhaustion, guard", use, GUARD, exhaust, true, 6, 0 },
	{ "exhaustion, memfd", use, MEMFD, exhaust, true, 6, 0 },
	{ "exhaustion, huge pages", use_huge_pages, HUGE, NULL, true, 6, 0 },
	{ "thread", use, ANON, run_thread, true, 1, 0 },
	{ "thread, memfd", use, MEMFD, run_thread, true, 1, 0 },
	{ "fork", use, ANON, fork_once, true, 1, 0 },
	{ "fork, guard", use, GUARD, fork_once, true, 6, 0 },
	{ "fork, memfd", use, MEMFD, fork_once, true, 8, 0 },
	{ "fork, named file", use, NAMED, fork_once, true, 10, 0 },
	{ "fork, view", use, VIEW, fork_with_handler, true, 6, 0 },
	{ "fork, fds closed", use, MEMFD, fork_without_descriptors, true, 10, 0 },
	{ "fork, no room", use, MEMFD, fork_without_room, true, 14, 0 },
	{ "purge", use, ANON, purge, true, 1, 0 },
	{ "purge, memfd", use, MEMFD, purge, true, 1, 0 },
	{ "limit", use, ANON, change_limit, true, 1, 0 },
	{ "limit, memfd", use, MEMFD, change_limit, true, 2, 0 },
	{ "exit", use_exit, ANON, NULL, true, 1, 0 },
	{ "exit, named file", use_exit, NAMED, NULL, true, 1, 0 },
};

int main(int argc, char **argv)
{
	if (!mkdtemp(directory)) {
		printf("skipped: no directory can be made in /dev/shm\n");
		return 77;
	}
	snprintf(named, sizeof named, "%s/named", directory);
	snprintf(stats_file, sizeof stats_file, "%s/stats", directory);
	int code = points_main(argc, argv, all, sizeof all / sizeof *all);
	remove_files();
	return rmdir(directory) == 0 ? code : 1;
}
