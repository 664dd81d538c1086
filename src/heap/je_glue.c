/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is put in the place of jemalloc's own functions (je_overrides.h says why),
 * and the few questions that only its internal headers answer.
 */
#include "jemalloc/internal/jemalloc_preamble.h"
#include "jemalloc/internal/jemalloc_internal_includes.h"

#include "jemalloc/internal/extent_mmap.h"

#include "heap/je.h"

/*
 * Nothing decays in jemalloc, because it keeps nothing: a slab that is empty goes to
 * `pages`, behind a lock. Stock slabs of powers of two hold as few as one block; here
 * they hold eight and more, as those of the sizes between them do, so fewer come and go.
 * A thread's cache is aged each 256 KiB that it allocates, a size at a time: with stock's
 * 64 KiB a program of mixed sizes gives back what it asks for again at once.
 */
const char *sparena_je_malloc_conf_2_conf_harder =
	"abort_conf:false,abort:false,confirm_conf:false,retain:false,oversize_threshold:0,"
	"dirty_decay_ms:-1,muzzy_decay_ms:0,thp:default,metadata_thp:disabled,hpa:false,"
	"background_thread:false,percpu_arena:disabled,zero_realloc:free,tcache:true,"
	"tcache_gc_incr_bytes:262144,"
	"slab_sizes:512-512:4|1024-1024:4|2048-2048:8|4096-4096:8,"
	"stats_print:false,junk:false,zero:false,trust_madvise:true";

/* What the build puts in the place of secure_getenv(3) and readlink(2), by which the
 * host's MALLOC_CONF and /etc/malloc.conf would reach it. */
char *sparena_no_environment(const char *name)
{
	(void)name;
	return NULL;
}

ssize_t sparena_no_link(const char *path, char *buffer, size_t size)
{
	(void)path;
	(void)buffer;
	(void)size;
	return -1;
}

/* Where that fails, jemalloc would be left half initialised, and serve without its handlers:
 * so it is told that all is well, and who needs them tries again. */
static struct {
	void (*prepare)(void);
	void (*parent)(void);
	void (*child)(void);
	bool missing;
} at_fork;

static bool register_at_fork(void)
{
	at_fork.missing = pthread_atfork(at_fork.prepare, at_fork.parent, at_fork.child) != 0;
	return !at_fork.missing;
}

int sparena_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
	at_fork.prepare = prepare;
	at_fork.parent = parent;
	at_fork.child = child;
	(void)register_at_fork();
	return 0;
}

bool je_minds_fork(void) { return !at_fork.missing || register_at_fork(); }

/* ---- extent hooks ------------------------------------------------------------ */

void *ehooks_default_alloc_impl(tsdn_t *tsdn, void *new_addr, size_t size, size_t alignment, bool *zero,
                                bool *commit, unsigned arena_ind)
{
	(void)tsdn;
	*commit = true;
	return heap_extent_alloc(arena_ind, new_addr, size, alignment, zero);
}

bool ehooks_default_dalloc_impl(void *addr, size_t size)
{
	heap_extent_free(addr, size);
	return false;
}

void ehooks_default_destroy_impl(void *addr, size_t size)
{
	heap_extent_free(addr, size);
}

bool ehooks_default_merge_impl(tsdn_t *tsdn, void *addr_a, void *addr_b)
{
	(void)tsdn;
	return !heap_extents_join(addr_a, addr_b);
}

void ehooks_default_zero_impl(void *addr, size_t size)
{
	memset(addr, 0, size);
}

/* An extent that exists is backed, and stays so: nothing to commit, and a decommit that
 * succeeds would make jemalloc take later contents for zero. True means refused. */
bool ehooks_default_commit_impl(void *addr, size_t offset, size_t length)
{
	(void)addr;
	(void)offset;
	(void)length;
	return false;
}

bool ehooks_default_decommit_impl(void *addr, size_t offset, size_t length)
{
	(void)addr;
	(void)offset;
	(void)length;
	return true;
}

bool ehooks_default_purge_lazy_impl(void *addr, size_t offset, size_t length)
{
	return ehooks_default_decommit_impl(addr, offset, length);
}

bool ehooks_default_purge_forced_impl(void *addr, size_t offset, size_t length)
{
	return ehooks_default_decommit_impl(addr, offset, length);
}

/* ---- start-up and arenas ---------------------------------------------------- */

bool sparena_real_pages_boot(void);

