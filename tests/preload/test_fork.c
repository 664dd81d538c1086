/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parent and child after fork(2), on the backing that SPARENA_CONF names: what either
 * writes, frees, allocates and gives back is nothing to the other. Usage: test_fork CASE.
 */
#include "fork.h"

enum { BLOCKS = 300 };

static struct block blocks[BLOCKS];

static void make_all(void)
{
	for (size_t i = 0; i < BLOCKS; i++)
		block_make(&blocks[i], size_of_block(i), i);
}

static void check_all(void)
{
	for (size_t i = 0; i < BLOCKS; i++)
		CHECK(!blocks[i].p || block_is_sound(&blocks[i]));
}

/* A child with a view has to do with what the parent leaves alone. */
static void forget_what_shines_through(void)
{
	for (size_t i = 0; i < BLOCKS && is_view(); i++)
		if (i % 3 != 2)
			blocks[i].p = NULL;
}

/* A third is freed, a third overwritten; then as much again is allocated, and trimmed. */
static void change_in_parent(uint64_t round)
{
	static struct block more[BLOCKS];
	for (size_t i = 0; i < BLOCKS; i++) {
		if (i % 3 == 0)
			block_drop(&blocks[i]);
		else if (i % 3 == 1)
			block_write(&blocks[i], i + 1000 * round);
	}
	trim();
	for (size_t i = 0; i < BLOCKS; i += 3)
		block_make(&more[i], size_of_block(i + 1), 77 + i);
	for (size_t i = 0; i < BLOCKS; i += 3)
		block_drop(&more[i]);
	trim();
}

static void repair_in_parent(uint64_t round)
{
	for (size_t i = 0; i < BLOCKS; i += 3)
		block_make(&blocks[i], size_of_block(i), i + 1000 * round);
}

/*
 * As much again as was freed. Not small blocks of a view: those lie between others, in
 * memory that the parent may give back, and touching it there makes it the parent's again.
 */
static void make_more_in_child(void)
{
	for (size_t i = 0; i < BLOCKS; i += 2)
		if (!is_view())
			block_make(&blocks[i], size_of_block(i + 3), i);
		else if (i % 40 == 0)
			block_make(&blocks[i], 1 << 20, i);
}

/* Every block is overwritten, half of them freed, as much again allocated. */
static void change_in_child(void)
{
	for (size_t i = 0; i < BLOCKS; i++)
		if (blocks[i].p)
			block_write(&blocks[i], i + 5000000);
	check_all();
	for (size_t i = 0; i < BLOCKS; i += 2)
		block_drop(&blocks[i]);
	trim();
	check_all();
	if (!is_view())
		books_balance();
	make_more_in_child();
	check_all();
	if (!is_view())
		books_balance();
}

static void wait_for(int fd)
{
	char byte;
	CHECK(read(fd, &byte, 1) == 1);
}

static void tell(int fd) { CHECK(write(fd, "", 1) == 1); }

static void exec_true(void)
{
	execl("/bin/true", "true", (char *)NULL);
	abort();
}

/* Free memory that is still resident: the parent gives it back, the child hands it out. */
static void leave_some_free(void)
{
	struct block spare[10];
	for (size_t i = 0; i < COUNT(spare); i++)
		block_make(&spare[i], 1 << 20, i);
	for (size_t i = 0; i < COUNT(spare); i++)
		block_drop(&spare[i]);
}

/* The parent changes its memory before the child looks, while it does, and afterwards. */
static void in_child(int changed, uint64_t round)
{
	if (!is_view())
		books_balance();
	forget_what_shines_through();
	check_all();
	wait_for(changed);
	check_all();
	leave_some_free();
	change_in_child();
	if (round % 3 == 0)
		exec_true();
	round % 3 == 1 ? _exit(0) : exit(0);
}

static void one_round(uint64_t round)
{
	int changed[2];
	CHECK(pipe(changed) == 0);
	leave_some_free();
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0)
		in_child(changed[0], round);
	change_in_parent(round);
	tell(changed[1]);
	check_all();
	change_in_parent(round + 100000);
	expect_good(child);
	check_all();
	books_balance();
	repair_in_parent(round);
	close(changed[0]);
	close(changed[1]);
}

static void run_rounds(unsigned rounds)
{
	unsigned descriptors = open_descriptors();
	make_all();
	for (unsigned i = 0; i < rounds; i++)
		one_round(i);
	for (size_t i = 0; i < BLOCKS; i++)
		block_drop(&blocks[i]);
	trim();
	books_balance();
	CHECK(open_descriptors() == descriptors);
}

static void case_contents(void) { run_rounds(3); }

static bool stop;

/* Has a thread cache of the heap, of which a child knows nothing. */
static void *use_heap(void *unused)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		struct block b;
		block_make(&b, 1000, 1);
		block_drop(&b);
	}
	return unused;
}

/* A heap that a child inherited is used by a thread of the child, and destroyed. */
static void destroy_in_child(void)
{
	pid_t child = fork();
	if (child == 0) {
		pthread_t other = start(use_heap, NULL);
		usleep(1000);
		__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
		pthread_join(other, NULL);
		check_all();
		SPARENA(sparena_heap_destroy)(in_heap);
		SPARENA(sparena_heap_create)("limit:16M", &in_heap);
		block_make(&blocks[0], 1000, 1);
		SPARENA(sparena_heap_destroy)(in_heap);
		exit(0);
	}
	expect_good(child);
}

