/* SPDX-License-Identifier: BSD-2-Clause */
/* What a user wrote after `sparena bench pageout`. */
#define _GNU_SOURCE
#include "cli/bench_options.h"
#include "cli/bench_pageout.h"
#include "cli/cli.h"

#include <getopt.h>
#include <string.h>

#define SIZE (256 * MiB)
#define ROUNDS 10
#define DIRECTORY "/var/tmp"

const struct bench_name pageout_data[PAGEOUT_DATA] = {
	[PAGEOUT_ZERO] = {"zero", "zeros"},
	[PAGEOUT_HALF] = {"half", "half random"},
	[PAGEOUT_RANDOM] = {"random", "random"},
};

static int print_help(void)
{
	printf("Usage: sparena bench pageout [OPTION]...\n"
	       "Measures how long private memory takes to go to swap (madvise(2) MADV_PAGEOUT), by\n"
	       "folios of 4 KiB, 64 KiB and 2 MiB, and how long until pages of 4 KiB are back: each of\n"
	       "them read (touch), MADV_POPULATE_READ, and MADV_WILLNEED before either.\n\n"
	       "  -s, --size=SIZE        how much [256M]\n"
	       "  -r, --rounds=N         rounds, each over everything [10]\n"
	       "  -D, --data=LIST        what is in the pages: zero, half (the first half of each is\n"
	       "                         random), random [zero,half]\n"
	       "  -S, --swap=KIND        auto, system (what there is), zram, file[:DIR] [auto]\n"
	       "  -j, --json             print JSON\n"
	       "  -c, --csv              print comma-separated values\n"
	       "      --progress         tell how far it is, also where there is no terminal\n"
	       "  -h, --help             show this help\n\n"
	       "Zeros are what the kernel's own swap-out benchmark has: newer kernels note such pages\n"
	       "and write none. zram takes what compresses faster. `auto` is the system's swap where\n"
	       "enough is free; else, as root, a zram device, or a file in %s, which the bench\n"
	       "makes, uses before all other swap, and removes. As root it also sets which folios the\n"
	       "kernel makes (transparent_hugepage/hugepages-*kB/enabled), while they are measured.\n"
	       "All of that is undone at the end, and at SIGINT and SIGTERM.\n\n"
	       "out     how much went, by /proc/self/pagemap; the time is of all that was asked for\n"
	       "folios  how much was in folios of that size\n"
	       "whole   how much was swapped out in them, not split; not counted of zeros\n"
	       "cached  what was still in memory (swap cache): being written when MADV_PAGEOUT returned,\n"
	       "        or to be found there by what brings it back\n\n"
	       "Never more than half of the available memory is used.\n",
	       DIRECTORY);
	return cli_finish(0);
}

static bool read_size(struct bench_options *o, const char *text)
{
	if (!bench_read_sizes(o, text))
		return false;
	if (o->size_count == 1)
		return true;
	cli_error("--size: one size, and not a list");
	return false;
}

static const char *data_at(const struct bench_options *o, unsigned i)
{
	(void)o;
	return i < PAGEOUT_DATA ? pageout_data[i].name : NULL;
}

static bool read_swap(struct pageout_options *o, const char *text)
{
	static const char *const kinds[] = {
		[PAGEOUT_AUTO] = "auto",
		[PAGEOUT_SYSTEM] = "system",
		[PAGEOUT_ZRAM] = "zram",
		[PAGEOUT_FILE] = "file",
	};

	o->directory = DIRECTORY;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		o->swap = (enum pageout_choice)i;
		if (strcmp(text, kinds[i]) == 0)
			return true;
	}
	if (strncmp(text, "file:", 5) == 0 && text[5] != '\0') {
		o->directory = text + 5;
		return true;
	}
	cli_error("--swap: unknown '%s': there are auto, system, zram, file[:DIR]", text);
	return false;
}

enum { OPTION_PROGRESS = 256 };

static bool read_option(struct pageout_options *o, int option, const char *value)
{
	switch (option) {
	case 's':
		return read_size(&o->common, value);
	case 'r':
		return bench_read_rounds(&o->common, value);
	case 'D':
		return bench_read_names(&o->common, data_at, value, "--data", &o->data);
	case 'S':
		return read_swap(o, value);
	case 'j':
		o->common.format = BENCH_JSON;
		return true;
	case 'c':
		o->common.format = BENCH_CSV;
		return true;
	case OPTION_PROGRESS:
		o->common.progress = true;
		return true;
	default:
		return false;
	}
}

/* As a benchmark of one kind of memory, which is what is told of progress. */
static void take_defaults(struct pageout_options *o)
{
	*o = (struct pageout_options){
		.common = {.rounds = ROUNDS,
	                   .sizes = {SIZE},
	                   .size_count = 1,
	                   .threads = {1},
	                   .thread_count = 1,
	                   .backings = 1u << BENCH_ANON,
	                   .mappings = 1u << BENCH_PRIVATE},
		.data = 1u << PAGEOUT_ZERO | 1u << PAGEOUT_HALF,
		.directory = DIRECTORY,
	};
}

int pageout_read_options(struct pageout_options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{"size", required_argument, NULL, 's'},
		{"rounds", required_argument, NULL, 'r'},
		{"data", required_argument, NULL, 'D'},
		{"swap", required_argument, NULL, 'S'},
		{"json", no_argument, NULL, 'j'},
		{"csv", no_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{"progress", no_argument, NULL, OPTION_PROGRESS},
		{0},
	};
	int option;

	take_defaults(o);
	while ((option = getopt_long(argc, argv, "s:r:D:S:jch", longs, NULL)) != -1) {
		if (option == 'h')
			return print_help();
		if (!read_option(o, option, optarg))
			return cli_usage(argv[0]);
	}
	if (optind == argc)
		return -1;
	cli_error("bench pageout: unexpected argument '%s'", argv[optind]);
	return cli_usage(argv[0]);
}