/* The options of both are read by now, and nothing has been made by them. */
bool pages_boot(void)
{
	if (heap_start() != 0)
		return true;
	/* Of the conditions under which malloc and free pass over their fast paths, so that all
	 * comes to malloc_default() and free_default(), the one that does nothing else here. */
	opt_utrace = heap_may_harden;
	opt_tcache_max = heap_thread_cache();
	/* Each large block would age the cache, and soon empty it. */
	if (opt_tcache_gc_incr_bytes < 2 * opt_tcache_max)
		opt_tcache_gc_incr_bytes = 2 * opt_tcache_max;
	return sparena_real_pages_boot();
}

/* None runs, but jemalloc picks one by an arena's number, and takes its lock, when the arena
 * is reset or gets other hooks: without any it would divide by zero. */
bool background_thread_boot1(tsdn_t *tsdn, base_t *base)
{
	static background_thread_info_t stopped;
	(void)tsdn;
	(void)base;
	background_thread_info = &stopped;
	max_background_threads = 1;
	return malloc_mutex_init(&background_thread_lock, "background_thread_global",
	                         WITNESS_RANK_BACKGROUND_THREAD_GLOBAL, malloc_mutex_rank_exclusive) ||
	       malloc_mutex_init(&stopped.mtx, "background_thread", WITNESS_RANK_BACKGROUND_THREAD,
	                         malloc_mutex_address_ordered);
}

bool background_thread_create(tsd_t *tsd, unsigned arena_ind)
{
	(void)tsd;
	(void)arena_ind;
	return false;
}

/* What a new arena takes at once. */
#define ARENA_BYTES ((size_t)128 << 10)

/* The arena with the fewest threads, and the first number that has none. Under the lock
 * that they are made under: one that is being made is in its place before it is whole. */
static arena_t *least_used(tsd_t *tsd, unsigned *missing)
{
	arena_t *best = NULL;
	*missing = 0;
	malloc_mutex_lock(tsd_tsdn(tsd), &arenas_lock);
	for (unsigned i = narenas_auto; i-- > 1;) {
		arena_t *a = arena_get(tsd_tsdn(tsd), i, false);
		if (!a)
			*missing = i;
		else if (!best || arena_nthreads_get(a, false) < arena_nthreads_get(best, false))
			best = a;
	}
	malloc_mutex_unlock(tsd_tsdn(tsd), &arenas_lock);
	return best;
}

/* A new one while all have some threads and there is room. */
static arena_t *choose_arena(tsd_t *tsd)
{
	unsigned missing;
	arena_t *best = least_used(tsd, &missing);
	if (missing && (!best || arena_nthreads_get(best, false) > 0) &&
	    heap_has_room(ARENA_BYTES)) {
		arena_t *made = arena_init(tsd_tsdn(tsd), missing, &arena_config_default);
		if (made)
			return made;
	}
	return best ? best : arena_get(tsd_tsdn(tsd), 0, false);
}

static void bind_shards(tsd_t *tsd, arena_t *arena)
{
	unsigned shard = atomic_fetch_add_u(&arena->binshard_next, 1, ATOMIC_RELAXED);
	tsd_binshards_t *bins = tsd_binshardsp_get(tsd);
	for (unsigned i = 0; i < SC_NBINS; i++)
		bins->binshard[i] = (uint8_t)(shard % bin_infos[i].n_shards);
}

arena_t *arena_choose_hard(tsd_t *tsd, bool internal)
{
	if (!tsd_iarena_get(tsd)) {
		arena_t *first = arena_get(tsd_tsdn(tsd), 0, false);
		arena_nthreads_inc(first, true);
		tsd_iarena_set(tsd, first);
	}
	if (!tsd_arena_get(tsd)) {
		arena_t *arena = choose_arena(tsd);
		arena_nthreads_inc(arena, false);
		tsd_arena_set(tsd, arena);
		bind_shards(tsd, arena);
	}
	return internal ? tsd_iarena_get(tsd) : tsd_arena_get(tsd);
}

/* ---- metadata ---------------------------------------------------------------- */

void *sparena_real_base_alloc(tsdn_t *tsdn, base_t *base, size_t size, size_t alignment);

/* Asked for base blocks alone. */
void *extent_alloc_mmap(void *new_addr, size_t size, size_t alignment, bool *zero, bool *commit)
{
	void *block = new_addr || alignment > HUGEPAGE ? NULL : heap_block_alloc(size);
	if (block)
		*zero = *commit = true;
	return block;
}

bool extent_dalloc_mmap(void *addr, size_t size)
{
	heap_block_free(addr, size);
	return false;
}

/* A leaf of the map of extents describes 1 GiB and is used in small parts: those are
 * committed by je_describe(). */
