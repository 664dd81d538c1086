/* SPDX-License-Identifier: BSD-2-Clause */
/* check --semantics: what each of MADV_POPULATE_READ and MADV_POPULATE_WRITE brings about. */
#include "cli/semantics.h"
#include "os/machine.h"

#include <string.h>

/* A memory file all of 'm', of which nothing is mapped. */
static int filled_file(struct trial *t)
{
	int fd = trial_memory_file(t, TRIAL_SIZE);
	char *p = trial_shared(t, fd, TRIAL_SIZE);

	memset(p, 'm', TRIAL_SIZE);
	trial_need(t, "munmap", os_release(p, TRIAL_SIZE));
	return fd;
}

static void need_zero_pages_told(struct trial *t, const char *p)
{
	(void)trial_resident(t, p, TRIAL_SIZE); /* there is no /proc, it may be */
	if (!os_can_scan_pagemap())
		trial_not_tried(t, "before Linux 6.7 the zero page can't be told from others");
}

/* ---- MADV_POPULATE_READ -------------------------------------------------------------- */

static void read_maps(struct trial *t)
{
	char *p = trial_shared(t, filled_file(t), TRIAL_SIZE);

	trial_number(t, "resident before", trial_resident(t, p, TRIAL_SIZE), 0);
	trial_result(t, "populating", os_populate_read(p, TRIAL_SIZE), 0);
	trial_number(t, "resident", trial_resident(t, p, TRIAL_SIZE), TRIAL_SIZE);
	trial_bytes(t, "the file", p, TRIAL_SIZE, 'm');
}

static void read_no_fault(struct trial *t)
{
	char *of_file = trial_shared(t, filled_file(t), TRIAL_SIZE), *own = trial_private(t, TRIAL_SIZE);

	trial_result(t, "populating the file", os_populate_read(of_file, TRIAL_SIZE), 0);
	trial_result(t, "populating private memory", os_populate_read(own, TRIAL_SIZE), 0);
	trial_number(t, "page faults of reading the file", trial_faults(of_file, TRIAL_SIZE, false), 0);
	trial_number(t, "page faults of reading private memory", trial_faults(own, TRIAL_SIZE, false), 0);
}

static void read_zero_page(struct trial *t)
{
	char *p = trial_private(t, TRIAL_SIZE);

	need_zero_pages_told(t, p);
	trial_result(t, "populating", os_populate_read(p, TRIAL_SIZE), 0);
	trial_number(t, "resident", trial_resident(t, p, TRIAL_SIZE), 0);
	trial_bytes(t, "private memory", p, TRIAL_SIZE, 0);
	trial_number(t, "page faults of writing", trial_faults(p, TRIAL_SIZE, true), TRIAL_PAGES);
	trial_number(t, "resident when written", trial_resident(t, p, TRIAL_SIZE), TRIAL_SIZE);
}

static void read_keeps_cow(struct trial *t)
{
	int fd = filled_file(t);
	char *view = trial_view(t, fd, TRIAL_SIZE), *file = trial_shared(t, fd, TRIAL_SIZE);

	trial_result(t, "populating", os_populate_read(view, TRIAL_SIZE), 0);
	memset(file, 'n', TRIAL_SIZE);
	trial_bytes(t, "the view after the file has changed", view, TRIAL_SIZE, 'n');
}

static void read_memory_file(struct trial *t)
{
	int fd = trial_memory_file(t, TRIAL_SIZE);
	char *p = trial_shared(t, fd, TRIAL_SIZE);

	trial_result(t, "populating", os_populate_read(p, TRIAL_SIZE), 0);
	trial_number(t, "bytes that the file takes", trial_stored(t, fd), TRIAL_SIZE);
	trial_bytes(t, "the hole", p, TRIAL_SIZE, 0);
}

static void read_hole(struct trial *t)
{
	int fd = trial_hole(t, TRIAL_SIZE);
	char *p = trial_shared(t, fd, TRIAL_SIZE);

	trial_result(t, "populating", os_populate_read(p, TRIAL_SIZE), 0);
	trial_number(t, "bytes that the file takes", trial_stored(t, fd), 0);
	trial_bytes(t, "the hole", p, TRIAL_SIZE, 0);
}

