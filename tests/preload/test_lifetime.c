/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * malloc at the edges of a program's life: before main, after it, in threads that
 * end, in children, across dlopen. Usage: test_lifetime CASE [LIBRARY]. Exits with 0
 * when all went well; a failed check aborts, so that one after main shows as well.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "early.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define CHECK(ok)                                                                \
	do {                                                                     \
		if (!(ok)) {                                                     \
			fprintf(stderr, "%s:%d: " #ok "\n", __FILE__, __LINE__); \
			abort();                                                 \
		}                                                                \
	} while (0)

static const char *library;

/* Some blocks of many sizes, written to, checked, and freed out of order. */
static void churn(unsigned seed)
{
	enum { BLOCKS = 200 };
	unsigned char *block[BLOCKS];
	size_t size[BLOCKS];
	for (unsigned i = 0; i < BLOCKS; i++) {
		size[i] = (size_t)1 << (i * 7 + seed) % 19;
		block[i] = malloc(size[i]);
		CHECK(block[i]);
		memset(block[i], (int)(i + seed), size[i]);
	}
	for (unsigned k = 0; k < BLOCKS; k++) {
		unsigned i = k * 77 % BLOCKS; /* 77 and 200 have no common factor */
		for (size_t b = 0; b < size[i]; b += size[i] / 8 + 1)
			CHECK(block[i][b] == (unsigned char)(i + seed));
		free(block[i]);
	}
}

static pthread_t start(void *(*f)(void *), void *arg)
{
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, f, arg) == 0);
	return thread;
}

static void *churn_thread(void *arg)
{
	churn((unsigned)(uintptr_t)arg);
	return NULL;
}

static void case_constructor(void)
{
	CHECK(early_linked_check());
	churn(1);
	CHECK(early_linked_check());
}

/* ---- after main ---------------------------------------------------------------- */

static void *of_main;

static void at_exit(void)
{
	churn(2);
	free(of_main);
	of_main = malloc(100000);
	CHECK(of_main);
	pthread_join(start(churn_thread, (void *)3), NULL);
}

static void case_atexit(void)
{
	of_main = malloc(5 << 20);
	CHECK(of_main);
	CHECK(atexit(at_exit) == 0);
}

__attribute__((destructor)) static void after_main(void)
{
	churn(4);
	free(of_main);
	of_main = NULL;
}

/* ---- threads --------------------------------------------------------------------- */

static pthread_key_t key;
static int destroyed;

/* Sets itself again, so that it runs after jemalloc's own destructor, too. */
static void key_destructor(void *block)
{
	churn(5);
	free(block);
	if (__atomic_add_fetch(&destroyed, 1, __ATOMIC_RELAXED) % 3)
		CHECK(pthread_setspecific(key, malloc(50000)) == 0);
}

static void *keyed_thread(void *arg)
{
	CHECK(pthread_setspecific(key, malloc(100)) == 0);
	if (arg)
		churn(6);
	return NULL;
}

static void case_key(void)
{
	CHECK(pthread_key_create(&key, key_destructor) == 0);
	for (uintptr_t i = 0; i < 200; i++)
		pthread_join(start(keyed_thread, (void *)(i & 1)), NULL);
	CHECK(destroyed == 600);
	CHECK(pthread_key_delete(key) == 0);
}

/* Blocks that one thread makes and another frees as the last thing that it does. */
enum { HANDED = 5000 };
static void *handed[HANDED];

static void *make_blocks(void *arg)
{
	for (size_t i = 0; i < HANDED; i++)
		CHECK((handed[i] = malloc(16 + i * 13 % 3000)));
	return arg;
}

static void *free_blocks(void *arg)
{
	for (size_t i = 0; i < HANDED; i++)
		free(handed[i]);
	return arg;
}

/* 100 rounds of some 7.5 MB: more than the limit, if what a thread frees were lost with it. */
static void case_cross_free(void)
{
	for (int i = 0; i < 100; i++) {
		pthread_join(start(make_blocks, NULL), NULL);
		pthread_join(start(free_blocks, NULL), NULL);
	}
}

/* ---- libraries --------------------------------------------------------------------- */