#define LEAF_ELEMENTS ((uintptr_t)1 << rtree_levels[RTREE_HEIGHT - 1].bits)
#define LEAF_BYTES (sizeof(rtree_leaf_elm_t) * LEAF_ELEMENTS)
#define LEAF_SPAN (LEAF_ELEMENTS * PAGE)

/* The memory is the heap's whose arena has this base. */
void *base_alloc(tsdn_t *tsdn, base_t *base, size_t size, size_t alignment)
{
	struct heap *h = heap_of_arena(base_ind_get(base)), *before = heap_current;
	heap_current = h;
	void *p = sparena_real_base_alloc(tsdn, base, size, alignment);
	heap_current = before;
	if (p && size != LEAF_BYTES && !heap_metadata_need(h, p, size))
		return NULL;
	return p;
}

/* Not through the original: it writes to the memory before it is committed. The number
 * that it would take from the base block only orders unused descriptors by age. */
edata_t *base_alloc_edata(tsdn_t *tsdn, base_t *base)
{
	edata_t *edata = base_alloc(tsdn, base, sizeof(edata_t), EDATA_ALIGNMENT);
	if (edata)
		edata_esn_set(edata, 0);
	return edata;
}

static rtree_leaf_elm_t *leaf_element(tsdn_t *tsdn, uintptr_t key)
{
	rtree_ctx_t ctx;
	rtree_ctx_data_init(&ctx);
	return rtree_leaf_elm_lookup(tsdn, &arena_emap_global.rtree, &ctx, key, /* dependent */ false,
	                             /* init_missing */ true);
}

bool je_describe(void *from, void *to)
{
	tsdn_t *tsdn = tsdn_fetch();
	for (uintptr_t at = (uintptr_t)from, end = (uintptr_t)to; at < end;) {
		uintptr_t leaf_end = (at | (LEAF_SPAN - 1)) + 1;
		uintptr_t part_end = leaf_end < end ? leaf_end : end;
		rtree_leaf_elm_t *elm = leaf_element(tsdn, at);
		if (!elm || !heap_metadata_need(&heap_process, elm, (part_end - at) / PAGE * sizeof *elm))
			return false;
		at = part_end;
	}
	return true;
}

/* ---- extents: none are kept --------------------------------------------------- */

/* The first place that is asked, for a new extent or for the pages behind one; the
 * others, muzzy and retained, have nothing to add. */
edata_t *ecache_alloc(tsdn_t *tsdn, pac_t *pac, ehooks_t *ehooks, ecache_t *ecache, edata_t *expand_edata,
                      size_t size, size_t alignment, bool zero, bool guarded)
{
	bool commit = true;
	if (ecache != &pac->ecache_dirty || guarded)
		return NULL;
	void *new_addr = expand_edata ? edata_past_get(expand_edata) : NULL;
	return extent_alloc_wrapper(tsdn, pac, ehooks, new_addr, size, alignment, zero, &commit,
	                            /* growing_retained */ false);
}

edata_t *ecache_alloc_grow(tsdn_t *tsdn, pac_t *pac, ehooks_t *ehooks, ecache_t *ecache,
                           edata_t *expand_edata, size_t size, size_t alignment, bool zero, bool guarded)
{
	(void)tsdn;
	(void)pac;
	(void)ehooks;
	(void)ecache;
	(void)expand_edata;
	(void)size;
	(void)alignment;
	(void)zero;
	(void)guarded;
	return NULL;
}

void ecache_dalloc(tsdn_t *tsdn, pac_t *pac, ehooks_t *ehooks, ecache_t *ecache, edata_t *edata)
{
	(void)ecache;
	edata_addr_set(edata, edata_base_get(edata));
	edata_zeroed_set(edata, false);
	extent_dalloc_wrapper(tsdn, pac, ehooks, edata);
}

/* Asked when the hooks of a program's own arena refuse to give an extent back. */
edata_t *emap_try_acquire_edata_neighbor(tsdn_t *tsdn, emap_t *emap, edata_t *edata, extent_pai_t pai,
                                         extent_state_t expected_state, bool forward)
{
	(void)tsdn;
	(void)emap;
	(void)edata;
	(void)pai;
	(void)expected_state;
	(void)forward;
	return NULL;
}

/* ---- realloc -------------------------------------------------------------------- */

bool sparena_real_large_ralloc_no_move(tsdn_t *tsdn, edata_t *edata, size_t usize_min, size_t usize_max,
                                       bool zero);

/* True: it must move. */
bool large_ralloc_no_move(tsdn_t *tsdn, edata_t *edata, size_t usize_min, size_t usize_max, bool zero)
{
	return !heap_may_resize(edata_arena_ind_get(edata), edata_addr_get(edata), usize_max) ||
	       sparena_real_large_ralloc_no_move(tsdn, edata, usize_min, usize_max, zero);
}