static void read_clean(struct trial *t)
{
	char *p = trial_shared(t, trial_data(t, TRIAL_SIZE), TRIAL_SIZE);

	trial_result(t, "populating", os_populate_read(p, TRIAL_SIZE), 0);
	trial_bytes(t, "the file", p, TRIAL_SIZE, 'd');
	trial_number(t, "dirty", trial_dirty(t, p), 0);
}

static const struct semantics_row read_rows[] = {
	{"maps", "populates the page tables as if each page had been read, without reading any",
         COMMIT_POINT(1) "; " MADVISE,
         "nothing of a memory file is resident in a new mapping, then all of it", read_maps},
	{"zero-page",
         "of private memory the shared zero page is mapped, and no memory taken: this is not a commit",
         COMMIT_POINT(1) "; " MADVISE,
         "private memory reads zero and nothing is resident; each page that is then written is a page fault",
         read_zero_page},
	{"keeps-cow", "copies nothing that is copied on write", COMMIT_POINT(1),
         "a private view of a memory file, populated, still sees what is then written to the file",
         read_keeps_cow},
	{"hole-memory", "takes memory for the holes of a memory file", MADVISE,
         "a memory file that is a hole takes all its bytes afterwards", read_memory_file},
	{"hole-disk", "allocates no blocks for the holes of a file on a disk: that takes fallocate before",
         COMMIT_POINT(1) "; " MADVISE,
         "a file in /var/tmp that is a hole, populated: the file takes no bytes", read_hole},
	{"clean", "makes no page dirty, so that none is written back because of it", MADVISE,
         "a file in /var/tmp, written back and populated: smaps has no dirty page", read_clean},
	{"no-fault", "after success all page tables have been populated readable",
         COMMIT_POINT(2) "; " MADVISE,
         "reading a byte of each page of a memory file, and of private memory, takes no page fault",
         read_no_fault},
};

const struct semantics_group semantics_populate_read = {"populate-read", "MADV_POPULATE_READ", read_rows,
                                                        sizeof(read_rows) / sizeof(read_rows[0])};

/* ---- MADV_POPULATE_WRITE ------------------------------------------------------------- */

static void write_backs(struct trial *t)
{
	int fd = trial_memory_file(t, TRIAL_SIZE);
	char *own = trial_private(t, TRIAL_SIZE), *file = trial_shared(t, fd, TRIAL_SIZE);

	trial_result(t, "populating private memory", os_populate(own, TRIAL_SIZE), 0);
	trial_number(t, "resident", trial_resident(t, own, TRIAL_SIZE), TRIAL_SIZE);
	trial_bytes(t, "private memory", own, TRIAL_SIZE, 0);
	trial_number(t, "bytes that the file takes before", trial_stored(t, fd), 0);
	trial_result(t, "populating the file", os_populate(file, TRIAL_SIZE), 0);
	trial_number(t, "bytes that the file takes", trial_stored(t, fd), TRIAL_SIZE);
}

static void write_keeps_data(struct trial *t)
{
	char *p = trial_private(t, TRIAL_SIZE);

	memset(p, 'k', TRIAL_SIZE);
	trial_result(t, "populating", os_populate(p, TRIAL_SIZE), 0);
	trial_bytes(t, "private memory", p, TRIAL_SIZE, 'k');
}

static void write_breaks_cow(struct trial *t)
{
	int fd = filled_file(t);
	char *view = trial_view(t, fd, TRIAL_SIZE), *file = trial_shared(t, fd, TRIAL_SIZE);

	trial_result(t, "populating", os_populate(view, TRIAL_SIZE), 0);
	memset(file, 'n', TRIAL_SIZE);
	trial_bytes(t, "the view after the file has changed", view, TRIAL_SIZE, 'm');
	trial_number(t, "page faults of writing", trial_faults(view, TRIAL_SIZE, true), 0);
	trial_bytes(t, "the file after the view was written", file, TRIAL_SIZE, 'n');
}

