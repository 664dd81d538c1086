/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sparena/sparena.h: which library this is, what it can do here, and why the last
 * call failed.
 */
#ifndef SPARENA_SPARENA_H
#define SPARENA_SPARENA_H

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* The version of these headers. */
#define SPARENA_VERSION "0.1.0"

/* The version of the library that is loaded. */
const char *sparena_version(void);

/* Bits of sparena_features(). */
#define SPARENA_FEATURE_POPULATE (1UL << 0) /* the kernel has MADV_POPULATE_WRITE */
#define SPARENA_FEATURE_THP (1UL << 1)      /* transparent huge pages can be had */

/*
 * What the running kernel offers, as SPARENA_FEATURE_* bits. Asks the kernel each
 * time. Thread-safe.
 */
unsigned long sparena_features(void);

/*
 * Why the last sparena call that failed in this thread did so, as one line in
 * English; "" when none did. Valid until the next failing call in this thread.
 */
const char *sparena_last_error(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
