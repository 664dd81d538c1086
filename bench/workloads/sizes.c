/* SPDX-License-Identifier: BSD-2-Clause */
/* Blocks of many sizes by one thread: replaced, cleared, grown, and fragmented. */
#include "workload.h"

/* ---- sizes: 16 bytes to 1 MiB, small ones by far the most ------------------------ */

#define SIZES_LIVE 16384

static void run_sizes(unsigned scale)
{
	struct block *live = block_table(SIZES_LIVE);
	uint64_t state = 0x2545f491u;

	for (size_t i = 0; i < scale * (size_t)3000000; i++) {
		struct block *b = &live[(bench_random(&state) >> 20) % SIZES_LIVE];

		block_drop(b);
		block_take(b, size_power_law(&state, 16, 16));
	}
	block_drop_all(live, SIZES_LIVE);
}

/* ---- calloc ------------------------------------------------------------------------ */

#define CALLOC_LIVE 512

static void check_zero(const char *p, size_t size)
{
	for (size_t i = 0; i < size; i += 256)
		if (p[i]) {
			errno = EILSEQ;
			bench_die("calloc's memory is not zero");
		}
}

static void run_calloc(unsigned scale)
{
	struct block *live = block_table(CALLOC_LIVE);
	uint64_t state = 0x6a09e667u;

	for (size_t i = 0; i < scale * (size_t)10000; i++) {
		struct block *b = &live[(bench_random(&state) >> 20) % CALLOC_LIVE];

		block_drop(b);
		/* Every 64th is large: what the kernel cleared need not be cleared again. */
		b->size = i % 64 ? size_power_law(&state, 64, 10) : size_between(&state, 128 * KIB, 2 * MIB);
		b->p = calloc(1, b->size);
		if (!b->p)
			bench_die("calloc");
		check_zero(b->p, b->size);
		block_write(b);
	}
	block_drop_all(live, CALLOC_LIVE);
}

/* ---- realloc ----------------------------------------------------------------------- */

#define VECTORS 64
#define VECTOR_STEP 512 /* bytes, of which the first ones say where they are */

/* Fills in [from, to) of a vector. */
static void vector_write(char *p, size_t from, size_t to)
{
	for (size_t at = (from + VECTOR_STEP - 1) / VECTOR_STEP * VECTOR_STEP; at + sizeof at <= to;
	     at += VECTOR_STEP)
		__builtin_memcpy(p + at, &at, sizeof at);
}

static void vector_check(const char *p, size_t size)
{
	for (size_t at = 0; at + sizeof at <= size; at += 8 * VECTOR_STEP) {
		size_t found;

		__builtin_memcpy(&found, p + at, sizeof found);
		if (found != at) {
			errno = EILSEQ;
			bench_die("realloc changed what it moved");
		}
	}
}

static void vector_grow(struct block *v)
{
	size_t size = v->size ? v->size + v->size / 2 : 64;
	char *p = realloc(v->p, size);

	if (!p)
		bench_die("realloc");
	vector_write(p, v->size, size);
	*v = (struct block){p, size};
}

/* Vectors grow by half in a random order; one that is large enough begins anew. Few may
 * become really large. */
static void run_realloc(unsigned scale)
{
	struct block *vectors = block_table(VECTORS);
	uint64_t state = 0x510e527fu;

	for (size_t i = 0; i < scale * (size_t)3000; i++) {
		size_t which = (bench_random(&state) >> 20) % VECTORS;
		struct block *v = &vectors[which];

		if (v->size < (which % 8 ? 256 * KIB : 16 * MIB)) {
			vector_grow(v);
			continue;
		}
		vector_check(v->p, v->size);
		free(v->p);
		*v = (struct block){0};
	}
	for (size_t i = 0; i < VECTORS; i++)
		free(vectors[i].p);
}

/* ---- fragments: filled, thinned out, and filled up with other sizes ----------------- */

#define FRAGMENTS_SCALE (32 * MIB)

/* The blocks that there are, without gaps. */
struct heap {
	struct block *blocks;
	size_t count, bytes;
};

static void heap_fill(struct heap *h, size_t bytes, size_t low, size_t high, uint64_t *state)
{
	while (h->bytes < bytes) {
		struct block *b = &h->blocks[h->count++];

		block_take(b, size_between(state, low, high));
		h->bytes += b->size;
	}
}

/* Nine of ten, at random. */
static void heap_thin_out(struct heap *h, uint64_t *state)
{
	size_t kept = 0;

	for (size_t i = 0; i < h->count; i++) {
		if ((bench_random(state) >> 20) % 10 == 0) {
			h->blocks[kept++] = h->blocks[i];
			continue;
		}
		h->bytes -= h->blocks[i].size;
		block_drop(&h->blocks[i]);
	}
	h->count = kept;
}

static void run_fragments(unsigned scale)
{
	static const struct {
		size_t low, high;
	} sizes[] = {
		{64, 1 * KIB}, {2 * KIB, 24 * KIB}, {256, 4 * KIB}, {32 * KIB, 512 * KIB}, {64, 640},
	};
	size_t bytes = scale * FRAGMENTS_SCALE;
	struct heap h = {.blocks = block_table(bytes / 256)}; /* 352 bytes is the least mean */
	uint64_t state = 0x9b05688cu;
	double thinned = 0;

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		if (i)
			heap_thin_out(&h, &state);
		if (i)
			thinned += bench_resident_mib() / (double)(sizeof sizes / sizeof sizes[0] - 1);
		heap_fill(&h, bytes, sizes[i].low, sizes[i].high, &state);
	}
	bench_print("held_mib", (double)h.bytes / (double)MIB);
	bench_print("resident_mib", bench_resident_mib());
	bench_print("thinned_out_mib", thinned);
	block_drop_all(h.blocks, h.count);
}

const struct workload workloads_sizes[] = {
	{"sizes", "16 bytes to 1 MiB, half as many of each doubling, one of 16,384 replaced", 32, 0, false,
         run_sizes},
	{"calloc", "64 bytes to 2 MiB, zero", 32, 0, false, run_calloc},
	{"realloc", "vectors that grow by half, to 16 MiB", 128, 0, false, run_realloc},
	{"fragments", "a heap filled; a random 90 % freed, filled with other sizes, four times", 8, 90, false,
         run_fragments},
	{0},
};
