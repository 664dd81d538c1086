/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exact: room for shared memory that is taken by a helper process and not estimated, so
 * that what the kernel's OOM killer ends is the helper (guard:helper). Only between the
 * files of this room.
 */
#ifndef SPARENA_REGION_EXACT_H
#define SPARENA_REGION_EXACT_H

#include "region/region.h"

/* Taken in one request at most: nobody waits long, and little is lost. */
#define EXACT_STEP (16 * MiB)

/*
 * Takes room for a range of the region, whose lock is not held. 0: it is there, and to be
 * populated. -EAGAIN: it has to be estimated, for there is no helper now, or it is not for
 * this region. Others: it is not there, and the range is to be discarded.
 */
int exact_take(struct region *r, size_t offset, size_t length);

#endif
