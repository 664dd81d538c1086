/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/bench_alloc.h"
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/helper.h"

/* ---- what the parts expect of the command ------------------------------------------- */

static char said[512]; /* the last message */

void cli_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(said, sizeof(said), format, args);
	va_end(args);
}

int cli_usage(const char *command)
{
	(void)command;
	return CLI_USAGE;
}

int cli_finish(int code)
{
	return code;
}

static const char *own_dropin = "/nowhere/libsparena_malloc.so.0";

const char *cli_look_for_library(void)
{
	return own_dropin;
}

bool cli_can_preload(const char *library)
{
	return strpbrk(library, ": ") == NULL;
}

/* ---- a machine that refuses --------------------------------------------------------- */

static struct {
	int of_pipe, of_memfd, of_reading; /* which of them fails: 1 is the next, 0 none */
	bool hides_files;                  /* from access(2) */
	long counter;                      /* what perf_event_open(2) answers; 0: the kernel's answer */
} machine;

static int fails(int *which)
{
	return *which != 0 && --*which == 0 ? -EMFILE : 0;
}

int __real_os_pipe(int ends[2]);
int __wrap_os_pipe(int ends[2]);
int __wrap_os_pipe(int ends[2])
{
	int r = fails(&machine.of_pipe);

	return r != 0 ? r : __real_os_pipe(ends);
}

int __real_os_memfd(const char *name, size_t page, struct os_file *out);
int __wrap_os_memfd(const char *name, size_t page, struct os_file *out);
int __wrap_os_memfd(const char *name, size_t page, struct os_file *out)
{
	int r = fails(&machine.of_memfd);

	return r != 0 ? r : __real_os_memfd(name, page, out);
}

int __real_os_read_at(int fd, size_t offset, void *buffer, size_t length);
int __wrap_os_read_at(int fd, size_t offset, void *buffer, size_t length);
int __wrap_os_read_at(int fd, size_t offset, void *buffer, size_t length)
{
	int r = fails(&machine.of_reading);

	return r != 0 ? r : __real_os_read_at(fd, offset, buffer, length);
}

