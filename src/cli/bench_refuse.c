/* SPDX-License-Identifier: BSD-2-Clause */
/* What cannot be measured, and why: known before it is tried, so that nothing is killed. */
#include "cli/bench.h"

#include <stdio.h>

size_t bench_need(const struct bench_memory *m, const struct bench_method *method)
{
	bool copies = bench_has_file(m) && m->mapping == BENCH_PRIVATE && (method->flags & BENCH_WRITES) != 0;

	/* A private write to a hole copies the page that it has read; of huge pages it takes
	 * one page alone, unless the file has its own already. */
	if (bench_is_pooled(m->backing) && (method->flags & BENCH_ALLOCATES) == 0)
		copies = false;
	return copies ? 2 * m->size : m->size;
}

static size_t pool_size(size_t page)
{
	char path[96], text[32];
	size_t value = 0;

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%zukB/nr_hugepages", page / KiB);
	if (os_read_file(path, text, sizeof(text), NULL) == 0 && sscanf(text, "%zu", &value) != 1)
		value = 0;
	return value;
}

static const char *refuse_pool(struct bench *b, const struct bench_memory *m, size_t need)
{
	size_t free = os_huge_pages_free(m->page), pages = need / m->page;
	char size[SIZE_TEXT_MAX];

	if (pages <= free)
		return NULL;
	size_format(m->page, size);
	return bench_note(&b->notes,
	                  "%zu huge page%s of %s needed, %zu free: "
	                  "echo %zu > /sys/kernel/mm/hugepages/hugepages-%zukB/nr_hugepages",
	                  pages, pages == 1 ? "" : "s", size, free, pool_size(m->page) - free + pages,
	                  m->page / KiB);
}

const char *bench_refuse(struct bench *b, const struct bench_memory *m, const struct bench_method *method,
                         unsigned threads)
{
	const char *no = m->mapping == BENCH_PRIVATE ? method->not_private : method->not_shared;

	if (m->why != NULL)
		return m->why;
	if (no != NULL)
		return no;
	if ((method->flags & BENCH_NEEDS_FILE) != 0 && !bench_has_file(m))
		return "anonymous memory has no descriptor to call fallocate on";
	if ((method->flags & BENCH_NEEDS_REGION) != 0 && m->region == NULL)
		return m->why_region;
	if ((method->flags & BENCH_NEEDS_ADVICE) != 0 && !os_can_populate())
		return "the kernel has no MADV_POPULATE_READ and _WRITE: boot Linux 5.14 or later";
	if (m->size / bench_unit(m, method) < threads)
		return "there are fewer pages than threads";
	if (bench_is_pooled(m->backing))
		return refuse_pool(b, m, bench_need(m, method));
	return bench_space_refuse(&b->space, bench_need(m, method), &b->notes);
}
