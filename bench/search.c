/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * search ROUNDS: how much dearer a page search is in 1 TiB with 1,000,000 extents than
 * with 1,000. Prints "CASE EXTENTS nanoseconds", a line a round; both in turns.
 *   tree-last    a run is found, taken out and put back, behind all that do not fit
 *   tree-random  the same, with the only run that fits at a random place
 *   pages-last   pages_alloc() and pages_free() of the only run of two pages
 *   pages-random a random page is freed, the lowest hole is taken and put back, and
 *                that page is taken again
 * Each leaves everything as it was.
 */
#include "base/base.h"
#include "bench.h"
#include "os/os.h"
#include "pages/pages.h"

#define UNITS ((size_t)1 << 28) /* pages of 1 TiB */
#define FIT ((size_t)8)         /* pages; runs that do not fit have 1 to 3 */
#define TREE_OPS 20000
#define PAGES_OPS 20000

static const size_t extents[] = { 1000, 1000000 };
#define SIZES (sizeof extents / sizeof *extents)

static void expect(bool right, const char *what)
{
	if (!right)
		bench_die(what);
}

static void report(const char *name, size_t count, double ns)
{
	dprintf(STDOUT_FILENO, "%s %zu %.1f\n", name, count, ns);
}

/* ---- the tree alone ---------------------------------------------------------- */

struct tree {
	struct runset set;
	size_t count;
	size_t spacing;
	uint64_t random;
};

