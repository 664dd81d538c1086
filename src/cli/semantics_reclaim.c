/* SPDX-License-Identifier: BSD-2-Clause */
/* check --semantics: MADV_WILLNEED and MADV_PAGEOUT, which move pages and keep what they hold. */
#include "cli/semantics.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Reading ahead goes no farther than a device allows, which may be little. */
#define AHEAD_SIZE ((size_t)64 * KiB)

/* The kernel leaves what is in other lists than its own for the moment: so more than once. */
static size_t resident_after_pageout(struct trial *t, const char *p, size_t size)
{
	trial_result(t, "MADV_PAGEOUT", os_advise_pageout((char *)(uintptr_t)p, size), 0);
	return trial_resident(t, p, size);
}

/* Private memory all of 's', in swap. The advice is one that may be ignored. */
static char *swapped(struct trial *t)
{
	char *p = trial_private(t, TRIAL_SIZE);

	trial_need_swap(t);
	memset(p, 's', TRIAL_SIZE);
	if (!trial_comes_to(t, resident_after_pageout, p, TRIAL_SIZE, 0) &&
	    trial_resident(t, p, TRIAL_SIZE) == TRIAL_SIZE)
		trial_not_tried(t, "nothing goes to swap here, as in a cgroup that may not use it");
	return p;
}

/* ---- MADV_WILLNEED ------------------------------------------------------------------- */

static void willneed_maps_nothing(struct trial *t)
{
	int fd = trial_memory_file(t, TRIAL_SIZE);
	char *p = trial_shared(t, fd, TRIAL_SIZE), *second = trial_shared(t, fd, TRIAL_SIZE);

	memset(p, 'w', TRIAL_SIZE);
	trial_result(t, "MADV_WILLNEED", os_advise_willneed(second, TRIAL_SIZE), 0);
	trial_number(t, "resident", trial_resident(t, second, TRIAL_SIZE), 0);
	trial_number(t, "in memory", trial_in_core(t, second, TRIAL_SIZE), TRIAL_SIZE);
}

static void willneed_takes_nothing(struct trial *t)
{
	int fd = trial_memory_file(t, TRIAL_SIZE);
	char *p = trial_shared(t, fd, TRIAL_SIZE);

	trial_result(t, "MADV_WILLNEED", os_advise_willneed(p, TRIAL_SIZE), 0);
	trial_number(t, "bytes that the file takes", trial_stored(t, fd), 0);
}

static void willneed_file(struct trial *t)
{
	char *p = trial_shared(t, trial_data(t, AHEAD_SIZE), AHEAD_SIZE);

	if (trial_in_core(t, p, AHEAD_SIZE) != 0)
		trial_not_tried(t, "the kernel keeps the file in memory");
	trial_result(t, "MADV_WILLNEED", os_advise_willneed(p, AHEAD_SIZE), 0);
	if (!trial_comes_to(t, trial_in_core, p, AHEAD_SIZE, AHEAD_SIZE))
		trial_number(t, "in memory after seconds", trial_in_core(t, p, AHEAD_SIZE), AHEAD_SIZE);
	trial_number(t, "resident", trial_resident(t, p, AHEAD_SIZE), 0);
	trial_bytes(t, "the file", p, AHEAD_SIZE, 'd');
}

static void willneed_swap(struct trial *t)
{
	char *p = swapped(t);

	trial_result(t, "MADV_WILLNEED", os_advise_willneed(p, TRIAL_SIZE), 0);
	if (!trial_comes_to(t, trial_in_core, p, TRIAL_SIZE, TRIAL_SIZE))
		trial_number(t, "in memory after seconds", trial_in_core(t, p, TRIAL_SIZE), TRIAL_SIZE);
	trial_number(t, "resident", trial_resident(t, p, TRIAL_SIZE), 0);
	trial_bytes(t, "what was in swap", p, TRIAL_SIZE, 's');
}

static void willneed_no_file(struct trial *t)
{
	int documented = access("/proc/swaps", F_OK) == 0 ? 0 : -EBADF;

	if (access("/proc/self", F_OK) != 0)
		trial_not_tried(t, "no /proc tells whether the kernel knows swap");
	trial_result(t, "MADV_WILLNEED", os_advise_willneed(trial_private(t, TRIAL_SIZE), TRIAL_SIZE),
	             documented);
}

static void willneed_unmapped(struct trial *t)
{
	char *p = trial_private(t, TRIAL_SIZE);

	trial_need(t, "munmap", os_release(p + TRIAL_SIZE / 2, os_page_size()));
	trial_result(t, "MADV_WILLNEED", os_advise_willneed(p + TRIAL_SIZE / 2, os_page_size()), -ENOMEM);
}

static const struct semantics_row willneed_rows[] = {
	{"maps-nothing", "is a hint, and populates no page tables, not even of what is in memory",
         COMMIT ", part III; " MADVISE,
         "a memory file, all of it in memory: nothing is resident in a new mapping", willneed_maps_nothing},
	{"takes-nothing", "takes no memory for the holes of a file: it promises nothing",
         COMMIT ", part III; " MADVISE, "a memory file that is a hole takes no bytes afterwards",
         willneed_takes_nothing},
	{"file", "begins to read a file into memory, and does not wait for it", MADVISE,
         "a short file in /var/tmp that memory had forgotten is in it within seconds, and not mapped",
         willneed_file},
	{"swap", "begins to read what is in swap, and does not wait for it", MADVISE,
         "private memory that was paged out is in memory within seconds, and not mapped", willneed_swap},
	{"no-file",
         "memory of no file is EBADF only where the kernel knows no swap; else it is read from there",
         MADVISE ", which has EBADF alone", "of private memory", willneed_no_file},
	{"unmapped", "where nothing is mapped, it is ENOMEM", MADVISE, "of a page that was unmapped",
         willneed_unmapped},
};

