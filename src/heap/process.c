/* SPDX-License-Identifier: BSD-2-Clause */
/* The heap behind malloc: statistics, exit. */
#include <unistd.h>

#include "heap/heap.h"
#include "heap/je.h"
#include "os/os.h"
#include "stats/stats.h"

struct heap heap_process;
bool heap_may_harden = true;

void heap_say(const char *text, const char *detail)
{
	char line[CONF_ERROR_MAX + 64];
	struct text t;
	text_init(&t, line, sizeof line);
	text_add(&t, "sparena: %s%s\n", text, detail);
	(void)os_write_all(STDERR_FILENO, line, t.length); /* nobody is left to tell */
}

/* ---- for je_glue.c ----------------------------------------------------------- */

size_t heap_thread_cache(void) { return heap_process.conf.thread_cache; }

bool heap_has_room(size_t bytes)
{
	return budget_has_room(&heap_process.budget, bytes, heap_process.reserve / 2);
}

void heap_count_foreign_free(void)
{
	atomic_fetch_add_explicit(&heap_process.foreign_frees, 1, memory_order_relaxed);
}

void heap_count_uncached_thread(struct heap *h)
{
	atomic_fetch_add_explicit(&h->uncached_threads, 1, memory_order_relaxed);
}

/* ---- the whole --------------------------------------------------------------- */

/* Not for what the callback itself allocates. */
bool heap_ask_for_room(struct heap *h, size_t need)
{
	static __thread bool asking;
	if (!h->freed_some || asking)
		return false;
	asking = true;
	bool freed = h->freed_some(h->freed_some_context, need);
	asking = false;
	return freed;
}

size_t heap_trim(struct heap *h, size_t want)
{
	size_t got = h->data.base ? pages_trim(&h->pages, want) : 0;
	if (got < want)
		got += pages_trim(&h->meta_pages, want - got);
	if (got < want && h->lazy.base) /* what could not be given back at once */
		got += pages_trim(&h->lazy_pages, want - got);
	return got;
}

static void flush_thread_cache(struct heap *h)
{
	unsigned cache = h == &heap_process ? JE_NO_CACHE : heap_cache(h);
	if (h == &heap_process)
		je_flush_thread_cache();
	else if (cache != JE_NO_CACHE)
		je_cache_flush(cache);
}

size_t heap_purge(struct heap *h)
{
	flush_thread_cache(h);
	return heap_trim(h, SIZE_MAX);
}

int heap_page_out(struct heap *h)
{
	(void)heap_purge(h); /* what nobody uses is not worth swap */
	int err = h->data.base ? pages_page_out(&h->pages) : 0;
	return err || !h->lazy.base ? err : pages_page_out(&h->lazy_pages);
}

static uint64_t count_of(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static uint64_t exhausted(const struct pages *p) { return __atomic_load_n(&p->exhausted, __ATOMIC_RELAXED); }

static size_t retired(const struct pages *p) { return __atomic_load_n(&p->retired, __ATOMIC_RELAXED); }

/* What the kernel says of a range: region_resident(), region_swapped(). */
typedef int measure(struct region *r, size_t offset, size_t length, size_t *bytes);

static size_t measured(struct region *r, size_t from, size_t end, measure *of)
{
	size_t bytes = 0;
	return end > from && of(r, from, end - from, &bytes) == 0 ? bytes : 0;
}

/* Of what lies below the frontiers: above them nothing was ever touched. */
static size_t measured_pages(struct pages *p, measure *of)
{
	size_t total = 0;
	for (int kind = 0; kind < PAGES_KINDS; kind++)
		total += measured(p->region, p->from + p->zone[kind].start, p->from + pages_frontier(p, kind), of);
	return total;
}

static uint64_t measured_heap(struct heap *h, measure *of)
{
	size_t blocks_end = h->blocks_at;
	size_t caches_end = h->meta_pages.from + pages_frontier(&h->meta_pages, PAGES_SMALL);
	return measured_pages(&h->pages, of) + (h->lazy.base ? measured_pages(&h->lazy_pages, of) : 0) +
	       measured(&h->meta, 0, blocks_end, of) + measured(&h->meta, blocks_end, caches_end, of);
}

void heap_stats(struct heap *h, struct sparena_stats *s, bool resident)
{
	struct region_counts counts, meta_counts, lazy_counts;
	region_get_counts(&h->data, &counts);
	region_get_counts(&h->meta, &meta_counts);
	region_get_counts(&h->lazy, &lazy_counts);
	*s = (struct sparena_stats){
		.limit = budget_limit(&h->budget) == CONF_UNLIMITED ? UINT64_MAX : budget_limit(&h->budget),
		.committed = region_committed(&h->data),
		.committed_peak = counts.committed_peak,
		.resident = resident ? measured_heap(h, region_resident) : 0,
		.metadata = region_committed(&h->meta),
		.reserved = h->data.size + h->lazy.size,
		.allocated = h == &heap_process ? je_allocated() : je_arena_allocated(h->arena),
		.exhausted = exhausted(&h->pages) + exhausted(&h->lazy_pages),
		.commits = counts.commits + lazy_counts.commits,
		.decommits = counts.decommits + lazy_counts.decommits,
		.populate_ns = counts.populate_ns,
		.faults_avoided = counts.faults_avoided,
		.foreign_frees = count_of(&h->foreign_frees),
		.uncached_threads = count_of(&h->uncached_threads),
		.backing = h->backing,
		.page_size = h->data.backing.page_size,
		.granule = h->data.granule,
		.guarded = counts.guarded + meta_counts.guarded,
		.helper_lost = charger_lost(&guard_of_process()->charger),
		.lazy = region_committed(&h->lazy),
		.swapped = resident ? measured_heap(h, region_swapped) : 0,
		.broken = retired(&h->pages) + retired(&h->meta_pages) + retired(&h->lazy_pages),
		.merged = resident ? os_merged() : 0,
	};
}

void heap_at_exit(void)
{
	struct heap *h = &heap_process;
	struct sparena_stats s;
	if (!h->data.base || os_pid() != h->owner_pid)
		return;
	heap_background_stop(h); /* the statistics are of a quiet moment */
	charger_end(&guard_of_process()->charger);
	backing_remove_name(&h->data.backing); /* the memory is used until the very end */
	if (!h->conf.stats_print && !h->conf.stats_file[0])
		return;
	heap_stats(h, &s, true);
	int err = h->conf.stats_print ? stats_write(&s, STDERR_FILENO, "text") : 0;
	if (!err && h->conf.stats_file[0]) {
		err = stats_write_file(&s, h->conf.stats_file);
		if (err)
			heap_say("cannot write statistics to ", h->conf.stats_file);
	}
}
