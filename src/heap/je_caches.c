/* SPDX-License-Identifier: BSD-2-Clause */
/* jemalloc's thread caches: how much they hold, who gets one, and what is there without one. */
#include "jemalloc/internal/jemalloc_preamble.h"
#include "jemalloc/internal/jemalloc_internal_includes.h"

#include "heap/je.h"

void sparena_real_tcache_gc_event_handler(tsd_t *tsd, uint64_t elapsed);
void sparena_real_cache_bin_info_init(cache_bin_info_t *info, cache_bin_sz_t ncached_max);

/* Of blocks above jemalloc's own 32 KiB (thread_cache) a thread keeps no more than so many
 * bytes of each size; jemalloc wants an even number, and not none. */
#define KEPT_ABOVE ((size_t)32 << 10)
#define KEPT_BYTES ((size_t)2 << 20)

void cache_bin_info_init(cache_bin_info_t *info, cache_bin_sz_t ncached_max)
{
	size_t size = sz_index2size((szind_t)(info - tcache_bin_info));
	size_t most = KEPT_BYTES / size & ~(size_t)1;
	bool fits = size <= KEPT_ABOVE || ncached_max <= most;
	sparena_real_cache_bin_info_init(info, fits ? ncached_max : (cache_bin_sz_t)most);
}

/* Makes the cache of a thread that comes here for the first time, also when it is an
 * explicit heap that it comes for. */
static bool make_cache(tsd_t *tsd)
{
	struct heap *before = heap_current;
	bool internal_before = heap_internal;
	heap_current = NULL;
	heap_internal = true;
	bool failed = tsd_tcache_data_init(tsd);
	heap_internal = internal_before;
	heap_current = before;
	return !failed;
}

/* A new cache takes no more than so many blocks of a size at once, and bytes. jemalloc starts
 * with half of what it holds, 10 to 100: a thread that needs few gives them all back when it
 * ends, and until then what was never used is as resident as the rest. */
#define FIRST_FILL ((size_t)16)
#define FIRST_FILL_BYTES ((size_t)16 << 10)

/* From here on jemalloc doubles and halves it as each size is used. */
static void fill_little_at_first(tsd_t *tsd)
{
	tcache_slow_t *slow = tsd_tcache_slowp_get(tsd);
	for (unsigned i = 0; i < SC_NBINS; i++) {
		size_t most = FIRST_FILL_BYTES / bin_infos[i].reg_size;
		size_t holds = cache_bin_info_ncached_max(&tcache_bin_info[i]);
		most = most > FIRST_FILL ? FIRST_FILL : most ? most : 1;
		while (holds >> slow->lg_fill_div[i] > most)
			slow->lg_fill_div[i]++;
	}
}

bool tsd_tcache_enabled_data_init(tsd_t *tsd)
{
	tsd_tcache_enabled_set(tsd, HEAP_SERVES_MALLOC);
	tsd_slow_update(tsd);
	if (!HEAP_SERVES_MALLOC)
		return false;
	if (make_cache(tsd)) {
		fill_little_at_first(tsd);
		return false;
	}
	tsd_tcache_enabled_set(tsd, false);
	tsd_slow_update(tsd);
	heap_count_uncached_thread(&heap_process);
	return false;
}

void tcache_gc_event_handler(tsd_t *tsd, uint64_t elapsed)
{
	sparena_real_tcache_gc_event_handler(tsd, elapsed);
	heap_tick();
}

void je_flush_thread_cache(void)
{
	tsd_t *tsd = tsd_fetch();
	if (tcache_available(tsd))
		tcache_flush(tsd);
}
