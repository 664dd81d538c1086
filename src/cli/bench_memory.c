/* SPDX-License-Identifier: BSD-2-Clause */
/* The kinds of memory: mapping them, emptying them, and what they hold. */
#define _GNU_SOURCE
#include "cli/bench.h"

#include "base/base.h"
#include "sparena/sparena.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct bench_name bench_backings[BENCH_BACKINGS] = {
	[BENCH_ANON] = {"anon", "anonymous memory"},
	[BENCH_ANON_THP] = {"anon-thp", "anonymous memory of transparent huge pages"},
	[BENCH_HUGETLB] = {"hugetlb", "anonymous memory of huge pages"},
	[BENCH_MEMFD] = {"memfd", "memory file"},
	[BENCH_MEMFD_HUGETLB] = {"memfd-hugetlb", "memory file of huge pages"},
	[BENCH_TMPFS] = {"tmpfs", "file on tmpfs"},
	[BENCH_DISK] = {"disk", "file on a disk file system"},
	[BENCH_HUGETLBFS] = {"hugetlbfs", "file on hugetlbfs"},
};

const struct bench_name bench_mappings[BENCH_MAPPINGS] = {
	[BENCH_PRIVATE] = {"private", "private mapping"},
	[BENCH_SHARED] = {"shared", "shared mapping"},
};

bool bench_has_file(const struct bench_memory *m)
{
	return m->backing >= BENCH_MEMFD;
}

bool bench_is_pooled(enum bench_backing backing)
{
	return backing == BENCH_HUGETLB || backing == BENCH_MEMFD_HUGETLB || backing == BENCH_HUGETLBFS;
}

/* ---- mapping --------------------------------------------------------------------- */

static int open_file(struct bench_memory *m)
{
	enum os_filesystem kind;
	size_t room;
	int r;

	if (m->directory == NULL)
		return os_memfd("sparena bench", m->backing == BENCH_MEMFD_HUGETLB ? m->page : 0, &m->file);
	r = os_unnamed_file(m->directory, &m->file);
	if (r != 0)
		return r;
	r = os_filesystem(m->file.fd, &kind, &m->page);
	if (r == 0)
		r = os_filesystem_room(m->file.fd, &room);
	if (r == 0 && room < m->size)
		r = -ENOSPC;
	return r;
}

/* A view of the file over address space of the right alignment. */
static int reserve_private_file(struct bench_memory *m, size_t align, void **out)
{
	int r = os_reserve(m->size, align, out);

	if (r != 0)
		return r;
	r = os_view(*out, m->size, m->file.fd, 0);
	if (r != 0)
		os_release(*out, m->size);
	return r;
}

static int reserve(struct bench_memory *m, void **out)
{
	bool shared = m->mapping == BENCH_SHARED;
	size_t align = size_max(BENCH_HUGE_PAGE, m->page);

	if (m->file.fd >= 0 && shared)
		return os_reserve_shared(m->file.fd, m->size, align, out);
	if (m->file.fd >= 0)
		return reserve_private_file(m, align, out);
	if (shared)
		return os_reserve_shared_anonymous(m->size, align, m->page, out);
	if (m->backing == BENCH_HUGETLB)
		return os_reserve_huge(m->size, align, m->page, out);
	return os_reserve(m->size, align, out);
}

/* Small pages stay small, whatever the machine is set to. */
static int choose_pages(const struct bench_memory *m)
{
	int r;

	if (bench_is_pooled(m->backing))
		return 0;
	r = os_advise_huge(m->base, m->size, m->backing == BENCH_ANON_THP);
	return r == -EINVAL && m->backing != BENCH_ANON_THP ? 0 : r; /* a kernel without them */
}

static void unmap(struct bench_memory *m)
{
	if (m->base != NULL)
		os_release(m->base, m->size);
	m->base = NULL;
	os_close_file(&m->file);
}

static int map(struct bench_memory *m)
{
	void *base;
	int r = 0;

	if (bench_has_file(m))
		r = open_file(m);
	if (r == 0 && m->size % m->page != 0)
		r = -EDOM;
	if (r == 0 && m->file.fd >= 0)
		r = os_resize(m->file.fd, m->size);
	if (r == 0)
		r = reserve(m, &base);
	if (r != 0) {
		os_close_file(&m->file);
		return r;
	}
	m->base = base;
	r = os_open(base, m->size);
	if (r == 0)
		r = choose_pages(m);
	if (r != 0)
		unmap(m);
	return r;
}

static const char *explain(const struct bench_memory *m, int error, struct bench_notes *notes)
{
	char size[SIZE_TEXT_MAX];

	size_format(m->page, size);
	if (error == -EDOM)
		return bench_note(notes, "the size is no multiple of its pages of %s", size);
	if (error == -ENOSPC)
		return bench_note(notes, "%s has less room than that", m->directory);
	if (bench_is_pooled(m->backing) && (error == -EINVAL || error == -ENODEV || error == -ENOENT))
		return bench_note(notes, "the kernel has no huge pages of %s", size);
	return bench_note(notes, "it cannot be mapped: %s", strerror(-error));
}

