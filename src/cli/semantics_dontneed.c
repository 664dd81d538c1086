/* SPDX-License-Identifier: BSD-2-Clause */
/* check --semantics: MADV_DONTNEED. */
#include "cli/semantics.h"

#include <errno.h>
#include <string.h>

static void dontneed_private(struct trial *t)
{
	char *p = trial_private(t, TRIAL_SIZE);

	memset(p, 'p', TRIAL_SIZE);
	trial_result(t, "MADV_DONTNEED", os_advise_dontneed(p, TRIAL_SIZE), 0);
	trial_number(t, "resident", trial_resident(t, p, TRIAL_SIZE), 0);
	trial_bytes(t, "private memory", p, TRIAL_SIZE, 0);
}

static void dontneed_shared(struct trial *t)
{
	char *p = trial_shared_anonymous(t, TRIAL_SIZE);

	memset(p, 'p', TRIAL_SIZE);
	trial_result(t, "MADV_DONTNEED", os_advise_dontneed(p, TRIAL_SIZE), 0);
	trial_number(t, "resident", trial_resident(t, p, TRIAL_SIZE), 0);
	trial_bytes(t, "shared memory", p, TRIAL_SIZE, 'p');
}

static void dontneed_store(struct trial *t)
{
	int fd = trial_memory_file(t, TRIAL_SIZE);
	char *p = trial_shared(t, fd, TRIAL_SIZE);

	memset(p, 'p', TRIAL_SIZE);
	trial_result(t, "MADV_DONTNEED", os_advise_dontneed(p, TRIAL_SIZE), 0);
	trial_number(t, "resident", trial_resident(t, p, TRIAL_SIZE), 0);
	trial_number(t, "bytes that the file takes", trial_stored(t, fd), TRIAL_SIZE);
}

static void dontneed_view(struct trial *t)
{
	int fd = trial_memory_file(t, TRIAL_SIZE);
	char *file = trial_shared(t, fd, TRIAL_SIZE), *view = trial_view(t, fd, TRIAL_SIZE);

	memset(file, 'f', TRIAL_SIZE);
	memset(view, 'v', TRIAL_SIZE);
	memset(file, 'g', TRIAL_SIZE);
	trial_bytes(t, "the view before", view, TRIAL_SIZE, 'v');
	trial_result(t, "MADV_DONTNEED", os_advise_dontneed(view, TRIAL_SIZE), 0);
	trial_bytes(t, "the view", view, TRIAL_SIZE, 'g');
}

static void dontneed_locked(struct trial *t)
{
	char *p = trial_private(t, TRIAL_SIZE);

	*p = 'p';
	trial_lock(t, p);
	trial_result(t, "MADV_DONTNEED", os_advise_dontneed(p, os_page_size()), -EINVAL);
	trial_number(t, "what it holds", (size_t)*p, 'p');
}

static void dontneed_special(struct trial *t)
{
	trial_result(t, "MADV_DONTNEED", os_advise_dontneed(trial_special(t), os_page_size()), -EINVAL);
}

static void dontneed_unmapped(struct trial *t)
{
	size_t page = os_page_size();
	char *p = trial_private(t, 3 * page);

	memset(p, 'p', 3 * page);
	trial_need(t, "munmap", os_release(p + page, page));
	trial_result(t, "MADV_DONTNEED", os_advise_dontneed(p, 3 * page), -ENOMEM);
	trial_number(t, "resident", trial_resident(t, p, 3 * page), 0);
	trial_bytes(t, "before the hole", p, page, 0);
	trial_bytes(t, "behind the hole", p + 2 * page, page, 0);
}

static const struct semantics_row dontneed_rows[] = {
	{"private", "private memory is given back at once, and reads zero", MADVISE,
         "nothing is resident of what was written, and all of it reads zero", dontneed_private},
	{"shared", "shared memory keeps what it holds; it only leaves the page tables", MADVISE,
         "shared anonymous memory: nothing is resident, and it reads as it was written", dontneed_shared},
	{"store", "of shared memory nothing is given back, though resident set sizes fall", MADVISE,
         "a memory file: nothing is resident, and it takes all its bytes", dontneed_store},
	{"view", "a private view of a file loses what was written to it, and shows the file again", MADVISE,
         "of a memory file that has changed meanwhile", dontneed_view},
	{"locked", "locked memory is refused: EINVAL", MADVISE, "of a locked page, which holds what it held",
         dontneed_locked},
	{"special", "mappings that the kernel manages itself (VM_PFNMAP) are refused: EINVAL", MADVISE,
         "of [vvar]", dontneed_special},
	{"unmapped", "where nothing is mapped in the range, it is ENOMEM, and done all the same for the rest",
         MADVISE, "three pages, the second of which was unmapped: nothing is resident", dontneed_unmapped},
};

const struct semantics_group semantics_dontneed = {"dontneed", "MADV_DONTNEED", dontneed_rows,
                                                   sizeof(dontneed_rows) / sizeof(dontneed_rows[0])};
