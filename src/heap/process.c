/* SPDX-License-Identifier: BSD-2-Clause */
/* The heap behind malloc: start-up, statistics, exit, fork. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heap/heap.h"
#include "heap/je.h"
#include "os/os.h"
#include "stats/stats.h"

struct heap heap_process;

#define EXIT_CONFIG 78 /* EX_CONFIG of sysexits.h */
#define DEFAULT_RESERVE TiB
#define MOST_RESERVE (8 * TiB) /* pages are counted in 32 bits */
#define LEAST_RESERVE (64 * MiB)
#define LEAST_META (128 * MiB)
#define META_SHARE 64 /* of the data's address space */

static const char name_data[] = "sparena: data", name_meta[] = "sparena: metadata";

/* ---- messages -------------------------------------------------------------- */

static void say(const char *format, const char *detail)
{
	char line[CONF_ERROR_MAX + 64];
	struct text t;
	text_init(&t, line, sizeof line);
	text_add(&t, "sparena: ");
	text_add(&t, "%s%s\n", format, detail);
	(void)os_write_all(STDERR_FILENO, line, t.length); /* nobody is left to tell */
}

static void report_option(const char *reason) { say("SPARENA_CONF: ", reason); }

/* ---- options --------------------------------------------------------------- */

/* A bad part is reported and keeps its default; with strict:true it is the end. */
static void read_options(struct conf *c)
{
	static char text[4096]; /* of the environment, where the C library has none yet */
	char error[CONF_ERROR_MAX];
	conf_default(c);
	const char *options = os_is_secure() ? NULL : os_environment("SPARENA_CONF", text, sizeof text);
	size_t bad = conf_parse_lenient(c, options, CONF_SCOPE_PROCESS, os_memory_total(), report_option);
	if (conf_check(c, CONF_LIMIT_MINIMUM, error)) {
		report_option(error);
		bad++;
		c->limit = CONF_UNLIMITED;
		c->reserve = CONF_AUTO;
	}
	if (bad && c->strict)
		_exit(EXIT_CONFIG);
}

/* ---- address space --------------------------------------------------------- */

/*
 * Either zone must be able to hold what the limit allows, and runs do not fit
 * without gaps: twice the limit and a little. More than the machine has cannot be
 * committed, whatever the limit says.
 */
static size_t least_data_size(const struct conf *c)
{
	size_t memory = os_memory_total();
	size_t most = size_min(c->limit, memory ? size_min(memory, MOST_RESERVE / 4) : MOST_RESERVE / 4);
	if (c->limit == CONF_UNLIMITED)
		return LEAST_RESERVE;
	return size_max(size_up(2 * most, CHUNK_SIZE) + 16 * MiB, LEAST_RESERVE);
}

static int reserve_data(struct heap *h, size_t size, bool huge)
{
	return region_init(&h->data, &(struct region_config){
		.backing = &backing_anon,
		.size = size,
		.size_min = size,
		.granule = SMALL_GRANULE,
		.huge_in = huge ? 2 : 0,
		.closed = true,
		.piece = CHUNK_SIZE,
		.budget = &h->budget,
		.name = name_data,
	});
}

static int reserve_meta(struct heap *h, size_t data_size)
{
	size_t size = size_up(size_max(data_size / META_SHARE, LEAST_META), CHUNK_SIZE);
	return region_init(&h->meta, &(struct region_config){
		.backing = &backing_anon,
		.size = size,
		.size_min = size,
		.granule = os_page_size(),
		.closed = true,
		.piece = CHUNK_SIZE,
		.budget = &h->budget,
		.name = name_meta,
	});
}

static int reserve_both(struct heap *h, size_t size, bool huge)
{
	int err = reserve_data(h, size, huge);
	if (err)
		return err;
	err = reserve_meta(h, size);
	if (err)
		region_destroy(&h->data);
	return err;
}

/* Whether the program has address space left for its stacks, files and libraries. */
static bool leaves_room(size_t size)
{
	void *room;
	if (os_reserve(size, CHUNK_SIZE, &room))
		return false;
	os_release(room, size);
	return true;
}

