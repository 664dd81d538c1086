/* SPDX-License-Identifier: BSD-2-Clause */
/* Each size of folios alone: /sys/kernel/mm/transparent_hugepage/hugepages-*kB, Linux 6.8. */
#include "os/machine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int path_of(char path[OS_MACHINE_PATH_MAX], const char *root, size_t size, const char *name)
{
	int n = snprintf(path, OS_MACHINE_PATH_MAX,
	                 "%s/sys/kernel/mm/transparent_hugepage/hugepages-%zukB/%s", root, size / 1024, name);

	return n < 0 || n >= OS_MACHINE_PATH_MAX ? -ENAMETOOLONG : 0;
}

int os_mthp_setting(const char *root, size_t size, char word[OS_WORD_MAX])
{
	char path[OS_MACHINE_PATH_MAX];
	int r = path_of(path, root, size, "enabled");

	return r != 0 ? r : os_read_choice(path, word, OS_WORD_MAX);
}

int os_mthp_set(const char *root, size_t size, const char *word)
{
	char path[OS_MACHINE_PATH_MAX], before[OS_WORD_MAX];
	int r = path_of(path, root, size, "enabled");

	if (r == 0)
		r = os_read_choice(path, before, sizeof(before)); /* no file is made */
	return r != 0 ? r : os_write_file(path, word, strlen(word));
}

int os_mthp_count(const char *root, size_t size, const char *name, size_t *out)
{
	char path[OS_MACHINE_PATH_MAX], file[64];
	int r;

	if (snprintf(file, sizeof(file), "stats/%s", name) >= (int)sizeof(file))
		return -ENAMETOOLONG;
	r = path_of(path, root, size, file);
	return r != 0 ? r : os_read_number(path, out);
}