int __real_access(const char *path, int mode);
int __wrap_access(const char *path, int mode);
int __wrap_access(const char *path, int mode)
{
	return machine.hides_files ? -1 : __real_access(path, mode);
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	long a[6];
	va_list args;

	va_start(args, number);
	for (unsigned i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (number != SYS_perf_event_open || machine.counter == 0)
		return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	errno = machine.counter < 0 ? (int)-machine.counter : 0;
	return machine.counter < 0 ? -1 : machine.counter;
}

static void assert_near(double value, double wanted)
{
	assert_true(fabs(value - wanted) <= 1e-9 * (fabs(wanted) + 1));
}

/* ---- statistics ------------------------------------------------------------------------ */

static void test_quartiles(void **state)
{
	double odd[] = {9, 1, 5, 3, 7}, even[] = {4, 1, 3, 2}, one[] = {17};
	struct quartiles q = quartiles_of(odd, 5);

	(void)state;
	assert_near(q.low, 3);
	assert_near(q.median, 5);
	assert_near(q.high, 7);
	q = quartiles_of(even, 4);
	assert_near(q.low, 1.75);
	assert_near(q.median, 2.5);
	assert_near(q.high, 3.25);
	q = quartiles_of(one, 1);
	assert_near(q.low, 17);
	assert_near(q.median, 17);
	assert_near(q.high, 17);
}

static void test_quartiles_of_missing(void **state)
{
	double some[] = {NAN, 8, NAN, 2}, none[] = {NAN, NAN};
	struct quartiles q = quartiles_of(some, 4);

	(void)state;
	assert_near(q.median, 5);
	assert_true(isnan(quartiles_of(none, 2).median));
	assert_true(isnan(quartiles_of(none, 0).low));
}

static void test_means(void **state)
{
	static const double values[] = {2, NAN, 8, 0}, nothing[] = {NAN, 0};
	size_t used;

	(void)state;
	assert_near(geometric_mean(values, 4, &used), 4);
	assert_int_equal(used, 2);
	assert_near(geometric_mean(values, 1, NULL), 2);
	assert_true(isnan(geometric_mean(nothing, 2, &used)));
	assert_int_equal(used, 0);
	assert_near(ratio_of(3, 4), 0.75);
	assert_true(isnan(ratio_of(NAN, 4)) && isnan(ratio_of(3, NAN)) && isnan(ratio_of(3, 0)));
}

/* ---- figures of a benchmark that has been run ---------------------------------------------- */

/* Three works by three peers, in two rounds; the base is the second one. */
static struct alloc_bench *a_bench(void)
{
	struct alloc_bench *b = calloc(1, sizeof(*b));
	static const char *const names[] = {"one", "two", "three"};

	b->work_count = b->peer_count = 3;
	b->rounds = 2;
	b->base = 1;
	b->cells = calloc(9, sizeof(*b->cells));
	for (unsigned i = 0; i < 3; i++) {
		b->works[i].name = names[i];
		b->peers[i].name = names[i];
	}
	for (unsigned i = 0; i < 9; i++) {
		b->cells[i].values = calloc((MEASURES + METRICS_MAX) * 2, sizeof(double));
		for (unsigned j = 0; j < (MEASURES + METRICS_MAX) * 2; j++)
			b->cells[i].values[j] = NAN;
	}
	return b;
}

static void free_bench(struct alloc_bench *b)
{
	for (unsigned i = 0; i < 9; i++)
		free(b->cells[i].values);
	free(b->cells);
	bench_notes_free(&b->notes);
	free(b);
}

static void set_time(struct alloc_bench *b, unsigned work, unsigned peer, double first, double second)
{
	double *values = alloc_values(b, work, peer, MEASURE_TIME);

	values[0] = first;
	values[1] = second;
}

static void test_ratios(void **state)
{
	struct alloc_bench *b = a_bench();
	size_t used;

	(void)state;
	for (unsigned work = 0; work < 3; work++) {
		set_time(b, work, 0, 10, 30);
		set_time(b, work, 1, 70, 90);
		set_time(b, work, 2, 1000, 600);
	}
	assert_near(alloc_quartiles(b, 0, 2, MEASURE_TIME).median, 800);
	assert_near(alloc_ratio(b, 0, 0, MEASURE_TIME), 0.25);
	assert_near(alloc_ratio(b, 0, 1, MEASURE_TIME), 1);
	assert_near(alloc_best_other(b, 0, 2, MEASURE_TIME), 40);
	assert_near(alloc_best_other(b, 0, 0, MEASURE_TIME), 0.25);
	b->peers[0].sparse = true; /* no work of its own: nobody's rival */
	assert_true(alloc_best_other(b, 0, 2, MEASURE_TIME) != 40);
	b->peers[0].sparse = false;
	assert_true(isnan(alloc_ratio(b, 0, 0, MEASURE_PEAK)));
	/* Another kind is apart; what failed, or was not measured, does not count. */
	set_time(b, 1, 0, 80 * 4, 80 * 4);
	b->works[2].kind = WORK_SPARSE;
	assert_near(alloc_mean(b, WORK_PLAIN, 0, MEASURE_TIME, &used), 1);
	assert_int_equal(used, 2);
	assert_near(alloc_mean(b, WORK_SPARSE, 0, MEASURE_TIME, &used), 0.25);
	assert_int_equal(used, 1);
	alloc_cell(b, 1, 0)->why = "failed";
	assert_near(alloc_mean(b, WORK_PLAIN, 0, MEASURE_TIME, &used), 0.25);
	assert_int_equal(used, 1);
	assert_near(alloc_best_other(b, 1, 1, MEASURE_TIME), 0.1);
	alloc_cell(b, 0, 1)->why = "failed";
	assert_true(isnan(alloc_mean(b, WORK_PLAIN, 0, MEASURE_TIME, &used)));
	b->works[2].why = "too large";
	assert_true(isnan(alloc_ratio(b, 2, 0, MEASURE_TIME)));
	free_bench(b);
}

static void test_output(void **state)
{
	struct alloc_bench *b = a_bench();

	(void)state;
	alloc_take_output(b, 1, 2, 1,
	                  "p99.9_ns 1234.5\nhello world\ntwo words 3\nlonely\n final_kib 9\nfinal_kib 2048\n"
	                  "time_ms 7 ms\nbad nan\nbad -1\nbad  5\nlast 8");
	assert_int_equal(b->works[1].metric_count, 2);
	assert_string_equal(b->works[1].metrics[0], "p99.9_ns");
	assert_string_equal(b->works[1].metrics[1], "last");
	assert_near(alloc_values(b, 1, 2, MEASURES)[1], 1234.5);
	assert_true(isnan(alloc_values(b, 1, 2, MEASURES)[0]));
	assert_near(alloc_values(b, 1, 2, MEASURES + 1)[1], 8);
	assert_near(alloc_values(b, 1, 2, MEASURE_FINAL)[1], 2048);
	assert_true(isnan(alloc_values(b, 1, 2, MEASURE_TIME)[1]));
	alloc_take_output(b, 1, 2, 0,
	                  "a_name_of_more_than_sixty_characters_is_taken_to_be_something_else 3\nempty \n");
	assert_int_equal(b->works[1].metric_count, 2);
	/* No more than there is room for. */
	for (unsigned i = 0; i < 2 * METRICS_MAX; i++) {
		char line[32];

		snprintf(line, sizeof(line), "metric%u %u\n", i, i);
		alloc_take_output(b, 0, 0, 0, line);
	}
	assert_int_equal(b->works[0].metric_count, METRICS_MAX);
	free_bench(b);
}

/* ---- options ------------------------------------------------------------------------------------ */

#define WORDS_MAX 160

/* Reads a command line into *b. */
static int read_line(struct alloc_bench *b, const char *line)
{
	static char copy[2048]; /* options are kept where they were found */
	char name[] = "sparena bench alloc", *argv[WORDS_MAX + 1] = {name}, *rest = copy;
	int argc = 1;

	memset(b, 0, sizeof(*b));
	said[0] = '\0';
	snprintf(copy, sizeof(copy), "%s", line);
	while (argc < WORDS_MAX && (argv[argc] = strsep(&rest, " ")) != NULL)
		argc++;
	argv[argc] = NULL;
	optind = 0;
	return alloc_read_options(b, argc, argv);
}

static void test_options(void **state)
{
	struct alloc_bench b;

	(void)state;
	assert_int_equal(read_line(&b, "-q"), -1);
	assert_int_equal(b.scale, 1);
	assert_int_equal(b.rounds, 3);
	assert_int_equal(b.peer_count, 7);
	assert_string_equal(b.peers[1].name, "jemalloc");
	assert_string_equal(b.peers[6].name, "sparena-lazy");
	assert_true(b.peers[6].sparse && !b.peers[5].sparse);
	bench_notes_free(&b.notes);
	assert_int_equal(read_line(&b, "-b sparena-lazy"), -1); /* named: compared with everywhere */
	assert_false(b.peers[6].sparse);
	bench_notes_free(&b.notes);
	assert_int_equal(read_line(&b, "-a sparena-lazy"), -1);
	assert_false(b.peers[0].sparse);
	bench_notes_free(&b.notes);
	assert_int_equal(
		read_line(&b, "--full -a glibc,tuned=jemalloc:MALLOC_CONF=thp:always,narenas:2 -a sparena"),
		-1);
	assert_int_equal(b.scale, 10);
	assert_int_equal(b.rounds, 5);
	assert_int_equal(b.peer_count, 3);
	assert_string_equal(b.peers[0].name, "glibc");
	assert_null(b.peers[0].setting);
	assert_string_equal(b.peers[1].name, "tuned");
	assert_string_equal(b.peers[1].library, "jemalloc");
	assert_string_equal(b.peers[1].setting, "MALLOC_CONF=thp:always,narenas:2");
	assert_string_equal(b.peers[2].name, "sparena");
	bench_notes_free(&b.notes);
	assert_int_equal(read_line(&b, "-r 7 -t 9 -p it=true"), -1);
	assert_int_equal(b.rounds, 7);
	assert_int_equal(b.options.timeout, 9);
	assert_int_equal(b.work_count, 1);
	assert_string_equal(b.works[0].name, "it");
	assert_string_equal(b.works[0].text, "true");
	assert_int_equal(b.works[0].kind, WORK_PROGRAM);
	bench_notes_free(&b.notes);
}

static void test_wrong_options(void **state)
{
	static const struct {
		const char *line, *said;
	} wrong[] = {
		{"-r 0", "'0' is not a number from 1 to 1000"},
		{"-r 1001", "'1001' is not a number"},
		{"-t 1K", "'1K' is not a number"},
		{"-a glibc,glibc", "'glibc' is there twice"},
		{"-a x=", "is not NAME=PATH"},
		{"-a x=/lib:NOTHING", "is not NAME=PATH"},
		{"-a x=/lib:=1", "is not NAME=PATH"},
		{"-b mimalloc -a glibc,sparena", "'mimalloc' is not among the allocators"},
		{"-p true", "'true' is not NAME=COMMAND"},
		{"-p a/b=true", "is not NAME=COMMAND"},
		{"-p it=", "is not NAME=COMMAND"},
		{"-p it=true -p it=false", "'it' is there twice"},
		{"-j - -m -", "only one of them"},
		{"word", "unexpected argument 'word'"},
		{"-r 99999999999999999999999", "is not a number from 1 to 1000"},
		{"-t ", "'' is not a number from 1 to 86400"},
		{"-t 86401", "'86401' is not a number from 1 to 86400"},
		{"-p =true", "'=true' is not NAME=COMMAND"},
		{"-a x=:A=1", "is not NAME=PATH"},
	};
	struct alloc_bench b;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(read_line(&b, wrong[i].line), CLI_USAGE);
		if (strstr(said, wrong[i].said) == NULL)
			fail_msg("%s: %s", wrong[i].line, said);
		bench_notes_free(&b.notes);
	}
}

