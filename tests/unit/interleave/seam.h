/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Included in front of region's and pages' files, as they are compiled for test_interleave:
 * each atomic operation is a point at which another thread may go on. One thread runs at a
 * time, so the order of memory is not what is looked at.
 */
#ifndef SPARENA_TESTS_INTERLEAVE_SEAM_H
#define SPARENA_TESTS_INTERLEAVE_SEAM_H

#include <stdatomic.h>

void schedule_atomic(const char *what);

#undef atomic_load
#undef atomic_load_explicit
#undef atomic_store
#undef atomic_store_explicit
#undef atomic_fetch_add
#undef atomic_fetch_add_explicit
#undef atomic_fetch_and
#undef atomic_fetch_or
#undef atomic_fetch_sub
#undef atomic_fetch_sub_explicit
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_weak

#ifdef __clang__
#define SEAM(operation) __c11_atomic_##operation
#define SEAM_SWAP(p, old, new) __c11_atomic_compare_exchange_strong(p, old, new, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
#else
#define SEAM_load __atomic_load_n
#define SEAM_store __atomic_store_n
#define SEAM_exchange __atomic_exchange_n
#define SEAM_fetch_add __atomic_fetch_add
#define SEAM_fetch_and __atomic_fetch_and
#define SEAM_fetch_or __atomic_fetch_or
#define SEAM_fetch_sub __atomic_fetch_sub
#define SEAM(operation) SEAM_##operation
#define SEAM_SWAP(p, old, new) \
	__atomic_compare_exchange_n(p, old, new, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
#endif

#define atomic_load_explicit(p, order) (schedule_atomic("load " #p), SEAM(load)(p, order))
#define atomic_store_explicit(p, n, order) (schedule_atomic("store " #p), SEAM(store)(p, n, order))
#define atomic_exchange_explicit(p, n, order) (schedule_atomic("exchange " #p), SEAM(exchange)(p, n, order))
#define atomic_fetch_add_explicit(p, n, order) (schedule_atomic("add " #p), SEAM(fetch_add)(p, n, order))
#define atomic_fetch_sub_explicit(p, n, order) (schedule_atomic("subtract " #p), SEAM(fetch_sub)(p, n, order))
#define atomic_compare_exchange_weak(p, old, new) (schedule_atomic("swap " #p), SEAM_SWAP(p, old, new))
#define atomic_load(p) atomic_load_explicit(p, memory_order_seq_cst)
#define atomic_store(p, n) atomic_store_explicit(p, n, memory_order_seq_cst)
#define atomic_fetch_and(p, n) (schedule_atomic("and " #p), SEAM(fetch_and)(p, n, memory_order_seq_cst))
#define atomic_fetch_or(p, n) (schedule_atomic("or " #p), SEAM(fetch_or)(p, n, memory_order_seq_cst))
#define atomic_fetch_add(p, n) atomic_fetch_add_explicit(p, n, memory_order_seq_cst)
#define atomic_fetch_sub(p, n) atomic_fetch_sub_explicit(p, n, memory_order_seq_cst)

#endif
