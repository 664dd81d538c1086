/* SPDX-License-Identifier: BSD-2-Clause */
/* --list, or one case; and what the cases have in common. */
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance.h"

#define LIMITED "CONFORMANCE_LIMITED"
#define CHILD_SECONDS 20

static char **arguments;
static bool said;

static void put(const char *text)
{
	for (size_t length = strlen(text); length > 0;) {
		ssize_t n = write(STDOUT_FILENO, text, length);
		if (n <= 0)
			_exit(3);
		text += n;
		length -= (size_t)n;
	}
}

void say(const char *format, ...)
{
	char text[512];
	va_list arguments_left;
	va_start(arguments_left, format);
	vsnprintf(text, sizeof text, format, arguments_left);
	va_end(arguments_left);
	if (said)
		put("; ");
	put(text);
	said = true;
}

void skip(const char *reason)
{
	say("skipped: %s", reason);
	_exit(0);
}

void broken(const char *what, int line)
{
	int error = errno;
	say("broken off at line %d: %s (%s)", line, what, error_name(error));
	_exit(3);
}

const char *error_name(int error)
{
	const char *name = error ? strerrorname_np(error) : "errno 0";
	return name ? name : "unknown errno";
}

void say_block(void *p)
{
	int error = errno;
	if (p)
		say("a block");
	else
		say("NULL, %s", error_name(error));
	free(p);
}

size_t in_use(void)
{
	struct mallinfo2 m = mallinfo2();
	return m.uordblks + m.hblkhd;
}

size_t resident_mib(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	NEED(f && fscanf(f, "%*d %ld", &pages) == 1);
	fclose(f);
	return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE) / MIB;
}

void begin_limited(int resource, size_t bytes)
{
	struct rlimit limit = { bytes, bytes };
	if (getenv(LIMITED))
		return;
	NEED(setrlimit(resource, &limit) == 0 && setenv(LIMITED, "1", 1) == 0);
	execv("/proc/self/exe", arguments);
	broken("execv", __LINE__);
}

void child_begins(void)
{
	signal(SIGALRM, SIG_DFL);
	alarm(CHILD_SECONDS);
}

bool child_went_well(pid_t child)
{
	int status;
	NEED(child > 0 && waitpid(child, &status, 0) == child);
	if (WIFSIGNALED(status))
		say("child: signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status))
		say("child: exit code %d", WEXITSTATUS(status));
	return status == 0;
}

/* ---- contents -------------------------------------------------------------------- */

static unsigned char byte_at(size_t i, unsigned seed)
{
	return (unsigned char)(seed + i * 7 + (i >> 12));
}

void fill(void *p, size_t size, unsigned seed)
{
	for (size_t i = 0; i < size; i++)
		((unsigned char *)p)[i] = byte_at(i, seed);
}

bool is_filled(const void *p, size_t size, unsigned seed)
{
	for (size_t i = 0; i < size; i++)
		if (((const unsigned char *)p)[i] != byte_at(i, seed))
			return false;
	return true;
}

bool is_zero(const void *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (((const unsigned char *)p)[i])
			return false;
	return true;
}

bool churn(unsigned seed)
{
	enum { BLOCKS = 150 };
	void *block[BLOCKS];
	size_t size[BLOCKS];
	bool whole = true;
	for (unsigned i = 0; i < BLOCKS; i++) {
		size[i] = ((size_t)1 << (i * 7 + seed) % 18) + i;
		block[i] = malloc(size[i]);
		if (!block[i])
			return false;
		fill(block[i], size[i], seed + i);
	}
	for (unsigned k = 0; k < BLOCKS; k++) {
		unsigned i = k * 77 % BLOCKS; /* 77 and 150 have no common factor */
		whole = whole && is_filled(block[i], size[i], seed + i);
		free(block[i]);
	}
	return whole;
}

/* ---- ways to a block -------------------------------------------------------------- */

static void *by_calloc(size_t size) { return calloc(1, size); }
static void *by_realloc(size_t size) { return realloc(NULL, size); }
static void *by_reallocarray(size_t size) { return reallocarray(NULL, 1, size); }
static void *by_aligned_alloc(size_t size) { return aligned_alloc(64, size); }
static void *by_memalign(size_t size) { return memalign(64, size); }

static void *by_posix_memalign(size_t size)
{
	void *p = NULL;
	int error = posix_memalign(&p, 64, size);
	if (error)
		errno = error;
	return error ? NULL : p;
}

const struct allocator allocators[] = {
	{ malloc, 1 },
	{ by_calloc, 1 },
	{ by_realloc, 1 },
	{ by_reallocarray, 1 },
	{ by_aligned_alloc, 64 },
	{ by_memalign, 64 },
	{ by_posix_memalign, 64 },
	{ valloc, 4096 },
	{ pvalloc, 4096 },
};
const size_t allocators_count = COUNT(allocators);

const size_t sizes[] = {
	1, 8, 9, 16, 17, 24, 25, 100, 127, 129, 1000, 1024, 1025, 4095, 4096, 4097, 14337, 32768, 65535, 65537,
	131072, 131073, 1000000, 1048576, 2097153, 4194304, 8388608,
};
const size_t sizes_count = COUNT(sizes);

/* ---- which one ---------------------------------------------------------------------- */

/* Which malloc this is: what it calls itself in its report. */
static int say_allocator(void)
{
	char text[8192] = "";
	FILE *f = fmemopen(text, sizeof text, "w");
	if (!f || malloc_info(0, f) || fclose(f))
		return 1;
	puts(strstr(text, "<malloc version=\"sparena-") ? "sparena" : "glibc");
	return 0;
}

static const struct conformance_case *find_case(const char *name)
{
	for (size_t g = 0; conformance_groups[g]; g++)
		for (const struct conformance_case *c = conformance_groups[g]; c->name; c++)
			if (strcmp(c->name, name) == 0)
				return c;
	return NULL;
}

static int list(void)
{
	for (size_t g = 0; conformance_groups[g]; g++)
		for (const struct conformance_case *c = conformance_groups[g]; c->name; c++)
			puts(c->name);
	return 0;
}

int main(int argc, char **argv)
{
	arguments = argv;
	if (argc == 2 && strcmp(argv[1], "--list") == 0)
		return list();
	if (argc == 2 && strcmp(argv[1], "--allocator") == 0)
		return say_allocator();
	const struct conformance_case *c = argc == 2 ? find_case(argv[1]) : NULL;
	if (!c) {
		fprintf(stderr, "usage: %s --list | --allocator | CASE\n", argv[0]);
		return 2;
	}
	c->run(c->with);
	return 0;
}