/* As many as there is room for, and one more; N in `option` is the number. */
static void check_most(const char *option, unsigned most, const char *message)
{
	struct alloc_bench b;
	char line[2048];
	size_t n = 0;

	for (unsigned i = 0; i <= most; i++) {
		n += (size_t)snprintf(line + n, sizeof(line) - n, option, i == 0 ? "" : " ", i);
		if (i + 1 < most)
			continue;
		assert_int_equal(read_line(&b, line), i < most ? -1 : CLI_USAGE);
		assert_string_equal(said, i < most ? "" : message);
		bench_notes_free(&b.notes);
	}
}

static void test_too_many(void **state)
{
	static struct work w[WORKS_MAX + 1];
	struct alloc_bench b;
	char names[WORKS_MAX][8];

	(void)state;
	check_most("%s-a a%u=/x", PEERS_MAX, "--allocators: at most 16 at a time");
	check_most("%s-p p%u=true", WORKS_MAX, "--program: at most 64 at a time");
	for (unsigned i = 0; i < WORKS_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "w%u", i);
		w[i].name = names[i];
	}
	for (unsigned named = 0; named < 2; named++) {
		assert_int_equal(read_line(&b, named ? "-p a=1 -w w0" : "-p a=1"), -1);
		for (unsigned i = 1; i < (named ? WORKS_MAX : 2); i++) {
			b.works[i] = b.works[0];
			b.work_count = i + 1;
		}
		assert_false(alloc_select(&b, w, WORKS_MAX));
		assert_string_equal(said, "bench alloc: at most 64 workloads and programs");
		bench_notes_free(&b.notes);
	}
}

