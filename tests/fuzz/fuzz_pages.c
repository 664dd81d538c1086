/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any sequence of operations on pages over a region, with failing calls of the kernel in
 * between. A model knows what each run holds; after every operation the books must balance.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "os/os.h"
#include "pages/pages.h"

#define DATA_SIZE (32 * MiB)
#define META_SIZE (8 * MiB)
#define MOST_RUNS 64

static struct budget budget;
static struct region data_region, meta_region;
static struct pages pages;
static unsigned fail_in; /* so many calls from now; 0: none */

static struct run {
	size_t offset, bytes; /* no bytes: there is none */
	unsigned char value;
} runs[MOST_RUNS];

/* ---- calls that fail ------------------------------------------------------------- */

static int fails(void) { return fail_in && --fail_in == 0; }

int __real_os_populate(void *addr, size_t size);
int __wrap_os_populate(void *addr, size_t size);
int __wrap_os_populate(void *addr, size_t size) { return fails() ? -ENOMEM : __real_os_populate(addr, size); }

int __real_os_discard(void *addr, size_t size);
int __wrap_os_discard(void *addr, size_t size);
int __wrap_os_discard(void *addr, size_t size) { return fails() ? -EINVAL : __real_os_discard(addr, size); }

/* ---- the model ------------------------------------------------------------------- */

static void write_marks(const struct run *run)
{
	char *p = data_region.base + run->offset;
	for (size_t at = 0; at < run->bytes; at += PAGE)
		p[at] = p[at + PAGE - 1] = (char)run->value;
}

static void check_marks(const struct run *run)
{
	const unsigned char *p = (unsigned char *)data_region.base + run->offset;
	for (size_t at = 0; at < run->bytes; at += PAGE)
		MUST(p[at] == run->value && p[at + PAGE - 1] == run->value);
}

static bool overlaps(size_t offset, size_t bytes)
{
	for (unsigned i = 0; i < MOST_RUNS; i++)
		if (runs[i].bytes && offset < runs[i].offset + runs[i].bytes && runs[i].offset < offset + bytes)
			return true;
	return false;
}

static void take(struct run *run, size_t count, size_t align, unsigned char value)
{
	bool zeroed;
	size_t offset;
	if (run->bytes)
		return;
	int err = pages_alloc(&pages, count * PAGE, align, 0, &offset, &zeroed);
	MUST(err == 0 || err == -ENOMEM);
	if (err)
		return;
	MUST(((uintptr_t)data_region.base + offset) % align == 0 && offset + count * PAGE <= DATA_SIZE);
	MUST(!overlaps(offset, count * PAGE));
	const char *p = data_region.base + offset;
	for (size_t at = 0; zeroed && at < count * PAGE; at += PAGE / 2)
		MUST(p[at] == 0);
	*run = (struct run){ offset, count * PAGE, value };
	write_marks(run);
}

static void give(struct run *run, size_t keep)
{
	if (!run->bytes || keep >= run->bytes / PAGE)
		return;
	check_marks(run);
	size_t kept = keep * PAGE; /* the front stays */
	pages_free(&pages, run->offset + kept, run->bytes - kept);
	run->bytes = kept;
}

static void extend(struct run *run, size_t count)
{
	if (!run->bytes || run->offset + run->bytes + count * PAGE > DATA_SIZE ||
	    pages_alloc_at(&pages, run->offset + run->bytes, count * PAGE))
		return;
	MUST(!overlaps(run->offset + run->bytes, count * PAGE));
	run->bytes += count * PAGE;
	write_marks(run);
}

static void check_books(void)
{
	size_t held = 0;
	pages_check(&pages);
	region_check(&data_region);
	region_check(&meta_region);
	for (unsigned i = 0; i < MOST_RUNS; i++)
		held += runs[i].bytes;
	MUST(held == pages.allocated);
	MUST(budget_charged(&budget) == region_committed(&data_region) + data_region.lingering +
	     region_committed(&meta_region) + meta_region.lingering);
}

/* ---- a sequence -------------------------------------------------------------------- */

static int make(struct region *r, size_t size, size_t granule, unsigned huge_in)
{
	struct region_config c = {
		.backing = &backing_anon, .size = size, .size_min = size, .granule = granule, .huge_in = huge_in,
		.closed = true, .piece = CHUNK_SIZE, .budget = &budget,
	};
	return region_init(r, &c);
}

static void begin(uint8_t kind)
{
	memset(runs, 0, sizeof runs);
	fail_in = 0;
	budget_init(&budget, 12 * MiB);
	MUST(make(&data_region, DATA_SIZE, SMALL_GRANULE, 2) == 0 && make(&meta_region, META_SIZE, PAGE, 0) == 0);
	MUST(pages_init(&pages, &(struct pages_config){
		.region = &data_region, .size = DATA_SIZE, .meta = &meta_region,
		.index_at = pages_first_index_bytes(SMALL_GRANULE), .thp = kind % 3,
		.commit_ahead = kind & 4 ? 2 * MiB : 128 * KiB, .decay_ms = kind & 8 ? 0 : PAGES_DECAY_NEVER,
	}) == 0);
}

static void end(void)
{
	fail_in = 0;
	for (unsigned i = 0; i < MOST_RUNS; i++)
		give(&runs[i], 0);
	region_settle(&data_region);
	pages_trim(&pages, SIZE_MAX);
	check_books();
	MUST(region_committed(&data_region) == 0);
	size_t resident;
	MUST(region_resident(&data_region, 0, DATA_SIZE, &resident) == 0 && resident == 0);
	pages_destroy(&pages);
	region_destroy(&meta_region);
	region_destroy(&data_region);
	MUST(budget_charged(&budget) == 0);
}

static void operate(uint8_t op, uint8_t which, uint8_t how)
{
	struct run *run = &runs[which % MOST_RUNS];
	switch (op % 10) {
	case 0: case 1:
		take(run, how + 1u, PAGE, op);
		break;
	case 2:
		take(run, (how % 32 + 1) * 32u, PAGE, op);
		break;
	case 3:
		take(run, how % 64 + 1u, PAGE << how % 10, op);
		break;
	case 4: case 5:
		give(run, 0);
		break;
	case 6:
		give(run, how);
		break;
	case 7:
		extend(run, how % 16 + 1u);
		break;
	case 8:
		fail_in = how % 8;
		break;
	default:
		if (how % 4)
			pages_trim(&pages, (size_t)how * 64 * KiB);
		else
			budget_set_limit(&budget, (size_t)(how / 4 + 2) * 512 * KiB);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	begin(size ? data[0] : 0);
	for (size_t i = 1; i + 2 < size && i < 3 * 400; i += 3) {
		operate(data[i], data[i + 1], data[i + 2]);
		check_books();
	}
	end();
	return 0;
}