/* As much as the system allows, by halves; where it sets bounds, not all of it. */
static int reserve(struct heap *h, bool huge)
{
	size_t least = least_data_size(&h->conf);
	size_t wanted = h->conf.reserve == CONF_AUTO ? DEFAULT_RESERVE : size_min(h->conf.reserve, MOST_RESERVE);
	for (size_t size = size_max(size_up(wanted, CHUNK_SIZE), least);; size = size_max(size_up(size / 2, CHUNK_SIZE), least)) {
		int err = reserve_both(h, size, huge);
		if (size == least || (err && err != -ENOMEM))
			return err;
		if (!err && leaves_room(size / 4))
			return 0;
		if (!err) {
			region_destroy(&h->data);
			region_destroy(&h->meta);
		}
	}
}

/* meta: [index of data | index of meta's own pages | base blocks | thread caches] */
static int lay_out(struct heap *h, enum pages_thp thp)
{
	struct conf *c = &h->conf;
	size_t index = pages_index_bytes(h->data.size, h->data.granule);
	size_t rest = size_up(index + pages_index_bytes(h->meta.size, h->meta.granule), CHUNK_SIZE);
	size_t caches_at = size_up(rest + (h->meta.size - rest) / 2, CHUNK_SIZE);

	h->blocks_at = rest;
	h->blocks = size_min((caches_at - rest) / CHUNK_SIZE, HEAP_MOST_BLOCKS);
	struct pages_config config = {
		.region = &h->data,
		.size = h->data.size,
		.meta = &h->meta,
		.thp = thp,
		.commit_ahead = c->commit_ahead,
		.decay_ms = c->decay_ms,
	};
	int err = pages_init(&h->pages, &config);
	if (err)
		return err;
	config.region = &h->meta;
	config.from = caches_at;
	config.size = h->meta.size - caches_at;
	config.index_at = index;
	config.thp = PAGES_THP_NEVER;
	err = pages_init(&h->meta_pages, &config);
	h->pages.sibling = &h->meta_pages;
	h->meta_pages.sibling = &h->pages;
	return err;
}

static enum pages_thp thp_mode(const struct conf *c)
{
	switch (c->thp) {
	case CONF_THP_ALWAYS:
		return PAGES_THP_ALWAYS;
	case CONF_THP_NEVER:
		return PAGES_THP_NEVER;
	default:
		return os_thp_usable() ? PAGES_THP_AUTO : PAGES_THP_NEVER;
	}
}

/* A thirty-second of the limit, within bounds. */
static size_t reserve_for(size_t limit)
{
	if (limit == CONF_UNLIMITED)
		return 0;
	return size_up(size_min(size_max(limit / 32, 256 * KiB), 8 * MiB), SMALL_GRANULE);
}

static void log_start(const struct heap *h)
{
	char limit[SIZE_TEXT_MAX] = "none", reserved[SIZE_TEXT_MAX], line[128];
	struct text t;
	if (h->conf.limit != CONF_UNLIMITED)
		size_format(h->conf.limit, limit);
	size_format(h->data.size, reserved);
	text_init(&t, line, sizeof line);
	text_add(&t, "limit %s, reserved %s, huge pages %s", limit, reserved,
	         h->pages.thp == PAGES_THP_NEVER ? "never" : h->pages.thp == PAGES_THP_ALWAYS ? "always" : "auto");
	say(line, "");
}

/* Everything that was had is given back, for another try with the next malloc. */
static void give_up(struct heap *h)
{
	static bool said;
	if (h->meta.base)
		region_destroy(&h->meta);
	if (h->data.base)
		region_destroy(&h->data);
	if (!said)
		say("cannot start: no address space or memory for the heap; see `sparena check`, "
		    "ulimit -v, vm.overcommit_memory", "");
	said = true;
}

