/* SPDX-License-Identifier: BSD-2-Clause */
/* What a user wrote after `sparena bench alloc`. All return false, with a message, when it
 * is not right. */
#define _GNU_SOURCE
#include "cli/bench_alloc.h"
#include "cli/cli.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_MAX 86400
#define TIMEOUT 120

static int print_help(void)
{
	printf("Usage: sparena bench alloc [OPTION]...\n"
	       "Runs workloads, or programs, under several allocators, and compares them.\n\n"
	       "  -q, --quick            a tenth of a second or so for each [yes]\n"
	       "  -f, --full             a second or so for each\n"
	       "  -r, --rounds=N         rounds, each over everything [3; 5 with --full]\n"
	       "  -w, --workloads=LIST   what to run [all; nothing where programs are named]\n"
	       "  -p, --program=NAME=COMMAND\n"
	       "                         run COMMAND too, by sh(1), with no input; may be repeated\n"
	       "  -a, --allocators=LIST  under what, by name, or as NAME=PATH[:VARIABLE=VALUE] of a\n"
	       "                         library, as the last one of a list; may be repeated [all]\n"
	       "  -b, --base=NAME        whom to compare with [jemalloc; or the first one]\n"
	       "  -t, --timeout=SECONDS  end what takes longer [%d]\n"
	       "  -j, --json=FILE        write all figures as JSON; - is standard output, and then\n"
	       "                         there are no tables\n"
	       "  -m, --markdown=FILE    write the tables as Markdown, likewise\n"
	       "      --list             show the workloads\n"
	       "      --progress         tell how far it is, also where there is no terminal\n"
	       "  -h, --help             show this help\n\n"
	       "Allocators:",
	       TIMEOUT);
	for (unsigned i = 0; peer_known(i) != NULL; i++)
		printf("%s %s", i == 0 ? "" : ",", peer_known(i));
	printf("\n\nWhat is shown are medians of all rounds. Each process has been warmed up for: as much\n"
	       "memory as it needs was touched just before. What needs more than half of the available\n"
	       "memory is left out, as is an allocator that is not installed. MALLOC_CONF and\n"
	       "LD_PRELOAD are taken away; SPARENA_CONF reaches sparena. sparena-lazy is sparena with\n"
	       "lazy_above:256K, for sparse workloads, and for others where it is named.\n");
	return cli_finish(0);
}

/* A number of 1 to most. */
static bool read_number(const char *text, size_t most, const char *option, unsigned *out)
{
	size_t value, length = strlen(text);

	if (length == 0 || strspn(text, "0123456789") < length || size_parse(text, length, &value) != 0 ||
	    value == 0 || value > most) {
		cli_error("%s: '%s' is not a number from 1 to %zu", option, text, most);
		return false;
	}
	*out = (unsigned)value;
	return true;
}

static bool add_peer(struct alloc_bench *b, const char *text, size_t length)
{
	struct peer *p = &b->peers[b->peer_count];

	if (b->peer_count == PEERS_MAX) {
		cli_error("--allocators: at most %d at a time", PEERS_MAX);
		return false;
	}
	if (!peer_read(p, text, length, &b->notes))
		return false;
	for (unsigned i = 0; i < b->peer_count; i++) {
		if (strcmp(b->peers[i].name, p->name) != 0)
			continue;
		cli_error("--allocators: '%s' is there twice", p->name);
		return false;
	}
	b->peer_count++;
	return true;
}

/* A comma may be in what a variable is set to: NAME=... goes to the end. */
static bool read_peers(struct alloc_bench *b, const char *list)
{
	for (;;) {
		size_t length = strcspn(list, ",=");

		if (list[length] == '=')
			length = strlen(list);
		if (!add_peer(b, list, length))
			return false;
		if (list[length] == '\0')
			return true;
		list += length + 1;
	}
}

static bool add_program(struct alloc_bench *b, const char *text)
{
	if (b->work_count == WORKS_MAX) {
		cli_error("--program: at most %d at a time", WORKS_MAX);
		return false;
	}
	if (!work_read_program(&b->works[b->work_count], text, &b->notes))
		return false;
	for (unsigned i = 0; i < b->work_count; i++) {
		if (strcmp(b->works[i].name, b->works[b->work_count].name) != 0)
			continue;
		cli_error("--program: '%s' is there twice", b->works[i].name);
		return false;
	}
	b->work_count++;
	return true;
}

enum { OPTION_PROGRESS = 256, OPTION_LIST };

static bool read_option(struct alloc_bench *b, int option, const char *value)
{
	struct alloc_options *o = &b->options;

	switch (option) {
	case 'q':
	case 'f':
		o->full = option == 'f';
		return true;
	case 'r':
		return read_number(value, BENCH_ROUNDS_MAX, "--rounds", &o->rounds);
	case 't':
		return read_number(value, TIMEOUT_MAX, "--timeout", &o->timeout);
	case 'w':
		o->workloads = value;
		return true;
	case 'p':
		return add_program(b, value);
	case 'a':
		return read_peers(b, value);
	case 'b':
		o->base = value;
		return true;
	case 'j':
		o->json = value;
		return true;
	case 'm':
		o->markdown = value;
		return true;
	case OPTION_PROGRESS:
		o->progress = true;
		return true;
	case OPTION_LIST:
		o->list = true;
		return true;
	default:
		return false;
	}
}

