/* SPDX-License-Identifier: BSD-2-Clause */
/* Swap: /proc/swaps. */
#include "base/base.h"
#include "os/machine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct collected {
	struct os_swap *out;
	size_t capacity;
	size_t count;
};

/* Kilobytes in a column of digits; moves *p behind it. False: it is something else. */
static bool parse_kilobytes(const char **p, size_t *out)
{
	size_t value = 0;

	*p += strspn(*p, " \t");
	if (**p < '0' || **p > '9')
		return false;
	for (; **p >= '0' && **p <= '9'; (*p)++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (size_t)(**p - '0'), &value))
			return false;
	return !__builtin_mul_overflow(value, 1024, out);
}

static enum os_swap_kind kind_of(const char *name, const char *type)
{
	const char *base = strrchr(name, '/');

	base = base == NULL ? name : base + 1;
	if (strncmp(base, "zram", 4) == 0 && base[4] >= '0' && base[4] <= '9')
		return OS_SWAP_ZRAM;
	return strncmp(type, "file", 4) == 0 ? OS_SWAP_FILE : OS_SWAP_PARTITION;
}

/* "name type size used priority", size and used in kB. */
static bool collect(char *line, void *context)
{
	struct collected *c = context;
	size_t length = strcspn(line, " \t");
	struct os_swap found = {0};
	const char *type, *p;

	type = line + length + strspn(line + length, " \t");
	p = type + strcspn(type, " \t");
	if (!parse_kilobytes(&p, &found.size) || !parse_kilobytes(&p, &found.used))
		return true; /* the heading */
	line[length] = '\0';
	os_unescape(line);
	found.kind = kind_of(line, type);
	length = strnlen(line, sizeof(found.name) - 1);
	memcpy(found.name, line, length);
	if (c->count < c->capacity)
		c->out[c->count] = found;
	c->count++;
	return true;
}

size_t os_swaps(const char *root, struct os_swap *out, size_t capacity)
{
	struct collected c = {out, capacity, 0};
	char path[OS_MACHINE_PATH_MAX], line[2048];

	if (snprintf(path, sizeof(path), "%s/proc/swaps", root) >= (int)sizeof(path))
		return 0;
	(void)os_read_lines(path, line, sizeof(line), collect, &c);
	return c.count;
}

static bool add_memory_swap(char *line, void *context)
{
	struct os_swap area;
	struct collected c = {&area, 1, 0};

	collect(line, &c);
	if (c.count == 1 && area.kind == OS_SWAP_ZRAM && area.used < area.size)
		*(size_t *)context += area.size - area.used;
	return true;
}

size_t os_swap_free_in_memory(const char *root, char *text, size_t capacity)
{
	char *line = text + OS_MACHINE_PATH_MAX;
	size_t bytes = 0;

	if (text_join(text, OS_MACHINE_PATH_MAX, root, "/proc/swaps"))
		(void)os_read_lines(text, line, capacity - OS_MACHINE_PATH_MAX, add_memory_swap, &bytes);
	return bytes;
}

bool os_zswap(const char *root)
{
	char path[OS_MACHINE_PATH_MAX], text[4];

	if (snprintf(path, sizeof(path), "%s/sys/module/zswap/parameters/enabled", root) >= (int)sizeof(path))
		return false;
	return os_read_file(path, text, sizeof(text), NULL) == 0 && (text[0] == 'Y' || text[0] == '1');
}
