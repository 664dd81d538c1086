/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "cli/cli.h"

#include "conf/conf.h"
#include "os/os.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMAND "sparena run"

static int print_help(void)
{
	printf("Usage: " COMMAND " [OPTION]... [--] PROGRAM [ARG]...\n"
	       "Runs PROGRAM with sparena as its malloc.\n\n"
	       "  -l, --limit=SIZE       hold at most SIZE (64M, 2G, 50%%), metadata included\n"
	       "  -b, --backing=KIND     take memory from KIND\n"
	       "  -o, --options=OPTIONS  set options, as key:value,key:value; may be repeated\n"
	       "  -s, --stats[=FILE]     at exit print statistics to standard error, or write\n"
	       "                         them as JSON to FILE (%%p in it: the process id)\n"
	       "  -h, --help             show this help\n\n"
	       "OPTIONS, and their defaults:\n");
	cli_print_options(CONF_SCOPE_PROCESS);
	printf("\n"
	       "The environment variable SPARENA_CONF holds options too; those given here come\n"
	       "after and count. The exit status is the program's own, 126 when it cannot be\n"
	       "run, 127 when it is not found, 1 or 2 when sparena itself fails.\n");
	return cli_finish(0);
}

/* The program's working directory may be another one at exit. */
static bool set_stats_file(struct cli_options *o, const char *file)
{
	char path[PATH_MAX];
	char directory[PATH_MAX];
	int n;

	if (file[0] == '/')
		return cli_options_set(o, "stats_file", file);
	if (getcwd(directory, sizeof(directory)) == NULL) {
		cli_error("cannot make '%s' an absolute path: %s", file, strerror(errno));
		return false;
	}
	n = snprintf(path, sizeof(path), "%s/%s", strcmp(directory, "/") == 0 ? "" : directory, file);
	if (n < 0 || (size_t)n >= sizeof(path)) {
		cli_error("'%s': %s", file, strerror(ENAMETOOLONG));
		return false;
	}
	return cli_options_set(o, "stats_file", path);
}

static bool set_stats(struct cli_options *o, const char *file)
{
	if (file == NULL)
		return cli_options_set(o, "stats_print", "true");
	if (file[0] == '\0') {
		cli_error("--stats= needs a file name: leave the = away to print to standard error");
		return false;
	}
	return set_stats_file(o, file);
}

/* What a program would get to read as SPARENA_CONF must be right from the start. */
static bool valid(const char *options)
{
	char error[CONF_ERROR_MAX];
	struct conf c;

	conf_default(&c);
	if (conf_parse(&c, options, CONF_SCOPE_PROCESS, os_memory_total(), error) == 0) {
		conf_set_box(&c, cli_box());
		if (conf_check(&c, CONF_LIMIT_MINIMUM, error) == 0)
			return true;
	}
	cli_error("%s", error);
	return false;
}

static void warn_about(const char *program)
{
	switch (cli_program_obstacle(program)) {
	case CLI_OBSTACLE_NONE:
		break;
	case CLI_OBSTACLE_SETUID:
		cli_error("warning: '%s' is set-user-ID or set-group-ID: the loader ignores LD_PRELOAD "
		          "for it, so it keeps its own malloc",
		          program);
		break;
	case CLI_OBSTACLE_STATIC:
		cli_error("warning: '%s' is statically linked: LD_PRELOAD does not reach it, so it keeps "
		          "its own malloc",
		          program);
		break;
	case CLI_OBSTACLE_CLASS:
		cli_error("warning: '%s' is not a 64-bit program: it keeps its own malloc", program);
		break;
	}
}

static void put_environment(const char *name, const char *value)
{
	if (setenv(name, value, 1) == 0)
		return;
	cli_error("cannot set %s: %s", name, strerror(errno));
	exit(CLI_FAILURE);
}

/* Puts the library in front of what LD_PRELOAD names already. */
static void preload(const char *library)
{
	const char *before = getenv("LD_PRELOAD");
	char *list;

	if (!cli_can_preload(library)) {
		cli_error("'%s' cannot be preloaded: LD_PRELOAD has no way to name a path with a space or "
		          "a colon in it",
		          library);
		exit(CLI_FAILURE);
	}
	if (asprintf(&list, "%s%s%s", library, before != NULL && *before != '\0' ? ":" : "",
	             before != NULL ? before : "") < 0) {
		cli_error("out of memory");
		exit(CLI_FAILURE);
	}
	put_environment("LD_PRELOAD", list);
	free(list);
}

static int start(const struct cli_options *o, char **program)
{
	const char *library = cli_find_library();
	int error;

	if (library == NULL)
		return CLI_FAILURE;
	warn_about(program[0]);
	put_environment("SPARENA_CONF", o->text);
	preload(library);
	execvp(program[0], program);
	error = errno;
	cli_error("cannot run '%s': %s", program[0], strerror(error));
	return error == ENOENT ? CLI_NOT_FOUND : CLI_CANNOT_RUN;
}

int cli_run(int argc, char **argv)
{
	static const struct option longs[] = {
		{"limit", required_argument, NULL, 'l'},   {"backing", required_argument, NULL, 'b'},
		{"options", required_argument, NULL, 'o'}, {"stats", optional_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},          {0},
	};
	const char *inherited = getenv("SPARENA_CONF");
	struct cli_options o = {0};
	bool ok = true;
	int option;

	cli_options_add(&o, inherited != NULL ? inherited : "");
	while (ok && (option = getopt_long(argc, argv, "+l:b:o:s::h", longs, NULL)) != -1) {
		switch (option) {
		case 'l':
			ok = cli_options_set(&o, "limit", optarg);
			break;
		case 'b':
			ok = cli_options_set(&o, "backing", optarg);
			break;
		case 'o':
			cli_options_add(&o, optarg);
			break;
		case 's':
			ok = set_stats(&o, optarg);
			break;
		case 'h':
			return print_help();
		default:
			ok = false;
		}
	}
	if (ok && optind >= argc) {
		cli_error("run: no program given");
		ok = false;
	}
	if (!ok || !valid(o.text))
		return cli_usage(COMMAND);
	return start(&o, argv + optind);
}