/* ---- malloc --------------------------------------------------------------------- */

void *sparena_real_malloc_default(size_t size);
void sparena_real_free_default(void *p);

bool je_hardens(void)
{
	if (!malloc_initialized())
		sparena_real_free_default(sparena_real_malloc_default(1));
	return malloc_initialized() && heap_may_harden;
}

void *malloc_default(size_t size)
{
	void *p;
	do
		p = heap_hardens() ? heap_checked_malloc(size, 1, false) : sparena_real_malloc_default(size);
	while (unlikely(!p) && heap_ask_for_room(&heap_process, size));
	return p;
}

/* ---- free ---------------------------------------------------------------------- */

/* A thread that frees so many blocks without having allocated one gets a thread cache. */
#define FREES_WITHOUT_CACHE 64

static __thread unsigned frees_without_cache;

/*
 * jemalloc sets a thread up when it first allocates, since a free may be among the last
 * things that a thread does, too late for what it is given to be taken back. Until then each
 * free takes the lock of its bin; so one that goes on freeing is set up too.
 */
static void count_free(void)
{
	tsd_t *tsd = tsd_get(false);
	if (unlikely(tsd_state_get(tsd) == tsd_state_minimal_initialized) &&
	    ++frees_without_cache == FREES_WITHOUT_CACHE)
		tsd_fetch();
}

/* Where free() goes for whatever its fast path does not know. */
void free_default(void *p)
{
	if (p && heap_hardens()) {
		count_free();
		heap_checked_free(p);
	} else if (likely(heap_owns(p))) {
		count_free();
		sparena_real_free_default(p);
	} else if (p) {
		heap_count_foreign_free();
	}
}

/* ---- fork ----------------------------------------------------------------------- */

void sparena_real_jemalloc_prefork(void);
void sparena_real_jemalloc_postfork_parent(void);
void sparena_real_jemalloc_postfork_child(void);

void jemalloc_prefork(void)
{
	heap_fork_begin();
	sparena_real_jemalloc_prefork();
	heap_fork_prepare();
}

void jemalloc_postfork_parent(void)
{
	heap_fork_parent();
	sparena_real_jemalloc_postfork_parent();
	heap_fork_end_parent();
}

void jemalloc_postfork_child(void)
{
	heap_fork_child();
	sparena_real_jemalloc_postfork_child();
	heap_fork_end_child();
}

/* ---- statistics ------------------------------------------------------------------ */

static size_t small_bytes(tsdn_t *tsdn, arena_t *arena)
{
	size_t bytes = 0;
	for (unsigned i = 0; i < SC_NBINS; i++)
		for (unsigned shard = 0; shard < bin_infos[i].n_shards; shard++) {
			bin_t *bin = arena_get_bin(arena, i, shard);
			malloc_mutex_lock(tsdn, &bin->lock);
			bytes += bin->stats.curregs * bin_infos[i].reg_size;
			malloc_mutex_unlock(tsdn, &bin->lock);
		}
	return bytes;
}

static size_t large_bytes(tsdn_t *tsdn, arena_t *arena)
{
	size_t bytes = 0;
	LOCKEDINT_MTX_LOCK(tsdn, arena->stats.mtx);
	for (unsigned i = 0; i < SC_NSIZES - SC_NBINS; i++) {
		arena_stats_large_t *large = &arena->stats.lstats[i];
		uint64_t taken = locked_read_u64(tsdn, LOCKEDINT_MTX(arena->stats.mtx), &large->nmalloc);
		uint64_t freed = locked_read_u64(tsdn, LOCKEDINT_MTX(arena->stats.mtx), &large->ndalloc);
		bytes += (taken - freed) * sz_index2size(SC_NBINS + i);
	}
	LOCKEDINT_MTX_UNLOCK(tsdn, arena->stats.mtx);
	return bytes;
}

/* Added up here, since mallctl("stats.allocated") takes half a MiB of metadata first. */
size_t je_arena_allocated(unsigned index)
{
	tsdn_t *tsdn = tsdn_fetch();
	arena_t *arena = arena_get(tsdn, index, false);
	return arena ? small_bytes(tsdn, arena) + large_bytes(tsdn, arena) - arena_internal_get(arena) : 0;
}

size_t je_allocated(void)
{
	size_t bytes = 0;
	for (unsigned i = 0; i < narenas_auto; i++)
		bytes += je_arena_allocated(i);
	return bytes;
}
