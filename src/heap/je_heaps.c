/* SPDX-License-Identifier: BSD-2-Clause */
/* What explicit heaps, and blocks that are checked, ask of jemalloc's insides: arenas and
 * thread caches of their own, and what it knows of an address. */
#include "jemalloc/internal/jemalloc_preamble.h"
#include "jemalloc/internal/jemalloc_internal_includes.h"

#include "heap/je.h"

/* Where malloc is ours it has started with the program. Otherwise it starts here. A start
 * that fails must not be tried again by another thread: jemalloc lets that one wait until
 * the first has made it. */
bool je_start(void)
{
	static pthread_t tried_by;
	static bool tried;
	if (malloc_initialized())
		return je_minds_fork();
	if (tried && !pthread_equal(tried_by, pthread_self()))
		return false;
	tried = true;
	tried_by = pthread_self();
	void *p = sparena_je_malloc(1);
	sparena_je_free(p);
	return p != NULL && je_minds_fork();
}

unsigned je_first_arena(void) { return narenas_auto; }

bool je_arena_create(unsigned index)
{
	return arena_init(tsd_tsdn(tsd_fetch()), index, &arena_config_default) != NULL;
}

void je_arena_destroy(unsigned index)
{
	tsd_t *tsd = tsd_fetch();
	arena_t *arena = arena_get(tsd_tsdn(tsd), index, false);
	arena_reset(tsd, arena);
	arena_destroy(tsd, arena);
}

bool je_cache_create(unsigned *cache)
{
	heap_internal = true;
	bool failed = tcaches_create(tsd_fetch(), b0get(), cache);
	heap_internal = false;
	return !failed;
}

void je_cache_destroy(unsigned cache) { tcaches_destroy(tsd_fetch(), cache); }

/* Not by tcaches_flush(), which throws the cache away and makes a new one with the next
 * use: in the program's memory, and when there is none that is the end of the program. */
void je_cache_flush(unsigned cache)
{
	tsd_t *tsd = tsd_fetch();
	tcache_t *tcache = tcaches_get(tsd, cache);
	for (unsigned i = 0; i < nhbins; i++)
		if (i < SC_NBINS)
			tcache_bin_flush_small(tsd, tcache, &tcache->bins[i], i, 0);
		else
			tcache_bin_flush_large(tsd, tcache, &tcache->bins[i], i, 0);
}

/* jemalloc does this for the thread's own cache alone. */
void je_cache_keep(unsigned cache)
{
	tsd_t *tsd = tsd_fetch();
	tcache_t *tcache = tcaches_get(tsd, cache);
	arena_t *arena = tcache->tcache_slow->arena;
	tcache->tcache_slow->arena = NULL;
	tcache_arena_associate(tsd_tsdn(tsd), tcache->tcache_slow, tcache, arena);
}

static int cache_flag(unsigned cache)
{
	return cache == JE_OWN_CACHE ? 0 : cache == JE_NO_CACHE ? MALLOCX_TCACHE_NONE : MALLOCX_TCACHE(cache);
}

static int flags_for(unsigned arena, unsigned cache)
{
	return cache == JE_OWN_CACHE ? 0 : MALLOCX_ARENA(arena) | cache_flag(cache);
}

void *je_arena_malloc(unsigned arena, unsigned cache, size_t size, size_t align, bool zero)
{
	int flags = flags_for(arena, cache) | MALLOCX_ALIGN(align) | (zero ? MALLOCX_ZERO : 0);
	return sparena_je_mallocx(size, flags);
}

void *je_arena_realloc(unsigned arena, unsigned cache, void *p, size_t size)
{
	return sparena_je_rallocx(p, size, flags_for(arena, cache));
}

void sparena_real_free_default(void *p);

void je_arena_free(unsigned cache, void *p)
{
	if (cache == JE_OWN_CACHE) /* does not set up a thread that is about to end */
		sparena_real_free_default(p);
	else
		sparena_je_dallocx(p, cache_flag(cache));
}

/* Whether a slab's block begins there, and is out: in a thread's cache it is still. */
static bool is_region(edata_t *slab, szind_t index, const void *p)
{
	const bin_info_t *info = &bin_infos[index];
	size_t offset = (uintptr_t)p - (uintptr_t)edata_addr_get(slab), number = offset / info->reg_size;
	return offset % info->reg_size == 0 && number < info->nregs &&
	       bitmap_get(edata_slab_data_get(slab)->bitmap, &info->bitmap_info, number);
}

size_t je_block_size(const void *p, unsigned *arena)
{
	emap_full_alloc_ctx_t found;
	if (emap_full_alloc_ctx_try_lookup(TSDN_NULL, &arena_emap_global, p, &found))
		return 0;
	edata_t *edata = found.edata;
	if (!edata || edata_state_get(edata) != extent_state_active || found.szind >= SC_NSIZES)
		return 0;
	if (found.slab ? !is_region(edata, found.szind, p) : p != edata_addr_get(edata))
		return 0;
	*arena = edata_arena_ind_get(edata);
	return sz_index2size(found.szind);
}
