/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages and regions, with every call of os that they make failing in turn. Afterwards,
 * with the fault over, the books must balance, freed memory must go back, and no address
 * space may be lost.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "os/os.h"
#include "pages/pages.h"
#include "points.h"
#include "region/guard.h"
#include "sparena/region.h"

/* ---- calls that fail ------------------------------------------------------------- */

enum call_id { POPULATE, DISCARD, OPEN, RESERVE, ADVISE_HUGE, ADVISE_COLD, RESIDENT, CALLS };

#define ROW(call, ...) [call].name = "os: " #call, [call].errors = { __VA_ARGS__ }
const struct call calls[CALLS] = {
	ROW(POPULATE, ENOMEM, EFAULT, EHWPOISON, EINVAL, EINTR),
	ROW(DISCARD, EINVAL, ENOMEM, EAGAIN),
	ROW(OPEN, ENOMEM, EACCES),
	ROW(RESERVE, ENOMEM),
	ROW(ADVISE_HUGE, ENOMEM, EINVAL, EAGAIN),
	ROW(ADVISE_COLD, ENOMEM, EINVAL),
	ROW(RESIDENT, ENOENT, EMFILE, EIO),
};
const unsigned call_count = CALLS;

/* What a failure may leave behind, and why. */
static bool thinned_short; /* zeros in a thinned chunk could not be backed again, see anon_thin() */

int __real_os_resident(const void *addr, size_t size, size_t *resident, size_t *swapped);

int __real_os_populate(void *addr, size_t size);
int __wrap_os_populate(void *addr, size_t size);
int __wrap_os_populate(void *addr, size_t size)
{
	int err = fails(POPULATE);
	if (!err)
		return __real_os_populate(addr, size);
	size_t there = 0;
	if (__real_os_resident(addr, size, &there, NULL) == 0 && there)
		thinned_short = true;
	/* The kernel leaves what precedes the failing page populated. */
	if (err != -EINVAL && size > PAGE)
		__real_os_populate(addr, size_down(size / 2, PAGE));
	return err;
}

int __real_os_discard(void *addr, size_t size);
int __wrap_os_discard(void *addr, size_t size);
int __wrap_os_discard(void *addr, size_t size)
{
	int err = fails(DISCARD);
	return err ? err : __real_os_discard(addr, size);
}

int __real_os_open(void *addr, size_t size);
int __wrap_os_open(void *addr, size_t size);
int __wrap_os_open(void *addr, size_t size)
{
	int err = fails(OPEN);
	return err ? err : __real_os_open(addr, size);
}

int __real_os_reserve(size_t size, size_t align, void **out);
int __wrap_os_reserve(size_t size, size_t align, void **out);
int __wrap_os_reserve(size_t size, size_t align, void **out)
{
	int err = fails(RESERVE);
	return err ? err : __real_os_reserve(size, align, out);
}

int __real_os_advise_huge(void *addr, size_t size, bool huge);
int __wrap_os_advise_huge(void *addr, size_t size, bool huge);
int __wrap_os_advise_huge(void *addr, size_t size, bool huge)
{
	int err = fails(ADVISE_HUGE);
	return err ? err : __real_os_advise_huge(addr, size, huge);
}

int __real_os_advise_cold(void *addr, size_t size);
int __wrap_os_advise_cold(void *addr, size_t size);
int __wrap_os_advise_cold(void *addr, size_t size)
{
	int err = fails(ADVISE_COLD);
	return err ? err : __real_os_advise_cold(addr, size);
}

int __wrap_os_resident(const void *addr, size_t size, size_t *resident, size_t *swapped);
int __wrap_os_resident(const void *addr, size_t size, size_t *resident, size_t *swapped)
{
	int err = fails(RESIDENT);
	return err ? err : __real_os_resident(addr, size, resident, swapped);
}

/* The kernel's view and ours are the same, but for what cannot be helped. */
static void check_resident(size_t resident, size_t committed)
{
	if (!thinned_short || resident > committed)
		MUST_BE_EQUAL(resident, committed);
}

/* ---- pages -------------------------------------------------------------------------- */

#define DATA_SIZE (64 * MiB)
#define META_SIZE (16 * MiB)
#define LIMIT (20 * MiB)
#define MOST_RUNS 64

static struct budget budget;
static struct region data, meta;
static struct pages pages;
static struct run {
	size_t offset;
	size_t bytes; /* 0: none */
	char value;
} runs[MOST_RUNS];

static void fill(struct run *run)
{
	for (size_t at = 0; at < run->bytes; at += PAGE)
		data.base[run->offset + at] = data.base[run->offset + at + PAGE - 1] = run->value;
}

