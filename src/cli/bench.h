/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench: what `sparena bench` measures of this machine, and how it is told. A benchmark
 * of memory is a list of methods, each of which is timed on every kind of memory, mapped
 * privately and shared, in every size and by several threads; round by round over all
 * of them, so that what disturbs the machine disturbs all alike. A benchmark of
 * something else is a verb of its own in bench.c.
 */
#ifndef SPARENA_CLI_BENCH_H
#define SPARENA_CLI_BENCH_H

#include "base/base.h"
#include "os/os.h"
#include "sparena/region.h"

#include <stdio.h>

#define BENCH_SIZES_MAX 16
#define BENCH_THREADS_MAX 8   /* entries in a list of thread counts... */
#define BENCH_THREADS_MOST 64 /* ...and the largest of them */
#define BENCH_ROUNDS_MAX 1000
#define BENCH_METHODS_MAX 16
#define BENCH_HUGE_PAGE (2 * MiB)
/* Sizes that are measured by several threads unless told otherwise: in smaller ones the
 * start of threads is what counts, and larger ones take long. */
#define BENCH_BY_THREADS_LEAST (16 * MiB)
#define BENCH_BY_THREADS_MOST (128 * MiB)

enum bench_backing {
	BENCH_ANON,
	BENCH_ANON_THP,
	BENCH_HUGETLB,
	BENCH_MEMFD,
	BENCH_MEMFD_HUGETLB,
	BENCH_TMPFS,
	BENCH_DISK,
	BENCH_HUGETLBFS,
	BENCH_BACKINGS,
};

enum bench_mapping { BENCH_PRIVATE, BENCH_SHARED, BENCH_MAPPINGS };

/* How each kind of memory is called. */
struct bench_name {
	const char *name;  /* in options and data */
	const char *title; /* for people */
};

extern const struct bench_name bench_backings[BENCH_BACKINGS];
extern const struct bench_name bench_mappings[BENCH_MAPPINGS];

/* ---- why something cannot be measured (cli/bench_notes.c) -------------------- */

/* Reasons, each of them once, so that equal ones are the same pointer. */
struct bench_notes {
	char **list;
	size_t count;
};

/* The reason with that text, kept until bench_notes_free(). */
const char *bench_note(struct bench_notes *n, const char *format, ...) __attribute__((format(printf, 2, 3)));
void bench_notes_free(struct bench_notes *n);

/* Ends the process with a message. */
_Noreturn void bench_no_memory(void);

/* As calloc(3), but ends the process so where there is no memory. */
void *bench_allocate(size_t count, size_t size);

