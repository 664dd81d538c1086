/* SPDX-License-Identifier: BSD-2-Clause */
/* What is run: the workloads that come with this command, and programs that a user names. */
#define _GNU_SOURCE
#include "cli/bench_alloc.h"
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

#define PROGRAM_NEED (256 * MiB) /* of which nobody knows anything */
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

bool work_read_program(struct work *w, const char *text, struct bench_notes *notes)
{
	size_t name = strspn(text, NAME_CHARACTERS);

	if (name == 0 || text[name] != '=' || text[name + 1] == '\0') {
		cli_error("--program: '%s' is not NAME=COMMAND, with a name of letters, digits, . _ -", text);
		return false;
	}
	*w = (struct work){
		.name = bench_note(notes, "%.*s", (int)name, text),
		.text = bench_note(notes, "%s", text + name + 1),
		.kind = WORK_PROGRAM,
		.need = PROGRAM_NEED,
	};
	return true;
}

/* "NAME MIB plain|sparse TEXT" */
static bool read_line(struct work *w, const char *line, size_t length, struct bench_notes *notes)
{
	char name[32], kind[8];
	unsigned mib;
	int used = 0;
	bool sparse;

	if (sscanf(line, "%31s %u %7s %n", name, &mib, kind, &used) != 3 || used <= 0 ||
	    (size_t)used > length || strspn(name, NAME_CHARACTERS) != strlen(name))
		return false;
	sparse = strcmp(kind, "sparse") == 0;
	if (!sparse && strcmp(kind, "plain") != 0)
		return false;
	*w = (struct work){
		.name = bench_note(notes, "%s", name),
		.text = bench_note(notes, "%.*s", (int)length - used, line + used),
		.kind = sparse ? WORK_SPARSE : WORK_PLAIN,
		.need = mib * MiB,
	};
	return true;
}

bool work_list(struct work *works, unsigned *count, const char *listed, struct bench_notes *notes)
{
	for (const char *line = listed; *line != '\0';) {
		size_t length = strcspn(line, "\n");

		if (*count == WORKS_MAX || !read_line(&works[*count], line, length, notes)) {
			cli_error("bench alloc: the program of the workloads is another version's: '%.*s'",
			          (int)length, line);
			return false;
		}
		(*count)++;
		line += length + (line[length] != '\0');
	}
	return true;
}
