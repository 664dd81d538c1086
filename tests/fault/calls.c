/* SPDX-License-Identifier: BSD-2-Clause */
/* Comes between the libraries and the C library, by the linker's --wrap. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>

#include "calls.h"
#include "points.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

/* ---- the table ---------------------------------------------------------------------- */

#define CALL(id, function, text, ...) [id].name = (text), [id].errors = { __VA_ARGS__ },
#define ONCE_ONLY(id, error, reason) [id].once_only = (error), [id].why = (reason),
#define LEFT(function, error, why)
#define CALM(function, why)
#define RAW(number, where)
#define ELSEWHERE(id, where)
const struct call calls[CALLS] = {
#include "calls.def"
	[UNMAP].loses = true, /* nobody can give it back then */
	[FSTAT].loses = true, /* it may be another file's by now, and stays open */
};
const unsigned call_count = CALLS;

/* ---- how they fail ------------------------------------------------------------------- */

/* True: it does, with errno set. */
static bool fail_with_errno(unsigned which)
{
	int err = fails(which);
	if (err)
		errno = -err;
	return err;
}

#define WRAP(which, type, name, parameters, ...)                               \
	type __real_##name parameters;                                         \
	type __wrap_##name parameters;                                         \
	type __wrap_##name parameters                                          \
	{                                                                      \
		return fail_with_errno(which) ? -1 : __real_##name(__VA_ARGS__); \
	}

#ifndef PR_GET_MEMORY_MERGE
#define PR_GET_MEMORY_MERGE 68
#endif

/* ---- memory ---------------------------------------------------------------------------- */

static unsigned advice_call(int advice)
{
	switch (advice) {
	case MADV_POPULATE_WRITE:
		return POPULATE_PAGES;
	case MADV_REMOVE:
		return REMOVE_PAGES;
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
		return ADVISE_HUGE;
	case MADV_COLD:
		return ADVISE_COLD;
	case MADV_PAGEOUT:
		return ADVISE_PAGEOUT;
	case MADV_WILLNEED:
		return ADVISE_WILLNEED;
	case MADV_POPULATE_READ:
		return READ_PAGES;
	case MADV_MERGEABLE:
	case MADV_UNMERGEABLE:
		return ADVISE_MERGE;
	case MADV_RANDOM:
		return ADVISE_RANDOM;
	case MADV_DONTFORK:
	case MADV_DOFORK:
		return ADVISE_FORK;
	case MADV_WIPEONFORK:
		return ADVISE_WIPE;
	case MADV_DODUMP:
	case MADV_DONTDUMP:
		return ADVISE_DUMP;
	default:
		return DISCARD_PAGES;
	}
}

int __real_madvise(void *addr, size_t size, int advice);
int __wrap_madvise(void *addr, size_t size, int advice);

/* The kernel leaves populated what precedes the page that it stumbles over. */
int __wrap_madvise(void *addr, size_t size, int advice)
{
	int err = fails(advice_call(advice));
	if (!err)
		return __real_madvise(addr, size, advice);
	size_t half = size / 2 & ~(size_t)4095;
	if (advice == MADV_POPULATE_WRITE && err != -EINVAL && half)
		(void)__real_madvise(addr, half, advice);
	errno = -err;
	return -1;
}

void *__real_mmap(void *addr, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t size, int protection, int flags, int fd, off_t offset)
{
	if (fail_with_errno(fd >= 0 ? MAP_OF_FILE : MAP_MEMORY))
		return MAP_FAILED;
	return __real_mmap(addr, size, protection, flags, fd, offset);
}

void *__real_mremap(void *addr, size_t old_size, size_t size, int flags, ...);
void *__wrap_mremap(void *addr, size_t old_size, size_t size, int flags, ...);
void *__wrap_mremap(void *addr, size_t old_size, size_t size, int flags, ...)
{
	return fail_with_errno(REMAP) ? MAP_FAILED : __real_mremap(addr, old_size, size, flags);
}

WRAP(UNMAP, int, munmap, (void *addr, size_t size), addr, size)
WRAP(IN_CORE, int, mincore, (void *addr, size_t size, unsigned char *pages), addr, size, pages)
WRAP(LOCK, int, mlock2, (const void *addr, size_t size, unsigned flags), addr, size, flags)
WRAP(UNLOCK, int, munlock, (const void *addr, size_t size), addr, size)
WRAP(PROTECT, int, mprotect, (void *addr, size_t size, int protection), addr, size, protection)

