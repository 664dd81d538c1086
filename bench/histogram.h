/* SPDX-License-Identifier: BSD-2-Clause */
/* How long things took, in memory that does not grow. */
#ifndef SPARENA_BENCH_HISTOGRAM_H
#define SPARENA_BENCH_HISTOGRAM_H

#include <stdint.h>

/* Counts by time: 64 steps between a power of two of nanoseconds and the next one. */
#define HISTOGRAM_STEPS_BITS 6
#define HISTOGRAM_STEPS (1u << HISTOGRAM_STEPS_BITS)
#define HISTOGRAM_BUCKETS (HISTOGRAM_STEPS * (64 - HISTOGRAM_STEPS_BITS))

struct histogram {
	uint64_t total, most;
	uint64_t count[HISTOGRAM_BUCKETS];
};

static inline unsigned histogram_bucket(uint64_t ns)
{
	if (ns < HISTOGRAM_STEPS)
		return (unsigned)ns;
	unsigned shift = 63 - HISTOGRAM_STEPS_BITS - (unsigned)__builtin_clzll(ns);
	return (shift + 1) * HISTOGRAM_STEPS + (unsigned)(ns >> shift & (HISTOGRAM_STEPS - 1));
}

/* The middle of what a bucket counts. */
static inline double histogram_ns(unsigned bucket)
{
	if (bucket < HISTOGRAM_STEPS)
		return bucket;
	unsigned shift = bucket / HISTOGRAM_STEPS - 1;
	uint64_t low = (uint64_t)(HISTOGRAM_STEPS + bucket % HISTOGRAM_STEPS) << shift;
	return (double)low + (double)((uint64_t)1 << shift) / 2;
}

static inline void histogram_add(struct histogram *h, uint64_t ns)
{
	h->total++;
	h->count[histogram_bucket(ns)]++;
	if (ns > h->most)
		h->most = ns;
}

/* The time that a share of all took at most. */
static inline double histogram_at(const struct histogram *h, double share)
{
	uint64_t wanted = (uint64_t)((double)h->total * share), seen = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->count[i];
		if (seen > wanted)
			return histogram_ns(i);
	}
	return (double)h->most;
}

#endif
