/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages that are alike, of which the kernel makes one (KSM): a write takes a page then, and
 * undoes what a commit has promised. So private memory is kept from it unless the option says
 * otherwise, also where a process has it in all of its memory (prctl(2) PR_SET_MEMORY_MERGE).
 */
#include <errno.h>

#include "region/span.h"

static int advise(struct region *r, bool merge)
{
	int err = os_advise_merge(r->base, r->size, merge);
	return err == -EINVAL ? 0 : err; /* a kernel without KSM merges nothing */
}

/* Nobody tells when a process begins, or ends, to merge everything: all of the region then,
 * since all mappings are concerned. */
int span_keep_apart(struct region *r)
{
	if (r->merges || region_is_shared(r))
		return 0;
	bool all = os_merges_all();
	if (atomic_exchange(&r->unmerged, all) || !all)
		return 0;
	int err = advise(r, false);
	if (err)
		atomic_store(&r->unmerged, false);
	return err;
}

int region_choose_merging(struct region *r)
{
	return r->merges && !region_is_shared(r) ? advise(r, true) : span_keep_apart(r);
}
