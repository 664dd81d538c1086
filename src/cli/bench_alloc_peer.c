/* SPDX-License-Identifier: BSD-2-Clause */
/* Allocators: which are known, and where the dynamic linker finds them. */
#define _GNU_SOURCE
#include "cli/bench_alloc.h"
#include "cli/cli.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SONAMES_MAX 3
#define ASK_TIMEOUT 10 /* seconds */

struct known {
	const char *name;
	const char *sonames[SONAMES_MAX]; /* the first one that is there; none: nothing to preload */
	const char *package;              /* Debian's */
	const char *setting;
	bool sparse; /* unless it is named */
};

static const struct known known_peers[] = {
	{"glibc", {NULL}, NULL, NULL, false},
	{"jemalloc", {"libjemalloc.so.2"}, "libjemalloc2", NULL, false},
	{"jemalloc-thp", {"libjemalloc.so.2"}, "libjemalloc2", "MALLOC_CONF=thp:always", false},
	{"mimalloc", {"libmimalloc.so.2", "libmimalloc.so.3"}, "libmimalloc2.0", NULL, false},
	{"tcmalloc", {"libtcmalloc_minimal.so.4", "libtcmalloc.so.4"}, "libtcmalloc-minimal4", NULL, false},
	{"sparena", {NULL}, NULL, NULL, false},
	{"sparena-lazy", {NULL}, NULL, "SPARENA_CONF=lazy_above:256K", true},
};

#define KNOWN_COUNT (sizeof(known_peers) / sizeof(known_peers[0]))

/* Where what was built by hand often is, and the linker doesn't look. */
static const char *const usual_directories[] = {"/usr/local/lib", "/usr/local/lib64", "/usr/lib64",
                                                "/usr/lib"};

const char *peer_known(unsigned i)
{
	return i < KNOWN_COUNT ? known_peers[i].name : NULL;
}

void peer_take_known(struct peer *p, unsigned i)
{
	*p = (struct peer){.name = known_peers[i].name, .sparse = known_peers[i].sparse};
}

static const struct known *find_known(const char *name)
{
	for (size_t i = 0; i < KNOWN_COUNT; i++)
		if (strcmp(known_peers[i].name, name) == 0)
			return &known_peers[i];
	return NULL;
}

/* ---- what a user wrote ------------------------------------------------------------------ */

static bool say_unknown(const char *text, size_t length)
{
	fprintf(stderr, "sparena: --allocators: unknown '%.*s': there are", (int)length, text);
	for (size_t i = 0; i < KNOWN_COUNT; i++)
		fprintf(stderr, "%s %s", i == 0 ? "" : ",", known_peers[i].name);
	fprintf(stderr, ", or NAME=PATH[:VARIABLE=VALUE]\n");
	return false;
}

/* PATH[:VARIABLE=VALUE]; no path that can be preloaded has a colon in it. */
static bool read_custom(struct peer *p, const char *text, size_t length, struct bench_notes *notes)
{
	const char *colon = memchr(text, ':', length);
	size_t path = colon == NULL ? length : (size_t)(colon - text);
	const char *setting = "";

	p->library = bench_note(notes, "%.*s", (int)path, text);
	if (colon != NULL) {
		setting = bench_note(notes, "%.*s", (int)(length - path - 1), colon + 1);
		p->setting = setting;
	}
	if (path == 0 || (colon != NULL && (strchr(setting, '=') == NULL || setting[0] == '='))) {
		cli_error("--allocators: '%s=%.*s' is not NAME=PATH[:VARIABLE=VALUE]", p->name, (int)length,
		          text);
		return false;
	}
	return true;
}

bool peer_read(struct peer *p, const char *text, size_t length, struct bench_notes *notes)
{
	const char *equals = memchr(text, '=', length);
	size_t name = equals == NULL ? length : (size_t)(equals - text);

	*p = (struct peer){.name = bench_note(notes, "%.*s", (int)name, text)};
	if (name == 0 || (equals == NULL && find_known(p->name) == NULL))
		return say_unknown(text, length);
	if (equals == NULL)
		return true;
	return read_custom(p, equals + 1, length - name - 1, notes);
}

