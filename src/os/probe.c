/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "os/os.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

#define THP_DIR "/sys/kernel/mm/transparent_hugepage"
#define HUGE_PAGE_SIZE_MAX ((size_t)1 << 34) /* no architecture's is larger */

/* The decimal number that a file starts with, or `otherwise`. */
static size_t read_number(const char *path, size_t otherwise)
{
	char buffer[32];
	size_t value = 0;

	if (os_read_file(path, buffer, sizeof(buffer), NULL) != 0)
		return otherwise;
	if (buffer[0] < '0' || buffer[0] > '9')
		return otherwise;
	for (const char *p = buffer; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (size_t)(*p - '0'), &value))
			return otherwise;
	return value;
}

static enum os_thp read_thp(void)
{
	char buffer[64];

	if (os_read_file(THP_DIR "/enabled", buffer, sizeof(buffer), NULL) != 0)
		return OS_THP_NONE;
	if (strstr(buffer, "[always]") != NULL)
		return OS_THP_ALWAYS;
	if (strstr(buffer, "[madvise]") != NULL)
		return OS_THP_MADVISE;
	return OS_THP_NEVER;
}

/* By name, and not by opendir(3), which allocates. */
static uint64_t read_mthp_sizes(size_t page_size)
{
	uint64_t sizes = 0;
	char path[96];

	for (unsigned n = 10; ((size_t)1 << n) < HUGE_PAGE_SIZE_MAX; n++) {
		if (((size_t)1 << n) < page_size)
			continue;
		snprintf(path, sizeof(path), THP_DIR "/hugepages-%zukB", ((size_t)1 << n) / 1024);
		if (access(path, F_OK) == 0)
			sizes |= UINT64_C(1) << n;
	}
	return sizes;
}

/*
 * Whether the kernel knows an advice. Only EINVAL says no: any other failure is
 * one of this moment, and must not make the library go without the advice.
 */
static bool knows_advice(int advice, size_t page_size)
{
	void *p = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool known;

	/* An empty range is answered by the advice alone, see madvise(2). */
	if (p == MAP_FAILED)
		return madvise(NULL, 0, advice) == 0 || errno != EINVAL;
	known = madvise(p, page_size, advice) == 0 || errno != EINVAL;
	munmap(p, page_size);
	return known;
}

static size_t read_limit(int resource)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
		return OS_UNLIMITED;
	return limit.rlim_cur;
}

static size_t field_or_zero(const char *text, const char *name)
{
	size_t value = 0;

	return os_field_bytes(text, name, &value) == 0 ? value : 0;
}

static void probe_memory(struct os_probe *out)
{
	char text[4096];

	if (os_read_file("/proc/meminfo", text, sizeof(text), NULL) != 0)
		return;
	out->memory_total = field_or_zero(text, "MemTotal");
	out->memory_available = field_or_zero(text, "MemAvailable");
	out->swap_total = field_or_zero(text, "SwapTotal");
	out->swap_free = field_or_zero(text, "SwapFree");
}

static void probe_kernel(struct os_probe *out)
{
	struct utsname name;
	size_t length;

	if (uname(&name) != 0)
		return;
	length = strnlen(name.release, sizeof(out->kernel) - 1);
	memcpy(out->kernel, name.release, length);
}

void os_probe(struct os_probe *out)
{
	int saved_errno = errno;
	size_t overcommit;
	long cpus;

	memset(out, 0, sizeof(*out));
	out->page_size = os_page_size();
	out->huge_page_size = read_number(THP_DIR "/hpage_pmd_size", 0);
	out->mthp_sizes = read_mthp_sizes(out->page_size);
	out->thp = read_thp();
	out->populate = knows_advice(MADV_POPULATE_WRITE, out->page_size);
	out->dontneed_locked = knows_advice(MADV_DONTNEED_LOCKED, out->page_size);
	overcommit = read_number("/proc/sys/vm/overcommit_memory", SIZE_MAX);
	out->overcommit = overcommit > 2 ? -1 : (int)overcommit;
	probe_memory(out);
	out->limit_as = read_limit(RLIMIT_AS);
	out->limit_data = read_limit(RLIMIT_DATA);
	out->limit_memlock = read_limit(RLIMIT_MEMLOCK);
	out->max_map_count = read_number("/proc/sys/vm/max_map_count", 0);
	cpus = sysconf(_SC_NPROCESSORS_ONLN);
	out->cpus = cpus > 0 ? (unsigned)cpus : 1;
	probe_kernel(out);
	errno = saved_errno;
}

size_t os_memory_total(void)
{
	char text[256];

	if (os_read_file("/proc/meminfo", text, sizeof(text), NULL) != 0)
		return 0;
	return field_or_zero(text, "MemTotal");
}

bool os_thp_usable(void)
{
	enum os_thp thp = read_thp();
	return thp == OS_THP_MADVISE || thp == OS_THP_ALWAYS;
}

bool os_can_populate(void)
{
	return knows_advice(MADV_POPULATE_WRITE, os_page_size());
}
