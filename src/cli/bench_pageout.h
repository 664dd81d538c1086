/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_pageout: `sparena bench pageout`, how long memory takes to go to swap and to come
 * back. What it changes of the machine (swap, the sizes of folios) is put back whatever
 * happens, and before anything is printed.
 */
#ifndef SPARENA_CLI_BENCH_PAGEOUT_H
#define SPARENA_CLI_BENCH_PAGEOUT_H

#include "cli/bench.h"
#include "os/machine.h"

#define PAGEOUT_FOLIOS 3
#define PAGEOUT_AREAS_MAX 8

/* What is in the pages. */
enum pageout_data { PAGEOUT_ZERO, PAGEOUT_HALF, PAGEOUT_RANDOM, PAGEOUT_DATA };
extern const struct bench_name pageout_data[PAGEOUT_DATA];

/* How they come back. */
enum pageout_way { PAGEOUT_TOUCH, PAGEOUT_READ, PAGEOUT_WILL_TOUCH, PAGEOUT_WILL_READ, PAGEOUT_WAYS };
extern const char *const pageout_ways[PAGEOUT_WAYS];

enum pageout_choice { PAGEOUT_AUTO, PAGEOUT_SYSTEM, PAGEOUT_ZRAM, PAGEOUT_FILE };

struct pageout_options {
	struct bench_options common; /* one size, rounds, format, progress */
	unsigned data;               /* a bit each */
	enum pageout_choice swap;
	const char *directory; /* for a file */
};

/* ---- what the user wrote (cli/bench_pageout_options.c) ------------------------- */

/* Returns the exit code where there is nothing more to do, or -1. */
int pageout_read_options(struct pageout_options *o, int argc, char **argv);

/* ---- signals (cli/bench_pageout_signals.c) -------------------------------------- */

/* From here to the second, SIGINT, SIGTERM and SIGHUP only make the last one true, and when
 * the process exits `undo` is called. The second ends the process if there was one. */
void pageout_hold_signals(void (*undo)(void));
void pageout_release_signals(void);
bool pageout_interrupted(void);

/* ---- swap (cli/bench_pageout_swap.c, cli/bench_pageout_make.c) -------------------- */

struct pageout_swap {
	bool own; /* made here, and to be removed */
	struct os_swap areas[PAGEOUT_AREAS_MAX];
	size_t area_count;
	/* Of one of our own: what there is to undo. */
	char path[1024]; /* "": nothing */
	bool on, added;  /* added: the zram device too */
	size_t zram;     /* its number; SIZE_MAX: none */
	struct os_file file;
};

/* Makes one, and uses it. False: `why` says why not, and nothing is left of it. */
bool pageout_make_zram(struct pageout_swap *s, size_t size, char *why, size_t capacity);
bool pageout_make_file(struct pageout_swap *s, const char *directory, size_t size, char *why,
                       size_t capacity);

/* Removes it again; false, with a message that says what to do, where something stays. */
bool pageout_remove(struct pageout_swap *s);

/* Finds swap for so many bytes, or makes it. False, with a message. */
bool pageout_find_swap(struct pageout_swap *s, const struct pageout_options *o, size_t size);

/* Bytes that are in the one of our own. */
size_t pageout_used(const struct pageout_swap *s);

/* Bytes that are free in all areas. */
size_t pageout_free(const struct os_swap *areas, size_t count);

/* ---- folios (cli/bench_pageout_folios.c) ------------------------------------------ */

/* The kernel's settings of all sizes, as they were. */
struct pageout_folios {
	uint64_t sizes; /* bit n: 2^n bytes */
	char before[64][OS_WORD_MAX];
	bool may_set, changed;
};

void pageout_folios_look(struct pageout_folios *f);

/* Why memory cannot be had in folios of that size; NULL: it can. */
const char *pageout_folios_refuse(const struct pageout_folios *f, size_t folio, struct bench_notes *notes);

/* The setting that a size has while another, or itself, is measured. */
const char *pageout_folios_word(size_t size, size_t folio);

/* Only this size from now on, where that can be set; and as it was. 0 or -errno. */
int pageout_folios_set(struct pageout_folios *f, size_t folio);
int pageout_folios_restore(struct pageout_folios *f);

/* What the kernel has counted of a size so far; NAN: it does not. */
double pageout_folios_count(size_t folio, const char *name);

/* Bytes of this process in folios of 2 MiB (or what the machine has instead); NAN: not known. */
double pageout_folios_huge(void);

/* ---- measurements (cli/bench_pageout_case.c) ---------------------------------------- */

/* A share is 0 to 1, or NAN where it is not known; these are sums over the rounds. */
struct pageout_case {
	size_t folio;
	enum pageout_data data;
	enum pageout_way way; /* PAGEOUT_WAYS: it is only sent out */
	const char *why;      /* not NULL: why it was not measured */
	uint64_t *ns;
	unsigned rounds;
	double folios; /* of the memory, in folios of that size */
	double out;    /* left memory */
	double whole;  /* in folios that were not split */
	double cached; /* left the page tables, but not memory: at once, or before it came back */
	double back;   /* came back */
	double own;    /* of what left, into the swap that was made for it */
};

struct pageout {
	const struct pageout_options *options;
	struct bench_space space;
	struct bench_notes notes;
	struct pageout_swap swap;
	struct pageout_folios folios;
	size_t size;
	char *base;     /* of the memory */
	char *patterns; /* what is copied into it */
	struct pageout_case cases[PAGEOUT_DATA * (PAGEOUT_FOLIOS + PAGEOUT_WAYS)];
	unsigned case_count;
	unsigned measured;
};

/* The pages that a kind of data is made of, into `patterns`; and a page of them, its number
 * in it, so that there are no two alike. */
#define PAGEOUT_PATTERN MiB
void pageout_make_pattern(char *pattern, size_t page, enum pageout_data data);
void pageout_fill_page(char *to, const char *pattern, size_t page, size_t number);

/* All cases that were asked for, in the order of the tables. */
void pageout_list_cases(struct pageout *b);

/* Runs a case once; with `warm` nothing is kept of it. Returns 0 or -errno. */
int pageout_run_case(struct pageout *b, struct pageout_case *c, bool warm);

/* ---- all rounds (cli/bench_pageout.c) and output (cli/bench_pageout_text.c, _data.c) ---- */

int bench_pageout(int argc, char **argv);

/* The mean, against that of the touch of the same data; NAN: there is none. */
double pageout_ratio(const struct pageout *b, const struct pageout_case *c);

/* How much of all went to the swap that was made for it, and not to another with as high a
 * priority; NAN: none was made. */
double pageout_own_share(const struct pageout *b);

/* The mean of a share over the rounds. */
double pageout_share(const struct pageout_case *c, double sum);

/* Bytes a second on the mean, as GiB; NAN: nothing went out. */
double pageout_rate(const struct pageout *b, const struct pageout_case *c);

void pageout_print_text(const struct pageout *b);
void pageout_print_json(const struct pageout *b);
void pageout_print_csv(const struct pageout *b);

#endif