static const char listed_text[] = "small 16 plain some blocks\nsparse 118 sparse tables\n";

static void test_list(void **state)
{
	struct bench_notes notes = {0};
	struct work w[WORKS_MAX];
	unsigned count = 0;

	(void)state;
	assert_true(work_list(w, &count, listed_text, &notes));
	assert_int_equal(count, 2);
	assert_string_equal(w[0].name, "small");
	assert_string_equal(w[0].text, "some blocks");
	assert_int_equal(w[0].need, 16 * MiB);
	assert_int_equal(w[0].kind, WORK_PLAIN);
	assert_int_equal(w[1].kind, WORK_SPARSE);
	count = 0;
	assert_false(work_list(w, &count, "small 16 other some\n", &notes));
	assert_false(work_list(w, &count, "small many plain some\n", &notes));
	assert_false(work_list(w, &count, "\n", &notes));
	assert_false(work_list(w, &count, "small\n", &notes));
	assert_false(work_list(w, &count, "small 16\n", &notes));
	assert_false(work_list(w, &count, "small 16 plain\n", &notes));
	assert_false(work_list(w, &count, "sm/all 16 plain some\n", &notes));
	assert_false(work_list(w, &count, "small 17592186044416 plain some\n", &notes)); /* of bytes 2^64 */
	assert_string_equal(said, "bench alloc: the program of the workloads is another version's: "
	                          "'small 17592186044416 plain some'");
	assert_int_equal(count, 0);
	count = WORKS_MAX - 1;
	assert_false(work_list(w, &count, listed_text, &notes));
	assert_int_equal(count, WORKS_MAX);
	assert_non_null(strstr(said, "another version's: 'sparse 118 sparse tables'"));
	bench_notes_free(&notes);
}

