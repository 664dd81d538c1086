/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of statistics: X(member, unit, help), in the order of the members of
 * struct sparena_stats, which print.c asserts. Units: bytes (a level), count and
 * ns (they only grow), text (an index into names).
 */
#ifndef SPARENA_STATS_TABLE_H
#define SPARENA_STATS_TABLE_H

#define STATS_TABLE(X)                                                                             \
	X(limit, bytes, "Most memory that may be charged, metadata included")                      \
	X(committed, bytes, "Data charged now")                                                    \
	X(committed_peak, bytes, "Most data that was ever charged")                                \
	X(resident, bytes, "Data and metadata resident or in swap, by the kernel's own view")       \
	X(metadata, bytes, "The allocator's own memory, charged beside committed")                 \
	X(reserved, bytes, "Address space reserved for data")                                      \
	X(allocated, bytes, "In blocks that the program holds, page runs of caches included")      \
	X(exhausted, count, "Allocations refused because no memory was left")                      \
	X(commits, count, "Steps of growth")                                                       \
	X(decommits, count, "Steps of giving back")                                                \
	X(populate_ns, ns, "Time spent populating, nanoseconds")                                   \
	X(faults_avoided, count, "Page faults that populating took the place of")                  \
	X(foreign_frees, count, "Addresses handed to free() that are not ours")                    \
	X(uncached_threads, count, "Threads that got no thread cache for lack of memory")          \
	X(backing, text, "Where memory comes from")                                                \
	X(page_size, bytes, "Page size of the backing")                                            \
	X(granule, bytes, "Smallest unit that is committed")                                       \
	X(guarded, count, "Steps of growth refused because the machine or a cgroup had no room")   \
	X(helper_lost, count, "Helper processes that were killed, of all heaps")                   \
	X(lazy, bytes, "Charged beside committed for blocks above lazy_above, not populated") \
	X(swapped, bytes, "Of resident, in swap")                                                  \
	X(broken, bytes, "Retired, not charged: where the hardware had lost a page")               \
	X(merged, bytes, "Of the whole process, pages merged with others that are alike (KSM)")

#endif
