/* SPDX-License-Identifier: BSD-2-Clause */
/* A heap's start-up: options, address space, what lies where. */
#include <errno.h>
#include <unistd.h>

#include "heap/harden.h"
#include "heap/heap.h"
#include "os/os.h"

#define EXIT_CONFIG 78 /* EX_CONFIG of sysexits.h */
#define DEFAULT_RESERVE TiB
#define MOST_RESERVE (8 * TiB) /* pages are counted in 32 bits */
#define LEAST_RESERVE (64 * MiB)
#define LEAST_META (128 * MiB)
#define META_SHARE 64 /* of the data's address space */

static const char name_data[] = "sparena: data", name_meta[] = "sparena: metadata";
static const char name_lazy[] = "sparena: lazy";

static void report_option(const char *reason) { heap_say("SPARENA_CONF: ", reason); }

/* ---- options --------------------------------------------------------------- */

/* Whether lazy_above stood against the backing; it stands no more. */
static bool drop_lazy(struct conf *c)
{
	bool wrong = c->lazy_above != CONF_LAZY_NEVER && c->backing != CONF_BACKING_ANON;
	if (wrong)
		c->lazy_above = CONF_LAZY_NEVER;
	return wrong;
}

/* A bad part is reported and keeps its default; with strict:true it is the end. */
static void read_options(struct conf *c)
{
	static char text[4096]; /* of the environment, where the C library has none yet */
	char error[CONF_ERROR_MAX];
	conf_default(c);
	const char *options = os_is_secure() ? NULL : os_environment("SPARENA_CONF", text, sizeof text);
	size_t memory = options ? os_memory_total() : 0; /* for percentages alone */
	size_t bad = conf_parse_lenient(c, options, CONF_SCOPE_PROCESS, memory, report_option);
	if (c->limit_share)
		conf_set_box(c, guard_box(guard_of_process()));
	if (conf_check(c, CONF_LIMIT_MINIMUM, error) && drop_lazy(c)) {
		report_option(error); /* everything else may be right */
		bad++;
	}
	if (conf_check(c, CONF_LIMIT_MINIMUM, error)) {
		report_option(error);
		bad++;
		c->limit = CONF_UNLIMITED;
		c->limit_share = 0;
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
	if (c->limit == CONF_UNLIMITED)
		return LEAST_RESERVE;
	size_t memory = os_memory_total();
	size_t most = size_min(c->limit, memory ? size_min(memory, MOST_RESERVE / 4) : MOST_RESERVE / 4);
	return size_max(size_up(2 * most, CHUNK_SIZE) + 16 * MiB, LEAST_RESERVE);
}

static int reserve_data(struct heap *h, size_t size, bool huge)
{
	struct region_config config = {
		.size = size,
		.size_min = size,
		.granule = SMALL_GRANULE,
		.huge_in = huge ? 2 : 0,
		.closed = true,
		.traps = h->conf.trap,
		.piece = CHUNK_SIZE,
		.budget = &h->budget,
		.guard = guard_of_process(),
		.name = name_data,
	};
	h->backing = region_choose(&config, &h->conf, h->conf.limit == CONF_UNLIMITED ? 0 : h->conf.limit);
	return region_init(&h->data, &config);
}

/* Of an index, and of what jemalloc knows of each page of blocks. */
static int reserve_meta(struct heap *h, size_t described)
{
	size_t size = size_up(size_max(described / META_SHARE, LEAST_META), CHUNK_SIZE);
	struct region_config config = {
		.backing = &backing_anon,
		.size = size,
		.size_min = size,
		.granule = os_page_size(),
		.closed = true,
		.piece = CHUNK_SIZE,
		.budget = &h->budget,
		.guard = guard_of_process(),
		.guard_terms.metadata = true,
		.lock = h->conf.lock,
		.name = name_meta,
	};
	region_choose_guard(&config, &h->conf);
	return region_init(&h->meta, &config);
}

/*
 * Address space for blocks that are charged only: twice what the limit allows, or eight
 * times what the machine has, if that is more, unless the option reserve says it. Its
 * granules are pages, so that blocks are charged as they are and freed ones leave nothing
 * behind; and their maps, a 10,000th of it, count where memory is promised strictly.
 */
static size_t lazy_size(const struct conf *c, size_t data_size)
{
	size_t by_limit = c->limit == CONF_UNLIMITED ? 0 : size_min(c->limit, MOST_RESERVE) * 2;
	size_t most = size_max(by_limit, size_min(os_memory_total(), MOST_RESERVE) * 8);
	if (c->reserve != CONF_AUTO)
		return data_size;
	return size_min(data_size, size_up(most, CHUNK_SIZE) + 16 * MiB);
}

/* The guard is not asked: it knows what is populated, and here nothing is. lock:now would be
 * to populate it. */
static int reserve_lazy(struct heap *h, size_t size)
{
	struct region_config config = {
		.backing = &backing_lazy,
		.size = size,
		.size_min = size,
		.granule = os_page_size(),
		.closed = true,
		.traps = h->conf.trap,
		.piece = CHUNK_SIZE,
		.budget = &h->budget,
		.guard = guard_of_process(),
		.unguarded = true,
		.lock = h->conf.lock == CONF_LOCK_OFF ? CONF_LOCK_OFF : CONF_LOCK_ONFAULT,
		.name = name_lazy,
	};
	return region_init(&h->lazy, &config);
}

static bool has_data(const struct heap *h) { return h != &heap_process || HEAP_SERVES_MALLOC; }

static void release(struct heap *h)
{
	if (h->lazy.base)
		region_destroy(&h->lazy);
	if (h->meta.base)
		region_destroy(&h->meta);
	if (h->data.base)
		region_destroy(&h->data);
}

static bool has_lazy(const struct heap *h) { return has_data(h) && h->conf.lazy_above != CONF_LAZY_NEVER; }

static int reserve_all(struct heap *h, size_t size, bool huge)
{
	size_t lazy = has_lazy(h) ? lazy_size(&h->conf, size) : 0;
	int err = has_data(h) ? reserve_data(h, size, huge) : 0;
	if (!err && lazy)
		err = reserve_lazy(h, lazy);
	if (!err)
		err = reserve_meta(h, has_data(h) ? size + lazy : 0);
	if (err)
		release(h);
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

/* An explicit heap is one of many: no more than it can use, however much it may hold. */
static size_t wanted_size(const struct heap *h, size_t least)
{
	if (h->conf.reserve != CONF_AUTO)
		return size_min(h->conf.reserve, MOST_RESERVE);
	if (h == &heap_process)
		return DEFAULT_RESERVE;
	size_t memory = os_memory_total();
	return h->conf.limit == CONF_UNLIMITED && memory ? size_min(2 * memory, DEFAULT_RESERVE) : least;
}

/* As much as the system allows, by halves; where it sets bounds, not all of it. */
static int reserve(struct heap *h, bool huge)
{
	size_t least = least_data_size(&h->conf), wanted = wanted_size(h, least);
	for (size_t size = size_max(size_up(wanted, CHUNK_SIZE), least);; size = size_max(size_up(size / 2, CHUNK_SIZE), least)) {
		int err = reserve_all(h, size, huge);
		if (size == least || (err && err != -ENOMEM))
			return err;
		if (!err && leaves_room(size / 4))
			return 0;
		if (!err)
			release(h);
	}
}

/* What needs room may have it of all the others. */
static void link_siblings(struct heap *h)
{
	h->meta_pages.sibling = has_data(h) ? &h->pages : NULL;
	h->pages.sibling = has_lazy(h) ? &h->lazy_pages : &h->meta_pages;
	h->lazy_pages.sibling = &h->meta_pages;
}

static size_t index_bytes(const struct region *r)
{
	return r->base ? pages_index_bytes(r->size, r->granule) : 0;
}

static size_t first_index_bytes(const struct region *r)
{
	return r->base ? pages_first_index_bytes(r->granule) : 0;
}

/* The next one's indexes lie behind these. */
static int make_pages(struct pages *p, struct pages_config *c)
{
	int err = pages_init(p, c);
	c->first_at += first_index_bytes(c->region);
	c->index_at += index_bytes(c->region);
	return err;
}

/* meta: [small heap's indexes | indexes of data | of lazy | of meta's own pages | base blocks |
 * thread caches]. The first of each three lie together, so that they are in one piece. */
static int lay_out(struct heap *h, enum pages_thp thp)
{
	struct conf *c = &h->conf;
	size_t index_at = first_index_bytes(&h->data) + first_index_bytes(&h->lazy) + first_index_bytes(&h->meta);
	size_t indexes = index_bytes(&h->data) + index_bytes(&h->lazy) + index_bytes(&h->meta);
	size_t rest = size_up(index_at + indexes, CHUNK_SIZE);
	size_t caches_at = size_up(rest + (h->meta.size - rest) / 2, CHUNK_SIZE);

	h->blocks_at = rest;
	h->blocks = size_min((caches_at - rest) / CHUNK_SIZE, HEAP_MOST_BLOCKS);
	struct pages_config config = {
		.region = &h->data,
		.size = h->data.size,
		.meta = &h->meta,
		.index_at = index_at,
		.thp = thp,
		.commit_ahead = c->commit_ahead,
		.decay_ms = c->decay_ms,
	};
	int err = has_data(h) ? make_pages(&h->pages, &config) : 0;
	config.thp = PAGES_THP_NEVER;
	if (!err && has_lazy(h)) {
		config.region = &h->lazy;
		config.size = h->lazy.size;
		config.commit_ahead = 0; /* nothing is won by it */
		config.decay_ms = 0;
		err = make_pages(&h->lazy_pages, &config);
	}
	if (err)
		return err;
	config.region = &h->meta;
	config.from = caches_at;
	config.size = h->meta.size - caches_at;
	config.commit_ahead = c->commit_ahead;
	config.decay_ms = c->decay_ms;
	err = make_pages(&h->meta_pages, &config);
	link_siblings(h);
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
		return os_thp_usable(CHUNK_SIZE) ? PAGES_THP_AUTO : PAGES_THP_NEVER;
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
	heap_say(line, "");
}

static void say_why(const struct heap *h)
{
	static bool said;
	const char *reason = h->data.backing.reason;
	if (!said)
		heap_say("cannot start: ", reason ? reason : "no address space or memory for the heap; see "
		         "`sparena check`, ulimit -v, vm.overcommit_memory");
	said = true;
}

/* Huge pages are the machine's to provide, and nobody else says why malloc gives nothing. */
static void warn_of_empty_pool(const struct heap *h)
{
	char line[160], size[SIZE_TEXT_MAX];
	struct text t;
	size_t page = h->data.backing.page_size;
	if (!h->data.base || !backing_is_of_pool(&h->data.backing) || os_huge_pages_free(page))
		return;
	size_format(page, size);
	text_init(&t, line, sizeof line);
	text_add(&t, "no huge page of %s is free: echo N > /sys/kernel/mm/hugepages/hugepages-%zukB/nr_hugepages", size,
	         page / KiB);
	heap_say(line, "");
}

int heap_open(struct heap *h)
{
	budget_init(&h->budget, h->conf.limit);
	budget_set_share(&h->budget, h->conf.limit_share);
	h->reserve = reserve_for(h->conf.limit);
	pthread_mutex_init(&h->describing, NULL);
	pthread_mutex_init(&h->blocks_lock, NULL);

	enum pages_thp thp = thp_mode(&h->conf);
	int err = reserve(h, thp != PAGES_THP_NEVER);
	if (h->backing != CONF_BACKING_ANON)
		thp = PAGES_THP_NEVER; /* such pages are not split and joined as the heap grows */
	if (!err)
		err = lay_out(h, thp);
	if (err) {
		const char *reason = h->data.backing.reason;
		release(h);
		h->data.backing.reason = reason;
		return err;
	}
	heap_set_zones(h);
	return 0;
}

void heap_close(struct heap *h)
{
	pages_destroy(&h->pages);
	pages_destroy(&h->meta_pages);
	if (has_lazy(h))
		pages_destroy(&h->lazy_pages);
	release(h);
	pthread_mutex_destroy(&h->describing);
	pthread_mutex_destroy(&h->blocks_lock);
}

int heap_start(void)
{
	struct heap *h = &heap_process;
	if (h->meta.base)
		return 0; /* jemalloc's own part of the start-up is tried again */
	if (HEAP_SERVES_MALLOC)
		read_options(&h->conf);
	else
		conf_default(&h->conf);
	h->owner_pid = os_pid();
	guard_of_process()->charger.say = heap_say;
	guard_of_process()->charger.says_losses = h->conf.log;

	int err = heap_open(h); /* after an error: another try with the next malloc */
	if (err) {
		say_why(h);
		return err;
	}
	heap_may_harden = h->conf.harden;
	if (h->conf.harden)
		harden_start(h);
	heap_spans[0] = (struct heap_span){ (uintptr_t)h->data.base, h->data.size };
	heap_spans[1] = (struct heap_span){ (uintptr_t)h->meta.base, h->meta.size };
	heap_spans[2] = (struct heap_span){ (uintptr_t)h->lazy.base, h->lazy.size };
	warn_of_empty_pool(h);
	if (h->conf.log)
		log_start(h);
	return 0;
}
