/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "cli/check.h"
#include "cli/cli.h"
#include "cli/semantics.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#define COMMAND "sparena check"

enum { SEMANTICS = 256 }; /* an option without a short form */

static int print_help(void)
{
	printf("Usage: " COMMAND " [OPTION]...\n"
	       "Says what this machine can back, what that means, and what to change where it cannot.\n\n"
	       "  -j, --json             print one JSON object instead of lines\n"
	       "  -o, --options=OPTIONS  check these too, as key:value,key:value, after SPARENA_CONF's\n"
	       "      --semantics        try on this kernel what is documented of the calls that sparena is\n"
	       "                         built on, instead\n"
	       "  -h, --help             show this help\n\n"
	       "OPTIONS, and their defaults:\n");
	cli_print_options(CONF_SCOPE_PROCESS);
	printf("\n"
	       "The exit status is 1 when a problem keeps sparena from keeping its promise, or the kernel\n"
	       "does not do as documented, 2 when the command line is wrong.\n");
	return cli_finish(0);
}

static void read_options(struct check *c, const char *options)
{
	conf_default(&c->conf);
	c->options_given = options[0] != '\0';
	c->options_valid = conf_parse(&c->conf, options, CONF_SCOPE_PROCESS, c->probe.memory_total,
	                              c->options_error) == 0;
	conf_set_box(&c->conf, cli_box());
	if (c->options_valid)
		c->options_valid = conf_check(&c->conf, CONF_LIMIT_MINIMUM, c->options_error) == 0;
}

static int check(const struct cli_options *o, bool json)
{
	struct check c = {.root = "", .cgroup_box = OS_UNLIMITED};

	os_probe(&c.probe);
	read_options(&c, o->text);
	report_begin(&c.report, stdout, json);
	check_kernel(&c);
	check_huge_pages(&c);
	check_memory(&c);
	check_limits(&c);
	check_cgroup(&c);
	check_room(&c);
	check_options(&c);
	check_start(&c);
	report_end(&c.report);
	return cli_finish(c.report.problems == 0 ? 0 : CLI_FAILURE);
}

int cli_check(int argc, char **argv)
{
	static const struct option longs[] = {
		{"json", no_argument, NULL, 'j'},
		{"options", required_argument, NULL, 'o'},
		{"semantics", no_argument, NULL, SEMANTICS},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *inherited = getenv("SPARENA_CONF");
	struct cli_options o = {0};
	bool json = false, semantics = false, options = false;
	int option;

	cli_options_add(&o, inherited != NULL ? inherited : "");
	while ((option = getopt_long(argc, argv, "jo:h", longs, NULL)) != -1) {
		switch (option) {
		case 'j':
			json = true;
			break;
		case 'o':
			cli_options_add(&o, optarg);
			options = true;
			break;
		case SEMANTICS:
			semantics = true;
			break;
		case 'h':
			return print_help();
		default:
			return cli_usage(COMMAND);
		}
	}
	if (optind < argc) {
		cli_error("check: unexpected argument '%s'", argv[optind]);
		return cli_usage(COMMAND);
	}
	if (semantics && options) {
		cli_error("check: --semantics is about the kernel, whatever the options");
		return cli_usage(COMMAND);
	}
	return semantics ? semantics_check(json) : check(&o, json);
}
