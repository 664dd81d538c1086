/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * os: the system calls and the readers of /proc and /sys. The only floor that
 * includes <sys/mman.h>. Every function that can fail returns 0 or -errno and
 * does nothing besides what its name says: no state that matters, no policy, no
 * allocation, no call of malloc, and errno is left as it was. All of them may be
 * called from many threads.
 */
#ifndef SPARENA_OS_OS_H
#define SPARENA_OS_OS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- memory (os/memory.c, os/advice.c, os/resident.c) ----------------------------------- */

/* Size of a base page, sysconf(3) _SC_PAGESIZE. */
size_t os_page_size(void);

/*
 * Reserves `size` bytes of address space at a multiple of `align` (a power of
 * two, at least a page): private, anonymous, PROT_NONE, MAP_NORESERVE, mmap(2).
 * Returns 0, -ENOMEM (address space, RLIMIT_AS, vm.max_map_count; RLIMIT_MEMLOCK after
 * mlockall(MCL_FUTURE)) or -EINVAL.
 */
int os_reserve(size_t size, size_t align, void **out);

/* As os_reserve(), of huge pages (hugetlb) of `page` bytes; size and align are multiples
 * of it. No page of the pool is taken, nor reserved. -EINVAL: no pool of that size. */
int os_reserve_huge(size_t size, size_t align, size_t page, void **out);

/* As os_reserve(), as a shared mapping of the first `size` bytes of a descriptor; both are
 * multiples of its page size. Also -EACCES, -ENODEV: not a file that can be mapped so. */
int os_reserve_shared(int fd, size_t size, size_t align, void **out);

/* As os_reserve(), as a shared mapping: of huge pages (hugetlb) where `page` is not a base page. */
int os_reserve_shared_anonymous(size_t size, size_t align, size_t page, void **out);

/*
 * For a child of fork(2), from which its parent's shared memory is kept. os_cover:
 * private, inaccessible, empty address space, in place of what is there; os_renew: the same,
 * readable and writable. os_view: a private, writable view of a part of a file, in place of
 * what is there. os_lend, in the parent: what a shared mapping has, to be read, in a place
 * that a child inherits, until os_release(). -ENOMEM; os_lend also -EINVAL: not a shared
 * mapping, or one of huge pages.
 */
int os_cover(void *addr, size_t size);
int os_renew(void *addr, size_t size);
int os_view(void *addr, size_t size, int fd, size_t offset);
int os_lend(void *addr, size_t size, void **out);

/* Gives address space back, munmap(2). */
int os_release(void *addr, size_t size);

/* Makes pages readable and writable, or inaccessible, mprotect(2). -ENOMEM: strict
 * overcommit (vm.overcommit_memory=2), RLIMIT_DATA, or too many mappings. */
int os_open(void *addr, size_t size);
int os_close(void *addr, size_t size);

/*
 * Keeps pages from being written out, mlock2(2): `now`, after all of them were populated;
 * else each from when it is populated. -ENOMEM: more than RLIMIT_MEMLOCK, too many mappings,
 * or no memory; -EPERM: RLIMIT_MEMLOCK is 0. os_unlock: ends that, munlock(2).
 */
int os_lock(void *addr, size_t size, bool now);
int os_unlock(void *addr, size_t size);

/* Whether private or shared small pages are in a locked mapping, which the kernel does not make
 * cold, madvise(2) MADV_COLD; before Linux 5.4: no. */
bool os_is_locked(void *addr, size_t size);

/* What was just reserved is *out, or after an error given back. Returns r. */
static inline int os_settle_new(void *p, size_t size, int r, void **out)
{
	if (r == 0)
		*out = p;
	else
		os_release(p, size);
	return r;
}

/* Readable and writable memory of which nothing is populated. Errors of os_reserve() and
 * os_open(). */
static inline int os_new(size_t size, void **out)
{
	void *p;
	int r = os_reserve(size, os_page_size(), &p);

	return r != 0 ? r : os_settle_new(p, size, os_open(p, size), out);
}