/* Which are run: those that are named, or all; programs come last. */
static void test_selection(void **state)
{
	struct alloc_bench b;
	struct work w[WORKS_MAX];
	unsigned count = 0;

	(void)state;
	assert_int_equal(read_line(&b, "-w sparse,small -p it=true"), -1);
	assert_true(work_list(w, &count, listed_text, &b.notes));
	assert_true(alloc_select(&b, w, count));
	assert_int_equal(b.work_count, 3);
	assert_string_equal(b.works[0].name, "sparse");
	assert_string_equal(b.works[1].name, "small");
	assert_string_equal(b.works[2].name, "it");
	b.work_count = 0;
	b.options.workloads = NULL;
	assert_true(alloc_select(&b, w, count));
	assert_int_equal(b.work_count, 2);
	b.work_count = 0;
	b.options.workloads = "small,smal";
	assert_false(alloc_select(&b, w, count));
	assert_non_null(strstr(said, "'smal' is not known"));
	b.work_count = 0;
	b.options.workloads = "small,small";
	assert_false(alloc_select(&b, w, count));
	assert_non_null(strstr(said, "'small' is there twice"));
	b.work_count = 1;
	b.works[0].name = "small";
	b.works[0].kind = WORK_PROGRAM;
	assert_false(alloc_select(&b, w, count));
	assert_non_null(strstr(said, "'small' is a workload's name"));
	bench_notes_free(&b.notes);
}

/* ---- allocators ------------------------------------------------------------------------------------ */

static void test_path(void **state)
{
	static const char traced[] = "\tlinux-vdso.so.1 (0x1)\n\tlibje.so.2 => /lib/libje.so.2 (0x2)\n"
				     "\t/opt/my.so (0x3)\n\tlibgone.so.1 => not found\n";
	char path[64], tiny[4];

	(void)state;
	assert_true(peer_path_in(traced, "libje.so.2", path, sizeof(path)));
	assert_string_equal(path, "/lib/libje.so.2");
	assert_true(peer_path_in(traced, "/opt/my.so", path, sizeof(path)));
	assert_string_equal(path, "/opt/my.so");
	assert_false(peer_path_in(traced, "libje.so", path, sizeof(path)));
	assert_false(peer_path_in(traced, "/opt/my", path, sizeof(path)));
	assert_false(peer_path_in(traced, "libgone.so.1", path, sizeof(path)));
	assert_false(peer_path_in(traced, "linux-vdso.so.1", path, sizeof(path)));
	assert_false(peer_path_in("", "libje.so.2", path, sizeof(path)));
	assert_false(peer_path_in(traced, "libje.so.2", tiny, sizeof(tiny)));
}

/* This program is what the linker is asked with; the C library is what it surely finds. */
static void test_find(void **state)
{
	struct bench_notes notes = {0};
	struct peer p = {.name = "glibc"};

	(void)state;
	peer_find(&p, &notes);
	assert_true(p.why == NULL && p.library == NULL);
	p = (struct peer){.name = "sparena"};
	peer_find(&p, &notes);
	assert_null(p.why);
	assert_string_equal(p.library, "/nowhere/libsparena_malloc.so.0");
	p = (struct peer){.name = "small", .library = "sparena", .setting = "SPARENA_CONF=thp:never"};
	peer_find(&p, &notes);
	assert_null(p.why);
	assert_string_equal(p.library, "/nowhere/libsparena_malloc.so.0");
	assert_string_equal(p.setting, "SPARENA_CONF=thp:never");
	p = (struct peer){.name = "x", .library = "/nowhere/x.so"};
	peer_find(&p, &notes);
	assert_string_equal(p.why, "there is no /nowhere/x.so");
	p = (struct peer){.name = "x", .library = "/etc/passwd"};
	peer_find(&p, &notes);
	assert_non_null(strstr(p.why, "cannot be preloaded"));
	bench_notes_free(&notes);
}

static void find_custom(struct peer *p, const char *path, struct bench_notes *notes)
{
	*p = (struct peer){.name = "x", .library = path};
	peer_find(p, notes);
}

