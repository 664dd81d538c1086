/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork(2): locks are held over it, and a child of a heap on shared memory gets memory
 * of its own before anybody else in it runs.
 *
 * Our handlers are registered first of all. So before the fork they run last, when the
 * program's own have locked what they protect, and after it first, in the child and in
 * the parent, which waits until the child has its memory.
 *
 * Shared memory is not mapped in a child at all, so that nothing there can write into
 * the parent's. The C library does touch blocks of malloc in the child before it runs
 * any handler, where there are threads: the locks of streams, thread-specific data, its
 * lists of stacks. That is a fault, and the child gets its memory then.
 */
#include <pthread.h>
#include <unistd.h>

#include "heap/heap.h"
#include "heap/je.h"
#include "os/os.h"

#define EXIT_NO_MEMORY 127

/* What a child finds in the place of a heap's memory. */
enum child_part { CHILD_NOTHING, CHILD_COPY, CHILD_VIEW };

/* Between the handlers of one fork: the locks that they hold guard it. */
static struct {
	bool shared;  /* some heap's memory is shared, and the child is to have something of it */
	bool stands;  /* the thread stands on such memory: its child cannot be */
	int ends[2];  /* of a pipe: the child writes a byte when it has its memory; -1: no pipe */
	bool done;    /* it has */
	bool streams; /* the C library's list of streams is locked */
	struct os_faults faults;
} news;

/* Of this thread's last fork: the child got no memory and has ended. */
static __thread bool child_is_lost;

/* ---- policies -------------------------------------------------------------------- */

static bool is_shared(const struct heap *h) { return h->data.base && region_is_shared(&h->data); }

/*
 * Where fork() is not ours it cannot fail, so a child finds nothing there. Who forks past
 * ours where that is denied gets a view, which costs nothing. A view needs small pages,
 * since writing to one of huge pages takes a whole page of the pool, and the descriptor.
 */
static enum child_part child_part(const struct heap *h)
{
	if (!HEAP_SERVES_MALLOC)
		return CHILD_NOTHING;
	if (h->conf.fork == CONF_FORK_COPY || backing_is_of_pool(&h->data.backing) ||
	    !os_is_same_file(&h->data.backing.file))
		return CHILD_COPY;
	return CHILD_VIEW;
}

/* ---- before ------------------------------------------------------------------- */

/* glibc's own, which it keeps exported. */
extern void _IO_list_lock(void);
extern void _IO_list_unlock(void);
extern void _IO_list_resetlock(void);

/*
 * Streams are blocks of malloc in a list, which the child walks when it exits: nobody may
 * open or close one while the child copies. Before our locks, as others do who hold it
 * and allocate.
 */
static void lock_streams(void)
{
	bool wanted = HEAP_SERVES_MALLOC && is_shared(&heap_process);
	if (wanted)
		_IO_list_lock();
	pthread_mutex_lock(&heap_registry);
	news.streams = wanted;
}

/* The order in which locks are taken everywhere. */
void heap_fork_begin(void)
{
	lock_streams();
	pthread_mutex_lock(&heap_process.describing);
}

static bool holds(const struct heap *h, const void *at)
{
	return is_shared(h) && heap_has(&h->data, at);
}

/*
 * The stack of a coroutine, or a thread's, which has the thread's data in it: while a
 * child copies, the parent goes on using it.
 */
static bool is_stood_on(const struct heap *h)
{
	return holds(h, __builtin_frame_address(0)) || holds(h, (const void *)pthread_self());
}

static void prepare(struct heap *h)
{
	pthread_mutex_lock(&h->blocks_lock);
	heap_each_pages(h, pages_fork_prepare);
	heap_each_region(h, region_fork_prepare);
	if (is_shared(h) && child_part(h) != CHILD_NOTHING) {
		(void)backing_lend(&h->data.backing); /* without it the child ends, and fork fails */
		news.shared = true;
	}
	news.stands = news.stands || is_stood_on(h);
}

static bool give_memory_at(const void *addr);

void heap_fork_prepare(void)
{
	news.ends[0] = news.ends[1] = -1;
	news.shared = news.stands = news.done = false;
	prepare(&heap_process);
	heap_each(prepare);
	guard_fork_prepare(guard_of_process());
	if (!news.shared)
		return;
	if (!news.stands)
		(void)os_pipe(news.ends); /* as above */
	os_catch_faults(give_memory_at, &news.faults);
}

/* ---- in the parent ---------------------------------------------------------------- */