/* The same, also where the process has locked all that it will have, mlockall(2): what is large
 * and mostly not used would be populated when it is opened. */
int os_new_sparse(size_t size, void **out);

/*
 * Populates pages writable, madvise(2) MADV_POPULATE_WRITE, in one call; EINTR
 * and EAGAIN are retried, though not for ever. Returns 0; -ENOMEM: no memory, or the range is not
 * mapped; -EFAULT: the backing is full (this would have been SIGBUS); -EINVAL:
 * no such advice in this kernel (before 5.14); -EHWPOISON: a broken page. After a
 * failure, pages before the failing one stay populated: the caller discards them.
 */
int os_populate(void *addr, size_t size);

/* Populates pages readable, madvise(2) MADV_POPULATE_READ; results as above. Private
 * anonymous memory gets the shared zero page, holes of a disk file get no blocks. */
int os_populate_read(void *addr, size_t size);

/* Populates by writing one byte of each page from user space, without changing
 * what is there: for kernels without MADV_POPULATE_WRITE. Cannot fail cleanly. */
void os_touch(void *addr, size_t size, size_t page_size);

/*
 * Gives private anonymous pages back, madvise(2) MADV_DONTNEED; a locked range
 * (EINVAL) is tried again with MADV_DONTNEED_LOCKED.
 */
int os_discard(void *addr, size_t size);

/* MADV_DONTNEED of any mapping, and nothing else. -EINVAL: locked. */
int os_advise_dontneed(void *addr, size_t size);

/* Gives pages of a shared mapping back, to whatever file they are of, madvise(2)
 * MADV_REMOVE. -EINVAL: locked; -EOPNOTSUPP: the file system has no holes. */
int os_remove(void *addr, size_t size);

/* MADV_HUGEPAGE or MADV_NOHUGEPAGE. -EINVAL: a kernel without THP. */
int os_advise_huge(void *addr, size_t size, bool huge);

/* MADV_RANDOM: a fault brings in the page that it is for, and no others around it. */
int os_advise_random(void *addr, size_t size);

/* MADV_COLD: moves pages to the inactive list, which also splits a partly
 * discarded huge page at once. */
int os_advise_cold(void *addr, size_t size);

/*
 * MADV_PAGEOUT: writes pages out, private ones and those of memory files to swap, and takes
 * them from the page tables. What cannot go stays: pages that others use too, and all where
 * there is no swap. -EINVAL: a locked mapping, one of huge pages of a pool, or a kernel
 * before 5.4.
 */
int os_advise_pageout(void *addr, size_t size);

/* MADV_WILLNEED: begins to read in what is in swap or in a file, and does not wait for it. */
int os_advise_willneed(void *addr, size_t size);

/* Whether the kernel may make one page of private pages that are alike (KSM), MADV_MERGEABLE
 * or MADV_UNMERGEABLE; the latter parts what is one. -EINVAL: a kernel without KSM. */
int os_advise_merge(void *addr, size_t size, bool merge);

/* Whether it does that in all of the process's memory, prctl(2) PR_GET_MEMORY_MERGE. */
bool os_merges_all(void);

/* MADV_DONTFORK: a child of fork(2) has nothing at these addresses. */
int os_dont_fork(void *addr, size_t size);

/* Private memory that reads zero in a child of fork(2), MADV_WIPEONFORK. -EINVAL: a kernel
 * before 4.14. */
int os_wipe_on_fork(void *addr, size_t size);

/* Whether a core dump holds a range, MADV_DODUMP or MADV_DONTDUMP. Of a shared mapping it
 * would hold all, and fill the file: the kernel populates what it dumps. */
int os_dump(void *addr, size_t size, bool dump);

/* Names a private anonymous range for /proc/PID/maps, prctl(2) PR_SET_VMA_ANON_NAME;
 * -EINVAL: a kernel without it. `name` must live as long as the mapping. */
int os_name(void *addr, size_t size, const char *name);

