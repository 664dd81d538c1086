/* SPDX-License-Identifier: BSD-2-Clause */
/* Many small blocks by one thread. */
#include "workload.h"

/* ---- small: a set of small blocks, one of which is replaced at a time ---------- */

#define SMALL_LIVE 8192

static void run_small(unsigned scale)
{
	struct block *live = block_table(SMALL_LIVE);
	uint64_t state = 0x1d872b41u;

	for (size_t i = 0; i < scale * (size_t)4000000; i++) {
		struct block *b = &live[(bench_random(&state) >> 20) % SMALL_LIVE];

		block_drop(b);
		block_take(b, size_between(&state, 16, 256));
	}
	block_drop_all(live, SMALL_LIVE);
}

/* ---- tree: what is linked, grown and torn down in the order of its keys ---------- */

struct node {
	struct node *less, *more;
	uint64_t key;
	char *name;
};

static struct node *node_new(uint64_t key)
{
	struct node *n = malloc(sizeof *n);
	size_t length = 8 + key % 48;

	if (!n || !(n->name = malloc(length)))
		bench_die("malloc");
	memset(n->name, (int)(key & 0x7f), length);
	n->less = n->more = NULL;
	n->key = key;
	return n;
}

static void node_add(struct node **place, uint64_t key)
{
	while (*place)
		place = key < (*place)->key ? &(*place)->less : &(*place)->more;
	*place = node_new(key);
}

static size_t node_free_all(struct node *n)
{
	if (!n)
		return 0;
	size_t count = node_free_all(n->less) + 1 + node_free_all(n->more);
	if (n->name[7] != (char)(n->key & 0x7f)) {
		errno = EILSEQ;
		bench_die("a name was written over");
	}
	free(n->name);
	free(n);
	return count;
}

#define TREE_NODES 20000

/* Keys come in a random order, so the tree is as deep as it is in the mean. */
static void run_tree(unsigned scale)
{
	uint64_t state = 0x3c6ef372u;

	for (size_t round = 0; round < scale * (size_t)20; round++) {
		struct node *root = NULL;

		for (size_t i = 0; i < TREE_NODES; i++)
			node_add(&root, bench_random(&state));
		if (node_free_all(root) != TREE_NODES) {
			errno = EILSEQ;
			bench_die("the tree lost a node");
		}
	}
}

const struct workload workloads_small[] = {
	{"small", "16 to 256 bytes, one of 8,192 replaced at a time", 16, 0, false, run_small},
	{"tree", "trees of nodes with names, grown and torn down", 16, 0, false, run_tree},
	{0},
};
