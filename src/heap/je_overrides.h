/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The places at which sparena gets between jemalloc's own functions. This header
 * is included ahead of every file of jemalloc when it is compiled: a weak
 * definition gives way to ours in je_glue.c, for calls from its own file too, and
 * the build keeps the original reachable as sparena_real_NAME. The version of
 * jemalloc is pinned, and the build fails where a name is missing.
 */

/* jemalloc.c, where malloc and free begin, counts no requests: nobody asks for them, and
 * they are 5 of 79 instructions of a pair. What is allocated is counted in other files. */
#ifdef SPARENA_ENTRY_POINTS
#include "jemalloc/internal/jemalloc_internal_defs.h"
#undef JEMALLOC_STATS
#endif

/* The first thing of jemalloc's start-up that asks the system for something: our regions
 * come before it. */
#pragma weak sparena_je_pages_boot

/* The default extent hooks are ours: every arena, also the first, has them from its
 * birth, and a call of them costs nothing, while custom hooks are wrapped in a guard
 * against reentrance (20 instructions of 640 for each malloc and free of 1,000 bytes). */
#pragma weak sparena_je_ehooks_default_alloc_impl
#pragma weak sparena_je_ehooks_default_dalloc_impl
#pragma weak sparena_je_ehooks_default_destroy_impl
#pragma weak sparena_je_ehooks_default_merge_impl

/* The default would give the pages back instead, or ask the kernel for zeroed ones. */
#pragma weak sparena_je_ehooks_default_zero_impl
#pragma weak sparena_je_ehooks_default_commit_impl
#pragma weak sparena_je_ehooks_default_decommit_impl
#pragma weak sparena_je_ehooks_default_purge_lazy_impl
#pragma weak sparena_je_ehooks_default_purge_forced_impl

/* Metadata: address space from our region instead of mmap(2)... */
#pragma weak sparena_je_extent_alloc_mmap
#pragma weak sparena_je_extent_dalloc_mmap

/* ...committed and charged step by step, as it is handed out. */
#pragma weak sparena_je_base_alloc
#pragma weak sparena_je_base_alloc_edata

/* Arenas are made when they are needed, and one that cannot be made is done without;
 * arena 0 is left to jemalloc's own allocations. */
#pragma weak sparena_je_arena_choose_hard

/* jemalloc ignores that a thread cache could not be had, and crashes: run without. */
#pragma weak sparena_je_tsd_tcache_enabled_data_init

/* Extents are not kept by the arenas: `pages` keeps them, for all arenas alike. */
#pragma weak sparena_je_ecache_alloc
#pragma weak sparena_je_ecache_alloc_grow
#pragma weak sparena_je_ecache_dalloc

/* One that could not be given back stays apart: the map of what lies beside it may not be
 * open yet. */
#pragma weak sparena_je_emap_try_acquire_edata_neighbor

/* Never used, and a start-up that has no memory for them would leave jemalloc half
 * initialised: the next malloc would crash. */
#pragma weak sparena_je_background_thread_boot1
#pragma weak sparena_je_background_thread_create

/* How many blocks of a size a thread's cache holds, by the bytes that they are. */
#pragma weak sparena_je_cache_bin_info_init

/* Called for each 256 KiB that a thread allocates: time to look at the clock. */
#pragma weak sparena_je_tcache_gc_event_handler

/* A block that crosses lazy_above moves: whether it is backed goes by its size. */
#pragma weak sparena_je_large_ralloc_no_move

/* free() of an address that is not ours must not reach jemalloc's lookup. */
#pragma weak sparena_je_free_default

/* Our locks are taken after jemalloc's before fork(2), and let go before them. */
#pragma weak sparena_je_jemalloc_prefork
#pragma weak sparena_je_jemalloc_postfork_parent
#pragma weak sparena_je_jemalloc_postfork_child

/* Where malloc() goes when its fast path has nothing: the program may be asked to free
 * something before it fails. */
#pragma weak sparena_je_malloc_default