static void case_dlopen(void)
{
	for (int i = 0; i < 20; i++) {
		int (*opened_check)(void);
		void *handle = dlopen(library, RTLD_NOW);
		if (!handle)
			fprintf(stderr, "%s\n", dlerror());
		CHECK(handle);
		*(void **)&opened_check = dlsym(handle, "early_opened_check");
		CHECK(opened_check && opened_check());
		churn(7);
		CHECK(opened_check());
		CHECK(dlclose(handle) == 0);
	}
}

/* ---- fork ---------------------------------------------------------------------------- */

static void expect_child(pid_t child)
{
	int status;
	CHECK(child > 0);
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* The child goes on with what it inherited, with threads and children of its own. */
static void in_child(char *inherited)
{
	for (size_t i = 0; i < 3 << 20; i += 4096)
		CHECK(inherited[i] == 9);
	free(inherited);
	churn(8);
	pthread_join(start(churn_thread, (void *)9), NULL);
	pid_t grandchild = fork();
	if (grandchild == 0) {
		churn(10);
		_exit(0);
	}
	expect_child(grandchild);
}

static void *fork_some(void *arg)
{
	for (int i = 0; i < 10; i++) {
		char *block = malloc(3 << 20);
		CHECK(block);
		memset(block, 9, 3 << 20);
		pid_t child = fork();
		if (child == 0) {
			in_child(block);
			i & 1 ? _exit(0) : exit(0);
		}
		churn(11);
		expect_child(child);
		CHECK(block[12345] == 9);
		free(block);
	}
	return arg;
}

static void case_fork(void)
{
	fork_some(NULL);
}

static bool stop;

static void *churn_until(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		churn((unsigned)(uintptr_t)arg);
	return NULL;
}

/* Others hold the allocator's locks at every moment. */
static void case_fork_in_thread(void)
{
	pthread_t busy[3];
	for (uintptr_t i = 0; i < COUNT(busy); i++)
		busy[i] = start(churn_until, (void *)i);
	pthread_t a = start(fork_some, NULL), b = start(fork_some, NULL);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < COUNT(busy); i++)
		pthread_join(busy[i], NULL);
}

/* ---- descriptors ------------------------------------------------------------------------ */

static void case_close_all(void)
{
	for (int fd = 0; fd < 1024; fd++)
		close(fd);
	for (unsigned i = 0; i < 20; i++)
		churn(i);
	void *p = malloc(64 << 20);
	CHECK(p);
	free(p);
	/* None of the numbers came into use again. */
	for (int fd = 0; fd < 64; fd++)
		CHECK(close(fd) == -1 && errno == EBADF);
}

/* A thread that is to be cancelled is so where the program says, not in a malloc that needs
 * system calls, nor in a free: whoever comes after it would wait for ever. */
static bool went_through;

static void *allocate_cancelled(void *unused)
{
	CHECK(pthread_cancel(pthread_self()) == 0);
	for (unsigned i = 0; i < 20; i++) {
		churn(i);
		unsigned char *p = malloc(4 << 20);
		CHECK(p);
		p[0] = 1;
		free(p);
	}
	went_through = true;
	pthread_testcancel();
	return unused;
}

static void case_cancel(void)
{
	pthread_t thread;
	void *result;
	usleep(50000); /* what was looked up at the start is looked up again */
	CHECK(pthread_create(&thread, NULL, allocate_cancelled, NULL) == 0);
	CHECK(pthread_join(thread, &result) == 0);
	CHECK(result == PTHREAD_CANCELED && went_through);
	for (unsigned i = 0; i < 20; i++)
		churn(i);
	void *p = malloc(32 << 20);
	CHECK(p);
	free(p);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "constructor", case_constructor },
	{ "atexit", case_atexit },
	{ "key", case_key },
	{ "cross_free", case_cross_free },
	{ "dlopen", case_dlopen },
	{ "fork", case_fork },
	{ "fork_in_thread", case_fork_in_thread },
	{ "close_all", case_close_all },
	{ "cancel", case_cancel },
};

int main(int argc, char **argv)
{
	library = argc > 2 ? argv[2] : NULL;
	CHECK(dlsym(RTLD_DEFAULT, "sparena_stats_get")); /* under the drop-in at all */
	for (size_t i = 0; argc > 1 && i < COUNT(cases); i++) {
		if (strcmp(argv[1], cases[i].name) == 0) {
			cases[i].run();
			return 0;
		}
	}
	fprintf(stderr, "usage: test_lifetime CASE [LIBRARY]\n");
	return 2;
}
