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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- memory (os/memory.c, os/resident.c) ----------------------------------- */

/* Size of a base page, sysconf(3) _SC_PAGESIZE. */
size_t os_page_size(void);

/*
 * Reserves `size` bytes of address space at a multiple of `align` (a power of
 * two, at least a page): private, anonymous, PROT_NONE, MAP_NORESERVE, mmap(2).
 * Returns 0, -ENOMEM (address space, RLIMIT_AS, vm.max_map_count) or -EINVAL.
 */
int os_reserve(size_t size, size_t align, void **out);

/* Gives address space back, munmap(2). */
int os_release(void *addr, size_t size);

/* Makes pages readable and writable, or inaccessible, mprotect(2). -ENOMEM: strict
 * overcommit (vm.overcommit_memory=2), RLIMIT_DATA, or too many mappings. */
int os_open(void *addr, size_t size);
int os_close(void *addr, size_t size);

/*
 * Populates pages writable, madvise(2) MADV_POPULATE_WRITE, in one call; EINTR
 * and EAGAIN are retried, though not for ever. Returns 0; -ENOMEM: no memory, or the range is not
 * mapped; -EFAULT: the backing is full (this would have been SIGBUS); -EINVAL:
 * no such advice in this kernel (before 5.14); -EHWPOISON: a broken page. After a
 * failure, pages before the failing one stay populated: the caller discards them.
 */
int os_populate(void *addr, size_t size);

/* Populates by writing one byte of each page from user space, without changing
 * what is there: for kernels without MADV_POPULATE_WRITE. Cannot fail cleanly. */
void os_touch(void *addr, size_t size, size_t page_size);

/*
 * Gives private anonymous pages back, madvise(2) MADV_DONTNEED; a locked range
 * (EINVAL) is tried again with MADV_DONTNEED_LOCKED.
 */
int os_discard(void *addr, size_t size);

/* MADV_HUGEPAGE or MADV_NOHUGEPAGE. -EINVAL: a kernel without THP. */
int os_advise_huge(void *addr, size_t size, bool huge);

/* MADV_COLD: moves pages to the inactive list, which also splits a partly
 * discarded huge page at once. */
int os_advise_cold(void *addr, size_t size);

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

/* The process id, getpid(2). */
int os_pid(void);

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

/* Whether this machine makes transparent huge pages of PMD size at all, cheaply. */
bool os_thp_usable(void);

/* What mthp_sizes says, for pages of page_size bytes and more. */
uint64_t os_mthp_sizes(size_t page_size);

/* MemTotal in bytes, alone and cheaply; 0 when /proc is not there. */
size_t os_memory_total(void);

#endif