/* What printf(3) makes of it, to be freed; ends the program when there is no memory. */
char *bench_vformat(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

/* ---- where there is room (cli/bench_space.c) ---------------------------------- */

struct bench_space {
	size_t memory;                         /* bytes that may be used: half of what is available */
	const char *directory[BENCH_BACKINGS]; /* of the kinds that are files; NULL: none was found */
	char *mounts[BENCH_BACKINGS];          /* those of them that were found among the mounts */
};

/*
 * Finds out how much memory may be used and directories for files: each of dirs[] is
 * for the kind whose file system it is on, and usual places serve the others. False,
 * with a message, when one of dirs[] cannot be used.
 */
bool bench_space_find(struct bench_space *s, const char *const *dirs, size_t count);
/* Looks again how much memory may be used: others take some, too. */
void bench_space_look(struct bench_space *s);

/* Why so much memory cannot be used; NULL: it can. */
const char *bench_space_refuse(const struct bench_space *s, size_t need, struct bench_notes *notes);
void bench_space_free(struct bench_space *s);

/* ---- memory to measure (cli/bench_memory.c) ------------------------------------ */

struct bench_memory {
	enum bench_backing backing;
	enum bench_mapping mapping;
	size_t size;
	size_t page; /* of the pages that it is made of; 0: not known */
	const char *directory;
	char *base;                    /* NULL: not mapped */
	struct os_file file;           /* whose pages they are; fd -1: of no file */
	struct sparena_region *region; /* another one of the same kind, or NULL */
	const char *why;               /* not NULL: it cannot be had, or was lost */
	const char *why_region;        /* not NULL: there is no region of this kind */
};

/* Maps memory of a kind and makes a region of it, with nothing populated, as far as
 * that can be done; m->why and m->why_region say what cannot. */
void bench_memory_open(struct bench_memory *m, const struct bench_space *space, struct bench_notes *notes);

/* Maps it again if a method unmapped it, and gives back what it holds. Returns 0 or -errno. */
int bench_memory_empty(struct bench_memory *m);
void bench_memory_close(struct bench_memory *m);

/* Whether there is a descriptor for it. */
bool bench_has_file(const struct bench_memory *m);

/* Whether its pages come from a pool of huge ones. */
bool bench_is_pooled(enum bench_backing backing);

/* Bytes that it takes from the machine, by the kernel's own view, copies included:
 * the mapping, or the region. */
int bench_memory_held(const struct bench_memory *m, bool region, size_t *bytes);

/* ---- methods (cli/bench_populate.c, cli/bench_discard.c) ------------------------ */

enum bench_flag {
	BENCH_NEEDS_FILE = 1 << 0,   /* a descriptor */
	BENCH_NEEDS_REGION = 1 << 1, /* works on m->region */
	BENCH_NEEDS_ADVICE = 1 << 2, /* MADV_POPULATE_READ and _WRITE */
	BENCH_WRITES = 1 << 3,       /* private mappings of files are copied */
	BENCH_ALLOCATES = 1 << 4,    /* by fallocate, so that the file has pages of its own */
};

struct bench_method {
	const char *name;
	unsigned flags;
	const char *not_private; /* why it isn't for such mappings; NULL: it is */
	const char *not_shared;
	/* Works on a part: this is timed, and called by each thread. 0 or -errno. */
	int (*run)(struct bench_memory *m, size_t offset, size_t length);
	/* What remains once all parts are done, timed too; may be NULL. */
	int (*finish)(struct bench_memory *m);
};

struct bench_subject {
	const char *name;
	const char *help; /* what it measures, as lines */
	const struct bench_method *methods;
	unsigned method_count;
	unsigned headline; /* the method that stands for all in plots */
	bool by_threads;   /* several thread counts by default */
	/* Brings memory into the state that methods start from; NULL: empty. 0 or -errno. */
	int (*prepare)(struct bench_memory *m, const struct bench_method *method);
	bool frees; /* methods give memory back: tell how much */
};

extern const struct bench_subject bench_subject_populate, bench_subject_discard;

/* Reads, or writes, one byte of each page. */
void bench_read(char *p, size_t length, size_t page);
void bench_write(char *p, size_t length, size_t page);

/* ---- one measurement (cli/bench_measure.c) --------------------------------------- */

/* From now on a touch that the backing has no page for ends the method, and not the process. */
void bench_catch_sigbus(void);

/* Brings memory into the state that the method starts from. Errors as below. */
int bench_prepare(const struct bench_subject *subject, struct bench_memory *m,
                  const struct bench_method *method);

/* Bytes of the pieces that threads can share the memory out in. */
size_t bench_unit(const struct bench_memory *m, const struct bench_method *method);

/* Times a method. 0; -EFAULT: the backing was full; or -errno. */
int bench_measure(struct bench_memory *m, const struct bench_method *method, unsigned threads, uint64_t *ns);

/* Takes as much memory as that and gives it back, so that the pages are at hand: a
 * virtual machine's host may have taken them away. */
void bench_warm_up(size_t bytes);
void bench_warm_pass(size_t bytes, uint64_t *ns);

/* ---- statistics (cli/bench_stats.c) ------------------------------------------------ */

struct bench_stats {
	double mean;
	double shortest;
	double spread; /* standard deviation of the sample; 0 for a single value */
};

/* Of count values; all zero when there are none. */
struct bench_stats bench_stats(const uint64_t *values, size_t count);

/* ---- all of it (cli/bench_run.c) ---------------------------------------------------- */

enum bench_format { BENCH_TEXT, BENCH_JSON, BENCH_CSV };

struct bench_options {
	const struct bench_subject *subject;
	unsigned rounds;
	size_t sizes[BENCH_SIZES_MAX];
	unsigned size_count;
	unsigned threads[BENCH_THREADS_MAX];
	unsigned thread_count;
	bool threads_given;
	unsigned backings, mappings, methods; /* a bit each */
	const char *directories[BENCH_BACKINGS];
	unsigned directory_count;
	enum bench_format format;
	const char *plot; /* or NULL */
	bool progress;
};

struct bench_cell {
	const char *why; /* not NULL: why it was not measured */
	uint64_t *ns;
	unsigned rounds;
	double freed; /* of what was held, 0 to 1; negative: not known */
};

/* Which cell: places in the lists of options. */
struct bench_key {
	unsigned size, threads, backing, mapping, method;
};

struct bench {
	const struct bench_options *options;
	struct bench_space space;
	struct bench_notes notes;
	struct bench_cell *cells;
	size_t page[BENCH_BACKINGS]; /* size of each kind's pages; 0: not known */
	size_t measured;             /* cells */
};

/* Measures everything, and prints each size as it is done. Returns the exit code. */
int bench_run(const struct bench_options *o);

/* Why a method cannot be measured; NULL: it can (cli/bench_refuse.c). */
const char *bench_refuse(struct bench *b, const struct bench_memory *m, const struct bench_method *method,
                         unsigned threads);

/* Bytes of memory that a method takes, of the machine or of the pool. */
size_t bench_need(const struct bench_memory *m, const struct bench_method *method);

/* ---- cells (cli/bench_cells.c) ----------------------------------------------------------- */

size_t bench_cell_count(const struct bench_options *o);
struct bench_cell *bench_cell(const struct bench *b, const struct bench_key *k);

/* Visits every cell of a size that is selected: by thread counts, then backings, mappings, methods. */
void bench_each_cell(const struct bench_options *o, unsigned size,
                     void (*visit)(void *context, const struct bench_key *k), void *context);

/* How many thread counts a size is measured with. */
unsigned bench_thread_counts(const struct bench_options *o, unsigned size);

/*
 * Goes on to the next selected backing and mapping, or the next selected method.
 * Start with bench_first_place() and bench_first_method(); false: there are no more.
 */
bool bench_first_place(const struct bench_options *o, struct bench_key *k);
bool bench_next_place(const struct bench_options *o, struct bench_key *k);
bool bench_first_method(const struct bench_options *o, struct bench_key *k);
bool bench_next_method(const struct bench_options *o, struct bench_key *k);

/* ---- progress, on standard error (cli/bench_progress.c) -------------------------------- */

struct bench_progress {
	bool terminal; /* one line, over and over */
	bool on;
	uint64_t start;
	double total, done; /* bytes to measure */
};

void bench_progress_begin(struct bench_progress *p, const struct bench_options *o);

/* Tells what is measured next. */
void bench_progress_show(struct bench_progress *p, const struct bench_options *o, const struct bench_key *k,
                         unsigned round);

/* Makes room for what is printed. */
void bench_progress_clear(const struct bench_progress *p);

/* ---- the rounds of one size (cli/bench_rounds.c) ----------------------------------------- */

/* Fills in the size's cells and counts those that were measured. */
void bench_measure_size(struct bench *b, unsigned size, struct bench_progress *progress);

/* ---- output (cli/bench_text.c, cli/bench_data.c, cli/bench_svg.c) ---------------------- */

struct bench_output {
	void (*begin)(const struct bench *b);
	void (*size)(const struct bench *b, unsigned size);
	void (*end)(const struct bench *b);
};

extern const struct bench_output bench_text, bench_json, bench_csv;

/* A text in quotes, as RFC 4180 has it. */
void bench_print_csv_text(const char *text);

/* Times of a size are told in this unit: how many ns it has, and its name. */
double bench_time_unit(const struct bench_options *o, unsigned size, const char **name);

/* Draws everything as SVG. */
void bench_draw(const struct bench *b, FILE *out);

#endif
