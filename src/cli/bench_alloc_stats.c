/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/bench_alloc.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Moves the values that there are to the front. */
static size_t leave_out_missing(double *values, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (!isnan(values[i]))
			values[kept++] = values[i];
	return kept;
}

/* The value below which such a share of the values, in order, lies. */
static double quantile(const double *values, size_t count, double share)
{
	double at = (double)(count - 1) * share;
	size_t low = (size_t)at;

	if (low + 1 >= count)
		return values[count - 1];
	return values[low] + (at - (double)low) * (values[low + 1] - values[low]);
}

struct quartiles quartiles_of(double *values, size_t count)
{
	count = leave_out_missing(values, count);
	if (count == 0)
		return (struct quartiles){NAN, NAN, NAN};
	qsort(values, count, sizeof(*values), compare);
	return (struct quartiles){
		.low = quantile(values, count, 0.25),
		.median = quantile(values, count, 0.5),
		.high = quantile(values, count, 0.75),
	};
}

double ratio_of(double value, double base)
{
	return isnan(value) || isnan(base) || base <= 0 ? NAN : value / base;
}

double geometric_mean(const double *values, size_t count, size_t *used)
{
	double sum = 0;
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		if (isnan(values[i]) || values[i] <= 0)
			continue;
		sum += log(values[i]);
		n++;
	}
	if (used != NULL)
		*used = n;
	return n == 0 ? NAN : exp(sum / (double)n);
}
