/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What changes around the workers: heaps of several kinds come and go, limits move, free
 * memory is given back, and calls begin and cease to fail.
 */
#include <string.h>
#include <unistd.h>

#include "../support/random.h"
#include "soak.h"
#include "sparena/sparena.h"
#include "sparena/stats.h"

struct place places[HEAPS];

static const char *const kinds[] = {
	"backing:anon", "backing:anon,thp:never,decay_ms:20", "backing:anon,lazy_above:128K", "backing:anon,thp:always",
	"backing:memfd", "backing:memfd,fork:exec,decay_ms:0,trap:true", "backing:file,path:/dev/shm,trap:true",
	"backing:anon,populate:touch", "backing:anon,harden:true,trap:true", "backing:anon,background:true,decay_ms:20",
	"backing:memfd,background:true",
};
#define KINDS (sizeof kinds / sizeof *kinds)

void heaps_init(void)
{
	for (unsigned i = 0; i < HEAPS; i++)
		pthread_rwlock_init(&places[i].lock, NULL);
}

/* With the place's lock held for writing. It may be refused, if something fails. */
static void create(struct place *p, uint64_t *state)
{
	size_t kind = random_step(state) % KINDS;
	char options[128];
	snprintf(options, sizeof options, "limit:%uM,%s", 8 + (unsigned)(random_step(state) % 25), kinds[kind]);
	int err = sparena_heap_create(options, &p->heap);
	if (err) {
		if (!faults_happen)
			fprintf(stderr, "%s: %s\n", options, sparena_last_error());
		EXPECT(faults_happen && err < 0);
		p->heap = NULL;
		atomic_fetch_add(&counts.heaps_refused, 1);
		return;
	}
	p->shared = strstr(kinds[kind], "memfd") || strstr(kinds[kind], "file");
	p->is_view = strstr(kinds[kind], "exec");
	p->age++;
	atomic_fetch_add(&counts.heaps, 1);
}

/* With whatever is in it. */
static void replace(struct place *p, uint64_t *state)
{
	pthread_rwlock_wrlock(&p->lock);
	sparena_heap_destroy(p->heap);
	p->heap = NULL;
	p->age++;
	if (random_step(state) % 8)
		create(p, state);
	pthread_rwlock_unlock(&p->lock);
}

/* Of heap NULL, malloc's, or of one that is kept from going. */
static void set_limit(struct sparena_heap *h, uint64_t *state)
{
	size_t least = h ? 4 : 64, most = h ? 32 : SOAK_LIMIT / MIB;
	EXPECT(sparena_heap_set_limit(h, (least + random_step(state) % (most - least + 1)) * MIB) == 0);
}

static void look(struct sparena_heap *h)
{
	struct sparena_stats s;
	EXPECT(sparena_stats_get(h, &s, sizeof s) == 0);
	EXPECT(s.committed_peak >= s.committed || h); /* read one after the other */
}

static void change_heap(struct sparena_heap *h, uint64_t *state)
{
	switch (random_step(state) % 4) {
	case 0:
		EXPECT(sparena_heap_purge(h) == 0);
		break;
	case 1:
		look(h);
		break;
	default:
		set_limit(h, state);
	}
}

/* None, few, many, all; the more, the shorter. Returns for how long, in us. */
static unsigned change_faults(uint64_t *state)
{
	static const unsigned rates[] = { 0, 0, 64, 1024, 8192, 65536 }, most_us[] = { 10000, 10000, 10000, 10000, 5000, 2000 };
	size_t i = random_step(state) % 6;
	faults_set(rates[i]);
	return (unsigned)(random_step(state) % most_us[i]) + 500;
}

void *heaps_change(void *seed)
{
	uint64_t state = (uintptr_t)seed;
	while (!atomic_load(&stop)) {
		struct place *p = &places[random_step(&state) % HEAPS];
		switch (random_step(&state) % 6) {
		case 0: case 1:
			replace(p, &state);
			break;
		case 2: case 3:
			pthread_rwlock_rdlock(&p->lock);
			if (p->heap)
				change_heap(p->heap, &state);
			pthread_rwlock_unlock(&p->lock);
			break;
		default:
			change_heap(NULL, &state);
		}
		usleep(change_faults(&state));
	}
	return NULL;
}

static void check_empty(struct sparena_heap *h)
{
	struct sparena_stats s;
	EXPECT(sparena_heap_purge(h) == 0);
	EXPECT(sparena_stats_get(h, &s, sizeof s) == 0);
	for (int i = 0; i < 500 && s.resident != s.committed + s.metadata; i++) {
		usleep(10000); /* a thread in the background is at work still */
		EXPECT(sparena_stats_get(h, &s, sizeof s) == 0);
	}
	if (s.allocated || s.lazy || s.resident != s.committed + s.metadata)
		fprintf(stderr, "heap: allocated %llu, lazy %llu, committed %llu + metadata %llu, resident %llu\n",
		        (unsigned long long)s.allocated, (unsigned long long)s.lazy, (unsigned long long)s.committed,
		        (unsigned long long)s.metadata, (unsigned long long)s.resident);
	EXPECT(s.allocated == 0 && s.lazy == 0 && s.resident == s.committed + s.metadata);
}

void heaps_end(void)
{
	for (unsigned i = 0; i < HEAPS; i++) {
		if (places[i].heap)
			check_empty(places[i].heap);
		sparena_heap_destroy(places[i].heap);
		places[i].heap = NULL;
		places[i].age++;
	}
}