static void check_contents(const struct run *run)
{
	for (size_t at = 0; at < run->bytes; at += PAGE)
		MUST(data.base[run->offset + at] == run->value &&
		     data.base[run->offset + at + PAGE - 1] == run->value);
}

static bool take(unsigned i, size_t bytes)
{
	struct run run = { .value = (char)(i + 1) };
	bool zeroed;
	if (runs[i].bytes)
		return true;
	int err = pages_alloc(&pages, bytes, PAGE, 0, &run.offset, &zeroed);
	if (err) {
		MUST(err == -ENOMEM);
		return false;
	}
	MUST(budget_charged(&budget) <= LIMIT);
	for (size_t at = 0; zeroed && at < bytes; at += PAGE)
		MUST(data.base[run.offset + at] == 0);
	run.bytes = bytes;
	runs[i] = run;
	fill(&runs[i]);
	return true;
}

static void give(unsigned i)
{
	if (!runs[i].bytes)
		return;
	check_contents(&runs[i]);
	pages_free(&pages, runs[i].offset, runs[i].bytes);
	runs[i].bytes = 0;
}

/* The pages behind a run, if they are free and resident. */
static void extend(unsigned i, size_t bytes)
{
	struct run *run = &runs[i];
	if (!run->bytes || pages_alloc_at(&pages, run->offset + run->bytes, bytes))
		return;
	run->bytes += bytes;
	fill(run);
}

static void some_sizes(void)
{
	static const size_t sizes[] = { PAGE, 64 * KiB, MiB, 5 * MiB, 3 * PAGE, 200 * KiB };
	for (unsigned i = 0; i < 6; i++)
		take(i, sizes[i]);
	for (unsigned i = 0; i < 6; i += 2)
		give(i);
	for (unsigned i = 6; i < 9; i++)
		take(i, sizes[i - 6] + PAGE);
	extend(1, PAGE);
	pages_trim(&pages, 100 * KiB);
	pages_trim(&pages, SIZE_MAX);
}

/* Halves of huge chunks are freed when nothing is left: larger runs come out of those. */
static void exhaustion(void)
{
	for (unsigned i = 10; i < 40; i++)
		take(i, MiB);
	for (unsigned i = 10; i < 40; i += 2)
		give(i);
	for (unsigned i = 40; i < 43; i++)
		take(i, 2 * MiB + 64 * KiB);
	for (unsigned i = 44; i < 50; i++)
		take(i, 128 * KiB);
}

/* What was thinned becomes huge again when it is empty. */
static void everything_back(void)
{
	for (unsigned i = 0; i < MOST_RUNS; i++)
		give(i);
	pages_trim(&pages, SIZE_MAX);
	take(0, 5 * MiB);
	give(0);
	pages_trim(&pages, SIZE_MAX);
}

static int make_pages(void)
{
	budget_init(&budget, LIMIT);
	struct region_config c = {
		.backing = &backing_anon, .size = DATA_SIZE, .size_min = DATA_SIZE / 2, .granule = SMALL_GRANULE,
		.huge_in = 2, .closed = true, .piece = CHUNK_SIZE, .budget = &budget, .name = "failpoints",
	};
	int err = region_init(&data, &c);
	if (err)
		return err;
	c.size = c.size_min = META_SIZE;
	c.granule = PAGE;
	c.huge_in = 0;
	err = region_init(&meta, &c);
	if (err) {
		region_destroy(&data);
		return err;
	}
	err = pages_init(&pages, &(struct pages_config){
		.region = &data, .size = data.size, .meta = &meta, .index_at = pages_first_index_bytes(data.granule),
		.thp = PAGES_THP_AUTO, .commit_ahead = 2 * MiB, .decay_ms = PAGES_DECAY_NEVER,
	});
	if (err) {
		pages_destroy(&pages);
		region_destroy(&meta);
		region_destroy(&data);
	}
	return err;
}

static size_t resident(struct region *r)
{
	size_t bytes = 0;
	MUST(region_resident(r, 0, r->size, &bytes) == 0);
	return bytes;
}

/* The fault is over: what it left must be sound. */
static void check_books(void)
{
	calm();
	region_settle(&data);
	region_settle(&meta);
	pages_check(&pages);
	region_check(&data);
	region_check(&meta);
	MUST_BE_EQUAL(budget_charged(&budget), region_committed(&data) + region_committed(&meta));
	check_resident(resident(&data), region_committed(&data));
	check_resident(resident(&meta), region_committed(&meta));
	size_t held = 0;
	for (unsigned i = 0; i < MOST_RUNS; i++) {
		check_contents(&runs[i]);
		held += runs[i].bytes;
	}
	MUST_BE_EQUAL(held, pages.allocated);
}