/*
 * How many bytes of [addr, addr + size) are resident, or in swap, by the kernel's
 * own view (/proc/self/pagemap, proc(5)). Zero pages and pages that were never
 * touched do not count (before Linux 6.7, which cannot tell, zero pages do).
 * *swapped may be NULL. -ENOENT, -EACCES: no /proc.
 */
int os_resident(const void *addr, size_t size, size_t *resident, size_t *swapped);

/*
 * Which pages of a range are in memory, whether the page table has them or not, mincore(2):
 * bit 0 of a byte a page; or how many bytes they are. -ENOMEM: not all of it is mapped.
 */
int os_core_pages(const void *addr, size_t size, unsigned char *pages);
int os_in_core(const void *addr, size_t size, size_t *bytes);

/* Bytes of the process's pages that are merged with others, /proc/self/ksm_merging_pages; 0
 * where that is not told (before Linux 5.19). */
size_t os_merged(void);

/* ---- files (os/file.c, os/field.c) ----------------------------------------- */

/* Reads at most capacity-1 bytes of a file and terminates them. *length may be NULL. */
int os_read_file(const char *path, char *buffer, size_t capacity, size_t *length);

/*
 * Calls `each` for every line of a file, without its newline, until it returns false
 * or the file ends. A line that doesn't fit into the buffer is left out whole.
 * Returns 0, or what kept the file from being read to its end.
 */
int os_read_lines(const char *path, char *buffer, size_t capacity, bool (*each)(char *line, void *context),
                  void *context);

/* close(2); what it says is of no use to anybody. */
void os_close_fd(int fd);

/* Writes everything, retrying short writes and EINTR. */
int os_write_all(int fd, const void *data, size_t length);

/* Creates or truncates a regular file (O_CLOEXEC|O_NOFOLLOW, 0600) and writes data.
 * -ELOOP: a symbolic link; -EINVAL, -ENXIO: not a regular file. */
int os_write_file(const char *path, const void *data, size_t length);

/* Value of a "Name:   123 kB" line of /proc/meminfo or /proc/self/status text, in
 * bytes. -ENOENT when there is no such line, -EINVAL when it holds no number. */
int os_field_bytes(const char *text, const char *name, size_t *out);

/* The number that is all a file holds besides white space. -EINVAL: it is none;
 * -ERANGE: too large. */
int os_read_number(const char *path, size_t *out);

/* The same of a text that was read already. */
int os_parse_number(const char *text, size_t *out);

/* The word that a file shows in brackets, as in "always [madvise] never"; "", and
 * -EINVAL, where there is none or it does not fit. */
int os_read_choice(const char *path, char *out, size_t capacity);

/* Puts the characters back that /proc writes as \ooo in names of files, in place. */
void os_unescape(char *text);

/* The value of an environment variable, found without allocating and also before
 * the C library has set `environ` (then from /proc/self/environ into buffer).
 * Returns NULL when it is not set, or does not fit into buffer. */
const char *os_environment(const char *name, char *buffer, size_t capacity);

/* Whether the process gained privileges by exec, getauxval(3) AT_SECURE. */
bool os_is_secure(void);

/* Sixteen random bytes that the kernel gave the process at exec, getauxval(3) AT_RANDOM; zeros
 * where there are none. The C library's own secrets are made of them: not to be shown. */
void os_random_of_start(uint64_t out[2]);

/* The process id, getpid(2). */
int os_pid(void);

/* ---- descriptors whose pages are memory (os/descriptor.c) ------------------- */

/* Which file a descriptor leads to: a number alone may come to mean another one. */
struct os_file {
	int fd;
	uint64_t device;
	uint64_t inode;
};

/*
 * All of these give descriptors that are closed by exec and do not get in the way of
 * those that programs count on (0 to 2, and the lowest free ones).
 *
 * A memory file, memfd_create(2): of huge pages of `page` bytes where that is not 0.
 * -ENODEV: no pool of that size; -EMFILE, -ENFILE; -ENOSYS.
 */
int os_memfd(const char *name, size_t page, struct os_file *out);