int heap_start(void)
{
	struct heap *h = &heap_process;
	if (heap_spans[0].size)
		return 0; /* jemalloc's own part of the start-up is tried again */
	read_options(&h->conf);
	budget_init(&h->budget, h->conf.limit);
	h->reserve = reserve_for(h->conf.limit);
	h->owner_pid = getpid();
	pthread_mutex_init(&h->describing, NULL);
	pthread_mutex_init(&h->blocks_lock, NULL);

	enum pages_thp thp = thp_mode(&h->conf);
	int err = reserve(h, thp != PAGES_THP_NEVER);
	if (!err)
		err = lay_out(h, thp);
	if (err) {
		give_up(h);
		return err;
	}
	heap_set_zones(h);
	heap_spans[0] = (struct heap_span){ (uintptr_t)h->data.base, h->data.size };
	heap_spans[1] = (struct heap_span){ (uintptr_t)h->meta.base, h->meta.size };
	if (h->conf.log)
		log_start(h);
	return 0;
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

void heap_count_uncached_thread(void)
{
	atomic_fetch_add_explicit(&heap_process.uncached_threads, 1, memory_order_relaxed);
}

/* ---- fork: the order in which locks are taken everywhere -------------------- */

void heap_fork_begin(void)
{
	pthread_mutex_lock(&heap_process.describing);
}

void heap_fork_end(void)
{
	pthread_mutex_unlock(&heap_process.describing);
}

void heap_fork_prepare(void)
{
	struct heap *h = &heap_process;
	pthread_mutex_lock(&h->blocks_lock);
	pages_fork_prepare(&h->pages);
	pages_fork_prepare(&h->meta_pages);
	region_fork_prepare(&h->data);
	region_fork_prepare(&h->meta);
}

void heap_fork_parent(void)
{
	struct heap *h = &heap_process;
	region_fork_parent(&h->meta);
	region_fork_parent(&h->data);
	pages_fork_parent(&h->meta_pages);
	pages_fork_parent(&h->pages);
	pthread_mutex_unlock(&h->blocks_lock);
}

void heap_fork_child(void)
{
	struct heap *h = &heap_process;
	region_fork_child(&h->meta);
	region_fork_child(&h->data);
	pages_fork_child(&h->meta_pages);
	pages_fork_child(&h->pages);
	pthread_mutex_unlock(&h->blocks_lock);
}

/* ---- the whole --------------------------------------------------------------- */

size_t heap_purge(void)
{
	je_flush_thread_cache();
	return pages_trim(&heap_process.pages, SIZE_MAX) + pages_trim(&heap_process.meta_pages, SIZE_MAX);
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
		size_t from = kind == PAGES_SMALL ? 0 : h->pages.zone[PAGES_SMALL].end, bytes = 0;
		size_t length = h->pages.zone[kind].frontier - from;
		if (length && region_resident(&h->data, from, length, &bytes) == 0)
			total += bytes;
	}
	struct { size_t from, end; } parts[] = {
		{ 0, h->blocks_at },
		{ h->blocks_at, h->meta_pages.from + h->meta_pages.zone[PAGES_SMALL].frontier },
	};
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		size_t bytes = 0;
		if (region_resident(&h->meta, parts[i].from, parts[i].end - parts[i].from, &bytes) == 0)
			total += bytes;
	}
	return total;
}

void heap_stats(struct sparena_stats *s, bool resident)
{
	struct heap *h = &heap_process;
	struct region_counts counts;
	region_get_counts(&h->data, &counts);
	*s = (struct sparena_stats){
		.limit = budget_limit(&h->budget) == CONF_UNLIMITED ? UINT64_MAX : budget_limit(&h->budget),
		.committed = region_committed(&h->data),
		.committed_peak = counts.committed_peak,
		.resident = resident ? resident_bytes(h) : 0,
		.metadata = region_committed(&h->meta),
		.reserved = h->data.size,
		.allocated = je_allocated(),
		.exhausted = __atomic_load_n(&h->pages.exhausted, __ATOMIC_RELAXED),
		.commits = counts.commits,
		.decommits = counts.decommits,
		.populate_ns = counts.populate_ns,
		.faults_avoided = counts.faults_avoided,
		.foreign_frees = count_of(&h->foreign_frees),
		.uncached_threads = count_of(&h->uncached_threads),
		.backing = h->conf.backing,
		.page_size = h->data.backing.page_size,
		.granule = h->data.granule,
	};
}

void heap_at_exit(void)
{
	struct heap *h = &heap_process;
	struct sparena_stats s;
	if (!h->data.base || getpid() != h->owner_pid)
		return;
	if (!h->conf.stats_print && !h->conf.stats_file[0])
		return;
	heap_stats(&s, true);
	int err = h->conf.stats_print ? stats_write(&s, STDERR_FILENO, "text") : 0;
	if (!err && h->conf.stats_file[0]) {
		err = stats_write_file(&s, h->conf.stats_file);
		if (err)
			say("cannot write statistics to ", h->conf.stats_file);
	}
}
