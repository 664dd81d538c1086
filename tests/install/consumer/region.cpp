// SPDX-License-Identifier: BSD-2-Clause
// A user's program in C++ with a region.
#include <iostream>

#include <sparena/region.h>
#include <sparena/sparena.h>

int main()
{
	sparena_region *r;
	if (sparena_region_reserve("limit:4M", 1 << 30, &r) != 0)
		return 1;
	int committed = sparena_region_commit(r, 0, sparena_region_granule(r));
	sparena_region_release(r);
	std::cout << "version " << sparena_version() << ", committed " << committed << '\n';
	return committed;
}
