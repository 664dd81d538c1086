/* SPDX-License-Identifier: BSD-2-Clause */
/* sparena bench: its verbs, and the options of those that measure memory. */
#define _GNU_SOURCE
#include "cli/bench.h"
#include "cli/bench_alloc.h"
#include "cli/bench_options.h"
#include "cli/bench_pageout.h"
#include "cli/cli.h"

#include <getopt.h>

/* ---- the verbs that measure memory --------------------------------------------------- */

static void print_names(const char *head, const struct bench_name *names, size_t count)
{
	printf("%s", head);
	for (size_t i = 0; i < count; i++)
		printf("%s%s", i == 0 ? " " : ", ", names[i].name);
	printf("\n");
}

static int print_help(const struct bench_subject *subject)
{
	printf("Usage: sparena bench %s [OPTION]...\n%s\n", subject->name, subject->help);
	printf("  -s, --size=LIST        sizes to measure [2M,128M,4G]\n"
	       "  -r, --rounds=N         rounds, each over everything [10]\n"
	       "  -t, --threads=LIST     share the memory out to so many threads [1%s]\n"
	       "  -b, --backing=LIST     kinds of memory [all]\n"
	       "  -m, --mapping=LIST     private or shared mappings [both]\n"
	       "  -x, --method=LIST      what to time [all]\n"
	       "  -d, --directory=DIR    make files there; may be repeated, and is for the kind whose\n"
	       "                         file system it is on [/dev/shm, /var/tmp, a hugetlbfs...]\n"
	       "  -j, --json             print JSON\n"
	       "  -c, --csv              print comma-separated values\n"
	       "  -p, --plot=FILE        draw bars too, as SVG\n"
	       "      --progress         tell how far it is, also where there is no terminal\n"
	       "  -h, --help             show this help\n\n",
	       subject->by_threads ? "; from 16M to 128M also 2,4" : "");
	print_names("Kinds of memory:", bench_backings, BENCH_BACKINGS);
	printf("\nNever more than half of the available memory is used. What cannot be measured is\n"
	       "listed with its reason. Mean, shortest and spread (standard deviation) are of all\n"
	       "rounds; before each the memory is empty, and methods take turns.\n");
	return cli_finish(0);
}

enum { OPTION_PROGRESS = 256 };

static bool read_option(struct bench_options *o, int option, const char *value)
{
	switch (option) {
	case 's':
		return bench_read_sizes(o, value);
	case 'r':
		return bench_read_rounds(o, value);
	case 't':
		return bench_read_threads(o, value);
	case 'b':
		return bench_read_backings(o, value);
	case 'm':
		return bench_read_mappings(o, value);
	case 'x':
		return bench_read_methods(o, value);
	case 'd':
		return bench_read_directory(o, value);
	case 'j':
		o->format = BENCH_JSON;
		return true;
	case 'c':
		o->format = BENCH_CSV;
		return true;
	case 'p':
		o->plot = value;
		return true;
	case OPTION_PROGRESS:
		o->progress = true;
		return true;
	default:
		return false;
	}
}

static int bench_memory_main(const struct bench_subject *subject, int argc, char **argv)
{
	static const struct option longs[] = {
		{"size", required_argument, NULL, 's'},
		{"rounds", required_argument, NULL, 'r'},
		{"threads", required_argument, NULL, 't'},
		{"backing", required_argument, NULL, 'b'},
		{"mapping", required_argument, NULL, 'm'},
		{"method", required_argument, NULL, 'x'},
		{"directory", required_argument, NULL, 'd'},
		{"json", no_argument, NULL, 'j'},
		{"csv", no_argument, NULL, 'c'},
		{"plot", required_argument, NULL, 'p'},
		{"progress", no_argument, NULL, OPTION_PROGRESS},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct bench_options o;
	int option;

	bench_default_options(&o, subject);
	while ((option = getopt_long(argc, argv, "s:r:t:b:m:x:d:jcp:h", longs, NULL)) != -1) {
		if (option == 'h')
			return print_help(subject);
		if (!read_option(&o, option, optarg))
			return cli_usage(argv[0]);
	}
	if (optind < argc) {
		cli_error("bench %s: unexpected argument '%s'", subject->name, argv[optind]);
		return cli_usage(argv[0]);
	}
	return bench_run(&o);
}

static int bench_populate(int argc, char **argv)
{
	return bench_memory_main(&bench_subject_populate, argc, argv);
}

static int bench_discard(int argc, char **argv)
{
	return bench_memory_main(&bench_subject_discard, argc, argv);
}

/* ---- sparena bench --------------------------------------------------------------------- */

static const struct cli_verb verbs[] = {
	{"populate", (char[]){"sparena bench populate"}, bench_populate, "time ways of getting pages"},
	{"discard", (char[]){"sparena bench discard"}, bench_discard, "time ways of giving pages back"},
	{"alloc", (char[]){"sparena bench alloc"}, bench_alloc, "compare allocators, on workloads or programs"},
	{"pageout", (char[]){"sparena bench pageout"}, bench_pageout, "time the way to swap and back"},
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static int print_bench_help(void)
{
	printf("Usage: sparena bench VERB [OPTION]...\n"
	       "Measures this machine's memory, and its allocators.\n\n"
	       "Verbs:\n");
	cli_print_verbs(verbs, VERB_COUNT);
	printf("\n"
	       "  -h, --help       show this help\n\n"
	       "'sparena bench VERB --help' tells more about a verb.\n");
	return cli_finish(0);
}

int cli_bench(int argc, char **argv)
{
	static const struct option longs[] = {{"help", no_argument, NULL, 'h'}, {0}};
	const char *command = argv[0];
	int option;

	while ((option = getopt_long(argc, argv, "+h", longs, NULL)) != -1)
		return option == 'h' ? print_bench_help() : cli_usage(command);
	if (optind >= argc) {
		cli_error("bench: no verb given");
		return cli_usage(command);
	}
	return cli_run_verb(verbs, VERB_COUNT, command, argc - optind, argv + optind);
}
