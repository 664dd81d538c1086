/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "cli/bench_options.h"

#include "cli/cli.h"

#include <string.h>
#include <strings.h>

void bench_default_options(struct bench_options *o, const struct bench_subject *subject)
{
	*o = (struct bench_options){
		.subject = subject,
		.rounds = 10,
		.sizes = {2 * MiB, 128 * MiB, 4 * GiB},
		.size_count = 3,
		.threads = {1, 2, 4},
		.thread_count = subject->by_threads ? 3 : 1,
		.backings = (1u << BENCH_BACKINGS) - 1,
		.mappings = (1u << BENCH_MAPPINGS) - 1,
		.methods = (1u << subject->method_count) - 1,
	};
}

/* ---- lists ------------------------------------------------------------------------- */

/* A list that is cut at its commas. */
struct words {
	const char *rest; /* NULL: there are no more */
	const char *word;
	size_t length;
};

static bool next_word(struct words *w)
{
	if (w->rest == NULL)
		return false;
	w->word = w->rest;
	w->length = strcspn(w->rest, ",");
	w->rest = w->word[w->length] == ',' ? w->word + w->length + 1 : NULL;
	return true;
}

/* A number of 1 to most. */
static bool read_number(const char *text, size_t length, size_t most, const char *option, unsigned *out)
{
	size_t value;

	/* Only digits: what is counted has no suffix. */
	if (length == 0 || strspn(text, "0123456789") < length || size_parse(text, length, &value) != 0 ||
	    value == 0 || value > most) {
		cli_error("%s: '%.*s' is not a number from 1 to %zu", option, (int)length, text, most);
		return false;
	}
	*out = (unsigned)value;
	return true;
}

static bool read_size(const char *text, size_t length, size_t *out)
{
	char page[SIZE_TEXT_MAX];

	if (size_parse(text, length, out) != 0 || *out == 0 || *out > PTRDIFF_MAX) {
		cli_error("--size: '%.*s' is not a size, as 2M or 4G", (int)length, text);
		return false;
	}
	if (*out % os_page_size() == 0)
		return true;
	size_format(os_page_size(), page);
	cli_error("--size: '%.*s' is no multiple of the page, %s", (int)length, text, page);
	return false;
}

bool bench_read_sizes(struct bench_options *o, const char *list)
{
	struct words w = {.rest = list};

	o->size_count = 0;
	while (next_word(&w)) {
		if (o->size_count == BENCH_SIZES_MAX) {
			cli_error("--size: at most %d at a time", BENCH_SIZES_MAX);
			return false;
		}
		if (!read_size(w.word, w.length, &o->sizes[o->size_count++]))
			return false;
	}
	return true;
}

bool bench_read_threads(struct bench_options *o, const char *list)
{
	struct words w = {.rest = list};

	o->thread_count = 0;
	o->threads_given = true;
	while (next_word(&w)) {
		if (o->thread_count == BENCH_THREADS_MAX) {
			cli_error("--threads: at most %d at a time", BENCH_THREADS_MAX);
			return false;
		}
		if (!read_number(w.word, w.length, BENCH_THREADS_MOST, "--threads",
		                 &o->threads[o->thread_count++]))
			return false;
	}
	return true;
}

/* ---- names -------------------------------------------------------------------------- */

static const char *backing_at(const struct bench_options *o, unsigned i)
{
	(void)o;
	return i < BENCH_BACKINGS ? bench_backings[i].name : NULL;
}

static const char *mapping_at(const struct bench_options *o, unsigned i)
{
	(void)o;
	return i < BENCH_MAPPINGS ? bench_mappings[i].name : NULL;
}

static const char *method_at(const struct bench_options *o, unsigned i)
{
	return i < o->subject->method_count ? o->subject->methods[i].name : NULL;
}

static bool say_unknown(const struct bench_options *o, bench_name_at *at, const struct words *w, const char *option)
{
	const char *name;

	fprintf(stderr, "sparena: %s: unknown '%.*s': there are", option, (int)w->length, w->word);
	for (unsigned i = 0; (name = at(o, i)) != NULL; i++)
		fprintf(stderr, "%s %s", i == 0 ? "" : ",", name);
	fputc('\n', stderr);
	return false;
}

bool bench_read_names(const struct bench_options *o, bench_name_at *at, const char *list, const char *option,
                      unsigned *out)
{
	struct words w = {.rest = list};

	*out = 0;
	while (next_word(&w)) {
		const char *name;
		unsigned i = 0;

		while ((name = at(o, i)) != NULL &&
		       (strncasecmp(name, w.word, w.length) != 0 || name[w.length] != '\0'))
			i++;
		if (name == NULL)
			return say_unknown(o, at, &w, option);
		*out |= 1u << i;
	}
	return true;
}

bool bench_read_backings(struct bench_options *o, const char *list)
{
	return bench_read_names(o, backing_at, list, "--backing", &o->backings);
}

bool bench_read_mappings(struct bench_options *o, const char *list)
{
	return bench_read_names(o, mapping_at, list, "--mapping", &o->mappings);
}

bool bench_read_methods(struct bench_options *o, const char *list)
{
	return bench_read_names(o, method_at, list, "--method", &o->methods);
}

/* ---- the rest ------------------------------------------------------------------------- */

bool bench_read_rounds(struct bench_options *o, const char *number)
{
	return read_number(number, strlen(number), BENCH_ROUNDS_MAX, "--rounds", &o->rounds);
}

bool bench_read_directory(struct bench_options *o, const char *directory)
{
	if (o->directory_count == BENCH_BACKINGS) {
		cli_error("--directory: there are not so many kinds of file systems");
		return false;
	}
	o->directories[o->directory_count++] = directory;
	return true;
}
