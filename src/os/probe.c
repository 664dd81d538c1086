/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "os/os.h"

#include <errno.h>
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

static size_t number_or(const char *path, size_t otherwise)
{
	size_t value;

	return os_read_number(path, &value) == 0 ? value : otherwise;
}

/*
 * Whether the kernel knows an advice, tried on a page. Only EINVAL says no: any other failure
 * is one of this moment, and must not make the library go without the advice.
 */
static bool knows_advice(int advice, void *page, size_t size)
{
	return madvise(page, size, advice) == 0 || errno != EINVAL;
}

/* Asked whenever a process starts: of the stack's own page, so that none has to be mapped. */
bool os_can_populate(void)
{
	size_t size = os_page_size();
	int saved_errno = errno;
	uintptr_t page = (uintptr_t)&saved_errno / size * size;
	bool can = knows_advice(MADV_POPULATE_WRITE, (void *)page, size);

	errno = saved_errno;
	return can;
}

static bool can_discard_locked(size_t page_size)
{
	void *p = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool can;

	/* An empty range is answered by the advice alone, see madvise(2). */
	if (p == MAP_FAILED)
		return knows_advice(MADV_DONTNEED_LOCKED, NULL, 0);
	can = knows_advice(MADV_DONTNEED_LOCKED, p, page_size);
	munmap(p, page_size);
	return can;
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

void os_memory_parse(const char *meminfo, struct os_memory *out)
{
	out->total = field_or_zero(meminfo, "MemTotal");
	out->available = field_or_zero(meminfo, "MemAvailable");
	out->swap_total = field_or_zero(meminfo, "SwapTotal");
	out->swap_free = field_or_zero(meminfo, "SwapFree");
}

static void probe_memory(struct os_probe *out)
{
	struct os_memory memory;
	char text[4096];

	if (os_read_file("/proc/meminfo", text, sizeof(text), NULL) != 0)
		return;
	os_memory_parse(text, &memory);
	out->memory_total = memory.total;
	out->memory_available = memory.available;
	out->swap_total = memory.swap_total;
	out->swap_free = memory.swap_free;
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

static unsigned leading_number(const char **text)
{
	unsigned n = 0;

	for (; **text >= '0' && **text <= '9'; (*text)++)
		n = n * 10 + (unsigned)(**text - '0');
	return n;
}

/* How many are in a list as 0-3,5; 0 where it is none. */
static unsigned count_listed(const char *list)
{
	unsigned count = 0, first, last;

	while (*list >= '0' && *list <= '9') {
		first = last = leading_number(&list);
		if (*list == '-') {
			list++;
			last = leading_number(&list);
		}
		count += last >= first ? last - first + 1 : 0;
		list += *list == ',';
	}
	return count;
}

/*
 * Not by sysconf(3), which reads this file by the thread's locale: that may be a block of
 * malloc, and in a child of fork(2) the guard asks before there are any.
 */
unsigned os_cpus(void)
{
	char text[1024];
	int saved_errno = errno;
	unsigned cpus = 0;

	if (os_read_file("/sys/devices/system/cpu/online", text, sizeof(text), NULL) == 0)
		cpus = count_listed(text);
	errno = saved_errno;
	return cpus > 0 ? cpus : 1;
}

void os_probe(struct os_probe *out)
{
	int saved_errno = errno;
	size_t overcommit;

	memset(out, 0, sizeof(*out));
	out->page_size = os_page_size();
	out->huge_page_size = number_or(THP_DIR "/hpage_pmd_size", 0);
	out->mthp_sizes = os_mthp_sizes(out->page_size);
	out->thp = os_thp();
	out->populate = os_can_populate();
	out->dontneed_locked = can_discard_locked(out->page_size);
	overcommit = number_or("/proc/sys/vm/overcommit_memory", SIZE_MAX);
	out->overcommit = overcommit > 2 ? -1 : (int)overcommit;
	probe_memory(out);
	out->limit_as = read_limit(RLIMIT_AS);
	out->limit_data = read_limit(RLIMIT_DATA);
	out->limit_memlock = read_limit(RLIMIT_MEMLOCK);
	out->max_map_count = number_or("/proc/sys/vm/max_map_count", 0);
	out->cpus = os_cpus();
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
