/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Failure points: a scenario is run again and again, in a process of its own each time, and
 * another call fails in each, once or from then on. To be included behind enum call, which
 * ends with CALLS, and the table calls[].
 */
#ifndef SPARENA_TESTS_POINTS_H
#define SPARENA_TESTS_POINTS_H

enum lasts { ONCE, FOR_GOOD, LASTS };
static const char *const lasts_name[LASTS] = { "once", "for good" };

/* Where and how calls fail; which == CALLS: all of them, each with its first error. */
struct point {
	enum call which;
	int error;
	enum lasts lasts;
	unsigned at; /* counts from 1; 0: nowhere */
};

static struct point point;
static unsigned seen; /* calls that the point could be at */

static int fails(enum call c)
{
	if (point.which != c && point.which != CALLS)
		return 0;
	seen++;
	if (!point.at || seen < point.at || (point.lasts == ONCE && seen > point.at))
		return 0;
	return -(point.which == CALLS ? calls[c].errors[0] : point.error);
}

/* ---- what a run says when it fails ------------------------------------------------- */

/* In the child of a run, where CMocka's own assertions have nowhere to go. */
#define MUST(condition)                                                                    \
	do {                                                                               \
		if (!(condition)) {                                                        \
			dprintf(2, "  line %d: not so: %s\n", __LINE__, #condition);       \
			_exit(1);                                                          \
		}                                                                          \
	} while (0)

#define MUST_BE_EQUAL(a, b)                                                                \
	do {                                                                               \
		size_t a_ = (a), b_ = (b);                                                 \
		if (a_ != b_) {                                                            \
			dprintf(2, "  line %d: %s is %zu, %s is %zu\n", __LINE__, #a, a_, #b, b_); \
			_exit(1);                                                          \
		}                                                                          \
	} while (0)

static size_t address_space(void)
{
	char text[8192];
	size_t bytes = 0;
	MUST(os_read_file("/proc/self/status", text, sizeof text, NULL) == 0);
	MUST(os_field_bytes(text, "VmSize", &bytes) == 0);
	return bytes;
}

/* ---- every point ------------------------------------------------------------------------ */

typedef void scenario(void);

static unsigned points, failures, stride;

/* In the child: returns the exit code, 0 if the point was reached and 2 if not. */
static int run(scenario *fn)
{
	size_t before = address_space();
	unsigned at = point.at;
	alarm(20);
	fn();
	MUST_BE_EQUAL(address_space(), before);
	return at && seen < at ? 2 : 0;
}

static void describe(const struct point *p, const char *outcome, int number)
{
	print_message("  %s %s %s, call %u%s: %s %d\n", p->which == CALLS ? "everything" : calls[p->which].name,
	              p->error ? strerror(p->error) : "", lasts_name[p->lasts], p->at,
	              p->at ? "" : " (untouched)", outcome, number);
	failures++;
}

/* Returns whether the run went as far as the point. */
static bool try_point(scenario *fn, struct point p)
{
	int status = 0;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		point = p;
		_exit(run(fn));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
		return false;
	points++;
	if (WIFSIGNALED(status))
		describe(&p, "signal", WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		describe(&p, "exit code", WEXITSTATUS(status));
	return true;
}

static void try_each(scenario *fn, enum call which, int error)
{
	for (int lasts = 0; lasts < LASTS; lasts++) {
		struct point p = { which, error, (enum lasts)lasts, 1 };
		while (try_point(fn, p))
			p.at += stride;
	}
}

/* The first `most_errors` of each call: what matters first, stands first. */
static void try_all(scenario *fn, const char *what, unsigned most_errors)
{
	const char *wanted = getenv("SPARENA_FAULT_STRIDE");
	stride = wanted && strtoul(wanted, NULL, 10) ? (unsigned)strtoul(wanted, NULL, 10) : 1;
	points = failures = 0;
	try_point(fn, (struct point){ .which = CALLS });
	assert_int_equal(failures, 0); /* or runs would end before their point, and never reach it */
	for (int c = 0; c < CALLS; c++)
		for (unsigned i = 0; i < most_errors && calls[c].errors[i]; i++)
			try_each(fn, (enum call)c, calls[c].errors[i]);
	try_each(fn, CALLS, 0);
	print_message("%s: %u points, %u failed\n", what, points, failures);
	assert_true(points > 40 || stride > 1);
	assert_int_equal(failures, 0);
}

#endif
