/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "cli/cli.h"

#include "base/base.h"
#include "conf/conf.h"
#include "sparena/sparena.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_verb verbs[] = {
	{"run", (char[]){"sparena run"}, cli_run, "run a program with sparena as its malloc"},
	{"check", (char[]){"sparena check"}, cli_check, "say what this machine can back, and what to change"},
	{"bench", (char[]){"sparena bench"}, cli_bench, "measure this machine's memory"},
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

void cli_error(const char *format, ...)
{
	va_list args;

	fputs("sparena: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

int cli_usage(const char *command)
{
	fprintf(stderr, "Try '%s --help' for more information.\n", command);
	return CLI_USAGE;
}

int cli_finish(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	cli_error("cannot write to standard output: %s", strerror(errno));
	return CLI_FAILURE;
}

void cli_print_options(unsigned scope)
{
	for (size_t i = 0; i < conf_option_count; i++) {
		const struct conf_option *o = &conf_options[i];
		char head[64];

		if ((o->scope & scope) == 0)
			continue;
		snprintf(head, sizeof(head), "%s:%s", o->key, o->values);
		printf("  %-26s %s", head, o->help);
		if (o->initial[0] != '\0')
			printf(" [%s]", o->initial);
		printf("\n");
	}
}

void cli_options_add(struct cli_options *o, const char *part)
{
	const char *before = o->text == NULL ? "" : o->text;
	char *joined;

	if (asprintf(&joined, "%s%s%s", before, *before != '\0' && *part != '\0' ? "," : "", part) < 0) {
		cli_error("out of memory");
		exit(CLI_FAILURE);
	}
	free(o->text);
	o->text = joined;
}

bool cli_options_set(struct cli_options *o, const char *key, const char *value)
{
	char *part;

	if (strchr(value, ',') != NULL) {
		cli_error("%s:\"%s\" contains a comma, which separates options", key, value);
		return false;
	}
	if (asprintf(&part, "%s:%s", key, value) < 0) {
		cli_error("out of memory");
		exit(CLI_FAILURE);
	}
	cli_options_add(o, part);
	free(part);
	return true;
}

static int print_help(void)
{
	printf("Usage: sparena VERB [OPTION]...\n"
	       "A malloc that never promises memory it doesn't have.\n\n"
	       "Verbs:\n");
	cli_print_verbs(verbs, VERB_COUNT);
	printf("\n"
	       "  -h, --help       show this help\n"
	       "  -V, --version    show the version\n\n"
	       "'sparena VERB --help' tells more about a verb.\n");
	return cli_finish(0);
}

void cli_print_verbs(const struct cli_verb *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		printf("  %-10s %s\n", list[i].name, list[i].help);
}

static int unknown_verb(const struct cli_verb *list, size_t count, const char *command, const char *name)
{
	const char *similar = NULL;
	size_t best = 3;

	for (size_t i = 0; i < count; i++) {
		size_t d = text_distance(name, strlen(name), list[i].name);

		if (d < best && d < strlen(list[i].name)) {
			best = d;
			similar = list[i].name;
		}
	}
	if (similar != NULL)
		cli_error("unknown verb '%s': did you mean '%s'?", name, similar);
	else
		cli_error("unknown verb '%s'", name);
	return cli_usage(command);
}

int cli_run_verb(const struct cli_verb *list, size_t count, const char *command, int argc, char **argv)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(argv[0], list[i].name) != 0)
			continue;
		argv[0] = list[i].command;
		optind = 0; /* so that getopt_long(3) starts anew */
		return list[i].main(argc, argv);
	}
	return unknown_verb(list, count, command, argv[0]);
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	static char name[] = "sparena";
	int option;

	if (argc > 0)
		argv[0] = name;
	while ((option = getopt_long(argc, argv, "+hV", longs, NULL)) != -1) {
		switch (option) {
		case 'h':
			return print_help();
		case 'V':
			printf("sparena %s\n", sparena_version());
			return cli_finish(0);
		default:
			return cli_usage(name);
		}
	}
	if (optind >= argc) {
		cli_error("no verb given");
		return cli_usage(name);
	}
	return cli_run_verb(verbs, VERB_COUNT, name, argc - optind, argv + optind);
}