/* Waits for the child. It is lost when it says nothing and lets go of the pipe. */
static bool child_has_memory(void)
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
	heap_each_region(h, region);
	heap_each_pages(h, pages);
	pthread_mutex_unlock(&h->blocks_lock);
}

static void go_on_in_parent(struct heap *h)
{
	if (h->data.base)
		backing_take_back(&h->data.backing);
	go_on(h, region_fork_parent, pages_fork_parent);
}

void heap_fork_parent(void)
{
	if (news.shared)
		os_release_faults(&news.faults);
	child_is_lost = news.shared && !child_has_memory();
	guard_fork_parent(guard_of_process());
	heap_each(go_on_in_parent);
	go_on_in_parent(&heap_process);
}

void heap_fork_end_parent(void)
{
	bool streams = news.streams;
	pthread_mutex_unlock(&heap_process.describing);
	pthread_mutex_unlock(&heap_registry);
	if (streams)
		_IO_list_unlock();
}

/* ---- in the child ------------------------------------------------------------------ */

/* A machine that has no room for the copy takes this process, not the parent. */
static int copy_as_victim(struct heap *h)
{
	char score[OS_VICTIM_SIZE];
	bool known = os_get_victim(score) == 0 && os_set_victim(OS_VICTIM_FIRST) == 0;
	int err = region_fork_copy(&h->data);
	if (known)
		(void)os_set_victim(score);
	if (!err)
		h->backing = CONF_BACKING_ANON;
	return err;
}

static void give_memory(struct heap *h)
{
	int err = 0;
	if (!is_shared(h))
		return;
	switch (child_part(h)) {
	case CHILD_COPY:
		err = copy_as_victim(h);
		break;
	case CHILD_VIEW:
		err = region_fork_view(&h->data);
		break;
	default:
		region_fork_forget(&h->data);
	}
	if (err)
		os_exit(EXIT_NO_MEMORY);
}

static void give_all_memory(void)
{
	if (news.done)
		return;
	if (news.shared && news.ends[1] < 0)
		os_exit(EXIT_NO_MEMORY);
	/* First, as a copy asks for room. */
	guard_fork_child(guard_of_process());
	give_memory(&heap_process);
	heap_each(give_memory);
	news.done = true;
}

/* ---- a fault in the child, before its handlers -------------------------------------- */

static bool gap_found;
static const void *gap_at;

static void note_gap(struct heap *h) { gap_found = gap_found || holds(h, gap_at); }

/* Nothing is mapped where a heap's shared memory is: only in a child that has none yet. */
static bool give_memory_at(const void *addr)
{
	gap_at = addr;
	gap_found = false;
	note_gap(&heap_process);
	heap_each(note_gap);
	if (gap_found)
		give_all_memory();
	return gap_found;
}

static void tell_parent(void)
{
	if (os_write_all(news.ends[1], "", 1))
		os_exit(EXIT_NO_MEMORY);
	os_close_fd(news.ends[0]);
	os_close_fd(news.ends[1]);
}

/*
 * Where a view has free memory the parent may give its back: what the child wrote there
 * would first be made a page of the parent's file, which nobody has charged. So it is
 * the child's own now.
 */
static void go_on_in_child(struct heap *h)
{
	go_on(h, region_fork_child, pages_fork_child);
	if (h->data.base && backing_is_view(&h->data.backing))
		(void)pages_trim(&h->pages, SIZE_MAX);
}

void heap_fork_child(void)
{
	give_all_memory();
	if (news.shared) {
		os_release_faults(&news.faults);
		tell_parent();
	}
	heap_each(go_on_in_child);
	go_on_in_child(&heap_process);
}

void heap_fork_end_child(void)
{
	heap_caches_fork_child();
	pthread_mutex_unlock(&heap_process.describing);
	pthread_mutex_unlock(&heap_registry);
	if (news.streams)
		_IO_list_resetlock();
	heap_background_fork_child(&heap_process);
	heap_each(heap_background_fork_child);
}

/* ---- for fork() itself ------------------------------------------------------------ */

static bool denied;

static void note_denial(struct heap *h)
{
	denied = denied || (is_shared(h) && h->conf.fork == CONF_FORK_DENY);
}

bool heap_may_fork(void)
{
	pthread_mutex_lock(&heap_registry);
	denied = false;
	note_denial(&heap_process);
	heap_each(note_denial);
	bool may = !denied && je_minds_fork();
	pthread_mutex_unlock(&heap_registry);
	return may;
}

bool heap_lost_child(void)
{
	bool lost = child_is_lost;
	child_is_lost = false;
	return lost;
}
