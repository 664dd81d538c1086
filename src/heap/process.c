/* SPDX-License-Identifier: BSD-2-Clause */
/* The heap behind malloc: statistics, exit. */
#include <unistd.h>

#include "heap/heap.h"
#include "heap/je.h"
#include "os/os.h"
#include "stats/stats.h"

struct heap heap_process;

void heap_say(const char *text, const char *detail)
{
	char line[CONF_ERROR_MAX + 64];
	struct text t;
	text_init(&t, line, sizeof line);
	text_add(&t, "sparena: %s%s\n", text, detail);
	(void)os_write_all(STDERR_FILENO, line, t.length); /* nobody is left to tell */
}

/* ---- for je_glue.c ----------------------------------------------------------- */

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
	return (h->data.base ? pages_trim(&h->pages, SIZE_MAX) : 0) + pages_trim(&h->meta_pages, SIZE_MAX);
}

static uint64_t count_of(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Of what lies below the frontiers: above them nothing was ever touched. */
static uint64_t resident_bytes(struct heap *h)
{
	size_t total = 0;
	for (int kind = 0; kind < PAGES_KINDS; kind++) {
		size_t from = h->pages.zone[kind].start, bytes = 0;
		size_t length = pages_frontier(&h->pages, kind) - from;
		if (length && region_resident(&h->data, from, length, &bytes) == 0)
			total += bytes;
	}
	struct { size_t from, end; } parts[] = {
		{ 0, h->blocks_at },
		{ h->blocks_at, h->meta_pages.from + pages_frontier(&h->meta_pages, PAGES_SMALL) },
	};
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		size_t bytes = 0;
		if (region_resident(&h->meta, parts[i].from, parts[i].end - parts[i].from, &bytes) == 0)
			total += bytes;
	}
	return total;
}

void heap_stats(struct heap *h, struct sparena_stats *s, bool resident)
{
	struct region_counts counts, meta_counts;
	region_get_counts(&h->data, &counts);
	region_get_counts(&h->meta, &meta_counts);
	*s = (struct sparena_stats){
		.limit = budget_limit(&h->budget) == CONF_UNLIMITED ? UINT64_MAX : budget_limit(&h->budget),
		.committed = region_committed(&h->data),
		.committed_peak = counts.committed_peak,
		.resident = resident ? resident_bytes(h) : 0,
		.metadata = region_committed(&h->meta),
		.reserved = h->data.size,
		.allocated = h == &heap_process ? je_allocated() : je_arena_allocated(h->arena),
		.exhausted = __atomic_load_n(&h->pages.exhausted, __ATOMIC_RELAXED),
		.commits = counts.commits,
		.decommits = counts.decommits,
		.populate_ns = counts.populate_ns,
		.faults_avoided = counts.faults_avoided,
		.foreign_frees = count_of(&h->foreign_frees),
		.uncached_threads = count_of(&h->uncached_threads),
		.backing = h->backing,
		.page_size = h->data.backing.page_size,
		.granule = h->data.granule,
		.guarded = counts.guarded + meta_counts.guarded,
		.helper_lost = charger_lost(&guard_of_process()->charger),
	};
}

void heap_at_exit(void)
{
	struct heap *h = &heap_process;
	struct sparena_stats s;
	if (!h->data.base || os_pid() != h->owner_pid)
		return;
	charger_end(&guard_of_process()->charger);
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