static void tree_make(struct tree *t, size_t count)
{
	void *memory = mmap(NULL, runset_bytes(UNITS), PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	expect(memory != MAP_FAILED, "mmap");
	*t = (struct tree){ .count = count, .spacing = UNITS / (count + 1), .random = 2463534242u };
	runset_init(&t->set, memory, UNITS);
	runset_reach(&t->set, UNITS);
	for (size_t i = 0; i < count; i++)
		runset_add(&t->set, i * t->spacing, 1 + bench_random(&t->random) % 3);
}

static void tree_cycle(struct tree *t, size_t at)
{
	size_t found;
	runset_add(&t->set, at, FIT);
	expect(runset_find(&t->set, FIT, 1, 0, &found) && found == at, "runset_find");
	runset_remove(&t->set, found, FIT);
}

static double time_last(struct tree *t)
{
	double start = bench_ns();
	for (size_t i = 0; i < TREE_OPS; i++)
		tree_cycle(t, UNITS - FIT);
	return (bench_ns() - start) / TREE_OPS;
}

/* A fitting run behind a random one that does not fit; 3 pages from its start are free. */
static double time_random(struct tree *t)
{
	double start = bench_ns();
	for (size_t i = 0; i < TREE_OPS; i++)
		tree_cycle(t, bench_random(&t->random) % t->count * t->spacing + 4);
	return (bench_ns() - start) / TREE_OPS;
}

/* ---- pages over a region ----------------------------------------------------- */

struct space {
	struct budget budget;
	struct region data, meta;
	struct pages pages;
	size_t count;
	size_t live;
	uint32_t *page; /* numbers of the pages that are handed out */
	uint64_t random;
};

static void region_make(struct region *r, struct budget *b, size_t size, size_t granule, unsigned huge_in)
{
	struct region_config c = {
		.backing = &backing_anon,
		.size = size,
		.size_min = size,
		.granule = granule,
		.huge_in = huge_in,
		.closed = true,
		.piece = CHUNK_SIZE,
		.budget = b,
	};
	expect(region_init(r, &c) == 0, "region_init");
}

static size_t page_alloc(struct space *s, size_t pages)
{
	size_t offset;
	bool zeroed;
	expect(pages_alloc(&s->pages, pages * BENCH_PAGE, 1, 0, &offset, &zeroed) == 0, "pages_alloc");
	return offset / BENCH_PAGE;
}

/* Every second of `count` pages is free: `count` extents, half of them holes of one page. */
static void space_fill(struct space *s)
{
	s->page = bench_map(s->count * sizeof *s->page);
	for (size_t i = 0; i < s->count; i++)
		s->page[i] = (uint32_t)page_alloc(s, 1);
	for (size_t i = 0; i < s->count; i++) {
		if (s->page[i] % 2)
			pages_free(&s->pages, s->page[i] * BENCH_PAGE, BENCH_PAGE);
		else
			s->page[s->live++] = s->page[i];
	}
}

/*
 * Takes the rest of what was committed, but for one run of two pages: the only one, and
 * so the longest, in a heap of either size.
 */
static void space_close(struct space *s)
{
	size_t holes = (s->count - s->live) * BENCH_PAGE, last = 0;
	while (s->pages.resident_free >= holes + 2 * BENCH_PAGE)
		last = page_alloc(s, 2);
	expect(last != 0 && s->pages.resident_free == holes, "pages left over");
	pages_free(&s->pages, last * BENCH_PAGE, 2 * BENCH_PAGE);
}

static void space_make(struct space *s, size_t count)
{
	size_t index_at = pages_first_index_bytes(SMALL_GRANULE);
	size_t index = size_up(index_at + pages_index_bytes(TiB, SMALL_GRANULE), CHUNK_SIZE);
	*s = (struct space){ .count = count, .random = 2463534242u };
	budget_init(&s->budget, SIZE_MAX);
	region_make(&s->data, &s->budget, TiB, SMALL_GRANULE, 2);
	region_make(&s->meta, &s->budget, index, os_page_size(), 0);
	struct pages_config c = {
		.region = &s->data,
		.size = TiB,
		.meta = &s->meta,
		.index_at = index_at,
		.thp = PAGES_THP_AUTO,
		.commit_ahead = CHUNK_SIZE,
		.decay_ms = PAGES_DECAY_NEVER,
	};
	expect(pages_init(&s->pages, &c) == 0, "pages_init");
	space_fill(s);
	space_close(s);
}

static double time_pages_last(struct space *s)
{
	double start = bench_ns();
	for (size_t i = 0; i < PAGES_OPS; i++)
		pages_free(&s->pages, page_alloc(s, 2) * BENCH_PAGE, 2 * BENCH_PAGE);
	return (bench_ns() - start) / PAGES_OPS;
}

static void pages_cycle(struct space *s, size_t page)
{
	pages_free(&s->pages, page * BENCH_PAGE, BENCH_PAGE);
	pages_free(&s->pages, page_alloc(s, 1) * BENCH_PAGE, BENCH_PAGE);
	expect(pages_alloc_at(&s->pages, page * BENCH_PAGE, BENCH_PAGE) == 0, "pages_alloc_at");
}

static double time_pages_random(struct space *s)
{
	double start = bench_ns();
	for (size_t i = 0; i < PAGES_OPS; i++)
		pages_cycle(s, s->page[bench_random(&s->random) % s->live]);
	return (bench_ns() - start) / PAGES_OPS;
}

/* ---- the whole --------------------------------------------------------------- */

static struct tree trees[SIZES];
static struct space spaces[SIZES];

static void one_round(bool counts)
{
	for (size_t i = 0; i < SIZES; i++) {
		double last = time_last(&trees[i]), random = time_random(&trees[i]);
		double pages = time_pages_last(&spaces[i]), scattered = time_pages_random(&spaces[i]);
		if (!counts)
			continue;
		report("tree-last", extents[i], last);
		report("tree-random", extents[i], random);
		report("pages-last", extents[i], pages);
		report("pages-random", extents[i], scattered);
	}
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	size_t rounds = bench_number(argv[1]);
	for (size_t i = 0; i < SIZES; i++) {
		tree_make(&trees[i], extents[i]);
		space_make(&spaces[i], extents[i]);
	}
	one_round(false);
	for (size_t i = 0; i < rounds; i++)
		one_round(true);
	return 0;
}