/* Any descriptor that was just made, by another number; closed after an error. */
int os_adopt(int fd, struct os_file *out);

/* An unnamed file (0600) in a directory, open(2) O_TMPFILE. */
int os_unnamed_file(const char *directory, struct os_file *out);

/*
 * The file of that name, made (0600) if it is not there. -EEXIST: it is there with
 * something in it; -EPERM: it is another user's, or open to others; -ELOOP: a symbolic
 * link; -EINVAL: not a regular file, or one with a second name.
 */
int os_named_file(const char *path, struct os_file *out);

/* Takes a file's name away, unlink(2). -ESTALE: the name is another file's by now. */
int os_unlink(const char *path, const struct os_file *file);
void os_close_file(struct os_file *file);

/* Whether the descriptor still leads to the file: programs close all, and open others. */
bool os_is_same_file(const struct os_file *file);

/* A file of /proc or /sys that is going to be read again and again, open(2) O_RDONLY. */
int os_keep(const char *path, struct os_file *out);

/*
 * What it says now, from its start, pread(2): at most capacity-1 bytes, terminated.
 * -ESTALE: the descriptor is closed, or leads to another file; nothing of that is returned.
 * (os/kept.c)
 */
int os_read_kept(const struct os_file *file, char *buffer, size_t capacity);

/* What kind of file system a file is on, statfs(2), and the size of its pages. */
enum os_filesystem { OS_FS_MEMORY, OS_FS_HUGE, OS_FS_DISK };
int os_filesystem(int fd, enum os_filesystem *kind, size_t *page);
bool os_is_directory(const char *path);

/* Bytes that there is room for on the file system of a descriptor, statfs(2); SIZE_MAX
 * where it knows no bound of its own. */
int os_filesystem_room(int fd, size_t *bytes);

/* Sets a file's size, ftruncate(2), as a hole. -EFBIG: more than RLIMIT_FSIZE or the
 * file system allow (without the signal that the first would bring). */
int os_resize(int fd, size_t size);

/* Forbids for ever that a memory file changes its size, fcntl(2) F_ADD_SEALS. */
int os_seal_size(int fd);

/* Bytes that a file takes, whatever its size: stat(3type) st_blocks. */
int os_file_bytes(int fd, size_t *bytes);

/*
 * Takes room for a range of a file, or gives it back, fallocate(2). -ENOSPC: it is full,
 * and a part of the range may have been taken; -EINTR: a signal came, likewise: where they
 * come fast only a shorter range can be taken; -EOPNOTSUPP.
 */
int os_allocate(int fd, size_t offset, size_t length);
int os_punch(int fd, size_t offset, size_t length);

/* Reads exactly so many bytes, pread(2). -EIO: the file is shorter. */
int os_read_at(int fd, size_t offset, void *buffer, size_t length);

/* Bytes of the range that a file has data in, lseek(2) SEEK_DATA. */
int os_data_bytes(int fd, size_t offset, size_t length, size_t *bytes);

/* ---- processes (os/process.c) --------------------------------------------------- */

/* The process id, getpid(2). */
int os_pid(void);

/* Two ends of a pipe that exec closes, pipe2(2). -EMFILE, -ENFILE. */
int os_pipe(int ends[2]);

/* Waits for a byte: 1 when there was one, 0 when all writers are gone, or -errno. */
int os_wait_byte(int fd);

/* Waits for the end of a child, waitpid(2). */
void os_reap(int pid);

/*
 * Between these the thread is not cancelled, pthread_setcancelstate(3): many a system call
 * is a place for that, and waiting is, so that locks would stay locked. What the first
 * returns is for the second. They may be nested.
 */
int os_hold_cancel(void);
void os_allow_cancel(int before);

/* Ends the process at once, _exit(2). */
_Noreturn void os_exit(int status);

/* Who goes first when memory is short, as text, /proc/self/oom_score_adj (proc(5)). */
#define OS_VICTIM_SIZE 16
#define OS_VICTIM_FIRST "1000"
int os_get_victim(char score[OS_VICTIM_SIZE]);
int os_set_victim(const char *score);