/* Of all variadic ones the C library's take as many words as there can be, too. */
#define WORDS(last, a)                                 \
	unsigned long a[5];                            \
	va_list list;                                  \
	va_start(list, last);                          \
	for (int i = 0; i < 5; i++)                    \
		a[i] = va_arg(list, unsigned long);    \
	va_end(list)

int __real_prctl(int option, ...);
int __wrap_prctl(int option, ...);
int __wrap_prctl(int option, ...)
{
	WORDS(option, a);
	return fail_with_errno(option == PR_GET_MEMORY_MERGE ? ASK_MERGE : NAME_MEMORY) ? -1 : __real_prctl(option, a[0], a[1], a[2], a[3]);
}

/* ---- files -------------------------------------------------------------------------------- */

static unsigned open_call(int flags)
{
	if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE)
		return OPEN_NEW;
	return (flags & O_ACCMODE) == O_RDONLY ? OPEN_READ : OPEN_WRITE;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	WORDS(flags, a);
	return fail_with_errno(open_call(flags)) ? -1 : __real_open(path, flags, (mode_t)a[0]);
}

int __real_close(int fd);
int __wrap_close(int fd);

/* It is closed all the same, whatever close(2) says. */
int __wrap_close(int fd)
{
	int err = fails(CLOSE), r = __real_close(fd);
	if (!err)
		return r;
	errno = -err;
	return -1;
}

ssize_t __real_read(int fd, void *buffer, size_t length);
ssize_t __wrap_read(int fd, void *buffer, size_t length);
ssize_t __wrap_read(int fd, void *buffer, size_t length)
{
	return fail_with_errno(length == 1 ? READ_BYTE : READ) ? -1 : __real_read(fd, buffer, length);
}

WRAP(PREAD, ssize_t, pread, (int fd, void *buffer, size_t length, off_t offset), fd, buffer, length, offset)
WRAP(WRITE, ssize_t, write, (int fd, const void *data, size_t length), fd, data, length)
WRAP(FSTAT, int, fstat, (int fd, struct stat *out), fd, out)
WRAP(STAT, int, stat, (const char *path, struct stat *out), path, out)
WRAP(LSTAT, int, lstat, (const char *path, struct stat *out), path, out)
WRAP(STATFS, int, fstatfs, (int fd, struct statfs *out), fd, out)
WRAP(SEEK, off_t, lseek, (int fd, off_t offset, int whence), fd, offset, whence)
WRAP(RESIZE, int, ftruncate, (int fd, off_t size), fd, size)
WRAP(MEMFD, int, memfd_create, (const char *name, unsigned flags), name, flags)
WRAP(UNLINK, int, unlink, (const char *path), path)
WRAP(ACCESS, int, access, (const char *path, int mode), path, mode)

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
	WORDS(command, a);
	return fail_with_errno(command == F_ADD_SEALS ? SEAL : DUPLICATE) ? -1 : __real_fcntl(fd, command, a[0]);
}

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	WORDS(request, a);
	return fail_with_errno(SCAN_PAGES) ? -1 : __real_ioctl(fd, request, a[0]);
}

int __real_fallocate(int fd, int mode, off_t offset, off_t length);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t length);

/* File systems of disks leave taken what they found before they failed. */
int __wrap_fallocate(int fd, int mode, off_t offset, off_t length)
{
	bool punches = mode & FALLOC_FL_PUNCH_HOLE;
	int err = fails(punches ? PUNCH : ALLOCATE);
	if (!err)
		return __real_fallocate(fd, mode, offset, length);
	off_t half = length / 2 & ~(off_t)4095;
	if (!punches && half && (err == -ENOSPC || err == -EINTR || err == -EIO || err == -EDQUOT))
		(void)__real_fallocate(fd, mode, offset, half);
	errno = -err;
	return -1;
}

/* ---- processes and threads ------------------------------------------------------------------ */

WRAP(FORK, pid_t, __fork, (void))
WRAP(PIPE, int, pipe2, (int ends[2], int flags), ends, flags)
WRAP(SOCKETS, int, socketpair, (int domain, int type, int protocol, int ends[2]), domain, type, protocol, ends)
WRAP(SEND, ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), fd, m, flags)
WRAP(REAP, pid_t, waitpid, (pid_t pid, int *status, int options), pid, status, options)
WRAP(KILL, int, kill, (pid_t pid, int signal), pid, signal)
WRAP(SHUTDOWN, int, shutdown, (int fd, int how), fd, how)
WRAP(SET_HANDLER, int, sigaction, (int signal, const struct sigaction *to, struct sigaction *from), signal, to, from)
WRAP(SET_STACK, int, sigaltstack, (const stack_t *to, stack_t *from), to, from)
WRAP(GET_LIMIT, int, getrlimit, (int resource, struct rlimit *out), (enum __rlimit_resource)resource, out)
WRAP(GET_CONTEXT, int, getcontext, (ucontext_t *here), here)
WRAP(CHANGE_STACK, int, swapcontext, (ucontext_t *here, const ucontext_t *there), here, there)

