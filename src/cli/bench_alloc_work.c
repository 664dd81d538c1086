/* SPDX-License-Identifier: BSD-2-Clause */
/* What is run: the workloads that come with this command, and programs that a user names. */
#define _GNU_SOURCE
#include "cli/bench_alloc.h"
#include "cli/cli.h"

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

/* Cuts a word off a line, and the space behind it; false: there is none. */
static bool next_word(const char **line, const char **word, size_t *length)
{
	*word = *line;
	*length = strcspn(*line, " \n");
	if (*length == 0 || (*line)[*length] != ' ')
		return false;
	*line += *length + 1;
	return true;
}

static bool is_word(const char *word, size_t length, const char *wanted)
{
	return length == strlen(wanted) && strncmp(word, wanted, length) == 0;
}

/* "NAME MIB plain|sparse TEXT" */
static bool read_line(struct work *w, const char *line, struct bench_notes *notes)
{
	const char *name, *number, *kind;
	size_t name_length, number_length, kind_length, mib;
	bool sparse;

	if (!next_word(&line, &name, &name_length) || !next_word(&line, &number, &number_length) ||
	    !next_word(&line, &kind, &kind_length))
		return false;
	sparse = is_word(kind, kind_length, "sparse");
	if (strspn(name, NAME_CHARACTERS) != name_length || size_parse(number, number_length, &mib) != 0 ||
	    mib > SIZE_MAX / MiB || (!sparse && !is_word(kind, kind_length, "plain")))
		return false;
	*w = (struct work){
		.name = bench_note(notes, "%.*s", (int)name_length, name),
		.text = bench_note(notes, "%.*s", (int)strcspn(line, "\n"), line),
		.kind = sparse ? WORK_SPARSE : WORK_PLAIN,
		.need = mib * MiB,
	};
	return true;
}

bool work_list(struct work *works, unsigned *count, const char *listed, struct bench_notes *notes)
{
	for (const char *line = listed; *line != '\0';) {
		size_t length = strcspn(line, "\n");

		if (*count == WORKS_MAX || !read_line(&works[*count], line, notes)) {
			cli_error("bench alloc: the program of the workloads is another version's: '%.*s'",
			          (int)length, line);
			return false;
		}
		(*count)++;
		line += length + (line[length] != '\0');
	}
	return true;
}