/* The same on a heap of the program's own, beside the process's. */
static void case_heap(void)
{
	const char *conf = getenv("SPARENA_CONF");
	char options[600], *at;
	snprintf(options, sizeof options, "%s", conf ? conf : "");
	at = strstr(options, ",strict"); /* the process's alone */
	if (at)
		*at = 0;
	if (SPARENA(sparena_heap_create)(options, &in_heap))
		dprintf(2, "%s\n", SPARENA(sparena_last_error)());
	CHECK(in_heap);
	pthread_t other = start(use_heap, NULL);
	make_all();
	for (int i = 0; i < 3; i++)
		destroy_in_child();
	for (size_t i = 0; i < BLOCKS; i++)
		block_drop(&blocks[i]);
	run_rounds(3);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(other, NULL);
	run_rounds(1);
	SPARENA(sparena_heap_destroy)(in_heap);
}

/* ---- a view --------------------------------------------------------------------------------- */

static void in_view(int changed)
{
	wait_for(changed);
	CHECK(!block_is_sound(&blocks[0]) && block_is_sound(&blocks[1]));
	blocks[0].seed = 3; /* what the parent has written since */
	CHECK(block_is_sound(&blocks[0]));
	block_write(&blocks[0], 4);
	_exit(0);
}

/* fork:exec: nothing is copied, so that what the parent writes is seen by the child. */
static void case_view(void)
{
	int changed[2];
	CHECK(pipe(changed) == 0);
	block_make(&blocks[0], 1 << 20, 1);
	block_make(&blocks[1], 1 << 20, 2);
	pid_t child = fork();
	if (child == 0)
		in_view(changed[0]);
	block_write(&blocks[0], 3);
	tell(changed[1]);
	expect_good(child);
	check_all();
	books_balance();
}

/* ---- many threads ------------------------------------------------------------------------- */

static void *load(void *arg)
{
	enum { HELD = 30 };
	struct block held[HELD] = { { 0 } };
	for (size_t i = (uintptr_t)arg; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i += 7) {
		struct block *b = &held[i % HELD];
		block_drop(b);
		block_make(b, size_of_block(i), i);
		if (i % 50 == 0)
			trim();
	}
	for (size_t i = 0; i < HELD; i++)
		block_drop(&held[i]);
	return NULL;
}

/* A child has this thread alone, and the blocks that nobody changed. */
static void *fork_some(void *arg)
{
	struct block mine[40];
	for (size_t i = 0; i < COUNT(mine); i++)
		block_make(&mine[i], size_of_block(i), i);
	for (int i = 0; i < 4; i++) {
		pid_t child = fork();
		if (child == 0) {
			alarm(60);
			for (size_t k = 0; k < COUNT(mine); k++) {
				CHECK(block_is_sound(&mine[k]) || (is_view() && k % 4 == 0));
				block_write(&mine[k], k + 99);
			}
			check_all();
			for (size_t k = 0; k < COUNT(mine); k += 2)
				block_drop(&mine[k]);
			pthread_t other = start(load, NULL);
			__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
			pthread_join(other, NULL);
			i & 1 ? exit(0) : _exit(0);
		}
		for (size_t k = 0; k < COUNT(mine); k += 4)
			block_write(&mine[k], k + (size_t)i);
		expect_good(child);
		for (size_t k = 0; k < COUNT(mine); k++)
			CHECK(block_is_sound(&mine[k]));
	}
	for (size_t i = 0; i < COUNT(mine); i++)
		block_drop(&mine[i]);
	return arg;
}

static void case_threads(void)
{
	pthread_t busy[8];
	make_all();
	for (uintptr_t i = 0; i < COUNT(busy); i++)
		busy[i] = start(load, (void *)i);
	pthread_t forker = start(fork_some, NULL);
	fork_some(NULL);
	pthread_join(forker, NULL);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < COUNT(busy); i++)
		pthread_join(busy[i], NULL);
	check_all();
	trim();
	if (!is_view()) /* whose children have small blocks, too */
		books_balance();
}

/* ---- a child's child ------------------------------------------------------------------------ */

static void in_grandchild(void)
{
	check_all();
	change_in_child();
	exit(0);
}

static void case_grandchild(void)
{
	make_all();
	pid_t child = fork();
	if (child == 0) {
		for (size_t i = 0; i < BLOCKS; i += 2)
			block_write(&blocks[i], i + 42);
		pid_t grandchild = fork();
		if (grandchild == 0)
			in_grandchild();
		for (size_t i = 0; i < BLOCKS; i += 3)
			block_write(&blocks[i], i + 43);
		check_all();
		expect_good(grandchild);
		check_all();
		change_in_child();
		_exit(0);
	}
	CHECK(child > 0);
	expect_good(child);
	check_all();
}

/* ---- what atfork handlers protect --------------------------------------------------------------- */

extern void ledger_start(unsigned threads);
extern void ledger_stop(void);
extern bool ledger_is_sound(void);
extern void ledger_protect(void);

static void forks_of_ledger(void)
{
	ledger_start(4);
	for (int i = 0; i < 12; i++) {
		pid_t child = fork();
		if (child == 0)
			_exit(ledger_is_sound() ? 0 : 1);
		expect_good(child);
	}
	ledger_stop();
	CHECK(ledger_is_sound());
}

static void case_atfork(void)
{
	ledger_protect();
	forks_of_ledger();
}

/* The handlers were registered by a constructor, before malloc was first called. */
static void case_atfork_early(void)
{
	CHECK(getenv("LEDGER_EARLY"));
	forks_of_ledger();
}

static const struct test_case cases[] = {
	{ "contents", case_contents },   { "view", case_view },     { "heap", case_heap },
	{ "threads", case_threads },     { "atfork", case_atfork }, { "atfork_early", case_atfork_early },
	{ "grandchild", case_grandchild },
};

int main(int argc, char **argv) { return run_case(cases, COUNT(cases), argc, argv); }
