/* SPDX-License-Identifier: BSD-2-Clause */
/* check --semantics: the memory and the files that trials are made on. */
#include "cli/semantics.h"
#include "os/states.h"

#include <string.h>

#define DIRECTORY "/var/tmp"

/* A kernel without transparent huge pages has none to forbid. */
static char *small_pages(void *p, size_t size)
{
	(void)os_advise_huge(p, size, false);
	return p;
}

char *trial_private(struct trial *t, size_t size)
{
	void *p = NULL;

	trial_need(t, "no memory", os_new(size, &p));
	return small_pages(p, size);
}

char *trial_shared_anonymous(struct trial *t, size_t size)
{
	void *p = NULL;

	trial_need(t, "no memory", os_reserve_shared_anonymous(size, os_page_size(), os_page_size(), &p));
	trial_need(t, "no memory", os_open(p, size));
	return small_pages(p, size);
}

char *trial_shared(struct trial *t, int fd, size_t size)
{
	void *p = NULL;

	trial_need(t, "the file can't be mapped", os_reserve_shared(fd, size, os_page_size(), &p));
	trial_need(t, "the file can't be mapped", os_open(p, size));
	return small_pages(p, size);
}

char *trial_view(struct trial *t, int fd, size_t size)
{
	char *p = trial_private(t, size);

	trial_need(t, "the file can't be mapped", os_view(p, size, fd, 0));
	return small_pages(p, size);
}

int trial_memory_file(struct trial *t, size_t size)
{
	struct os_file f;

	trial_need(t, "no memory file", os_memfd("sparena-check", 0, &f));
	trial_need(t, "no memory file", os_resize(f.fd, size));
	return f.fd;
}

/* Of no bytes yet. */
static int disk_file(struct trial *t)
{
	enum os_filesystem kind = OS_FS_DISK;
	struct os_file f;
	size_t page;

	trial_need(t, "no unnamed file in " DIRECTORY, os_unnamed_file(DIRECTORY, &f));
	trial_need(t, DIRECTORY, os_filesystem(f.fd, &kind, &page));
	if (kind != OS_FS_DISK)
		trial_not_tried(t, DIRECTORY " is not on a disk");
	return f.fd;
}

int trial_hole(struct trial *t, size_t size)
{
	int fd = disk_file(t);

	trial_need(t, "no hole in a file in " DIRECTORY, os_resize(fd, size));
	if (trial_stored(t, fd) != 0)
		trial_not_tried(t, "files in " DIRECTORY " have no holes");
	return fd;
}

int trial_data(struct trial *t, size_t size)
{
	int fd = disk_file(t);
	char bytes[4096];

	memset(bytes, 'd', sizeof(bytes));
	for (size_t at = 0; at < size; at += sizeof(bytes))
		trial_need(t, "no room in " DIRECTORY, os_write_all(fd, bytes, sizeof(bytes)));
	trial_need(t, "no room in " DIRECTORY, os_uncache(fd));
	return fd;
}

void trial_lock(struct trial *t, char *p)
{
	trial_need(t, "no page may be locked (ulimit -l)", os_lock(p, os_page_size(), true));
}

char *trial_special(struct trial *t)
{
	void *p = NULL;
	size_t size = 0;

	trial_need(t, "no mapping [vvar]", os_special_mapping(&p, &size));
	return p;
}
