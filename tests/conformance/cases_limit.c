/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory used up, by ulimit -v (RLIMIT_AS) and ulimit -d (RLIMIT_DATA). */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>

#include "cases.h"

#define LIMIT (600 * MIB)
#define LEAST (64 * MIB) /* of which so much is to be had, at least */

/* Blocks in a chain: it takes no memory of its own. */
struct link {
	struct link *next;
};
static struct link *chain;

static size_t take_blocks(size_t size)
{
	size_t bytes = 0;
	struct link *p;
	for (errno = 0; (p = malloc(size)); bytes += size) {
		p->next = chain;
		chain = p;
	}
	return bytes;
}

/* Down to the smallest blocks, also of the sizes that the cases ask for. */
static size_t take_all(void)
{
	size_t bytes = 0;
	for (size_t size = MIB; size >= 16; size /= 4)
		bytes += take_blocks(size);
	bytes += take_blocks(100);
	return bytes;
}

static void free_all(void)
{
	while (chain) {
		struct link *next = chain->next;
		free(chain);
		chain = next;
	}
}

static void until_null(size_t with)
{
	begin_limited((int)with, LIMIT);
	size_t first = take_blocks(MIB);
	int error = errno;
	say(first >= LEAST && first <= LIMIT ? "NULL, %s" : "NULL too early, %s", error_name(error));
	free_all();
	size_t again = take_blocks(MIB);
	say(again + 2 * MIB >= first ? "after free as much again" : "after free less");
	free_all();
}

static void other_sizes(size_t with)
{
	(void)with;
	begin_limited(RLIMIT_AS, LIMIT);
	NEED(take_blocks(MIB) >= LEAST);
	free_all();
	say(take_blocks(100) >= LEAST ? "small after large" : "too few small after large");
	free_all();
	say(take_blocks(16 * MIB) >= LEAST ? "large after small" : "too few large after small");
	free_all();
}

static void each_allocator(size_t with)
{
	(void)with;
	begin_limited(RLIMIT_AS, LIMIT);
	NEED(take_all() >= LEAST);
	for (size_t i = 0; i < allocators_count; i++) {
		errno = 0;
		void *p = allocators[i].get(2 * MIB);
		if (p || errno != ENOMEM) {
			say("allocator %zu: %s, %s", i, p ? "a block" : "NULL", error_name(errno));
			return;
		}
	}
	say("NULL, ENOMEM from each of the family");
}

static void memptr(size_t with)
{
	void *out = &out;
	(void)with;
	begin_limited(RLIMIT_AS, LIMIT);
	NEED(take_all() >= LEAST);
	say("returns %s", error_name(posix_memalign(&out, 4096, 2 * MIB)));
	say("*memptr %s", out == &out ? "kept" : "changed");
}

static void growth(size_t with)
{
	(void)with;
	begin_limited(RLIMIT_AS, LIMIT);
	void *p = malloc(MIB);
	NEED(p);
	fill(p, MIB, 1);
	NEED(take_all() >= LEAST);
	errno = 0;
	void *q = realloc(opaque_block(p), 64 * MIB);
	say(q ? "a block" : "NULL, %s", error_name(errno));
	say(is_filled(p, MIB, 1) ? "the old block whole" : "the old block changed");
}

/* Few programs are ready for a refusal here. */
static void shrinking(size_t with)
{
	static const size_t from[] = { 4 * MIB, MIB, 100000, 10000, 1000 };
	void *p[COUNT(from)];
	size_t refused = 0, changed = 0;
	begin_limited(RLIMIT_AS, LIMIT);
	for (size_t i = 0; i < COUNT(from); i++) {
		NEED(p[i] = malloc(from[i]));
		fill(p[i], from[i], 2);
	}
	NEED(take_all() >= LEAST);
	for (size_t i = COUNT(from); i-- > 0;) { /* the smallest first: none has room from the others */
		size_t size = with ? from[i] / 2 + 1 : 100;
		void *q = realloc(opaque_block(p[i]), size);
		refused += !q;
		changed += !is_filled(q ? q : p[i], size, 2);
	}
	say(refused ? "refused for %zu of %zu blocks" : "a block", refused, COUNT(from));
	say(changed ? "contents changed" : "contents kept");
}

static void freed_and_taken(size_t freed, size_t taken)
{
	begin_limited(RLIMIT_AS, LIMIT);
	void *p = malloc(freed);
	NEED(p && take_all() >= LEAST);
	free(p);
	errno = 0;
	say_block(malloc(taken));
}

static void same_size(size_t with) { freed_and_taken(with, with); }
static void smaller_size(size_t with) { freed_and_taken(with, with / 4 * 3); }

static void *churn_thread(void *ok)
{
	*(bool *)ok = churn(1);
	return NULL;
}

static void threads(size_t with)
{
	bool ok = false;
	pthread_t thread;
	(void)with;
	begin_limited(RLIMIT_AS, LIMIT);
	NEED(take_blocks(MIB) >= LEAST);
	free_all();
	NEED(pthread_create(&thread, NULL, churn_thread, &ok) == 0);
	pthread_join(thread, NULL);
	say(ok ? "a new thread allocates" : "a new thread was refused");
}

/* The C library reports what malloc told it. */
static void library(size_t with)
{
	char *line = NULL;
	size_t size = 0;
	(void)with;
	begin_limited(RLIMIT_AS, LIMIT);
	static char long_string[4 * MIB];
	memset(long_string, 'x', sizeof long_string - 1);
	FILE *f = fmemopen(long_string, sizeof long_string - 1, "r");
	NEED(f && take_all() >= LEAST);
	errno = 0;
	char *copy = strdup(long_string);
	say("strdup: %s, %s", copy ? "a block" : "NULL", error_name(errno));
	errno = 0;
	long n = getline(&line, &size, f);
	say("getline: %ld, %s", n, error_name(errno));
	char *text = NULL;
	errno = 0;
	int printed = asprintf(&text, "%s", long_string);
	say("asprintf: %d, %s", printed, error_name(errno));
	say(setenv("CONFORMANCE_LONG", long_string, 1) ? "setenv: -1, %s" : "setenv: 0", error_name(errno));
}

const struct conformance_case limit_cases[] = {
	{ "exhaustion/ulimit -v, malloc", until_null, RLIMIT_AS },
	{ "exhaustion/ulimit -d, malloc", until_null, RLIMIT_DATA },
	{ "exhaustion/other sizes afterwards", other_sizes, 0 },
	{ "exhaustion/the whole family", each_allocator, 0 },
	{ "exhaustion/posix_memalign's effects", memptr, 0 },
	{ "exhaustion/realloc that grows", growth, 0 },
	{ "exhaustion/realloc to 100 B", shrinking, 0 },
	{ "exhaustion/realloc to half", shrinking, 1 },
	{ "exhaustion/free of 100 B, malloc of 100 B", same_size, 100 },
	{ "exhaustion/free of 100 B, malloc of 75 B", smaller_size, 100 },
	{ "exhaustion/free of 100 kB, malloc of 100 kB", same_size, 100000 },
	{ "exhaustion/free of 100 kB, malloc of 75 kB", smaller_size, 100000 },
	{ "exhaustion/free of 4 MiB, malloc of 3 MiB", smaller_size, 4 * MIB },
	{ "exhaustion/a new thread after free", threads, 0 },
	{ "exhaustion/strdup, getline, asprintf, setenv", library, 0 },
	{ NULL, NULL, 0 },
};
