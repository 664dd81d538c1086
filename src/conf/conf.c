/* SPDX-License-Identifier: BSD-2-Clause */
#include "conf/conf.h"

#include "base/base.h"
#include "conf/table.h"

#include <errno.h>
#include <string.h>

#define OPTION(key, kind, scope, values, initial, help) {#key, values, initial, help, scope},
#define BINDING(key, kind, scope, values, initial, help) {conf_set_##kind, offsetof(struct conf, key)},

const struct conf_option conf_options[] = {CONF_TABLE(OPTION)};
const size_t conf_option_count = sizeof(conf_options) / sizeof(conf_options[0]);

/* How and where each option is stored, in the order of conf_options. */
static const struct {
	conf_setter *set;
	size_t offset;
} bindings[] = {CONF_TABLE(BINDING)};

/* What one call works on. */
struct parser {
	struct conf *conf;
	unsigned scope;
	size_t total;
	char *error;
};

/* conf_option_count when there is no such key. */
static size_t find_option(const char *key, size_t length)
{
	size_t i;

	for (i = 0; i < conf_option_count; i++)
		if (strlen(conf_options[i].key) == length && memcmp(conf_options[i].key, key, length) == 0)
			break;
	return i;
}

static int set_option(const struct parser *p, size_t i, const char *text, size_t length)
{
	struct conf_value v = {
		.option = &conf_options[i],
		.text = text,
		.length = length,
		.total = p->total,
		.field = (char *)p->conf + bindings[i].offset,
		.conf = p->conf,
		.error = p->error,
	};

	return bindings[i].set(&v);
}

/* The known key that is most like a wrong one, NULL when none is. */
static const char *suggest(unsigned scope, const char *key, size_t length)
{
	size_t best = length < 4 ? 2 : 3; /* differences that are too many */
	const char *found = NULL;

	for (size_t i = 0; i < conf_option_count; i++) {
		size_t d = text_distance(key, length, conf_options[i].key);

		if ((conf_options[i].scope & scope) != 0 && d < best) {
			best = d;
			found = conf_options[i].key;
		}
	}
	return found;
}

static int unknown_option(const struct parser *p, const char *key, size_t length)
{
	const char *similar = suggest(p->scope, key, length);
	const char *separator = "";
	char quote[CONF_QUOTE_MAX];
	struct text t;

	text_init(&t, p->error, CONF_ERROR_MAX);
	text_add(&t, "unknown option \"%s\": ", conf_quote(key, length, quote));
	if (similar != NULL)
		text_add(&t, "did you mean \"%s\"? ", similar);
	text_add(&t, "known are ");
	for (size_t i = 0; i < conf_option_count; i++) {
		if ((conf_options[i].scope & p->scope) == 0)
			continue;
		text_add(&t, "%s%s", separator, conf_options[i].key);
		separator = ", ";
	}
	return -EINVAL;
}

static int wrong_scope(const struct parser *p, const struct conf_option *o)
{
	const char *whose = "the process";
	struct text t;

	if ((o->scope & CONF_SCOPE_PROCESS) == 0)
		whose = "regions";
	else if ((o->scope & CONF_SCOPE_HEAP) != 0)
		whose = "heaps";
	text_init(&t, p->error, CONF_ERROR_MAX);
	text_add(&t, "option \"%s\" is for %s, not for %s: leave it away here", o->key, whose,
	         p->scope == CONF_SCOPE_REGION ? "one region"
	         : p->scope == CONF_SCOPE_HEAP ? "one heap"
	                                       : "the process");
	return -EINVAL;
}

static int no_colon(const struct parser *p, const char *text, size_t length)
{
	char quote[CONF_QUOTE_MAX];
	struct text t;

	text_init(&t, p->error, CONF_ERROR_MAX);
	text_add(&t, "\"%s\" has no value: write key:value, as in limit:64M",
	         conf_quote(text, length, quote));
	return -EINVAL;
}

/* One key:value. */
static int parse_part(const struct parser *p, const char *text, size_t length)
{
	const char *colon = memchr(text, ':', length);
	size_t key_length, i;

	if (colon == NULL)
		return no_colon(p, text, length);
	key_length = (size_t)(colon - text);
	i = find_option(text, key_length);
	if (i == conf_option_count)
		return unknown_option(p, text, key_length);
	if ((conf_options[i].scope & p->scope) == 0)
		return wrong_scope(p, &conf_options[i]);
	return set_option(p, i, colon + 1, length - key_length - 1);
}

