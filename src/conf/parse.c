/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/base.h"
#include "conf/table.h"

#include <errno.h>
#include <string.h>

#define COMMIT_AHEAD_MINIMUM (64 * KiB)
#define THREAD_CACHE_MINIMUM (16 * KiB) /* above jemalloc's largest slab */
#define THREAD_CACHE_MAXIMUM MiB
#define LAZY_MINIMUM (64 * KiB) /* above jemalloc's largest slab: small blocks stay backed */
#define PAGE_MINIMUM (2 * MiB)

/* Longer waits are never, and adding one to a clock must not overflow. */
#define DECAY_MAXIMUM (INT64_MAX / 2)

_Static_assert(sizeof(enum conf_backing) == sizeof(unsigned), "choices are stored as unsigned");
_Static_assert(sizeof(enum conf_fork) == sizeof(unsigned), "choices are stored as unsigned");
_Static_assert(sizeof(enum conf_guard) == sizeof(unsigned), "choices are stored as unsigned");
_Static_assert(sizeof(enum conf_lock) == sizeof(unsigned), "choices are stored as unsigned");
_Static_assert(sizeof(enum conf_merge) == sizeof(unsigned), "choices are stored as unsigned");
_Static_assert(sizeof(enum conf_populate) == sizeof(unsigned), "choices are stored as unsigned");
_Static_assert(sizeof(enum conf_thp) == sizeof(unsigned), "choices are stored as unsigned");