int __real_waitid(idtype_t type, id_t id, siginfo_t *info, int options);
int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options);
int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
	if (fail_with_errno(options & WNOHANG ? IS_CHILD_THERE : AWAIT_CHILD))
		return -1;
	return __real_waitid(type, id, info, options);
}

int __real_clone(int (*run)(void *), void *stack, int flags, void *argument, ...);
int __wrap_clone(int (*run)(void *), void *stack, int flags, void *argument, ...);
int __wrap_clone(int (*run)(void *), void *stack, int flags, void *argument, ...)
{
	return fail_with_errno(CLONE) ? -1 : __real_clone(run, stack, flags, argument);
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	WORDS(number, a);
	if (number == SYS_pidfd_open && fail_with_errno(PIDFD_OPEN))
		return -1;
	if (number == SYS_rt_sigprocmask && fail_with_errno(MASK_SIGNALS))
		return -1;
	return __real_syscall(number, a[0], a[1], a[2], a[3], a[4]);
}

/* These return the error. */
int __real_pthread_sigmask(int how, const sigset_t *to, sigset_t *from);
int __wrap_pthread_sigmask(int how, const sigset_t *to, sigset_t *from);
int __wrap_pthread_sigmask(int how, const sigset_t *to, sigset_t *from)
{
	int err = fails(BLOCK_SIGNAL);
	return err ? -err : __real_pthread_sigmask(how, to, from);
}

int __real_pthread_key_create(pthread_key_t *key, void (*destroy)(void *));
int __wrap_pthread_key_create(pthread_key_t *key, void (*destroy)(void *));
int __wrap_pthread_key_create(pthread_key_t *key, void (*destroy)(void *))
{
	int err = fails(MAKE_KEY);
	return err ? -err : __real_pthread_key_create(key, destroy);
}

int __real_pthread_setspecific(pthread_key_t key, const void *value);
int __wrap_pthread_setspecific(pthread_key_t key, const void *value);
int __wrap_pthread_setspecific(pthread_key_t key, const void *value)
{
	int err = fails(SET_SPECIFIC);
	return err ? -err : __real_pthread_setspecific(key, value);
}

typedef void *start(void *context);

/* The tests' own threads have no attributes. */
int __real_pthread_create(pthread_t *out, const pthread_attr_t *attributes, start *run, void *context);
int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attributes, start *run, void *context);
int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attributes, start *run, void *context)
{
	int err = attributes ? fails(MAKE_THREAD) : 0;
	return err ? -err : __real_pthread_create(out, attributes, run, context);
}

int __real_pthread_attr_setstacksize(pthread_attr_t *attributes, size_t size);
int __wrap_pthread_attr_setstacksize(pthread_attr_t *attributes, size_t size);
int __wrap_pthread_attr_setstacksize(pthread_attr_t *attributes, size_t size)
{
	int err = fails(SET_STACK_SIZE);
	return err ? -err : __real_pthread_attr_setstacksize(attributes, size);
}

unsigned fork_handlers;

int __real___register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *library);
int __wrap___register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *library);
int __wrap___register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *library)
{
	int err = fails(AT_FORK);
	fork_handlers += !err;
	return err ? -err : __real___register_atfork(prepare, parent, child, library);
}

/* ---- time ------------------------------------------------------------------------------------- */

/* Where a wait fails at once its time passes all the same, or each such point would take
 * the ten seconds that a helper process may. */
static unsigned waited_ms;

int __real_poll(struct pollfd *polls, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *polls, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *polls, nfds_t count, int timeout)
{
	if (!fail_with_errno(POLL))
		return __real_poll(polls, count, timeout);
	waited_ms += 100;
	return -1;
}

ssize_t __real_recv(int fd, void *buffer, size_t length, int flags);
ssize_t __wrap_recv(int fd, void *buffer, size_t length, int flags);
ssize_t __wrap_recv(int fd, void *buffer, size_t length, int flags)
{
	if (!fail_with_errno(RECEIVE))
		return __real_recv(fd, buffer, length, flags);
	waited_ms += 100;
	return -1;
}

int __real_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
	int r = __real_clock_gettime(clock, t);
	if (clock == CLOCK_MONOTONIC_COARSE) {
		t->tv_sec += waited_ms / 1000;
		t->tv_nsec += (long)(waited_ms % 1000) * 1000000;
	}
	return r;
}