/* Parses all parts; stops at the first error unless there is a `report`. Returns
 * how many errors there were. */
static size_t parse_parts(const struct parser *p, const char *text, void (*report)(const char *))
{
	size_t errors = 0;

	while (text != NULL && *text != '\0') {
		size_t length = strcspn(text, ",");

		if (length != 0 && parse_part(p, text, length) != 0) {
			errors++;
			if (report == NULL)
				return errors;
			report(p->error);
		}
		text += length;
		text += *text == ',';
	}
	return errors;
}

void conf_default(struct conf *c)
{
	char error[CONF_ERROR_MAX];
	struct parser p = {.conf = c, .error = error};

	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < conf_option_count; i++)
		set_option(&p, i, conf_options[i].initial, strlen(conf_options[i].initial));
}

int conf_parse(struct conf *c, const char *text, unsigned scope, size_t total, char error[CONF_ERROR_MAX])
{
	struct parser p = {.conf = c, .scope = scope, .total = total, .error = error};

	error[0] = '\0';
	return parse_parts(&p, text, NULL) == 0 ? 0 : -EINVAL;
}

size_t conf_parse_lenient(struct conf *c, const char *text, unsigned scope, size_t total,
                          void (*report)(const char *reason))
{
	char error[CONF_ERROR_MAX] = "";
	struct parser p = {.conf = c, .scope = scope, .total = total, .error = error};

	return parse_parts(&p, text, report);
}

void conf_set_box(struct conf *c, size_t box)
{
	if (c->limit_share != 0 && box != CONF_UNLIMITED)
		c->limit = size_share(box, c->limit_share);
}

/* The first thing that does not fit together, NULL if all does. */
static const char *backing_mismatch(const struct conf *c)
{
	bool file = c->backing == CONF_BACKING_FILE;
	bool huge = c->backing == CONF_BACKING_HUGETLB || c->backing == CONF_BACKING_MEMFD_HUGETLB;

	if (file && c->path[0] == '\0')
		return "backing:file needs path:, a directory or a new file's name";
	if (!file && c->path[0] != '\0')
		return "path: is for backing:file alone";
	if (!file && c->keep)
		return "keep: is for backing:file alone";
	if (!file && !huge && c->page != CONF_AUTO)
		return "page: is for backing:hugetlb, memfd-hugetlb and file alone";
	if (c->guard == CONF_GUARD_HELPER && c->backing != CONF_BACKING_MEMFD)
		return "guard:helper is for backing:memfd alone";
	if (c->merge == CONF_MERGE_ON && c->backing != CONF_BACKING_ANON)
		return "merge:on is for backing:anon alone";
	if (c->lazy_above != CONF_LAZY_NEVER && c->backing != CONF_BACKING_ANON)
		return "lazy_above: is for backing:anon alone";
	return NULL;
}

int conf_check(const struct conf *c, size_t minimum, char error[CONF_ERROR_MAX])
{
	const char *mismatch = backing_mismatch(c);
	char limit[SIZE_TEXT_MAX], other[SIZE_TEXT_MAX];
	struct text t;

	text_init(&t, error, CONF_ERROR_MAX);
	if (mismatch != NULL) {
		text_add(&t, "%s", mismatch);
		return -EINVAL;
	}
	if (c->page != CONF_AUTO)
		minimum += c->page;
	if (c->limit == CONF_UNLIMITED)
		return 0;
	size_format(c->limit, limit);
	if (c->limit < minimum) {
		size_format(minimum, other);
		text_add(&t, "limit:%s is below the %s that start-up needs", limit, other);
		return -EINVAL;
	}
	if (c->reserve != CONF_AUTO && c->reserve < c->limit) {
		size_format(c->reserve, other);
		text_add(&t,
		         "reserve:%s is smaller than limit:%s: reserve at least as much address space "
		         "as the limit, or leave reserve:auto",
		         other, limit);
		return -EINVAL;
	}
	return 0;
}
