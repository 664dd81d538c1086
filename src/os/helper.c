/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting the helper process: whether, at what cost, and how. */
#define _GNU_SOURCE
#include "os/helper.h"
#include "base/base.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef CLONE_UNTRACED
#define CLONE_UNTRACED 0x00800000
#endif

/* Its pages: the task, and above it the stack. */
#define STACK_SIZE ((size_t)64 << 10)

/*
 * An oom_score_adj of 1000 counts as a thousand times the whole pages of a thousandth of
 * the limit: up to 999 pages less than a process may have that fills it. Nor does that one
 * have only what is counted there: pages of libraries and files may be another cgroup's.
 */
#define LOST_PAGES 1000
#define MORE_WEIGHT ((size_t)16 << 20)

/* What the kernel itself needs for a process, generously. */
#define KERNEL_COST ((size_t)512 << 10)

#define MOST_DESCRIPTORS (1U << 20)

_Static_assert(sizeof(struct os_helper_task) <= 2048, "the stack needs its room");

/* ---- whether, and at what cost -------------------------------------------------------- */

bool os_helper_goes_first(const char *root)
{
	char path[256], score[OS_VICTIM_SIZE];
	struct text t;

	text_init(&t, path, sizeof(path));
	text_add(&t, "%s/proc/self/oom_score_adj", root);
	return !t.cut && os_read_file(path, score, sizeof(score), NULL) == 0 && strtol(score, NULL, 10) <= 0;
}

void os_helper_measure(size_t ballast, char text[OS_HELPER_TEXT_MAX], struct os_helper_need *out)
{
	size_t private_pages = 0, tables = 0, file_pages = 0;

	if (os_read_file("/proc/self/status", text, OS_HELPER_TEXT_MAX, NULL) == 0) {
		(void)os_field_bytes(text, "RssAnon", &private_pages);
		(void)os_field_bytes(text, "RssFile", &file_pages);
		(void)os_field_bytes(text, "VmPTE", &tables);
	}
	out->cost = ballast + STACK_SIZE + KERNEL_COST + private_pages + tables;
	out->weight = LOST_PAGES * os_page_size() + file_pages + MORE_WEIGHT;
}

/* After unshare(2) of PID namespaces the next child is the first of the new one, and all
 * others there end with it: that must not be ours. Before it the link leads nowhere
 * (namespaces(7)). */
static bool children_are_elsewhere(void)
{
	struct stat own, theirs;

	return stat("/proc/self/ns/pid", &own) == 0 &&
	       (stat("/proc/self/ns/pid_for_children", &theirs) != 0 || own.st_ino != theirs.st_ino);
}

/* ---- starting ---------------------------------------------------------------------- */

/* What glibc 2.35 and later say of the place where they registered it. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned __rseq_size __attribute__((weak));

#if defined(__x86_64__)
#define RSEQ_SIGNATURE 0x53053053
static uintptr_t thread_pointer(void)
{
	uintptr_t p;

	__asm__("mov %%fs:0, %0" : "=r"(p));
	return p;
}
#else
#define RSEQ_SIGNATURE 0xd428bc00
static uintptr_t thread_pointer(void) { return (uintptr_t)__builtin_thread_pointer(); }
#endif

static void note_rseq(struct os_helper_task *t)
{
	if (&__rseq_offset == NULL || &__rseq_size == NULL || __rseq_size == 0)
		return;
	t->rseq = thread_pointer() + (uintptr_t)__rseq_offset;
	t->rseq_sizes[0] = 32; /* the first version's, and what most later ones are rounded up to */
	t->rseq_sizes[1] = (__rseq_size + 31) / 32 * 32;
	t->rseq_signature = RSEQ_SIGNATURE;
}

static unsigned most_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > MOST_DESCRIPTORS)
		return MOST_DESCRIPTORS;
	return (unsigned)limit.rlim_cur;
}

static void fill_in(struct os_helper_task *t, size_t ballast, size_t weight)
{
	size_t page = os_page_size();
	uintptr_t code = size_down((uintptr_t)os_helper_code_start, page);
	uintptr_t code_end = size_up((uintptr_t)os_helper_code_end, page);
	unsigned ours = (uintptr_t)t > code;

	t->page = page;
	t->descriptors = most_descriptors();
	t->keep[!ours].from = code;
	t->keep[!ours].to = code_end;
	t->keep[ours].from = (uintptr_t)t;
	t->keep[ours].to = (uintptr_t)t + STACK_SIZE;
	t->ballast = ballast;
	t->copies = weight / ballast;
	note_rseq(t);
	strcpy(t->name, "sparena-helper");
	strcpy(t->directory, "/");
	strcpy(t->score_file, "/proc/self/oom_score_adj");
	strcpy(t->score, OS_VICTIM_FIRST);
	t->score_length = (long)strlen(t->score);
}

/*
 * No signal comes to it, so that none is handled there. CLONE_UNTRACED: debuggers take
 * what is cloned for a thread. No signal at its end: wait(2) leaves it alone.
 */
static int clone_task(struct os_helper_task *t)
{
	unsigned char all[8], before[8];
	int pid;

	memset(all, 0xff, sizeof(all));
	if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, all, before, sizeof(all)) != 0)
		return -errno;
	pid = clone(os_helper_main, (char *)t + STACK_SIZE, CLONE_UNTRACED, t);
	if (pid < 0)
		pid = -errno;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, before, NULL, sizeof(before));
	return pid;
}

static int start_with(struct os_helper_task *t, struct os_helper *h)
{
	int ends[2], pid;

	t->parent = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (t->parent < 0)
		return -errno;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
		pid = -errno;
		os_close_fd(t->parent);
		return pid;
	}
	t->socket = ends[1];
	pid = clone_task(t);
	os_close_fd(t->parent);
	os_close_fd(ends[1]);
	h->pid = pid > 0 ? pid : 0;
	h->socket.fd = -1;
	if (pid > 0)
		pid = os_adopt(ends[0], &h->socket);
	else
		os_close_fd(ends[0]);
	return pid;
}

static int start(size_t ballast, size_t weight, struct os_helper *h)
{
	void *pages;
	int r, ready;

	if (!OS_HELPER_KNOWN)
		return -ENOSYS;
	if (children_are_elsewhere())
		return -EXDEV;
	r = os_new(STACK_SIZE, &pages);
	if (r != 0)
		return r;
	fill_in(pages, ballast, weight);
	r = start_with(pages, h);
	os_release(pages, STACK_SIZE);
	if (r == 0)
		r = os_helper_hear(h, &ready);
	if (r != 0)
		os_helper_end(h);
	return r;
}

int os_helper_start(size_t ballast, size_t weight, struct os_helper *h)
{
	int saved_errno = errno;
	int r;

	*h = (struct os_helper){.socket.fd = -1};
	r = start(ballast, weight, h);
	errno = saved_errno;
	return r;
}
