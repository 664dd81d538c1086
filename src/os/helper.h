/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * helper: a process of our own that takes room in memory files for this one, so that
 * where there is none the kernel's OOM killer ends it and not this one. It has no memory
 * of ours, no descriptor but its two, no signal reaches it but SIGKILL, wait(2) does not
 * see it, and it ends with this process. Whoever calls these has cancellation switched off.
 */
#ifndef SPARENA_OS_HELPER_H
#define SPARENA_OS_HELPER_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "os/os.h"

struct os_helper {
	int pid;               /* 0: there is none */
	struct os_file socket; /* our end */
};

/*
 * Whether the kernel would take a helper before this process, whatever this one holds:
 * not where its own oom_score_adj is above 0. `root` stands in front of /proc, as in
 * os/machine.h, and is short.
 */
bool os_helper_goes_first(const char *root);

/* What there is to know of this process before one is started. */
struct os_helper_need {
	size_t cost;   /* bytes that the start may take for a moment, at most: page tables are copied,
	                  and of private pages what other threads write to meanwhile */
	size_t weight; /* bytes that a helper is to have in its page tables, to go first */
};

/* Reads /proc/self/status into `text`, which not every thread has room for on its stack. */
#define OS_HELPER_TEXT_MAX 4096
void os_helper_measure(size_t ballast, char text[OS_HELPER_TEXT_MAX], struct os_helper_need *out);

/*
 * Starts one, which holds `ballast` bytes of memory besides (a multiple of the page size):
 * room that its end makes.
 * -ENOSYS: a kernel before 5.3, or a processor that is not known; -EXDEV: the next child
 * is to be the first of a new PID namespace; -EPIPE: it ended at once, as where there is
 * no /proc; or -errno of socketpair(2) or clone(2). The caller sees to it that nobody
 * forks meanwhile by the C library's fork.
 */
int os_helper_start(size_t ballast, size_t weight, struct os_helper *out);

/*
 * Has it take a range of a memory file, fallocate(2). 0: *answer is what that said. Else
 * nothing was taken: -ESTALE: our descriptor of it is closed, or another file's; or it could
 * not be asked. But -EPIPE: it has ended, or says nothing, and who knows what it took after
 * os_helper_end(), by which that and -ESTALE are to be followed.
 */
int os_helper_ask(const struct os_helper *h, int fd, size_t offset, size_t length, int *answer);

/* Ends it if it has not ended, and waits for that. */
void os_helper_end(struct os_helper *h);

/* In a child of fork(2), whose helper it is not. */
void os_helper_leave(struct os_helper *h);

/* ---- between helper.c, helper_ask.c and helper_child.c --------------------------- */

/* Waits for its next answer. 0, or -EPIPE. */
int os_helper_hear(const struct os_helper *h, int *answer);

struct os_helper_request {
	uint64_t offset, length; /* a descriptor of the file comes with it */
};

/*
 * What the child has, in pages that we make for it, at their start: it uses no other
 * memory, not even constants. We fill in the first part.
 */
struct os_helper_task {
	int socket, parent; /* its end; of pidfd_open(2) */
	unsigned descriptors; /* no more are open */
	size_t page;
	struct {
		uintptr_t from, to;
	} keep[2]; /* its code, and these pages, the lower first */
	size_t ballast; /* bytes, which are mapped so many times more: */
	size_t copies;
	uintptr_t rseq; /* where the C library registered it for this thread; 0: nowhere */
	unsigned rseq_sizes[2], rseq_signature;
	char name[16], directory[2], score_file[32], score[8];
	long score_length;

	struct pollfd polls[2];
	struct msghdr message;
	struct iovec part;
	struct os_helper_request request;
	int64_t answer;
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
};

/* What it runs: all in one section, so that its pages can be told from others. */
#define OS_HELPER_SECTION "sparena_helper"
int os_helper_main(void *task);
extern const char os_helper_code_start[] __asm__("__start_" OS_HELPER_SECTION);
extern const char os_helper_code_end[] __asm__("__stop_" OS_HELPER_SECTION);

/* Whether system calls can be made without the C library on this processor. */
#if defined(__x86_64__) || defined(__aarch64__)
#define OS_HELPER_KNOWN 1
#else
#define OS_HELPER_KNOWN 0
#endif

#endif