const char *conf_quote(const char *text, size_t length, char quote[CONF_QUOTE_MAX])
{
	bool cut = length >= CONF_QUOTE_MAX;
	size_t keep = cut ? CONF_QUOTE_MAX - 4 : length;

	for (size_t i = 0; i < keep; i++)
		quote[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	memcpy(quote + keep, cut ? "..." : "", cut ? 4 : 1);
	return quote;
}

/* Writes `key:"value" is not ...` and returns -EINVAL. */
__attribute__((format(printf, 2, 3))) static int refuse(const struct conf_value *v, const char *format, ...)
{
	char quote[CONF_QUOTE_MAX];
	struct text t;
	va_list args;

	text_init(&t, v->error, CONF_ERROR_MAX);
	text_add(&t, "%s:\"%s\" ", v->option->key, conf_quote(v->text, v->length, quote));
	va_start(args, format);
	text_vadd(&t, format, args);
	va_end(args);
	return -EINVAL;
}

static bool is(const struct conf_value *v, const char *word)
{
	return v->length == strlen(word) && memcmp(v->text, word, v->length) == 0;
}

/* Stores a size, refusing with what else the option takes. */
static int parse_size(const struct conf_value *v, const char *alternatives, size_t *out)
{
	int r = size_parse(v->text, v->length, out);

	if (r == -ERANGE)
		return refuse(v, "is too large: at most 16E less one byte");
	if (r != 0)
		return refuse(v, "is not a size: use bytes or a number with K, M, G, T (64M)%s",
		              alternatives);
	return 0;
}

/* The number of the alternative in "a|b|c" that is v's text; -1 when none is. */
static int find_choice(const struct conf_value *v)
{
	const char *p = v->option->values;

	for (int i = 0;; i++) {
		size_t length = strcspn(p, "|");

		if (length == v->length && memcmp(p, v->text, length) == 0)
			return i;
		if (p[length] == '\0')
			return -1;
		p += length + 1;
	}
}

/* "a|b|c" as "a, b or c". */
static void list_choices(const char *values, struct text *t)
{
	for (;;) {
		size_t length = strcspn(values, "|");
		const char *rest = values + length;

		text_add(t, "%.*s", (int)length, values);
		if (*rest == '\0')
			return;
		values = rest + 1;
		text_add(t, "%s", strchr(values, '|') != NULL ? ", " : " or ");
	}
}

int conf_set_choice(const struct conf_value *v)
{
	int choice = find_choice(v);
	char list[96];
	struct text t;

	if (choice >= 0) {
		*(unsigned *)v->field = (unsigned)choice;
		return 0;
	}
	text_init(&t, list, sizeof(list));
	list_choices(v->option->values, &t);
	return refuse(v, "is not known: use %s", list);
}

int conf_set_boolean(const struct conf_value *v)
{
	if (!is(v, "true") && !is(v, "false"))
		return refuse(v, "is neither true nor false");
	*(bool *)v->field = is(v, "true");
	return 0;
}

/* "auto", or a size that is not 0. */
static int set_auto_or_size(const struct conf_value *v, const char *if_zero)
{
	size_t size = CONF_AUTO;

	if (!is(v, "auto")) {
		int r = parse_size(v, " or auto", &size);

		if (r != 0)
			return r;
		if (size == 0)
			return refuse(v, "%s", if_zero);
	}
	*(size_t *)v->field = size;
	return 0;
}

int conf_set_reserve(const struct conf_value *v)
{
	return set_auto_or_size(v, "reserves nothing: use a size or auto");
}

int conf_set_margin(const struct conf_value *v)
{
	return set_auto_or_size(v, "leaves nothing: use a size or auto, or guard:off");
}

static int parse_percent(const struct conf_value *v, unsigned *share)
{
	size_t percent;

	if (size_parse(v->text, v->length - 1, &percent) != 0 || percent < 1 || percent > 100)
		return refuse(v, "is not a percentage: use 1%% to 100%% of the machine or cgroup");
	*share = (unsigned)percent * 10;
	return 0;
}

int conf_set_limit(const struct conf_value *v)
{
	size_t limit = CONF_UNLIMITED;
	unsigned share = 0;
	int r = 0;

	if (v->length > 1 && v->text[v->length - 1] == '%')
		r = parse_percent(v, &share);
	else if (is(v, "auto"))
		share = CONF_LIMIT_AUTO;
	else if (!is(v, "none"))
		r = parse_size(v, ", a percentage (50%), auto or none", &limit);
	if (r == 0 && share != 0 && v->total == 0)
		r = refuse(v, "cannot be worked out, as the machine's memory is not known: use a size");
	if (r != 0)
		return r;
	v->conf->limit_share = share;
	*(size_t *)v->field = share == 0 ? limit : size_share(v->total, share);
	return 0;
}

int conf_set_decay(const struct conf_value *v)
{
	int64_t decay = CONF_DECAY_NEVER;
	size_t number;
	int r;

	if (!is(v, "never")) {
		r = size_parse(v->text, v->length, &number);
		if (r == -EINVAL || (v->length > 0 && v->text[v->length - 1] > '9'))
			return refuse(v, "is not a number of milliseconds: use 0, 500, 10000 or never");
		if (r != 0 || number > DECAY_MAXIMUM)
			return refuse(v, "is too long: use never");
		decay = (int64_t)number;
	}
	*(int64_t *)v->field = decay;
	return 0;
}

int conf_set_commit_ahead(const struct conf_value *v)
{
	size_t size;
	int r = parse_size(v, "", &size);

	if (r != 0)
		return r;
	if (size < COMMIT_AHEAD_MINIMUM || !size_is_pow2(size))
		return refuse(v, "is not a power of two of at least 64K: use 64K, 128K, ... 2M, 4M");
	*(size_t *)v->field = size;
	return 0;
}

int conf_set_lazy_above(const struct conf_value *v)
{
	size_t size = CONF_LAZY_NEVER;

	if (!is(v, "never")) {
		int r = parse_size(v, " or never", &size);

		if (r != 0)
			return r;
		if (size < LAZY_MINIMUM)
			return refuse(v, "is below 64K, and small blocks are always backed");
	}
	*(size_t *)v->field = size;
	return 0;
}

int conf_set_thread_cache(const struct conf_value *v)
{
	size_t size;
	int r = parse_size(v, "", &size);

	if (r != 0)
		return r;
	if (size < THREAD_CACHE_MINIMUM || size > THREAD_CACHE_MAXIMUM)
		return refuse(v, "is not between 16K and 1M");
	*(size_t *)v->field = size;
	return 0;
}

int conf_set_page(const struct conf_value *v)
{
	size_t size = CONF_AUTO;

	if (!is(v, "auto")) {
		int r = parse_size(v, " or auto", &size);

		if (r != 0)
			return r;
		if (size < PAGE_MINIMUM || !size_is_pow2(size))
			return refuse(v, "is no size of huge pages: use 2M, 1G or auto");
	}
	*(size_t *)v->field = size;
	return 0;
}

int conf_set_path(const struct conf_value *v)
{
	char *path = v->field;

	if (v->length >= CONF_PATH_MAX)
		return refuse(v, "is too long a path: at most %d bytes", CONF_PATH_MAX - 1);
	memcpy(path, v->text, v->length);
	path[v->length] = '\0';
	return 0;
}
