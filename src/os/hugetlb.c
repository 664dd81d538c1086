/* SPDX-License-Identifier: BSD-2-Clause */
/* Pools of huge pages: /sys/kernel/mm/hugepages. */
#include "os/machine.h"
#include "os/os.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* No architecture has larger or smaller ones. */
#define SMALLEST ((size_t)1 << 14)
#define LARGEST ((size_t)1 << 36)

static int read_pages(const char *root, size_t page_size, const char *name, size_t *out)
{
	char path[OS_MACHINE_PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/sys/kernel/mm/hugepages/hugepages-%zukB/%s", root,
	                 page_size / 1024, name);

	*out = 0;
	return n < 0 || n >= (int)sizeof(path) ? -ENAMETOOLONG : os_read_number(path, out);
}

/* False: the kernel has no pages of that size. */
static bool read_pool(const char *root, size_t page_size, struct os_hugetlb *out)
{
	int r = read_pages(root, page_size, "nr_hugepages", &out->total);

	out->page_size = page_size;
	(void)read_pages(root, page_size, "free_hugepages", &out->free);
	(void)read_pages(root, page_size, "resv_hugepages", &out->reserved);
	(void)read_pages(root, page_size, "surplus_hugepages", &out->surplus);
	(void)read_pages(root, page_size, "nr_overcommit_hugepages", &out->overcommit);
	return r != -ENOENT && r != -ENOTDIR && r != -ENAMETOOLONG;
}

/* By name, and not by opendir(3), which allocates. */
size_t os_hugetlb_pools(const char *root, struct os_hugetlb out[OS_HUGETLB_MAX])
{
	size_t count = 0;

	memset(out, 0, OS_HUGETLB_MAX * sizeof(out[0]));
	for (size_t size = SMALLEST; size <= LARGEST && count < OS_HUGETLB_MAX; size *= 2)
		count += read_pool(root, size, &out[count]);
	return count;
}

size_t os_huge_pages_free(size_t page)
{
	size_t free, promised;

	(void)read_pages("", page, "free_hugepages", &free);
	(void)read_pages("", page, "resv_hugepages", &promised);
	return free > promised ? free - promised : 0;
}