const struct semantics_group semantics_willneed = {"willneed", "MADV_WILLNEED", willneed_rows,
                                                   sizeof(willneed_rows) / sizeof(willneed_rows[0])};

/* ---- MADV_PAGEOUT -------------------------------------------------------------------- */

static void pageout_swap(struct trial *t)
{
	char *p = swapped(t);

	trial_number(t, "resident", trial_resident(t, p, TRIAL_SIZE), 0);
	trial_number(t, "in swap", trial_swapped(t, p, TRIAL_SIZE), TRIAL_SIZE);
	trial_bytes(t, "what was in swap", p, TRIAL_SIZE, 's');
	trial_number(t, "resident when read", trial_resident(t, p, TRIAL_SIZE), TRIAL_SIZE);
}

static void pageout_no_swap(struct trial *t)
{
	char *p = trial_private(t, TRIAL_SIZE);
	struct os_probe probe;

	os_probe(&probe);
	if (probe.swap_total != 0)
		trial_not_tried(t, "swap is on");
	memset(p, 's', TRIAL_SIZE);
	trial_number(t, "resident", resident_after_pageout(t, p, TRIAL_SIZE), TRIAL_SIZE);
	trial_bytes(t, "private memory", p, TRIAL_SIZE, 's');
}

static void pageout_file(struct trial *t)
{
	char *p = trial_shared(t, trial_data(t, TRIAL_SIZE), TRIAL_SIZE);

	trial_need(t, "populating", os_populate_read(p, TRIAL_SIZE));
	trial_number(t, "resident before", trial_resident(t, p, TRIAL_SIZE), TRIAL_SIZE);
	if (!trial_comes_to(t, resident_after_pageout, p, TRIAL_SIZE, 0))
		trial_number(t, "resident", trial_resident(t, p, TRIAL_SIZE), 0);
	trial_number(t, "in memory", trial_in_core(t, p, TRIAL_SIZE), 0);
	trial_bytes(t, "the file", p, TRIAL_SIZE, 'd');
}

static void pageout_dirty(struct trial *t)
{
	char *p = trial_shared(t, trial_data(t, TRIAL_SIZE), TRIAL_SIZE);

	memset(p, 'e', TRIAL_SIZE);
	trial_result(t, "MADV_PAGEOUT", os_advise_pageout(p, TRIAL_SIZE), 0);
	trial_bytes(t, "the file", p, TRIAL_SIZE, 'e');
}

/* A second process that has the pages mapped, until its end of a pipe is closed. */
static void share(struct trial *t)
{
	int ends[2];
	pid_t child;

	trial_need(t, "pipe", os_pipe(ends));
	child = fork();
	trial_need(t, "no process for it", child < 0 ? -errno : 0);
	if (child == 0) {
		os_close_fd(ends[1]);
		(void)os_wait_byte(ends[0]);
		os_exit(0);
	}
}

static void pageout_shared(struct trial *t)
{
	char *p = trial_private(t, TRIAL_SIZE);

	(void)swapped(t); /* so that pages would go at all */
	memset(p, 's', TRIAL_SIZE);
	share(t);
	trial_number(t, "resident", resident_after_pageout(t, p, TRIAL_SIZE), TRIAL_SIZE);
	trial_bytes(t, "private memory", p, TRIAL_SIZE, 's');
}

static void pageout_locked(struct trial *t)
{
	char *p = trial_private(t, TRIAL_SIZE);

	trial_lock(t, p);
	trial_result(t, "MADV_PAGEOUT", os_advise_pageout(p, os_page_size()), -EINVAL);
	trial_number(t, "resident", trial_resident(t, p, os_page_size()), os_page_size());
}

static void pageout_special(struct trial *t)
{
	trial_result(t, "MADV_PAGEOUT", os_advise_pageout(trial_special(t), os_page_size()), -EINVAL);
}

static const struct semantics_row pageout_rows[] = {
	{"swap", "private memory goes to swap, and is read from there when it is touched", MADVISE,
         "all of it is in swap and nothing resident; reading has it resident again, with what it held",
         pageout_swap},
	{"no-swap", "what has nowhere to go stays resident", MADVISE ": it may be ignored",
         "private memory where no swap is on: all of it is resident", pageout_no_swap},
	{"file", "clean pages of a file leave memory, and are read again when they are touched", MADVISE,
         "a file in /var/tmp, written back and populated: nothing is resident, nor in memory", pageout_file},
	{"dirty", "what was written to a file is not lost", MADVISE,
         "a file in /var/tmp, written to by a mapping, which reads the same afterwards", pageout_dirty},
	{"shared", "private pages that another process has mapped, too, stay resident",
         MADVISE ": it may be ignored",
         "private memory with a child that has it from fork: all of it is resident", pageout_shared},
	{"locked", "locked memory is refused: EINVAL", MADVISE, "of a locked page, which stays resident",
         pageout_locked},
	{"special", "mappings that the kernel manages itself (VM_PFNMAP) are refused: EINVAL", MADVISE,
         "of [vvar]", pageout_special},
};

const struct semantics_group semantics_pageout = {"pageout", "MADV_PAGEOUT", pageout_rows,
                                                  sizeof(pageout_rows) / sizeof(pageout_rows[0])};
