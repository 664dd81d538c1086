/* SPDX-License-Identifier: BSD-2-Clause */
/* Options: any text, for any interface. */
#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "conf/conf.h"
#include "fuzz.h"

#define TOTAL ((size_t)16 << 30)

static void check_reason(const char *error)
{
	size_t length = strnlen(error, CONF_ERROR_MAX);
	MUST(length > 0 && length < CONF_ERROR_MAX);
	for (size_t i = 0; i < length; i++)
		MUST((unsigned char)error[i] >= ' ');
}

static void count_reason(const char *reason) { check_reason(reason); }

/* What was taken is within the bounds that the documentation gives. */
static void check_values(const struct conf *c)
{
	MUST(c->commit_ahead >= 64 * KiB && size_is_pow2(c->commit_ahead));
	MUST(c->lazy_above == CONF_LAZY_NEVER || c->lazy_above >= 64 * KiB);
	MUST(c->thread_cache >= 16 * KiB && c->thread_cache <= MiB);
	MUST(c->limit_share <= 1000);
	MUST(c->limit_share == 0 || c->limit <= TOTAL);
	MUST(c->decay_ms >= 0 || c->decay_ms == CONF_DECAY_NEVER);
	MUST(c->page == CONF_AUTO || (c->page >= 2 * MiB && size_is_pow2(c->page)));
	MUST(memchr(c->path, 0, sizeof c->path) && memchr(c->stats_file, 0, sizeof c->stats_file));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned scopes[] = { CONF_SCOPE_PROCESS, CONF_SCOPE_REGION, CONF_SCOPE_HEAP };
	char *text = malloc(size + 1), error[CONF_ERROR_MAX];
	MUST(text);
	memcpy(text, data, size);
	text[size] = '\0';
	for (unsigned i = 0; i < 3; i++) {
		struct conf c, lenient;
		conf_default(&c);
		int err = conf_parse(&c, text, scopes[i], TOTAL, error);
		MUST(err == 0 || err == -EINVAL);
		check_values(&c);
		if (err)
			check_reason(error);
		conf_default(&lenient);
		size_t wrong = conf_parse_lenient(&lenient, text, scopes[i], TOTAL, count_reason);
		check_values(&lenient);
		MUST((wrong == 0) == (err == 0));
		MUST(err || memcmp(&c, &lenient, sizeof c) == 0);
		err = conf_check(&c, CONF_LIMIT_MINIMUM, error);
		MUST(err == 0 || err == -EINVAL);
		if (err)
			check_reason(error);
	}
	free(text);
	return 0;
}
