/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cli: the `sparena` command, one file a verb. It only shows and checks what the
 * floors below offer: a decision that a library would also have to take does not
 * belong here. It is a process of its own and may call malloc.
 */
#ifndef SPARENA_CLI_CLI_H
#define SPARENA_CLI_CLI_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* Exit codes; `run` exits with its program's own, 126 or 127 as env(1). */
enum {
	CLI_FAILURE = 1,
	CLI_USAGE = 2,
	CLI_CANNOT_RUN = 126,
	CLI_NOT_FOUND = 127,
};

/* A verb of the command, or of one of its verbs. */
struct cli_verb {
	const char *name;
	char *command; /* argv[0] of its main */
	int (*main)(int argc, char **argv);
	const char *help;
};

/* The verbs. argv[0] is "sparena VERB", for getopt_long(3)'s messages. Each
 * returns the exit code. */
int cli_run(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_bench(int argc, char **argv);

/* Prints the verbs for a help text, a line each. */
void cli_print_verbs(const struct cli_verb *verbs, size_t count);

/* Runs the verb that argv[0] names, or says, with what may have been meant, that there
 * is none in `command` ("sparena"). Returns the exit code. */
int cli_run_verb(const struct cli_verb *verbs, size_t count, const char *command, int argc, char **argv);

/* Prints "sparena: ..." as one line to standard error. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints "Try 'COMMAND --help' for more information." to standard error and
 * returns CLI_USAGE. `command` is "sparena" or "sparena VERB". */
int cli_usage(const char *command);

/* Flushes standard output and returns `code`, or CLI_FAILURE with a message when
 * what was printed could not be written. */
int cli_finish(int code);

/* Prints a table of the options that belong to `scope`. */
void cli_print_options(unsigned scope);

/* A list of options that grows at the end. */
struct cli_options {
	char *text; /* "" at least, once something was added */
};

/* Appends parts to a list, with a comma between when there is something before.
 * Ends the process with CLI_FAILURE when there is no memory. */
void cli_options_add(struct cli_options *o, const char *part);

/* Appends key:value; false, with a message, when the value contains a comma. */
bool cli_options_set(struct cli_options *o, const char *key, const char *value);

/* The smallest memory cgroup around this process, or the machine's memory; OS_UNLIMITED
 * where neither can be seen. */
size_t cli_box(void);

/* ---- the program that run starts (cli/program.c) --------------------------- */

/* What stands in the way of preloading a library into a program. */
enum cli_obstacle {
	CLI_OBSTACLE_NONE,
	CLI_OBSTACLE_SETUID, /* the loader ignores LD_PRELOAD */
	CLI_OBSTACLE_STATIC, /* there is no loader */
	CLI_OBSTACLE_CLASS,  /* 32-bit */
};

/* Finds a program as execvp(3) would, and says what stands in the way. A program
 * that is not found or cannot be read has no obstacle here: exec tells. */
enum cli_obstacle cli_program_obstacle(const char *name);

/* Path of the drop-in library: beside this executable, or in the lib directory
 * that belongs to it. NULL when it is not there, the first with a message. */
const char *cli_find_library(void);
const char *cli_look_for_library(void);

/* Path of the program that does the workloads of `sparena bench alloc`: in bench/ beside this
 * executable, or in the libexec directory that belongs to it. NULL, with a message, when it
 * is not there. */
const char *cli_find_workload(void);

/* Whether LD_PRELOAD can name a file: it has no way to write a space or a colon. */
bool cli_can_preload(const char *library);

#endif
