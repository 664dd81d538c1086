/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the helper process runs. It begins as a copy of the process that started it, on a
 * stack of its own, and gives back everything that it was born with: descriptors, and all
 * memory but the pages of this code and of its task. So from then on there is no C
 * library, no thread-local memory, and no constant that is not in an instruction: one
 * function with nothing but system calls in it. It is compiled (CMakeLists.txt) without
 * stack protector and sanitizers, which need what is gone, and for general registers
 * alone: others get their constants from memory.
 */
#define _GNU_SOURCE
#include "os/helper.h"

#if OS_HELPER_KNOWN

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_rseq
#define SYS_rseq (-1L)
#endif
#define RSEQ_UNREGISTER 1

#define INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__)
INLINE long call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
	                 : "rcx", "r11", "memory");
	return r;
}
#else
INLINE long call(long number, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}
#endif

INLINE void end(void)
{
	for (;;)
		call(SYS_exit_group, 0, 0, 0, 0, 0, 0);
}

/* Descriptors first..last. */
INLINE void close_all(unsigned first, unsigned last, unsigned most)
{
	if (first > last || call(SYS_close_range, first, last, 0, 0, 0, 0) == 0)
		return;
	for (unsigned fd = first; fd <= last && fd < most; fd++) /* before Linux 5.9 */
		call(SYS_close, fd, 0, 0, 0, 0, 0);
}

INLINE void close_others(const struct os_helper_task *t)
{
	unsigned low = (unsigned)(t->socket < t->parent ? t->socket : t->parent);
	unsigned high = (unsigned)(t->socket < t->parent ? t->parent : t->socket);

	if (low > 0)
		close_all(0, low - 1, t->descriptors);
	close_all(low + 1, high - 1, t->descriptors);
	close_all(high + 1, ~0U, t->descriptors);
}

/* The kernel writes to these bytes whenever this thread was interrupted. */
INLINE bool leave_rseq(const struct os_helper_task *t)
{
	if (t->rseq == 0)
		return true;
	for (int i = 0; i < 2; i++)
		if (call(SYS_rseq, (long)t->rseq, t->rseq_sizes[i], RSEQ_UNREGISTER, t->rseq_signature, 0, 0) == 0)
			return true;
	return false;
}

/* All address space from here on: how much there is, is found by trying. */
INLINE bool unmap_rest(uintptr_t from, size_t page)
{
	for (int bits = 56; bits >= 39; bits--) {
		uintptr_t end_at = ((uintptr_t)1 << bits) - page;

		if (end_at > from && call(SYS_munmap, (long)from, (long)(end_at - from), 0, 0, 0, 0) == 0)
			return true;
	}
	return false;
}

INLINE bool unmap(uintptr_t from, uintptr_t to)
{
	return from >= to || call(SYS_munmap, (long)from, (long)(to - from), 0, 0, 0, 0) == 0;
}

INLINE bool unmap_others(const struct os_helper_task *t)
{
	return unmap(0, t->keep[0].from) && unmap(t->keep[0].to, t->keep[1].from) &&
	       unmap_rest(t->keep[1].to, t->page);
}

/*
 * Only now: a process that changed its user may write its score after it was made
 * dumpable, and then others may look into its memory.
 */
INLINE bool become_first(const struct os_helper_task *t)
{
	long fd, r;

	call(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0, 0);
	fd = call(SYS_openat, AT_FDCWD, (long)t->score_file, O_WRONLY | O_CLOEXEC, 0, 0, 0);
	if (fd < 0)
		return false;
	r = call(SYS_write, fd, (long)t->score, t->score_length, 0, 0, 0);
	call(SYS_close, fd, 0, 0, 0, 0, 0);
	call(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0, 0);
	return r == t->score_length;
}

INLINE bool is_address(long r) { return r > 0 || r < -4095; }

/* Where memory of n bytes is, of which every page is in the page tables. */
INLINE bool touch(const struct os_helper_task *t, long at, size_t n, bool write)
{
	if (!is_address(at))
		return false;
	for (uintptr_t p = (uintptr_t)at; p < (uintptr_t)at + n; p += t->page) {
		if (write)
			*(volatile char *)p = 1;
		else
			(void)*(volatile char *)p;
	}
	return true;
}

