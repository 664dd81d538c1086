/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * background:true: a thread for each heap that gives back what has been free for long enough,
 * while the program is idle too, and commits ahead of need. It allocates nothing. A child of
 * fork(2) gets one of its own.
 */
#include "heap/heap.h"
#include "os/os.h"

/* In how many milliseconds there is more to do. */
static uint64_t attend(struct heap *h)
{
	uint64_t data = h->data.base ? pages_attend(&h->pages, h->reserve) : OS_FOREVER;
	uint64_t lazy = h->lazy.base ? pages_attend(&h->lazy_pages, h->reserve) : OS_FOREVER;
	return size_min(size_min(data, lazy), pages_attend(&h->meta_pages, h->reserve));
}

static void *run(void *heap)
{
	struct heap *h = heap;
	while (!atomic_load(&h->background.ends)) {
		uint64_t ms = attend(h);
		os_bell_wait(&h->background.bell, ms);
	}
	return NULL;
}

static void begin(struct heap *h)
{
	struct heap_background *b = &h->background;
	os_bell_init(&b->bell);
	atomic_store(&b->ends, false);
	if (h->data.base)
		pages_attend_begin(&h->pages, &b->bell);
	pages_attend_begin(&h->meta_pages, &b->bell);
	if (h->lazy.base)
		pages_attend_begin(&h->lazy_pages, &b->bell);
}

int heap_background_start(struct heap *h)
{
	if (!h->conf.background || h->background.runs)
		return 0;
	begin(h);
	int err = os_thread_start(&h->background.thread, run, h, "sparena");
	h->background.runs = !err;
	if (err)
		heap_each_pages(h, pages_attend_end);
	return err;
}

void heap_background_stop(struct heap *h)
{
	if (!h->background.runs)
		return;
	atomic_store(&h->background.ends, true);
	os_bell_ring(&h->background.bell);
	os_thread_join(h->background.thread);
	h->background.runs = false;
	heap_each_pages(h, pages_attend_end);
}

void heap_background_fork_child(struct heap *h)
{
	if (!h->background.runs)
		return;
	h->background.runs = false;
	heap_each_pages(h, pages_attend_end);
	if (os_thread_after_fork() && heap_background_start(h))
		heap_say("background: no thread in a child: memory goes back with the next activity", "");
}
