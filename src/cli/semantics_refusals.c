/* SPDX-License-Identifier: BSD-2-Clause */
/* check --semantics: how MADV_POPULATE_READ and MADV_POPULATE_WRITE fail. */
#include "cli/semantics.h"
#include "os/states.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static void both(struct trial *t, char *p, size_t size, int documented)
{
	trial_result(t, "populating for reading", os_populate_read(p, size), documented);
	trial_result(t, "populating for writing", os_populate(p, size), documented);
}

static void special(struct trial *t)
{
	both(t, trial_special(t), os_page_size(), -EINVAL);
}

static void secret(struct trial *t)
{
	struct os_file f;

	trial_need(t, "no secret memory", os_secret(&f));
	trial_need(t, "no secret memory", os_resize(f.fd, os_page_size()));
	both(t, trial_shared(t, f.fd, os_page_size()), os_page_size(), -EINVAL);
}

static void no_access(struct trial *t)
{
	char *p = trial_private(t, TRIAL_SIZE);

	trial_need(t, "mprotect", os_close(p, TRIAL_SIZE));
	both(t, p, TRIAL_SIZE, -EINVAL);
}

static void read_only(struct trial *t)
{
	char *shared = trial_shared_anonymous(t, TRIAL_SIZE);
	void *p = NULL;

	trial_need(t, "no mapping to be read only", os_lend(shared, TRIAL_SIZE, &p));
	trial_result(t, "populating for writing", os_populate(p, TRIAL_SIZE), -EINVAL);
	trial_result(t, "populating for reading", os_populate_read(p, TRIAL_SIZE), 0);
}

static void prefix(struct trial *t)
{
	size_t half = TRIAL_SIZE / 2;
	int fd = trial_memory_file(t, half);
	char *p = trial_shared(t, fd, TRIAL_SIZE);

	trial_result(t, "populating for writing", os_populate(p, TRIAL_SIZE), -EFAULT);
	trial_number(t, "resident", trial_resident(t, p, TRIAL_SIZE), half);
	trial_number(t, "bytes that the file takes", trial_stored(t, fd), half);
}

static void poison(struct trial *t)
{
	size_t half = TRIAL_SIZE / 2;
	char *p = trial_private(t, TRIAL_SIZE);

	trial_need(t, "no page can be poisoned by userfaultfd", os_poison(p + half, os_page_size()));
	both(t, p, TRIAL_SIZE, -EHWPOISON);
	trial_number(t, "resident before the page", trial_resident(t, p, half), half);
	trial_number(t, "the signal when it is touched", (size_t)trial_signal(t, p + half), SIGBUS);
}

static void oom(struct trial *t)
{
	trial_not_tried(t, "the kernel would kill a process, and note that in the machine's log");
}

static void full(struct trial *t)
{
	struct os_file f;
	char *p;

	trial_need(t, "no tmpfs can be mounted", os_small_file(TRIAL_SIZE, &f));
	trial_need(t, "the file can't be larger than its file system", os_resize(f.fd, 2 * TRIAL_SIZE));
	p = trial_shared(t, f.fd, 2 * TRIAL_SIZE);
	both(t, p, 2 * TRIAL_SIZE, -EFAULT);
	trial_number(t, "bytes that the file takes", trial_stored(t, f.fd), TRIAL_SIZE);
	trial_number(t, "the signal of a touch", (size_t)trial_signal(t, p + 2 * TRIAL_SIZE - 1), SIGBUS);
}

static void beyond_end(struct trial *t)
{
	char *p = trial_shared(t, trial_memory_file(t, os_page_size()), 2 * os_page_size());

	both(t, p, 2 * os_page_size(), -EFAULT);
	trial_number(t, "the signal of a touch", (size_t)trial_signal(t, p + os_page_size()), SIGBUS);
}

static void unmapped(struct trial *t)
{
	char *p = trial_private(t, TRIAL_SIZE);

	trial_need(t, "munmap", os_release(p + TRIAL_SIZE / 2, os_page_size()));
	both(t, p, TRIAL_SIZE, -ENOMEM);
}

static void unaligned(struct trial *t)
{
	char *p = trial_private(t, TRIAL_SIZE);

	both(t, p + 1, os_page_size(), -EINVAL);
	trial_number(t, "resident", trial_resident(t, p, TRIAL_SIZE), 0);
}

static void rounded(struct trial *t)
{
	char *p = trial_private(t, TRIAL_SIZE);

	trial_result(t, "populating a byte", os_populate(p, 1), 0);
	trial_number(t, "resident", trial_resident(t, p, TRIAL_SIZE), os_page_size());
}

static const struct semantics_row rows[] = {
	{"special", "mappings that the kernel manages itself (VM_PFNMAP, VM_IO) are refused: EINVAL",
         COMMIT_POINT(5) "; " MADVISE, "of [vvar], where the kernel keeps the time for all to read", special},
	{"secret", "secret memory is refused: EINVAL", MADVISE, "of a page of memfd_secret(2)", secret},
	{"no-access", "memory without the permission that it takes is refused: EINVAL",
         COMMIT_POINT(5) "; " MADVISE, "of PROT_NONE, for reading and for writing", no_access},
	{"read-only", "the permission to read is enough for reading, and not for writing: EINVAL",
         COMMIT_POINT(5) "; " MADVISE, "of a mapping with PROT_READ", read_only},
	{"prefix", "when it fails, pages before the failing one stay populated", COMMIT_POINT(6) "; " MADVISE,
         "a mapping of twice a memory file's size: half of it is resident afterwards", prefix},
	{"poison", "a page whose memory is broken ends it with EHWPOISON", COMMIT_POINT(7) "; " MADVISE,
         "a page that userfaultfd poisoned; those before it are resident, and touching it is SIGBUS", poison},
	{"oom", "does not protect from the kernel's killing for want of memory", COMMIT_POINT(8) "; " MADVISE,
         "not by the command: ctest integration_check_semantics, in a cgroup of its own", oom},
	{"backing-full", "where there is no more behind the mapping, it is EFAULT instead of SIGBUS",
         COMMIT "; " MADVISE, "a file on a tmpfs of half its size; touching what is missing is SIGBUS", full},
	{"beyond-end", "beyond the end of a file it is EFAULT instead of SIGBUS", MADVISE,
         "a mapping that is longer than its memory file; touching what is beyond is SIGBUS", beyond_end},
	{"unmapped", "where nothing is mapped in the range, it is ENOMEM", MADVISE,
         "a range with a hole of one page", unmapped},
	{"unaligned", "an address amid a page is refused: EINVAL", MADVISE, "nothing is resident afterwards",
         unaligned},
	{"rounded", "a length is rounded up to whole pages", MADVISE,
         "populating one byte: one page is resident", rounded},
};

const struct semantics_group semantics_populate = {"populate", "MADV_POPULATE_READ and MADV_POPULATE_WRITE",
                                                   rows, sizeof(rows) / sizeof(rows[0])};