/* ---- the region -------------------------------------------------------------------- */

static const char *reserve_region(struct bench_memory *m, struct bench_notes *notes)
{
	static const char *const options[BENCH_BACKINGS] = {
		[BENCH_ANON] = "backing:anon,thp:never",
		[BENCH_ANON_THP] = "backing:anon,thp:always",
		[BENCH_HUGETLB] = "backing:hugetlb,page:2M",
		[BENCH_MEMFD] = "backing:memfd",
		[BENCH_MEMFD_HUGETLB] = "backing:memfd-hugetlb,page:2M",
		[BENCH_TMPFS] = "backing:file,path:",
		[BENCH_DISK] = "backing:file,path:",
		[BENCH_HUGETLBFS] = "backing:file,path:",
	};
	char *all;

	if (bench_has_file(m) && m->mapping == BENCH_PRIVATE)
		return bench_note(notes, "a region maps its file shared");
	if (!bench_has_file(m) && m->mapping == BENCH_SHARED)
		return bench_note(notes, "a region of anonymous memory is private");
	if (asprintf(&all, "%s%s", options[m->backing], m->directory != NULL ? m->directory : "") < 0)
		return bench_note(notes, "%s", strerror(ENOMEM));
	if (sparena_region_reserve(all, m->size, &m->region) != 0)
		m->region = NULL;
	free(all);
	if (m->region == NULL)
		return bench_note(notes, "%s", sparena_last_error());
	if (m->size % sparena_region_granule(m->region) == 0)
		return NULL;
	sparena_region_release(m->region);
	m->region = NULL;
	return bench_note(notes, "the size is no multiple of the region's granule");
}

/* What is missing before anything is tried; NULL: nothing. */
static const char *what_is_missing(const struct bench_memory *m)
{
	if (m->backing == BENCH_ANON_THP && m->mapping == BENCH_SHARED)
		return "shared memory has its own setting, shmem_enabled, and sparena does not use it";
	if (m->backing == BENCH_ANON_THP && !os_thp_usable(BENCH_HUGE_PAGE))
		return "transparent huge pages are off: echo madvise > "
		       "/sys/kernel/mm/transparent_hugepage/enabled";
	if (m->backing == BENCH_TMPFS && m->directory == NULL)
		return "no tmpfs is mounted where a file can be made: mount -t tmpfs none DIR";
	if (m->backing == BENCH_DISK && m->directory == NULL)
		return "no directory on a disk file system was found: --directory=DIR names one";
	if (m->backing == BENCH_HUGETLBFS && m->directory == NULL)
		return "no hugetlbfs is mounted where a file can be made: mount -t hugetlbfs -o pagesize=2M "
		       "none DIR";
	return NULL;
}

void bench_memory_open(struct bench_memory *m, const struct bench_space *space, struct bench_notes *notes)
{
	int r;

	m->directory = space->directory[m->backing];
	m->file.fd = -1;
	m->base = NULL;
	m->region = NULL;
	m->page = bench_is_pooled(m->backing) ? BENCH_HUGE_PAGE : os_page_size();
	m->why = what_is_missing(m);
	m->why_region = NULL;
	if (m->why == NULL && !bench_is_pooled(m->backing))
		m->why = bench_space_refuse(space, m->size, notes);
	if (m->why != NULL)
		return;
	r = map(m);
	if (r != 0)
		m->why = explain(m, r, notes);
	else
		m->why_region = reserve_region(m, notes);
}

/* ---- emptying ------------------------------------------------------------------------ */

static int empty_file(struct bench_memory *m)
{
	int r = os_punch(m->file.fd, 0, m->size);

	if (r != -EOPNOTSUPP)
		return r;
	r = os_resize(m->file.fd, 0);
	return r != 0 ? r : os_resize(m->file.fd, m->size);
}

int bench_memory_empty(struct bench_memory *m)
{
	int r = 0;

	if (m->base == NULL)
		r = map(m);
	else if (m->mapping == BENCH_PRIVATE)
		r = os_discard(m->base, m->size);
	else if (m->file.fd < 0)
		r = os_remove(m->base, m->size);
	if (r == 0 && m->file.fd >= 0)
		r = empty_file(m);
	if (r == 0 && m->region != NULL)
		r = sparena_region_decommit(m->region, 0, m->size);
	return r;
}

void bench_memory_close(struct bench_memory *m)
{
	sparena_region_release(m->region);
	m->region = NULL;
	unmap(m);
}

/* A file's own pages, and the copies that a private mapping made of them. */
int bench_memory_held(const struct bench_memory *m, bool region, size_t *bytes)
{
	size_t file = 0, swapped = 0; /* also what the kernel is moving */
	int r = 0;

	if (region)
		return sparena_region_resident(m->region, 0, m->size, bytes);
	if (m->file.fd >= 0)
		r = os_file_bytes(m->file.fd, &file);
	*bytes = 0;
	if (m->base == NULL)
		return 0;
	if (r == 0 && (m->file.fd < 0 || m->mapping == BENCH_PRIVATE))
		r = os_resident(m->base, m->size, bytes, &swapped);
	*bytes += file + swapped;
	return r;
}
