/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_alloc: `sparena bench alloc`. Works (workloads, and programs that a user names) are
 * run under peers (allocators, preloaded), each pair in a process of its own, round by
 * round there and back again, so that a slow spell of the machine meets everybody. No
 * round is left out; what is shown are medians, and ratios to one of the peers, the base.
 */
#ifndef SPARENA_CLI_BENCH_ALLOC_H
#define SPARENA_CLI_BENCH_ALLOC_H

#include "cli/bench.h"

#include <sys/types.h>

#define PEERS_MAX 16
#define WORKS_MAX 64
#define METRICS_MAX 16 /* that a work tells itself */

/* ---- statistics (cli/bench_alloc_stats.c): a NAN stands for a value that there isn't -- */

struct quartiles {
	double low, median, high;
};

/* Of those of the values that there are, between two of them where none lies there; all
 * NAN when there are none. `values` is put in order. */
struct quartiles quartiles_of(double *values, size_t count);

/* value / base; NAN where one is missing or the base is not above 0. */
double ratio_of(double value, double base);

/* Of those that there are and are above 0; *used (may be NULL) is how many. NAN: of none. */
double geometric_mean(const double *values, size_t count, size_t *used);

/* ---- one process (cli/bench_alloc_child.c) ------------------------------------------------ */

struct child_task {
	char *const *argv;
	const char *library;         /* to preload; NULL: none */
	const char *setting;         /* VARIABLE=VALUE, or NULL */
	void (*call)(void *context); /* in place of a program */
	void *context;
	unsigned timeout;  /* seconds */
	int *instructions; /* where the counter's descriptor goes; NULL: none */
};

struct child_result {
	bool timed_out;
	int status;    /* of wait4(2) */
	uint64_t ns;   /* from its start to its end */
	double cpu_ms; /* user and system, its children's too */
	double peak_kib;
	double faults;
	char *output; /* what it wrote, and what it complained of: strings, to be freed */
	char *messages;
};

/* From here on a signal that ends this process ends its child first. */
void child_prepare(void);

/* Runs a child in a process group of its own, with /dev/null as its input, and waits for it;
 * whatever is left of the group then is killed. 0, or -errno: it could not be started. */
int child_run(const struct child_task *t, struct child_result *r);
void child_free(struct child_result *r);

/* Why a child did not do what it should, into `text`; false: it did. */
bool child_failed(const struct child_result *r, unsigned timeout, char *text, size_t capacity);

/* A counter of the instructions that a process, which has not called exec yet, and its
 * children take in user mode; -errno where there is none (cli/bench_alloc_count.c). */
int count_open(pid_t pid);
double count_read(int fd);

/* Why there are none, with what to do; NULL: there are. */
const char *count_refused(struct bench_notes *notes);

/* ---- allocators (cli/bench_alloc_peer.c) --------------------------------------------------- */

struct peer {
	const char *name;
	const char *library; /* to preload; NULL: none */
	const char *setting; /* VARIABLE=VALUE, or NULL */
	const char *why;     /* not NULL: why it is left out */
	bool sparse;         /* compared by sparse workloads alone */
};

/* The peers that have a name, in the order in which they are shown; NULL: no more. */
const char *peer_known(unsigned i);

/* Takes that one as it is where nobody named any. */
void peer_take_known(struct peer *p, unsigned i);

/*
 * Reads a peer as a user wrote it, NAME or NAME=PATH[:VARIABLE=VALUE], where PATH may be the
 * name of a known one. False, with a message, when that is not right. Whether it is there
 * is found out by peer_find(), by asking the dynamic linker, which sets p->why if not.
 */
bool peer_read(struct peer *p, const char *text, size_t length, struct bench_notes *notes);
void peer_find(struct peer *p, struct bench_notes *notes);

/* The path in what the dynamic linker said of `name`, into `path`. */
bool peer_path_in(const char *said, const char *name, char *path, size_t capacity);

/* ---- works (cli/bench_alloc_work.c) --------------------------------------------------------- */

enum work_kind { WORK_PLAIN, WORK_SPARSE, WORK_PROGRAM, WORK_KINDS };

struct work {
	const char *name;
	const char *text; /* what it does; of a program, its command line */
	size_t need;      /* bytes that it is expected to hold */
	const char *why;  /* not NULL: why it is not measured */
	const char *metrics[METRICS_MAX];
	unsigned metric_count;
	enum work_kind kind;
};

/* Reads NAME=COMMAND; false, with a message, when that is not right. */
bool work_read_program(struct work *w, const char *text, struct bench_notes *notes);

/* Adds the workloads that there are, of that scale, from what `workload --list` printed.
 * False, with a message, when it cannot be read. */