/* ---- where it is -------------------------------------------------------------------------- */

/* A line is "NAME => PATH (ADDRESS)", or "PATH (ADDRESS)" of what has a slash in it. */
bool peer_path_in(const char *said, const char *name, char *path, size_t capacity)
{
	size_t length = strlen(name);

	for (const char *line = said; *line != '\0';) {
		const char *end = line + strcspn(line, "\n"), *p = line + strspn(line, " \t");

		if (strncmp(p, name, length) == 0 && p[length] == ' ') {
			const char *found = strncmp(p + length, " => ", 4) == 0 ? p + length + 4 : p;
			int n = snprintf(path, capacity, "%.*s", (int)strcspn(found, " \n"), found);

			return found[0] == '/' && n > 0 && (size_t)n < capacity;
		}
		line = *end == '\0' ? end : end + 1;
	}
	return false;
}

/*
 * Asks the linker itself, which knows its cache, LD_LIBRARY_PATH, and what it can load:
 * this command is started with the library in front, only to be traced. NULL: not there;
 * *why is what it says then, if anything.
 */
static const char *ask_linker(const char *name, const char **why, struct bench_notes *notes)
{
	char *argv[] = {(char[]){"/proc/self/exe"}, NULL}, path[PATH_MAX];
	struct child_task task = {.argv = argv,
	                          .library = name,
	                          .setting = "LD_TRACE_LOADED_OBJECTS=1",
	                          .timeout = ASK_TIMEOUT};
	struct child_result r;
	bool found;

	*why = NULL;
	if (child_run(&task, &r) != 0)
		return NULL;
	found = peer_path_in(r.output, name, path, sizeof(path));
	if (!found && r.messages[0] != '\0')
		*why = bench_note(notes, "%.*s", (int)strcspn(r.messages, "\n"), r.messages);
	child_free(&r);
	return found ? bench_note(notes, "%s", path) : NULL;
}

static void find_by_name(struct peer *p, const struct known *k, struct bench_notes *notes)
{
	const char *why;
	char path[PATH_MAX];

	for (size_t i = 0; i < SONAMES_MAX && k->sonames[i] != NULL; i++) {
		p->library = ask_linker(k->sonames[i], &why, notes);
		for (size_t d = 0; p->library == NULL && d < sizeof(usual_directories) / sizeof(char *);
		     d++) {
			snprintf(path, sizeof(path), "%s/%s", usual_directories[d], k->sonames[i]);
			if (access(path, R_OK) == 0)
				p->library = ask_linker(path, &why, notes);
		}
		if (p->library != NULL)
			return;
	}
	p->why = bench_note(notes, "%s is not here: apt-get install %s", k->sonames[0], k->package);
}

static void find_sparena(struct peer *p)
{
	p->library = cli_look_for_library();
	if (p->library == NULL)
		p->why = "the drop-in library is neither beside this command nor in the lib directory that "
			 "belongs to it";
	else if (!cli_can_preload(p->library))
		p->why = "LD_PRELOAD has no way to name a path with a space or a colon in it";
}

static void find_by_path(struct peer *p, struct bench_notes *notes)
{
	char real[PATH_MAX];
	const char *why;

	if (realpath(p->library, real) == NULL) {
		p->why = bench_note(notes, "there is no %s", p->library);
	} else if (!cli_can_preload(real)) {
		p->why = "LD_PRELOAD has no way to name a path with a space or a colon in it";
	} else if (ask_linker(real, &why, notes) == NULL) {
		p->why = why != NULL ? why : bench_note(notes, "%s cannot be preloaded", real);
	} else {
		p->library = bench_note(notes, "%s", real);
	}
}

void peer_find(struct peer *p, struct bench_notes *notes)
{
	const struct known *k = find_known(p->library != NULL ? p->library : p->name);

	if (k == NULL) {
		find_by_path(p, notes);
		return;
	}
	p->library = NULL;
	if (p->setting == NULL)
		p->setting = k->setting;
	if (strncmp(k->name, "sparena", strlen("sparena")) == 0)
		find_sparena(p);
	else if (k->sonames[0] != NULL)
		find_by_name(p, k, notes);
}