/* ---- faults (os/fault.c) ---------------------------------------------------- */

/* What a thread and its process do on SIGSEGV, to be put back. */
struct os_faults {
	stack_t stack;
	bool on_own_stack, blocked;
};

/*
 * From here over a fork(2), until os_release_faults(): when this thread, or what becomes of
 * it in the child, touches an address where nothing is mapped, `mend` is asked; true means
 * that it is there now. All else goes where it went before, and all that other threads
 * do. For one thread at a time. sigaction(2), sigaltstack(2).
 */
void os_catch_faults(bool (*mend)(const void *addr), struct os_faults *before);
void os_release_faults(const struct os_faults *before);

/* ---- clocks (os/clock.c) --------------------------------------------------- */

/* CLOCK_MONOTONIC_COARSE in milliseconds: a few ns to read, some ms coarse. */
uint64_t os_clock_ms(void);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t os_clock_ns(void);

/* ---- what the machine has (os/probe.c, os/thp.c) --------------------------- */

enum os_thp { OS_THP_NONE, OS_THP_NEVER, OS_THP_MADVISE, OS_THP_ALWAYS };

#define OS_UNLIMITED SIZE_MAX

struct os_probe {
	size_t page_size;
	size_t huge_page_size;  /* PMD-sized transparent huge page; 0: none */
	uint64_t mthp_sizes;    /* bit n: folios of 2^n bytes exist (/sys/kernel/mm/transparent_hugepage/hugepages-*kB) */
	enum os_thp thp;        /* transparent_hugepage/enabled */
	bool populate;          /* MADV_POPULATE_WRITE, tried on our own mapping: all but EINVAL is yes */
	bool dontneed_locked;   /* MADV_DONTNEED_LOCKED works, likewise */
	int overcommit;         /* vm.overcommit_memory: 0, 1, 2; -1 unknown */
	size_t memory_total;    /* MemTotal, bytes */
	size_t memory_available;/* MemAvailable, bytes */
	size_t swap_total;
	size_t swap_free;
	size_t limit_as;        /* RLIMIT_AS soft, bytes; OS_UNLIMITED */
	size_t limit_data;      /* RLIMIT_DATA */
	size_t limit_memlock;   /* RLIMIT_MEMLOCK */
	size_t max_map_count;   /* vm.max_map_count; 0 unknown */
	unsigned cpus;          /* online processors */
	char kernel[65];        /* uname(2) release */
};

/* Fills *out. What cannot be found out is 0, -1 or OS_UNLIMITED as said above, so
 * this fails only with -EFAULT-like programming errors: it returns nothing. */
void os_probe(struct os_probe *out);

/* Whether the kernel has MADV_POPULATE_WRITE, tried on a page of our own. */
bool os_can_populate(void);

/* transparent_hugepage/enabled, alone and cheaply. */
enum os_thp os_thp(void);

/* Whether this machine makes transparent huge pages of `size` bytes where they are asked
 * for, by the setting for all sizes and the size's own, cheaply. */
bool os_thp_usable(size_t size);

/* What mthp_sizes says, for pages of page_size bytes and more. */
uint64_t os_mthp_sizes(size_t page_size);

/* Huge pages of `page` bytes that the machine's pool has free and has not promised to
 * anybody; 0 also where there is no such pool. */
size_t os_huge_pages_free(size_t page);

/* MemTotal in bytes, alone and cheaply; 0 when /proc is not there. */
size_t os_memory_total(void);

/* Processors that are online; 1 where that is not known. */
unsigned os_cpus(void);

/* What /proc/meminfo says, in bytes; 0 for what it doesn't. */
struct os_memory {
	size_t total;      /* MemTotal */
	size_t available;  /* MemAvailable: what can be had without swapping */
	size_t swap_total;
	size_t swap_free;
};
void os_memory_parse(const char *meminfo, struct os_memory *out);

#endif
