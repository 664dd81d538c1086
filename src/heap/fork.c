/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork(2): locks are held over it, and a child of a heap on shared memory gets memory
 * of its own before anybody else in it runs.
 *
 * Our handlers are registered first of all, with the first allocation. So before the
 * fork they run last, when the program's own have locked what they protect, and after
 * it first, in the child and in the parent, which waits until the child has copied.
 */
#include <unistd.h>

#include "heap/heap.h"
#include "heap/je.h"
#include "os/os.h"

#define EXIT_NO_COPY 127

/* Between the handlers of one fork: the locks that they hold guard it. */
static struct {
	int ends[2]; /* of a pipe: the child writes a byte when it has its memory; -1: no pipe */
	bool wanted; /* some heap copies */
} news;

/* Of this thread's last fork: the child got no memory and has ended. */
static __thread bool child_is_lost;

/* ---- policies -------------------------------------------------------------------- */

/* Where fork() is not ours it cannot fail, so a child finds nothing there. */
static enum conf_fork policy(const struct heap *h)
{
	if (!HEAP_SERVES_MALLOC)
		return CONF_FORK_DENY;
	/* A view needs small pages: writing to one of huge pages takes a whole page of the pool. */
	if (h->conf.fork == CONF_FORK_EXEC && h->data.backing.page_size != os_page_size())
		return CONF_FORK_COPY;
	return h->conf.fork;
}

static bool is_shared(const struct heap *h) { return h->data.base && region_is_shared(&h->data); }

static void note_copy(struct heap *h)
{
	news.wanted = news.wanted || (is_shared(h) && policy(h) == CONF_FORK_COPY);
}

/* ---- before ------------------------------------------------------------------- */

/* The order in which locks are taken everywhere. */
void heap_fork_begin(void)
{
	pthread_mutex_lock(&heap_registry);
	pthread_mutex_lock(&heap_process.describing);
}

static void prepare(struct heap *h)
{
	pthread_mutex_lock(&h->blocks_lock);
	if (h->data.base)
		pages_fork_prepare(&h->pages);
	pages_fork_prepare(&h->meta_pages);
	if (h->data.base)
		region_fork_prepare(&h->data);
	region_fork_prepare(&h->meta);
	note_copy(h);
}

void heap_fork_prepare(void)
{
	news.ends[0] = news.ends[1] = -1;
	news.wanted = false;
	prepare(&heap_process);
	heap_each(prepare);
	if (news.wanted)
		(void)os_pipe(news.ends); /* without one the child ends, and fork fails */
}

/* ---- after ---------------------------------------------------------------------- */

void heap_fork_end(void)
{
	pthread_mutex_unlock(&heap_process.describing);
	pthread_mutex_unlock(&heap_registry);
}

/* Waits for the child. It is lost when it says nothing and lets go of the pipe. */
static bool child_has_copies(void)
{
	if (news.ends[0] < 0)
		return false;
	os_close_fd(news.ends[1]);
	bool heard = os_wait_byte(news.ends[0]) == 1;
	os_close_fd(news.ends[0]);
	return heard;
}

static void go_on(struct heap *h, void (*region)(struct region *r), void (*pages)(struct pages *p))
{
	region(&h->meta);
	if (h->data.base)
		region(&h->data);
	pages(&h->meta_pages);
	if (h->data.base)
		pages(&h->pages);
	pthread_mutex_unlock(&h->blocks_lock);
}

static void go_on_in_parent(struct heap *h) { go_on(h, region_fork_parent, pages_fork_parent); }
static void go_on_in_child(struct heap *h) { go_on(h, region_fork_child, pages_fork_child); }

void heap_fork_parent(void)
{
	child_is_lost = news.wanted && !child_has_copies();
	heap_each(go_on_in_parent);
	go_on_in_parent(&heap_process);
}

/*
 * A copy, or the end of the child. Who forks past our fork() where that is denied, or
 * loses its view, has no heap left: it can still exec.
 */
static void get_memory(struct heap *h)
{
	if (!is_shared(h))
		return;
	switch (policy(h)) {
	case CONF_FORK_COPY:
		if (news.ends[1] < 0 || region_fork_copy(&h->data))
			os_exit(EXIT_NO_COPY);
		break;
	case CONF_FORK_EXEC:
		if (region_fork_view(&h->data) == 0)
			break;
		/* fall through */
	default:
		region_fork_forget(&h->data);
	}
}

static void tell_parent(void)
{
	if (news.ends[1] < 0)
		return;
	if (os_write_all(news.ends[1], "", 1))
		os_exit(EXIT_NO_COPY);
	os_close_fd(news.ends[0]);
	os_close_fd(news.ends[1]);
}

void heap_fork_child(void)
{
	get_memory(&heap_process);
	heap_each(get_memory);
	tell_parent();
	heap_each(go_on_in_child);
	go_on_in_child(&heap_process);
}

/* ---- for fork() itself ------------------------------------------------------------ */

static _Thread_local bool denied;

static void note_denial(struct heap *h)
{
	denied = denied || (is_shared(h) && policy(h) == CONF_FORK_DENY);
}

bool heap_may_fork(void)
{
	denied = false;
	pthread_mutex_lock(&heap_registry);
	note_denial(&heap_process);
	heap_each(note_denial);
	pthread_mutex_unlock(&heap_registry);
	return !denied;
}

bool heap_lost_child(void)
{
	bool lost = child_is_lost;
	child_is_lost = false;
	return lost;
}
