/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/bench.h"

#include <math.h>

/* Mean and sum of squares go along with the values (Welford), as large values that differ
 * little would leave nothing of a difference of sums. */
struct bench_stats bench_stats(const uint64_t *values, size_t count)
{
	struct bench_stats s = {0};
	double squares = 0;

	for (size_t i = 0; i < count; i++) {
		double value = (double)values[i], before = value - s.mean;

		s.mean += before / (double)(i + 1);
		squares += before * (value - s.mean);
		if (i == 0 || value < s.shortest)
			s.shortest = value;
	}
	if (count > 1)
		s.spread = sqrt(squares / (double)(count - 1));
	return s;
}
