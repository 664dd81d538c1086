/* SPDX-License-Identifier: BSD-2-Clause */
/* A user's program: a sparse region with a limit of its own. */
#include <errno.h>
#include <stdio.h>

#include <sparena/region.h>
#include <sparena/sparena.h>

int main(void)
{
	struct sparena_region *r;
	size_t granule, size = (size_t)1 << 30;
	int over, error = sparena_region_reserve("limit:16M", size, &r);

	if (error != 0) {
		printf("reserve: %d: %s\n", error, sparena_last_error());
		return 1;
	}
	granule = sparena_region_granule(r);
	error = sparena_region_commit(r, size / 2, granule);
	((char *)sparena_region_base(r))[size / 2] = 1;
	over = sparena_region_commit(r, 0, (size_t)32 << 20);
	printf("committed %d, over the limit %d\n", error, over);
	error = error == 0 && over == -ENOMEM && sparena_region_committed(r) == granule ? 0 : 1;
	sparena_region_release(r);
	return error;
}