/* A library that is surely here: this program has it. */
static void own_library(char path[256])
{
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "re");

	path[0] = '\0';
	assert_non_null(maps);
	while (path[0] == '\0' && fgets(line, sizeof(line), maps) != NULL)
		if (strstr(line, "/libcmocka") != NULL)
			sscanf(strchr(line, '/'), "%255s", path);
	fclose(maps);
	assert_string_not_equal(path, "");
}

static void test_find_custom(void **state)
{
	char odd[] = "/tmp/sparena test XXXXXX", path[256], link[] = "/tmp/sparena-test-XXXXXX";
	struct bench_notes notes = {0};
	struct peer p;
	int fd = mkstemp(odd);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	find_custom(&p, odd, &notes);
	remove(odd);
	assert_string_equal(p.why, "LD_PRELOAD has no way to name a path with a space or a colon in it");
	/* By its own name, whatever it was called. */
	own_library(path);
	assert_true((fd = mkstemp(link)) >= 0);
	close(fd);
	remove(link);
	assert_int_equal(symlink(path, link), 0);
	find_custom(&p, link, &notes);
	remove(link);
	assert_null(p.why);
	assert_string_not_equal(p.library, link);
	assert_int_equal(access(p.library, R_OK), 0);
	machine.of_pipe = 1; /* nobody can be asked */
	find_custom(&p, path, &notes);
	assert_non_null(strstr(p.why, "cannot be preloaded"));
	bench_notes_free(&notes);
}

static void test_find_none(void **state)
{
	struct bench_notes notes = {0};
	struct peer p = {.name = "jemalloc"};

	(void)state;
	machine.hides_files = true;
	machine.of_pipe = 1;
	peer_find(&p, &notes);
	machine.hides_files = false;
	assert_null(p.library);
	assert_string_equal(p.why, "libjemalloc.so.2 is not here: apt-get install libjemalloc2");
	own_dropin = NULL;
	p = (struct peer){.name = "sparena"};
	peer_find(&p, &notes);
	assert_non_null(strstr(p.why, "is neither beside this command nor in the lib directory"));
	own_dropin = "/no where/libsparena_malloc.so.0";
	p = (struct peer){.name = "sparena"};
	peer_find(&p, &notes);
	assert_non_null(strstr(p.why, "LD_PRELOAD has no way to name a path with a space"));
	own_dropin = "/nowhere/libsparena_malloc.so.0";
	bench_notes_free(&notes);
}

/* ---- children ------------------------------------------------------------------------------------------ */

/* Runs a shell's command line. */
static struct child_result run(const char *command, const char *setting, unsigned timeout)
{
	char sh[] = "/bin/sh", option[] = "-c", line[256], *argv[] = {sh, option, line, NULL};
	struct child_task task = {.argv = argv, .setting = setting, .timeout = timeout};
	struct child_result r;

	snprintf(line, sizeof(line), "%s", command);
	assert_int_equal(child_run(&task, &r), 0);
	return r;
}

static void test_child(void **state)
{
	struct child_result r =
		run("echo $SOME; echo first >&2; echo last >&2; sleep 0.05; exit 3", "SOME=a=b", 60);
	char why[128];
	int input[2];

	(void)state;
	assert_string_equal(r.output, "a=b\n");
	assert_string_equal(r.messages, "first\nlast\n");
	assert_true(r.ns >= 50000000 && r.peak_kib > 0 && r.faults > 0);
	assert_true(child_failed(&r, 60, why, sizeof(why)));
	assert_string_equal(why, "exit status 3: last");
	child_free(&r);
	/* What is on standard input is not the child's to take. */
	assert_int_equal(pipe(input), 0);
	assert_int_equal(write(input[1], "text", 4), 4);
	assert_int_equal(dup2(input[0], STDIN_FILENO), STDIN_FILENO);
	close(input[1]);
	r = run("cat; kill -SEGV $$", NULL, 60);
	assert_string_equal(r.output, "");
	assert_true(child_failed(&r, 60, why, sizeof(why)));
	assert_non_null(strstr(why, "ended by signal 11"));
	child_free(&r);
	r = run("true", NULL, 60);
	assert_false(child_failed(&r, 60, why, sizeof(why)));
	child_free(&r);
}

