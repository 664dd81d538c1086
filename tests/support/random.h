/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random operations that can be repeated: a seed from SPARENA_TEST_SEED or, without
 * it, a small one from the clock; a count from SPARENA_TEST_OPS. A failure prints
 * the seed and the operation, with which the same run comes about again.
 */
#ifndef SPARENA_TESTS_RANDOM_H
#define SPARENA_TESTS_RANDOM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Weak: one of each for all files of a program. */
__attribute__((weak)) uint64_t random_state;
__attribute__((weak)) unsigned random_seed;
__attribute__((weak)) unsigned long random_op;

static inline unsigned long environment_number(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);
	return text ? strtoul(text, NULL, 10) : otherwise;
}

static inline void random_start(unsigned stream)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	random_seed = (unsigned)environment_number("SPARENA_TEST_SEED", (unsigned long)now.tv_nsec % 10000 + 1);
	random_state = random_seed * 0x9E3779B97F4A7C15u + stream;
	random_op = 0;
}

/* xorshift64*, Vigna 2014. Each thread has a state of its own, which is not 0. */
static inline uint64_t random_step(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545F4914F6CDD1Du;
}

static inline uint64_t random_next(void)
{
	return random_step(&random_state);
}

/* A number in [0, n). */
static inline size_t random_below(size_t n)
{
	return (size_t)(random_next() >> 16) % n;
}

static inline unsigned long random_ops(unsigned long otherwise)
{
	return environment_number("SPARENA_TEST_OPS", otherwise);
}

/* Ends the test with the way to repeat it. */
#define EXPECT(condition)                                                                            \
	do {                                                                                         \
		if (!(condition)) {                                                                  \
			fprintf(stderr, "%s:%d: not so: %s\n  repeat with SPARENA_TEST_SEED=%u (operation %lu)\n", \
			        __FILE__, __LINE__, #condition, random_seed, random_op);            \
			abort();                                                                     \
		}                                                                                    \
	} while (0)

#endif
