/* SPDX-License-Identifier: BSD-2-Clause */
#include "conf/about.h"

#include "base/base.h"
#include "conf/conf.h"
#include "os/os.h"

static __thread char last_error[CONF_ERROR_MAX];

void about_set_error(const char *reason)
{
	struct text t;

	text_init(&t, last_error, sizeof(last_error));
	text_add(&t, "%s", reason);
}

const char *sparena_last_error(void)
{
	return last_error;
}

const char *sparena_version(void)
{
	return SPARENA_VERSION;
}

unsigned long sparena_features(void)
{
	struct os_probe probe;
	unsigned long features = 0;

	os_probe(&probe);
	if (probe.populate)
		features |= SPARENA_FEATURE_POPULATE;
	if (probe.thp == OS_THP_MADVISE || probe.thp == OS_THP_ALWAYS)
		features |= SPARENA_FEATURE_THP;
	return features;
}