/* Whoever a child leaves behind is ended too, whether it took too long or not. */
static void test_child_ends(void **state)
{
	static const char *const commands[] = {"sleep 77 & echo $!; wait", "sleep 77 & echo $!"};
	char why[128];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct child_result r = run(commands[i], NULL, 1);
		pid_t left = (pid_t)atol(r.output);
		char path[64];

		assert_int_equal(r.timed_out, i == 0);
		assert_int_equal(child_failed(&r, 1, why, sizeof(why)), i == 0);
		if (i == 0)
			assert_string_equal(why, "not done after 1 s");
		assert_true(r.ns < UINT64_C(30000000000));
		assert_true(left > 1);
		/* It is somebody else's to reap. */
		snprintf(path, sizeof(path), "/proc/%d/exe", (int)left);
		for (unsigned tries = 0; readlink(path, why, sizeof(why)) > 0; tries++) {
			assert_true(tries < 200);
			usleep(10000);
		}
		child_free(&r);
	}
}

/* What cannot be started as it should says so. */
static void test_not_started(void **state)
{
	char path[] = "/nowhere/program", sh[] = "/bin/sh", *argv[] = {path, NULL}, *shell[] = {sh, NULL};
	struct child_task task = {.argv = argv, .timeout = 60};
	struct child_result r;
	char why[128];

	(void)state;
	assert_int_equal(child_run(&task, &r), 0);
	assert_true(child_failed(&r, 60, why, sizeof(why)));
	assert_string_equal(why, "exit status 127: /nowhere/program: No such file or directory");
	child_free(&r);
	task.argv = shell;
	task.setting = "=value"; /* a variable without a name */
	assert_int_equal(child_run(&task, &r), 0);
	assert_true(child_failed(&r, 60, why, sizeof(why)));
	assert_string_equal(why, "exit status 127: /bin/sh: Invalid argument");
	child_free(&r);
	r = run("exit 4", "NO_VALUE", 60);
	assert_true(child_failed(&r, 60, why, sizeof(why)));
	assert_string_equal(why, "exit status 4");
	child_free(&r);
}

/* No descriptor is lost, whatever is refused. */
static void test_no_descriptors(void **state)
{
	int *const calls[] = {&machine.of_pipe, &machine.of_memfd, &machine.of_memfd};
	static const int which[] = {1, 1, 2};
	char sh[] = "/bin/sh", *argv[] = {sh, NULL};
	struct child_task task = {.argv = argv, .timeout = 60};
	unsigned before = own_descriptors();
	struct child_result r;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		*calls[i] = which[i];
		assert_int_equal(child_run(&task, &r), -EMFILE);
		assert_true(r.output == NULL && r.messages == NULL);
		assert_int_equal(own_descriptors(), before);
	}
	r = run("echo all is well", NULL, 60);
	child_free(&r);
	assert_int_equal(own_descriptors(), before);
}

/* Of much output the beginning is kept; of what cannot be read back, nothing. */
static void test_much_output(void **state)
{
	struct child_result r = run(
		"head -c 3000000 /dev/zero | tr '\\0' x; echo; echo >&2; echo why >&2; echo >&2", NULL, 60);
	char why[128];

	(void)state;
	assert_int_equal(strlen(r.output), 1 << 20);
	assert_int_equal(strspn(r.output, "x"), 1 << 20);
	assert_false(child_failed(&r, 60, why, sizeof(why)));
	r.status = 1 << 8;
	assert_true(child_failed(&r, 60, why, sizeof(why)));
	assert_string_equal(why, "exit status 1: why");
	child_free(&r);
	machine.of_reading = 1;
	r = run("echo text; echo more >&2", NULL, 60);
	assert_string_equal(r.output, "");
	assert_string_equal(r.messages, "more\n");
	child_free(&r);
}

/* ---- instructions ------------------------------------------------------------------------------------- */

static void test_uncounted(void **state)
{
	static const struct {
		int error;
		const char *why;
	} rows[] = {
		{EACCES, "perf_event_open(2) is refused: sysctl kernel.perf_event_paranoid=2"},
		{EPERM, "perf_event_open(2) is refused: sysctl kernel.perf_event_paranoid=2"},
		{ENOENT, "this machine lets nobody use the processor's counters"},
		{ENODEV, "this machine lets nobody use the processor's counters"},
		{EOPNOTSUPP, "this machine lets nobody use the processor's counters"},
		{ENOSYS, "perf_event_open(2): Function not implemented"},
	};
	struct bench_notes notes = {0};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		machine.counter = -rows[i].error;
		assert_int_equal(count_open(0), -rows[i].error);
		assert_ptr_equal(strstr(count_refused(&notes), rows[i].why), count_refused(&notes));
	}
	machine.counter = 0;
	bench_notes_free(&notes);
}