static void write_zero_page(struct trial *t)
{
	char *p = trial_private(t, TRIAL_SIZE);

	need_zero_pages_told(t, p);
	trial_result(t, "populating for reading", os_populate_read(p, TRIAL_SIZE), 0);
	trial_number(t, "resident before", trial_resident(t, p, TRIAL_SIZE), 0);
	trial_result(t, "populating for writing", os_populate(p, TRIAL_SIZE), 0);
	trial_number(t, "resident", trial_resident(t, p, TRIAL_SIZE), TRIAL_SIZE);
}

static void write_hole(struct trial *t)
{
	int fd = trial_hole(t, TRIAL_SIZE);
	char *p = trial_shared(t, fd, TRIAL_SIZE);

	trial_result(t, "populating", os_populate(p, TRIAL_SIZE), 0);
	if (trial_stored(t, fd) < TRIAL_SIZE)
		trial_differs(t, "the file takes %zu bytes, less than %zu", trial_stored(t, fd), TRIAL_SIZE);
}

static size_t dirty(struct trial *t, const char *p, size_t size)
{
	/* The kernel may write back what was populated at any moment. */
	trial_result(t, "populating", os_populate((char *)(uintptr_t)p, size), 0);
	return trial_dirty(t, p);
}

static void write_dirties(struct trial *t)
{
	char *p = trial_shared(t, trial_data(t, TRIAL_SIZE), TRIAL_SIZE);

	if (!trial_comes_to(t, dirty, p, TRIAL_SIZE, TRIAL_SIZE))
		trial_number(t, "dirty", trial_dirty(t, p), TRIAL_SIZE);
	trial_bytes(t, "the file", p, TRIAL_SIZE, 'd');
}

static void write_no_fault(struct trial *t)
{
	char *shared = trial_shared(t, trial_memory_file(t, TRIAL_SIZE), TRIAL_SIZE);
	char *own = trial_private(t, TRIAL_SIZE);

	trial_result(t, "populating the file", os_populate(shared, TRIAL_SIZE), 0);
	trial_result(t, "populating private memory", os_populate(own, TRIAL_SIZE), 0);
	trial_number(t, "page faults of writing the file", trial_faults(shared, TRIAL_SIZE, true), 0);
	trial_number(t, "page faults of writing private memory", trial_faults(own, TRIAL_SIZE, true), 0);
}

static const struct semantics_row write_rows[] = {
	{"backs", "takes memory, or what else is behind a mapping, as if each page had been written",
         COMMIT_POINT(3) "; " MADVISE,
         "private memory is resident and zero; a memory file that was a hole takes all its bytes",
         write_backs},
	{"keeps-data", "leaves what the pages hold as it is", COMMIT_POINT(3) "; " MADVISE,
         "private memory that was written reads the same", write_keeps_data},
	{"breaks-cow", "copies what is copied on write", COMMIT_POINT(3) "; " MADVISE,
         "a private view of a memory file and the file do not see what is then written to the other",
         write_breaks_cow},
	{"zero-page", "never maps the shared zero page, and replaces one that is mapped", COMMIT_POINT(3),
         "private memory, populated for reading: nothing is resident; then for writing: all of it",
         write_zero_page},
	{"hole-disk", "allocates blocks for the holes of a file on a disk", MADVISE,
         "a file in /var/tmp that is a hole, populated: the file takes all its bytes", write_hole},
	{"dirties", "makes every page dirty, so that each of a file is written back some time",
         COMMIT "; " MADVISE, "a file in /var/tmp, written back and populated: smaps has all pages dirty",
         write_dirties},
	{"no-fault", "after success all page tables have been populated writable",
         COMMIT_POINT(4) "; " MADVISE,
         "writing a byte of each page of a memory file, and of private memory, takes no page fault",
         write_no_fault},
};

const struct semantics_group semantics_populate_write = {"populate-write", "MADV_POPULATE_WRITE", write_rows,
                                                         sizeof(write_rows) / sizeof(write_rows[0])};
