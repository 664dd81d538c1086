/* SPDX-License-Identifier: BSD-2-Clause */
/* What a limit in percent is of, as the drop-in will see it. */
#include "cli/cli.h"

#include "region/guard.h"

size_t cli_box(void)
{
	static struct guard guard = GUARD_INITIALIZER("");
	size_t box = guard_box(&guard);

	guard_close(&guard);
	return box;
}