/*
 * The ballast, not in swap where that is allowed. What decides who is killed counts pages
 * in page tables: so it is mapped many times, for next to nothing.
 */
INLINE bool take_ballast(const struct os_helper_task *t)
{
	long size = (long)t->ballast;
	long at = call(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool taken = touch(t, at, t->ballast, true);

	for (size_t i = 0; i < t->copies && taken; i++)
		taken = touch(t, call(SYS_mremap, at, 0, size, MREMAP_MAYMOVE, 0, 0), t->ballast, false);
	if (taken) /* only now: each copy would be locked too, and count */
		call(SYS_mlock, at, size, 0, 0, 0, 0);
	return taken;
}

INLINE bool say(struct os_helper_task *t, long answer)
{
	long size = sizeof(t->answer);

	t->answer = answer;
	return call(SYS_write, t->socket, (long)&t->answer, size, 0, 0, 0) == size;
}

INLINE void prepare_receiving(struct os_helper_task *t)
{
	t->polls[0].fd = t->socket;
	t->polls[0].events = POLLIN;
	t->polls[1].fd = t->parent;
	t->polls[1].events = POLLIN;
	t->part.iov_base = &t->request;
	t->part.iov_len = sizeof(t->request);
	t->message.msg_iov = &t->part;
	t->message.msg_iovlen = 1;
	t->message.msg_control = &t->control;
}

INLINE bool has_descriptor(const struct os_helper_task *t)
{
	return t->message.msg_controllen >= CMSG_LEN(sizeof(int)) && t->control.header.cmsg_type == SCM_RIGHTS;
}

/* The next request's length, with the descriptor of its file, or -1 for none, in *fd. */
INLINE long receive(struct os_helper_task *t, int *fd)
{
	long n;

	t->message.msg_controllen = sizeof(t->control);
	n = call(SYS_recvmsg, t->socket, (long)&t->message, MSG_CMSG_CLOEXEC, 0, 0, 0);
	*fd = -1;
	if (n > 0 && has_descriptor(t))
		*fd = *(volatile int *)CMSG_DATA(&t->control.header);
	return n;
}

INLINE long obey(struct os_helper_task *t, int fd, long n)
{
	long offset = (long)t->request.offset, length = (long)t->request.length;
	long r = -EINVAL;

	if (n == (long)sizeof(t->request) && fd >= 0)
		r = call(SYS_fallocate, fd, FALLOC_FL_KEEP_SIZE, offset, length, 0, 0);
	if (fd >= 0)
		call(SYS_close, fd, 0, 0, 0, 0, 0);
	return r;
}

/* Until our process has ended, or closed its end. */
INLINE void serve(struct os_helper_task *t)
{
	for (;;) {
		long n = call(SYS_ppoll, (long)t->polls, 2, 0, 0, 8, 0);
		int fd;

		if (n < 0 && n != -EINTR && n != -EAGAIN)
			return;
		if (n > 0 && t->polls[1].revents != 0)
			return;
		if (n <= 0)
			continue;
		n = receive(t, &fd);
		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n <= 0 || !say(t, obey(t, fd, n)))
			return;
	}
}

__attribute__((section(OS_HELPER_SECTION), used, noinline)) int os_helper_main(void *task)
{
	struct os_helper_task *t = task;

	close_others(t);
	if (!leave_rseq(t) || !unmap_others(t))
		end();
	call(SYS_setsid, 0, 0, 0, 0, 0, 0);
	call(SYS_chdir, (long)t->directory, 0, 0, 0, 0, 0);
	call(SYS_prctl, PR_SET_NAME, (long)t->name, 0, 0, 0, 0);
	if (!become_first(t) || !take_ballast(t))
		end();
	prepare_receiving(t);
	if (say(t, 0))
		serve(t);
	end();
	return 0;
}

#else

__attribute__((section(OS_HELPER_SECTION), used)) int os_helper_main(void *task)
{
	(void)task;
	return 0;
}

#endif
