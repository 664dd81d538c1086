/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "cli/check.h"
#include "cli/cli.h"

#include "base/base.h"
#include "conf/conf.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#define COMMAND "sparena check"

/* Options that are right, against what this machine has. */
static void check_fit(struct report *r, const struct conf *c, const struct os_probe *p, size_t reservation)
{
	const char *fix = "choose a smaller limit, as in limit:50%";
	char value[SIZE_TEXT_MAX + 16], size[SIZE_TEXT_MAX];

	if (c->reserve != CONF_AUTO && c->reserve > reservation && reservation < CHECK_RESERVATION_MAX) {
		size_format(c->reserve, size);
		snprintf(value, sizeof(value), "reserve:%s", size);
		report_add(r, "options", REPORT_PROBLEM, value, "is more address space than can be reserved",
		           "leave reserve:auto");
		return;
	}
	if (c->limit == CONF_UNLIMITED) {
		report_add(r, "options", REPORT_OK, "valid",
		           "without a limit the machine's memory is the limit", NULL);
		return;
	}
	size_format(c->limit, size);
	snprintf(value, sizeof(value), "limit:%s", size);
	if (p->memory_total != 0 && c->limit > p->memory_total)
		report_add(r, "options", REPORT_NOTE, value,
		           "is more than the machine's memory, so it protects nothing", fix);
	else if (p->memory_total != 0 && c->limit > p->memory_available)
		report_add(r, "options", REPORT_NOTE, value, "is more than the memory that is available now",
		           fix);
	else
		report_add(r, "options", REPORT_OK, value, "is available", NULL);
}

static void check_options(struct report *r, const char *options, const struct os_probe *p, size_t reservation)
{
	char error[CONF_ERROR_MAX];
	struct conf c;

	conf_default(&c);
	if (conf_parse(&c, options, CONF_SCOPE_PROCESS, p->memory_total, error) != 0 ||
	    conf_check(&c, CONF_LIMIT_MINIMUM, error) != 0)
		report_add(r, "options", REPORT_PROBLEM, "not valid", error, NULL);
	else
		check_fit(r, &c, p, reservation);
}

static int print_help(void)
{
	printf("Usage: " COMMAND " [OPTION]...\n"
	       "Says what this machine can back, what that means, and what to change where it cannot.\n\n"
	       "  -j, --json             print an array of findings instead of lines\n"
	       "  -o, --options=OPTIONS  check these too, as key:value,key:value, after SPARENA_CONF's\n"
	       "  -h, --help             show this help\n\n"
	       "OPTIONS, and their defaults:\n");
	cli_print_options(CONF_SCOPE_PROCESS);
	printf("\nThe exit status is 1 when a problem keeps sparena from keeping its promise.\n");
	return cli_finish(0);
}

static int check(const struct cli_options *o, bool json)
{
	struct os_probe probe;
	struct report r;
	size_t reservation;

	os_probe(&probe);
	report_begin(&r, json);
	reservation = check_machine(&r, &probe);
	if (o->text[0] != '\0')
		check_options(&r, o->text, &probe, reservation);
	report_end(&r);
	return cli_finish(r.problems == 0 ? 0 : CLI_FAILURE);
}

int cli_check(int argc, char **argv)
{
	static const struct option longs[] = {
		{"json", no_argument, NULL, 'j'},
		{"options", required_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *inherited = getenv("SPARENA_CONF");
	struct cli_options o = {0};
	bool json = false;
	int option;

	cli_options_add(&o, inherited != NULL ? inherited : "");
	while ((option = getopt_long(argc, argv, "jo:h", longs, NULL)) != -1) {
		switch (option) {
		case 'j':
			json = true;
			break;
		case 'o':
			cli_options_add(&o, optarg);
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
	return check(&o, json);
}
