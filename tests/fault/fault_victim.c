/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program on the drop-in library for test_inject.sh, which makes its system calls
 * fail. It uses none itself that the library doesn't need, and checks what must hold
 * whatever fails: contents, ENOMEM with each NULL, zeros from calloc, and, when the
 * fault is over, the books.
 *
 * Usage: fault_victim once|lasts|leaks. "lasts": whatever fails goes on failing; "leaks":
 * so does munmap(2), and nobody can give address space back.
 * Exit code 0: all is well; 3: no malloc succeeds, and each sets ENOMEM.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sparena/stats.h"

#define KiB ((size_t)1 << 10)
#define MiB ((size_t)1 << 20)
#define NO_HEAP 3

/* No stdio: it would allocate. */
#define MUST(condition)                                                             \
	do {                                                                        \
		if (!(condition)) {                                                 \
			dprintf(2, "fault_victim: line %d: not so: %s\n", __LINE__, #condition); \
			_exit(1);                                                   \
		}                                                                   \
	} while (0)

static bool lasts, leaks;

static void nothing(void) { }

/* Before any library's start-up, even the drop-in's, which is the first of all: while the
 * loader relocates this program. What was called until here is the loader's. */
static void (*mark_start(void))(void)
{
	static const char mark[] = "fault_victim: start\n";
	ssize_t n = write(2, mark, sizeof mark - 1);
	(void)n;
	return nothing;
}

static void started(void) __attribute__((ifunc("mark_start")));

/* strace(1) is to follow the helper process, too. */
__attribute__((visibility("default"))) int clone(int (*run)(void *), void *stack, int flags, void *argument, ...)
{
	int (*original)(int (*)(void *), void *, int, void *, ...) = (__typeof__(&clone))dlsym(RTLD_NEXT, "clone");
	return original(run, stack, flags & ~CLONE_UNTRACED, argument);
}

/* ---- blocks ------------------------------------------------------------------- */

#define block_malloc malloc
#define block_calloc calloc
#define block_realloc realloc
#define block_free free
static void block_trim(void) { malloc_trim(0); }
#define block_is_backed(p, size) true /* to ask would be a system call */
static bool fault_lasts(void) { return lasts; }

#include "blocks.h"

#define LARGEST (5 * MiB)

static void *thread(void *arg)
{
	thread_work(LARGEST);
	return arg;
}

static void start_thread(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, thread, NULL) == 0)
		pthread_join(t, NULL);
}

/* The child's memory is a copy, so that its books do not say what is resident. */
static void fork_child(const struct block blocks[BLOCKS])
{
	int status;
	pid_t pid = fork();
	if (pid < 0) { /* of shared memory; each child would fail at the same call of its own */
		MUST(errno == ENOMEM && strstr(getenv("SPARENA_CONF"), "backing:memfd"));
		check_blocks(blocks);
		return;
	}
	if (pid == 0) {
		struct block more;
		check_blocks(blocks);
		take(&more, 3 * MiB, 'c');
		give(&more);
		clean_block(100 * KiB);
		malloc_trim(0);
		_exit(0);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- the books -------------------------------------------------------------------- */

static bool balanced(struct sparena_stats *s)
{
	MUST(sparena_stats_get(NULL, s, sizeof *s) == 0);
	unsigned long long backed = s->committed + s->metadata;
	MUST(backed + s->lazy <= s->limit);
	return backed <= s->resident && s->resident <= backed + s->lazy;
}

/* Asking the kernel can fail as well: hence twice. */
static void check_books(void)
{
	struct sparena_stats s;
	if (lasts || balanced(&s) || balanced(&s))
		return;
	dprintf(2, "fault_victim: committed %llu + metadata %llu, lazy %llu, resident %llu\n",
	        (unsigned long long)s.committed, (unsigned long long)s.metadata,
	        (unsigned long long)s.lazy, (unsigned long long)s.resident);
	_exit(1);
}

/* What little is left is slabs in use, and what failed to go back the first time. */
static void check_leaks(void)
{
	struct sparena_stats s;
	malloc_trim(0);
	malloc_trim(0);
	balanced(&s);
	MUST(lasts || s.committed + s.lazy <= 2 * MiB);
}

/* Pages of address space; 0: could not be read. */
static unsigned long address_space(void)
{
	char text[64] = "";
	int fd = open("/proc/self/statm", O_RDONLY);
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	return n > 0 ? strtoul(text, NULL, 10) : 0;
}

/* Each malloc tries to start the heap again, and must leave nothing behind. */
static int without_heap(void)
{
	unsigned long before = address_space();
	for (int i = 0; i < 50; i++) {
		errno = 0;
		MUST(!malloc(1));
		MUST(errno == ENOMEM);
	}
	unsigned long after = address_space();
	MUST(after < before + 1000 || !before || leaks);
	return NO_HEAP;
}

int main(int argc, char **argv)
{
	static struct block blocks[BLOCKS];
	MUST(argc == 2);
	started();
	leaks = strcmp(argv[1], "leaks") == 0;
	lasts = leaks || strcmp(argv[1], "lasts") == 0;

	errno = 0;
	void *first = malloc(1);
	if (!first) {
		MUST(errno == ENOMEM);
		first = malloc(1);
	}
	if (!first)
		return without_heap();
	free(first);
	clean_block(200 * KiB); /* out of new memory */
	many_sizes(blocks, LARGEST);
	check_books();
	start_thread();
	fork_child(blocks);
	exhaustion(MiB);
	give_blocks(blocks);
	check_leaks();
	check_books();
	return 0;
}
