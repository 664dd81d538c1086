/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs that say what malloc and its relatives do, for a table that puts glibc's
 * answers beside sparena's. `PROGRAM --list` names the cases, `PROGRAM CASE` runs one
 * and prints its result on one line: conformance.py gives each a process of its own.
 * A result names no address, no time and nothing of the machine.
 */
#ifndef TESTS_CONFORMANCE_H
#define TESTS_CONFORMANCE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

struct conformance_case {
	const char *name; /* group/what, as it stands in the table */
	void (*run)(size_t with);
	size_t with;
};

/* A case for each of allocators[], in its order; `with` is the index there. */
#define CASES_OF_ALLOCATORS(before, after, run)                                            \
	{ before "malloc" after, run, 0 }, { before "calloc" after, run, 1 },              \
	{ before "realloc" after, run, 2 }, { before "reallocarray" after, run, 3 },       \
	{ before "aligned_alloc" after, run, 4 }, { before "memalign" after, run, 5 },     \
	{ before "posix_memalign" after, run, 6 }, { before "valloc" after, run, 7 },      \
	{ before "pvalloc" after, run, 8 }

/* Each program has its own groups; a group ends with an empty case, the list with NULL. */
extern const struct conformance_case *const conformance_groups[];

/* Adds to the result; parts are separated by "; ". Does not allocate. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the case: it can't be tried on this machine, and why. */
void skip(const char *reason) __attribute__((noreturn));

/* Ends the case, since something went wrong that the case is not about. */
void broken(const char *what, int line) __attribute__((noreturn));
#define NEED(ok) ((ok) ? (void)0 : broken(#ok, __LINE__))

/* "ENOMEM", or "errno 0" */
const char *error_name(int error);

/* Says "a block", or "NULL" and errno. Frees the block. */
void say_block(void *p);

/* Bytes in blocks that the program holds, by the allocator's own account. */
size_t in_use(void);

/* MiB of the process that are in memory, by the kernel's account. */
size_t resident_mib(void);

/* Starts the program again as the same case, with a limit on `resource` (RLIMIT_AS...). */
void begin_limited(int resource, size_t bytes);

/* Says how a child ended, unless that was by exit code 0: then true, and nothing is said. */
bool child_went_well(pid_t child);

/* For children: they end by themselves when they hang. */
void child_begins(void);

void fill(void *p, size_t size, unsigned seed);
bool is_filled(const void *p, size_t size, unsigned seed);
bool is_zero(const void *p, size_t size);

/* Allocates, fills, checks and frees blocks of many sizes. False when one had changed. */
bool churn(unsigned seed);

/* The ways to a block of a size. posix_memalign's error is in errno. */
struct allocator {
	void *(*get)(size_t size);
	size_t align; /* of its blocks, at least */
};
extern const struct allocator allocators[];
extern const size_t allocators_count;

/* Sizes around the steps at which an allocator changes its ways. */
extern const size_t sizes[];
extern const size_t sizes_count;

/* Values that the compiler does not see through. */
static inline size_t opaque(size_t size)
{
	__asm__("" : "+r"(size));
	return size;
}

static inline void *opaque_block(void *p)
{
	__asm__("" : "+r"(p));
	return p;
}

static inline bool is_aligned(const void *p, size_t align)
{
	return ((uintptr_t)p & (align - 1)) == 0;
}

#ifdef __cplusplus
}
#endif

#endif
