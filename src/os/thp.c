/* SPDX-License-Identifier: BSD-2-Clause */
/* Transparent huge pages: /sys/kernel/mm/transparent_hugepage. */
#define _GNU_SOURCE
#include "os/machine.h"
#include "os/os.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define THP_DIR "/sys/kernel/mm/transparent_hugepage"
#define HUGE_PAGE_SIZE_MAX ((size_t)1 << 34) /* no architecture's is larger */

static enum os_thp thp_of(const char *word)
{
	if (strcmp(word, "always") == 0)
		return OS_THP_ALWAYS;
	return strcmp(word, "madvise") == 0 ? OS_THP_MADVISE : OS_THP_NEVER;
}

enum os_thp os_thp(void)
{
	char word[OS_WORD_MAX];
	int r = os_read_choice(THP_DIR "/enabled", word, sizeof(word));

	return r != 0 && r != -EINVAL ? OS_THP_NONE : thp_of(word);
}

/* By name, and not by opendir(3), which allocates. */
uint64_t os_mthp_sizes(size_t page_size)
{
	int saved_errno = errno;
	uint64_t sizes = 0;
	char path[96];

	for (unsigned n = 10; ((size_t)1 << n) < HUGE_PAGE_SIZE_MAX; n++) {
		if (((size_t)1 << n) < page_size)
			continue;
		snprintf(path, sizeof(path), THP_DIR "/hugepages-%zukB", ((size_t)1 << n) / 1024);
		if (access(path, F_OK) == 0)
			sizes |= UINT64_C(1) << n;
	}
	errno = saved_errno;
	return sizes;
}

static int read_word(const char *root, const char *name, char word[OS_WORD_MAX])
{
	char path[OS_MACHINE_PATH_MAX];

	word[0] = '\0';
	if (snprintf(path, sizeof(path), "%s" THP_DIR "/%s", root, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return os_read_choice(path, word, OS_WORD_MAX);
}

static size_t read_number(const char *root, const char *name)
{
	char path[OS_MACHINE_PATH_MAX];
	size_t value;

	if (snprintf(path, sizeof(path), "%s" THP_DIR "/%s", root, name) >= (int)sizeof(path))
		return OS_UNLIMITED;
	return os_read_number(path, &value) == 0 ? value : OS_UNLIMITED;
}

static enum os_thp of_all_sizes(const char *root)
{
	char word[OS_WORD_MAX];
	int r = read_word(root, "enabled", word);

	return r != 0 && r != -EINVAL ? OS_THP_NONE : thp_of(word);
}

/* Since Linux 6.8; it may defer to that for all sizes. `missing`: where there is none. */
static enum os_thp of_size(const char *root, size_t size, enum os_thp all, enum os_thp missing)
{
	char name[64], word[OS_WORD_MAX];

	snprintf(name, sizeof(name), "hugepages-%zukB/enabled", size / 1024);
	if (read_word(root, name, word) != 0)
		return missing;
	return strcmp(word, "inherit") == 0 ? all : thp_of(word);
}

/* Both have to allow huge pages of `size`: sparena asks for none where only the size's own
 * does. */
static enum os_thp effective(const char *root, size_t size)
{
	enum os_thp all = of_all_sizes(root);

	return all == OS_THP_NONE || all == OS_THP_NEVER ? all : of_size(root, size, all, all);
}

bool os_thp_usable(size_t size)
{
	enum os_thp thp = effective("", size);

	return thp == OS_THP_MADVISE || thp == OS_THP_ALWAYS;
}

uint64_t os_mthp_advised(const char *root, uint64_t sizes)
{
	enum os_thp all = of_all_sizes(root);
	uint64_t advised = 0;

	for (unsigned n = 10; n < 64; n++) {
		uint64_t bit = UINT64_C(1) << n;

		if ((sizes & bit) != 0 && of_size(root, bit, all, OS_THP_NEVER) >= OS_THP_MADVISE)
			advised |= bit;
	}
	return advised;
}

void os_thp_settings(const char *root, struct os_thp_settings *out)
{
	int saved_errno = errno;

	memset(out, 0, sizeof(*out));
	(void)read_word(root, "enabled", out->enabled);
	out->pmd_size = read_number(root, "hpage_pmd_size");
	if (out->pmd_size == OS_UNLIMITED)
		out->pmd_size = 0;
	out->effective = effective(root, out->pmd_size);
	(void)read_word(root, "defrag", out->defrag);
	(void)read_word(root, "shmem_enabled", out->shmem);
	out->max_ptes_none = read_number(root, "khugepaged/max_ptes_none");
	out->disabled = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1;
	errno = saved_errno;
}