static bool is_stdout(const char *file)
{
	return file != NULL && strcmp(file, "-") == 0;
}

/* What can be said only when all is known. */
static bool check(struct alloc_bench *b)
{
	struct alloc_options *o = &b->options;
	bool known = o->base == NULL;

	if (is_stdout(o->json) && is_stdout(o->markdown)) {
		cli_error("--json and --markdown: only one of them can go to standard output");
		return false;
	}
	for (unsigned i = 0; b->peer_count == 0 && peer_known(i) != NULL; i++)
		peer_take_known(&b->peers[i], i);
	while (b->peer_count < PEERS_MAX && b->peers[b->peer_count].name != NULL)
		b->peer_count++;
	for (unsigned i = 0; i < b->peer_count && o->base != NULL; i++)
		if (strcmp(b->peers[i].name, o->base) == 0) {
			b->peers[i].sparse = false; /* so it is named */
			known = true;
		}
	if (!known)
		cli_error("--base: '%s' is not among the allocators", o->base);
	return known;
}

int alloc_read_options(struct alloc_bench *b, int argc, char **argv)
{
	static const struct option longs[] = {
		{"quick", no_argument, NULL, 'q'},         {"full", no_argument, NULL, 'f'},
		{"rounds", required_argument, NULL, 'r'},  {"workloads", required_argument, NULL, 'w'},
		{"program", required_argument, NULL, 'p'}, {"allocators", required_argument, NULL, 'a'},
		{"base", required_argument, NULL, 'b'},    {"timeout", required_argument, NULL, 't'},
		{"json", required_argument, NULL, 'j'},    {"markdown", required_argument, NULL, 'm'},
		{"list", no_argument, NULL, OPTION_LIST},  {"progress", no_argument, NULL, OPTION_PROGRESS},
		{"help", no_argument, NULL, 'h'},          {0},
	};
	int option;

	b->options.timeout = TIMEOUT;
	while ((option = getopt_long(argc, argv, "qfr:w:p:a:b:t:j:m:h", longs, NULL)) != -1) {
		if (option == 'h')
			return print_help();
		if (!read_option(b, option, optarg))
			return cli_usage(argv[0]);
	}
	if (optind < argc) {
		cli_error("bench alloc: unexpected argument '%s'", argv[optind]);
		return cli_usage(argv[0]);
	}
	if (!check(b))
		return cli_usage(argv[0]);
	b->scale = b->options.full ? 10 : 1;
	b->rounds = b->options.rounds != 0 ? b->options.rounds : b->options.full ? 5 : 3;
	return -1;
}

/* ---- which of those that there are ----------------------------------------------------------- */

static const struct work *named(const struct work *listed, unsigned count, const char *name, size_t length)
{
	for (unsigned i = 0; i < count; i++)
		if (strncmp(listed[i].name, name, length) == 0 && listed[i].name[length] == '\0')
			return &listed[i];
	return NULL;
}

/* Puts a workload behind those that were selected before, in front of the programs. */
static bool insert(struct alloc_bench *b, unsigned at, const struct work *w)
{
	if (b->work_count == WORKS_MAX) {
		cli_error("bench alloc: at most %d workloads and programs", WORKS_MAX);
		return false;
	}
	memmove(&b->works[at + 1], &b->works[at], (b->work_count - at) * sizeof(*b->works));
	b->works[at] = *w;
	b->work_count++;
	return true;
}

static bool insert_named(struct alloc_bench *b, const struct work *listed, unsigned count, const char *list)
{
	for (unsigned at = 0;; at++) {
		size_t length = strcspn(list, ",");
		const struct work *w = named(listed, count, list, length);

		if (w == NULL || named(b->works, at, list, length) != NULL) {
			cli_error("--workloads: '%.*s' is %s", (int)length, list,
			          w == NULL ? "not known: sparena bench alloc --list" : "there twice");
			return false;
		}
		if (!insert(b, at, w))
			return false;
		if (list[length] == '\0')
			return true;
		list += length + 1;
	}
}

bool alloc_select(struct alloc_bench *b, struct work *listed, unsigned count)
{
	const char *list = b->options.workloads;

	for (unsigned i = 0; i < b->work_count; i++) {
		if (named(listed, count, b->works[i].name, strlen(b->works[i].name)) == NULL)
			continue;
		cli_error("--program: '%s' is a workload's name", b->works[i].name);
		return false;
	}
	if (list != NULL)
		return insert_named(b, listed, count, list);
	for (unsigned i = 0; i < count; i++)
		if (!insert(b, i, &listed[i]))
			return false;
	return true;
}
