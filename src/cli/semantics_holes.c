/* SPDX-License-Identifier: BSD-2-Clause */
/* check --semantics: MADV_REMOVE and fallocate(2) FALLOC_FL_PUNCH_HOLE, which free a file's store. */
#include "cli/semantics.h"

#include <errno.h>
#include <string.h>

/* A file of 'h', mapped. */
struct file {
	int fd;
	char *p;
};

static struct file memory_file(struct trial *t)
{
	struct file f = {.fd = trial_memory_file(t, TRIAL_SIZE)};

	f.p = trial_shared(t, f.fd, TRIAL_SIZE);
	memset(f.p, 'h', TRIAL_SIZE);
	trial_number(t, "bytes that the file takes before", trial_stored(t, f.fd), TRIAL_SIZE);
	return f;
}

/* Half of it is a hole now: neither in memory nor in the file. */
static void expect_half(struct trial *t, const struct file *f)
{
	size_t half = TRIAL_SIZE / 2;

	trial_number(t, "resident", trial_resident(t, f->p, TRIAL_SIZE), half);
	trial_number(t, "bytes that the file takes", trial_stored(t, f->fd), half);
	trial_bytes(t, "the rest", f->p + half, half, 'h');
	trial_bytes(t, "the hole", f->p, half, 0);
}

/* Blocks of a file on a disk may be larger than pages, and there may be some for other ends. */
static void expect_fewer_blocks(struct trial *t, int fd, const char *p, size_t before)
{
	if (trial_stored(t, fd) + TRIAL_SIZE / 2 > before)
		trial_differs(t, "the file takes %zu bytes, and took %zu before", trial_stored(t, fd),
		              before);
	trial_bytes(t, "the hole", p, TRIAL_SIZE, 0);
}

/* ---- MADV_REMOVE --------------------------------------------------------------------- */

static void remove_frees(struct trial *t)
{
	struct file f = memory_file(t);

	trial_result(t, "MADV_REMOVE", os_remove(f.p, TRIAL_SIZE / 2), 0);
	expect_half(t, &f);
}

static void remove_anonymous(struct trial *t)
{
	char *p = trial_shared_anonymous(t, TRIAL_SIZE);

	memset(p, 'h', TRIAL_SIZE);
	trial_result(t, "MADV_REMOVE", os_remove(p, TRIAL_SIZE), 0);
	trial_number(t, "resident", trial_resident(t, p, TRIAL_SIZE), 0);
	trial_bytes(t, "shared memory", p, TRIAL_SIZE, 0);
}

static void remove_is_hole(struct trial *t)
{
	struct file f = memory_file(t);
	size_t data = 0;

	trial_result(t, "MADV_REMOVE", os_remove(f.p, TRIAL_SIZE / 2), 0);
	trial_need(t, "lseek", os_data_bytes(f.fd, 0, TRIAL_SIZE, &data));
	trial_number(t, "bytes of data in the file", data, TRIAL_SIZE / 2);
	trial_result(t, "reading its last byte", os_read_at(f.fd, TRIAL_SIZE - 1, &(char){0}, 1), 0);
}

static void remove_disk(struct trial *t)
{
	int fd = trial_data(t, TRIAL_SIZE), r;
	char *p = trial_shared(t, fd, TRIAL_SIZE);
	size_t before = trial_stored(t, fd);

	r = os_remove(p, TRIAL_SIZE);
	if (r == -EOPNOTSUPP)
		trial_not_tried(t, "the file system of /var/tmp has no holes");
	trial_result(t, "MADV_REMOVE", r, 0);
	expect_fewer_blocks(t, fd, p, before);
}

static void remove_view(struct trial *t)
{
	char *view = trial_view(t, memory_file(t).fd, TRIAL_SIZE);

	trial_result(t, "MADV_REMOVE", os_remove(view, TRIAL_SIZE), -EACCES);
	trial_bytes(t, "the file", view, TRIAL_SIZE, 'h');
}

/* Not even mprotect(2) could make it writable. */
static void remove_unwritable(struct trial *t)
{
	struct file f = memory_file(t);
	struct os_file reading;
	char path[64];
	void *p = NULL;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", f.fd);
	trial_need(t, path, os_keep(path, &reading));
	trial_need(t, "the file can't be mapped",
	           os_reserve_shared(reading.fd, TRIAL_SIZE, os_page_size(), &p));
	trial_result(t, "MADV_REMOVE", os_remove(p, TRIAL_SIZE), -EACCES);
	trial_bytes(t, "the file", f.p, TRIAL_SIZE, 'h');
}

static void remove_private(struct trial *t)
{
	char *p = trial_private(t, TRIAL_SIZE);
	int r;

	memset(p, 'h', TRIAL_SIZE);
	r = os_remove(p, TRIAL_SIZE);
	if (r != -EACCES)
		trial_result(t, "MADV_REMOVE", r, -EINVAL);
	trial_bytes(t, "private memory", p, TRIAL_SIZE, 'h');
}