/* What could not be had before can be had now. */
static void check_recovery(void)
{
	everything_back();
	MUST_BE_EQUAL(region_committed(&data), 0);
	MUST(take(0, 9 * MiB) && take(1, 5 * MiB));
	check_books();
	everything_back();
	check_books();
	MUST_BE_EQUAL(region_committed(&data), 0);
}

static void end(void)
{
	check_books();
	check_recovery();
	pages_destroy(&pages);
	region_destroy(&meta);
	region_destroy(&data);
	MUST_BE_EQUAL(budget_charged(&budget), 0);
}

static void use_pages(const struct scenario *s)
{
	(void)s;
	size_t bytes;
	if (make_pages())
		return;
	some_sizes();
	exhaustion();
	(void)region_resident(&data, 0, data.size, &bytes);
	struct point p = point;
	check_books();
	if (p.lasts == ONCE) { /* then giving back may fail as well */
		point = p;
		everything_back();
	}
	end();
}

/* As above, and the fault lasts while everything is given back. */
static void give_back_pages(const struct scenario *s)
{
	(void)s;
	if (make_pages())
		return;
	some_sizes();
	exhaustion();
	everything_back();
	end();
}

/* ---- a public region ------------------------------------------------------------------ */

#define REGION_SIZE (8 * MiB)

static size_t region_resident_now(struct sparena_region *r)
{
	size_t bytes = 0;
	MUST(sparena_region_resident(r, 0, REGION_SIZE, &bytes) == 0);
	return bytes;
}

static void expect_zero(struct sparena_region *r, size_t offset, size_t length)
{
	const char *p = (char *)sparena_region_base(r) + offset;
	for (size_t at = 0; at < length; at += PAGE)
		MUST(p[at] == 0);
}

/* All or nothing, by the books and by the kernel; what cannot be undone yet stays charged. */
static void commit(struct sparena_region *r, size_t offset, size_t length)
{
	size_t before = sparena_region_committed(r), bytes;
	int err = sparena_region_commit(r, offset, length);
	size_t after = sparena_region_committed(r);
	MUST(after >= before);
	if (__real_os_resident(sparena_region_base(r), REGION_SIZE, &bytes, NULL) == 0)
		MUST(bytes <= after);
	if (err && point.which != ALL_CALLS)
		MUST_BE_EQUAL(after, before);
}

/* All of it is committed, so it must be writable; it stays so if the decommit fails. */
static void write_and_decommit(struct sparena_region *r, size_t offset, size_t length)
{
	size_t before = sparena_region_committed(r);
	if (sparena_region_commit(r, offset, length))
		return;
	memset((char *)sparena_region_base(r) + offset, 1, length);
	if (sparena_region_decommit(r, offset, length) == 0)
		MUST(sparena_region_committed(r) <= before);
}

static void use_region(const struct scenario *s)
{
	struct sparena_region *r;
	size_t g = SMALL_GRANULE, bytes;
	if (sparena_region_reserve(s->options, REGION_SIZE, &r))
		return;
	commit(r, 0, 2 * g);
	commit(r, 4 * g, 2 * g);
	commit(r, 0, 8 * g); /* three holes */
	commit(r, 2 * MiB, 5 * MiB);
	write_and_decommit(r, 2 * g, 3 * g);
	write_and_decommit(r, 3 * MiB, 3 * MiB);
	(void)sparena_region_resident(r, 0, REGION_SIZE, &bytes);

	calm();
	MUST(sparena_region_commit(r, 0, SMALL_GRANULE) == 0); /* which settles what lingers */
	MUST_BE_EQUAL(region_resident_now(r), sparena_region_committed(r));
	MUST(sparena_region_decommit(r, 0, REGION_SIZE) == 0);
	MUST_BE_EQUAL(sparena_region_committed(r), 0);
	MUST_BE_EQUAL(region_resident_now(r), 0);
	MUST(sparena_region_commit(r, 0, REGION_SIZE) == 0);
	expect_zero(r, 0, REGION_SIZE);
	MUST_BE_EQUAL(region_resident_now(r), REGION_SIZE);
	MUST(sparena_region_decommit(r, 0, REGION_SIZE) == 0);
	MUST_BE_EQUAL(region_resident_now(r), 0);
	sparena_region_release(r);
	guard_close(guard_of_process()); /* which would stay, to be asked again */
}

/* ---- every point ------------------------------------------------------------------------ */

static const struct scenario all[] = {
	{ "os: open region", use_region, "thp:never", NULL, false, 1, 0 },
	{ "os: closed region", use_region, "closed:true,thp:never", NULL, false, 1, 0 },
	{ "os: pages in use", use_pages, NULL, NULL, false, 1, 2 },
	{ "os: pages given back", give_back_pages, NULL, NULL, false, 1, 2 },
};

int main(int argc, char **argv) { return points_main(argc, argv, all, sizeof all / sizeof *all); }