bool work_list(struct work *works, unsigned *count, const char *listed, struct bench_notes *notes);

/* ---- all of it (cli/bench_alloc.c, cli/bench_alloc_options.c) --------------------------------- */

enum measure {
	MEASURE_TIME,
	MEASURE_CPU,
	MEASURE_INSTRUCTIONS,
	MEASURE_PEAK,
	MEASURE_FINAL,
	MEASURE_FAULTS,
	MEASURES,
};

/* How each is called in JSON and in what works print, and as a column. */
struct measure_name {
	const char *key;
	const char *title;
	double unit; /* of the column */
};

extern const struct measure_name measures[MEASURES];

struct alloc_options {
	bool full;
	unsigned rounds;             /* 0: as many as suit */
	unsigned timeout;            /* seconds for one process */
	const char *workloads;       /* a list, or NULL: all, or none where there are programs */
	const char *base;            /* or NULL */
	const char *json, *markdown; /* files, "-" is standard output; or NULL */
	bool progress, list;
};

struct alloc_cell {
	const char *why; /* not NULL: it failed, and does not count */
	double *values;  /* rounds of each measure, then of each metric; NAN: none */
};

struct alloc_bench {
	struct alloc_options options;
	struct bench_notes notes;
	struct bench_space space;
	struct peer peers[PEERS_MAX];
	unsigned peer_count;
	struct peer left_out[PEERS_MAX];
	unsigned left_out_count;
	struct work works[WORKS_MAX];
	unsigned work_count;
	const char *program; /* that does the workloads; NULL: not looked for */
	unsigned base;       /* which peer */
	unsigned scale, rounds;
	const char *uncounted; /* why there are no instructions, or NULL */
	struct alloc_cell *cells;
};

/* The verb. */
int bench_alloc(int argc, char **argv);

/* Reads the command line into b. -1, or the exit code: it ends here. */
int alloc_read_options(struct alloc_bench *b, int argc, char **argv);

/* Those of the listed workloads that were asked for, in front of the programs. False, with
 * a message, when one is unknown. */
bool alloc_select(struct alloc_bench *b, struct work *listed, unsigned count);

/* Leaves those out that are not there, and finds the base; false, with a message: it is
 * not among them. */
bool alloc_find_peers(struct alloc_bench *b);

/* Whether a work is done under a peer at all. */
bool alloc_takes_part(const struct alloc_bench *b, unsigned work, unsigned peer);

struct alloc_cell *alloc_cell(const struct alloc_bench *b, unsigned work, unsigned peer);

/* The values of a measure, or of a metric (MEASURES + its number), a round each. */
double *alloc_values(const struct alloc_bench *b, unsigned work, unsigned peer, unsigned measure);

/* Median and quartiles of the same; all NAN where the cell does not count. */
struct quartiles alloc_quartiles(const struct alloc_bench *b, unsigned work, unsigned peer, unsigned measure);

/* The median's ratio to the base's. */
double alloc_ratio(const struct alloc_bench *b, unsigned work, unsigned peer, unsigned measure);

/* The geometric mean of the ratios of all works of a kind that the peer and the base did;
 * *used is how many these are. */
double alloc_mean(const struct alloc_bench *b, enum work_kind kind, unsigned peer, unsigned measure,
                  size_t *used);

/* The least ratio that another peer has, of those for all works; NAN: there is none. */
double alloc_best_other(const struct alloc_bench *b, unsigned work, unsigned peer, unsigned measure);

/* Runs everything and fills in the cells (cli/bench_alloc_rounds.c). */
void alloc_run(struct alloc_bench *b);

/* Takes what a work printed: lines of "name value", others are not meant for us. A name
 * that is a measure's replaces what was measured. */
void alloc_take_output(struct alloc_bench *b, unsigned work, unsigned peer, unsigned round,
                       const char *output);

/* ---- output (cli/bench_alloc_tables.c, cli/bench_alloc_json.c) --------------------------------- */

/* Everything, as text or as Markdown. */
void alloc_print_tables(const struct alloc_bench *b, FILE *out, bool markdown);
void alloc_print_json(const struct alloc_bench *b, FILE *out);

/* A table whose cells are added row by row (cli/bench_alloc_table.c); the first column is
 * of names, the others are of numbers. */
struct table {
	unsigned columns;
	char **cells;
	size_t count;
};

void table_add(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A number of three digits or so; a dash where it is NAN. */
void table_add_number(struct table *t, double value);
void table_add_ratio(struct table *t, double ratio);

/* Prints it, the first row being the head, and empties it; `out` may be NULL. */
void table_print(struct table *t, FILE *out, bool markdown);

#endif
