/* SPDX-License-Identifier: BSD-2-Clause */
/* fork and its relatives, while other threads are inside malloc. */
#include <malloc.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"

extern char **environ;

/* ---- threads that hold the allocator's locks at every moment ----------------------------------- */

static pthread_t busy[3];
static bool stop;

static void *churn_until(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		NEED(churn((unsigned)(uintptr_t)arg));
	return NULL;
}

static void begin_busy(void)
{
	for (uintptr_t i = 0; i < COUNT(busy); i++)
		NEED(pthread_create(&busy[i], NULL, churn_until, (void *)i) == 0);
}

static void end_busy(void)
{
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < COUNT(busy); i++)
		pthread_join(busy[i], NULL);
}

/* ---- children ------------------------------------------------------------------------------------ */

static void *churn_thread(void *ok)
{
	*(bool *)ok = churn(1);
	return NULL;
}

/* Goes on with what it inherited, with a thread and a child of its own. */
static bool in_child(void *inherited)
{
	pthread_t thread;
	bool ok = false;
	child_begins();
	if (!is_filled(inherited, 3 * MIB, 1))
		return false;
	memset(inherited, 0, 3 * MIB);
	free(inherited);
	if (!churn(2) || pthread_create(&thread, NULL, churn_thread, &ok) || pthread_join(thread, NULL) || !ok)
		return false;
	pid_t grandchild = fork();
	if (grandchild == 0) {
		child_begins();
		_exit(churn(3) ? 0 : 1);
	}
	int status;
	return waitpid(grandchild, &status, 0) == grandchild && status == 0;
}

static bool fork_some(int times)
{
	for (int i = 0; i < times; i++) {
		void *block = malloc(3 * MIB);
		NEED(block);
		fill(block, 3 * MIB, 1);
		pid_t child = fork();
		if (child == 0)
			_exit(in_child(block) ? 0 : 1);
		NEED(churn(4));
		if (!child_went_well(child))
			return false;
		NEED(is_filled(block, 3 * MIB, 1));
		free(block);
	}
	return true;
}

static void alone(size_t with)
{
	(void)with;
	if (fork_some(5))
		say("parent, child and grandchild go on");
}

static void *fork_thread(void *ok)
{
	*(bool *)ok = fork_some(5);
	return NULL;
}

static void in_thread(size_t with)
{
	pthread_t threads[2];
	bool ok[2];
	(void)with;
	begin_busy();
	for (size_t i = 0; i < 2; i++)
		NEED(pthread_create(&threads[i], NULL, fork_thread, &ok[i]) == 0);
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	end_busy();
	if (ok[0] && ok[1])
		say("parent, child and grandchild go on");
}

static void *at_exit_block;
static void at_exit(void)
{
	free(at_exit_block);
	if (!churn(5))
		_exit(1);
}

/* A child that ends as a program does, its handlers run and its buffers flushed. */
static void child_exits(size_t with)
{
	(void)with;
	NEED(at_exit_block = malloc(100));
	begin_busy();
	NEED(atexit(at_exit) == 0);
	for (int i = 0; i < 10; i++) {
		pid_t child = fork();
		if (child == 0) {
			child_begins();
			exit(0);
		}
		if (!child_went_well(child))
			_exit(0);
	}
	end_busy();
	say("exit code 0");
}

/* ---- pthread_atfork -------------------------------------------------------------------------------- */

static bool handlers_on;
static void *from_prepare;

static void prepare(void)
{
	if (!handlers_on)
		return;
	NEED(churn(6));
	NEED(from_prepare = malloc(100));
}

static void afterwards(void)
{
	if (!handlers_on)
		return;
	NEED(churn(7));
	free(from_prepare);
}

/* Maybe before an allocator that starts with the first malloc registered its own. */
__attribute__((constructor(101))) static void register_early(void)
{
	pthread_atfork(prepare, afterwards, afterwards);
}

static void fork_with_handlers(void)
{
	child_begins(); /* the parent may hang as well */
	pid_t child = fork();
	if (child == 0) {
		child_begins();
		_exit(churn(8) ? 0 : 1);
	}
	if (child_went_well(child))
		say("parent and child go on");
}

static void early_handlers(size_t with)
{
	(void)with;
	handlers_on = true;
	fork_with_handlers();
}

static void allocate(void) { NEED(churn(9)); }

static void late_handlers(size_t with)
{
	(void)with;
	NEED(churn(5) && pthread_atfork(allocate, allocate, allocate) == 0);
	fork_with_handlers();
}

/* ---- others ------------------------------------------------------------------------------------------ */

static void spawned(size_t with)
{
	(void)with;
	begin_busy();
	for (int i = 0; i < 10; i++) {
		char *arguments[] = { (char[]){ "sh" }, (char[]){ "-c" }, (char[]){ ":" }, NULL };
		pid_t child;
		NEED(posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ) == 0);
		if (!child_went_well(child))
			return;
	}
	say("posix_spawn: exit code 0");
	say("system: exit code %d", system("exit 7") >> 8);
	FILE *f = popen("echo word", "r");
	char word[8] = "";
	NEED(f && fgets(word, sizeof word, f) && pclose(f) == 0);
	say("popen: %.4s", word);
	end_busy();
}

static void vforked(size_t with)
{
	void *p = malloc(100);
	(void)with;
	NEED(p);
	fill(p, 100, 9);
	begin_busy();
	for (int i = 0; i < 10; i++) {
		pid_t child = vfork();
		if (child == 0) {
			execl("/bin/sh", "sh", "-c", ":", (char *)NULL);
			_exit(1);
		}
		if (!child_went_well(child))
			return;
	}
	end_busy();
	say(is_filled(p, 100, 9) ? "exit code 0" : "contents changed");
	free(p);
}

const struct conformance_case fork_cases[] = {
	{ "fork/one thread", alone, 0 },
	{ "fork/in threads, while others allocate", in_thread, 0 },
	{ "fork/the child calls exit, with handlers that free", child_exits, 0 },
	{ "fork/handlers that allocate", late_handlers, 0 },
	{ "fork/handlers that allocate, registered in a constructor", early_handlers, 0 },
	{ "fork/vfork and exec, while others allocate", vforked, 0 },
	{ "fork/posix_spawn, system, popen, while others allocate", spawned, 0 },
	{ NULL, NULL, 0 },
};