/* A pipe in place of the counter. */
static void test_counted(void **state)
{
	static const uint64_t values[] = {123456789, 0};
	char sh[] = "/bin/sh", *argv[] = {sh, NULL};
	int ends[2], fd = -1;
	struct child_task task = {.argv = argv, .timeout = 60, .instructions = &fd};
	struct bench_notes notes = {0};
	struct child_result r;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	machine.counter = dup(ends[0]);
	assert_null(count_refused(&notes));
	assert_int_equal(fcntl((int)machine.counter, F_GETFD), -1); /* it was for the question alone */
	machine.counter = ends[0];
	assert_int_equal(child_run(&task, &r), 0);
	machine.counter = 0;
	assert_int_equal(fd, ends[0]);
	child_free(&r);
	assert_int_equal(write(ends[1], values, sizeof(values)), sizeof(values));
	assert_near(count_read(fd), 123456789);
	assert_true(isnan(count_read(fd))); /* none: it was never on a processor */
	assert_int_equal(write(ends[1], values, 4), 4);
	assert_true(isnan(count_read(fd)));
	close(ends[0]);
	close(ends[1]);
	assert_true(isnan(count_read(fd)));
	bench_notes_free(&notes);
}

static void say_hello(void *context)
{
	dprintf(STDOUT_FILENO, "hello %s\n", (const char *)context);
}

static void test_call(void **state)
{
	char who[] = "you";
	struct child_task task = {.call = say_hello, .context = who, .timeout = 60};
	struct child_result r;

	(void)state;
	assert_int_equal(child_run(&task, &r), 0);
	assert_string_equal(r.output, "hello you\n");
	child_free(&r);
}

/* ---- tables -----------------------------------------------------------------------------------------------
 */

static void test_table(void **state)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	struct table t = {.columns = 3};

	(void)state;
	for (unsigned markdown = 0; markdown < 2; markdown++) {
		table_add(&t, "who");
		table_add(&t, "a|b");
		table_add(&t, "ratio");
		table_add(&t, "%s", "it");
		table_add_number(&t, 1234.5);
		table_add_ratio(&t, 0.125);
		table_add(&t, "other");
		table_add_number(&t, NAN);
		table_add(&t, "%s", "");
		table_print(&t, out, markdown != 0);
	}
	t.columns = 1; /* of three digits, and what ends a cell */
	table_add(&t, "\\");
	table_add_number(&t, 12.34);
	table_add_number(&t, 1.234);
	table_add_number(&t, 0);
	table_add_ratio(&t, NAN);
	table_add_ratio(&t, 12.34);
	table_add_ratio(&t, 123.4);
	table_print(&t, out, true);
	fclose(out);
	assert_string_equal(
		text, "  who     a|b  ratio\n  it     1234   0.12\n  other     -\n"
		      "| who | a\\|b | ratio |\n|---|---:|---:|\n| it | 1234 | 0.12 |\n| other | - |  |\n"
		      "| \\\\ |\n|---|\n| 12.3 |\n| 1.23 |\n| 0 |\n| - |\n| 12.3 |\n| 123 |\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quartiles),     cmocka_unit_test(test_quartiles_of_missing),
		cmocka_unit_test(test_means),         cmocka_unit_test(test_ratios),
		cmocka_unit_test(test_output),        cmocka_unit_test(test_options),
		cmocka_unit_test(test_wrong_options), cmocka_unit_test(test_list),
		cmocka_unit_test(test_selection),     cmocka_unit_test(test_path),
		cmocka_unit_test(test_find),          cmocka_unit_test(test_child),
		cmocka_unit_test(test_child_ends),    cmocka_unit_test(test_call),
		cmocka_unit_test(test_table),         cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_find_custom),   cmocka_unit_test(test_find_none),
		cmocka_unit_test(test_not_started),   cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_much_output),   cmocka_unit_test(test_uncounted),
		cmocka_unit_test(test_counted),
	};

	child_prepare();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