static void remove_locked(struct trial *t)
{
	struct file f = memory_file(t);

	trial_lock(t, f.p);
	trial_result(t, "MADV_REMOVE", os_remove(f.p, os_page_size()), -EINVAL);
	trial_bytes(t, "the file", f.p, TRIAL_SIZE, 'h');
}

static void remove_special(struct trial *t)
{
	trial_result(t, "MADV_REMOVE", os_remove(trial_special(t), os_page_size()), -EINVAL);
}

static const struct semantics_row remove_rows[] = {
	{"frees", "pages and the store behind them are given back at once, and read zero", MADVISE,
         "half of a memory file: it takes half its bytes, which alone are resident", remove_frees},
	{"anonymous", "shared anonymous memory is given back at once, and reads zero", MADVISE,
         "nothing is resident, and all reads zero", remove_anonymous},
	{"is-hole", "it is the same as punching a hole in the file, whose size stays", MADVISE,
         "SEEK_DATA finds half of a memory file, whose last byte can be read", remove_is_hole},
	{"disk", "blocks of a file on a disk are given back, where its file system knows holes", MADVISE,
         "a file in /var/tmp takes fewer bytes, and reads zero", remove_disk},
	{"view", "a mapping that is not shared is refused: EACCES", MADVISE,
         "of a private view of a memory file, which holds what it held", remove_view},
	{"unwritable", "a shared mapping that may not be written is refused: EACCES", MADVISE,
         "of a descriptor that was opened for reading; the memory file holds what it held",
         remove_unwritable},
	{"private", "private memory is refused, with EINVAL: there is no file behind it",
         MADVISE ", which has EACCES alone",
         "private memory holds what it held; EACCES is taken for right, too", remove_private},
	{"locked", "locked memory is refused: EINVAL", MADVISE,
         "of a locked page of a memory file, which holds what it held", remove_locked},
	{"special", "mappings that the kernel manages itself (VM_PFNMAP) are refused: EINVAL", MADVISE,
         "of [vvar]", remove_special},
};

const struct semantics_group semantics_remove = {"remove", "MADV_REMOVE", remove_rows,
                                                 sizeof(remove_rows) / sizeof(remove_rows[0])};

/* ---- FALLOC_FL_PUNCH_HOLE ------------------------------------------------------------ */

static void punch_frees(struct trial *t)
{
	struct file f = memory_file(t);

	trial_result(t, "fallocate", os_punch(f.fd, 0, TRIAL_SIZE / 2), 0);
	expect_half(t, &f);
}

static void punch_keeps_size(struct trial *t)
{
	struct file f = memory_file(t);
	char last = 'x';

	trial_result(t, "fallocate", os_punch(f.fd, TRIAL_SIZE / 2, TRIAL_SIZE), 0);
	trial_result(t, "reading its last byte", os_read_at(f.fd, TRIAL_SIZE - 1, &last, 1), 0);
	trial_number(t, "its last byte", (size_t)last, 0);
	trial_result(t, "reading beyond", os_read_at(f.fd, TRIAL_SIZE, &last, 1), -EIO);
}

static void punch_partial(struct trial *t)
{
	struct file f = memory_file(t);
	size_t page = os_page_size(), half = page / 2;

	/* Half a page, a whole one, and half a page. */
	trial_result(t, "fallocate", os_punch(f.fd, half, 2 * page), 0);
	trial_number(t, "bytes that the file takes", trial_stored(t, f.fd), TRIAL_SIZE - page);
	trial_bytes(t, "before the hole", f.p, half, 'h');
	trial_bytes(t, "the hole", f.p + half, 2 * page, 0);
	trial_bytes(t, "behind the hole", f.p + half + 2 * page, TRIAL_SIZE - half - 2 * page, 'h');
}

static void punch_disk(struct trial *t)
{
	int fd = trial_data(t, TRIAL_SIZE), r;
	size_t before = trial_stored(t, fd);

	r = os_punch(fd, 0, TRIAL_SIZE);
	if (r == -EOPNOTSUPP)
		trial_not_tried(t, "the file system of /var/tmp has no holes");
	trial_result(t, "fallocate", r, 0);
	expect_fewer_blocks(t, fd, trial_shared(t, fd, TRIAL_SIZE), before);
}

static const struct semantics_row punch_rows[] = {
	{"frees", "pages and the store behind them are given back at once, from all mappings, and read zero",
         FALLOCATE, "half of a memory file: it takes half its bytes, which alone are resident", punch_frees},
	{"keeps-size", "the file's size stays, also where the hole goes beyond it", FALLOCATE,
         "a hole from amid a memory file to beyond its end: its last byte is zero, and none behind",
         punch_keeps_size},
	{"partial",
         "of pages that the hole covers in part, that part reads zero; only whole ones are given back",
         FALLOCATE, "a hole of half a page, a page and half a page: the file takes a page less",
         punch_partial},
	{"disk", "blocks of a file on a disk are given back, where its file system knows holes", FALLOCATE,
         "a file in /var/tmp takes fewer bytes, and reads zero", punch_disk},
};

const struct semantics_group semantics_punch = {"punch-hole", "fallocate(2) FALLOC_FL_PUNCH_HOLE", punch_rows,
                                                sizeof(punch_rows) / sizeof(punch_rows[0])};
