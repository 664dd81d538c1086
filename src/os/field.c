/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers and words in the text that the kernel shows. */
#include "os/os.h"

#include <errno.h>
#include <string.h>

/* The decimal number that *text starts with; *text is moved behind it. */
static int parse_number(const char **text, size_t *out)
{
	const char *p = *text;
	bool fits = true;
	size_t value = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++)
		fits = fits && !__builtin_mul_overflow(value, 10, &value) &&
		       !__builtin_add_overflow(value, (size_t)(*p - '0'), &value);
	*text = p;
	if (!fits)
		return -ERANGE;
	*out = value;
	return 0;
}

/* The line that starts with name and a colon: what follows the colon, or NULL. */
static const char *find_field(const char *text, const char *name)
{
	size_t length = strlen(name);

	while (text != NULL) {
		if (strncmp(text, name, length) == 0 && text[length] == ':')
			return text + length + 1;
		text = strchr(text, '\n');
		if (text != NULL)
			text++;
	}
	return NULL;
}

int os_field_bytes(const char *text, const char *name, size_t *out)
{
	const char *p = find_field(text, name);
	size_t value;

	if (p == NULL)
		return -ENOENT;
	p += strspn(p, " \t");
	if (parse_number(&p, &value) != 0)
		return -EINVAL;
	p += strspn(p, " \t");
	if (strncmp(p, "kB", 2) == 0 && __builtin_mul_overflow(value, 1024, &value))
		return -EINVAL;
	*out = value;
	return 0;
}

int os_parse_number(const char *text, size_t *out)
{
	size_t value;
	int r = parse_number(&text, &value);

	if (r != 0)
		return r;
	if (text[strspn(text, " \t\n")] != '\0')
		return -EINVAL;
	*out = value;
	return 0;
}

int os_read_number(const char *path, size_t *out)
{
	char buffer[64];
	int r = os_read_file(path, buffer, sizeof(buffer), NULL);

	return r == 0 ? os_parse_number(buffer, out) : r;
}

int os_read_choice(const char *path, char *out, size_t capacity)
{
	char buffer[256];
	const char *start, *end;
	size_t length;
	int r;

	out[0] = '\0';
	r = os_read_file(path, buffer, sizeof(buffer), NULL);
	if (r != 0)
		return r;
	start = strchr(buffer, '[');
	end = start == NULL ? NULL : strchr(start, ']');
	if (end == NULL)
		return -EINVAL;
	length = (size_t)(end - start - 1);
	if (length >= capacity)
		return -EINVAL;
	memcpy(out, start + 1, length);
	out[length] = '\0';
	return 0;
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

void os_unescape(char *text)
{
	char *to = text;

	for (const char *p = text; *p != '\0';) {
		if (p[0] == '\\' && p[1] <= '3' && is_octal(p[1]) && is_octal(p[2]) && is_octal(p[3])) {
			*to++ = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
			p += 4;
		} else {
			*to++ = *p++;
		}
	}
	*to = '\0';
}
