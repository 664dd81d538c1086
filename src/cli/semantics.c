/* SPDX-License-Identifier: BSD-2-Clause */
/* check --semantics: runs each trial in a process of its own, and tells how it ended. */
#define _GNU_SOURCE
#include "cli/semantics.h"
#include "cli/cli.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS 30 /* of one trial: those that take longest wait some for the kernel */

const struct semantics_group *const semantics_groups[SEMANTICS_GROUPS] = {
	&semantics_populate_read, &semantics_populate_write, &semantics_populate, &semantics_willneed,
	&semantics_pageout,       &semantics_dontneed,       &semantics_remove,   &semantics_punch,
};

/* The kernel has lists of pages for each processor, and gives back what is in its own. */
static void stay_on_this_processor(void)
{
	int cpu = sched_getcpu();
	cpu_set_t set;

	CPU_ZERO(&set);
	if (cpu < 0 || cpu >= CPU_SETSIZE)
		return;
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* In the child. What it is killed by is told, and needs no core file. */
_Noreturn static void run(const struct semantics_row *row, struct trial *t)
{
	struct rlimit none = {0};

	setrlimit(RLIMIT_CORE, &none);
	signal(SIGXFSZ, SIG_IGN); /* ulimit -f: an error is enough */
	stay_on_this_processor();
	signal(SIGALRM, SIG_DFL);
	alarm(SECONDS);
	row->try(t);
	t->outcome = SEMANTICS_AS_DOCUMENTED;
	os_exit(0);
}

static void say(struct trial *t, enum semantics_outcome outcome, const char *what, const char *detail)
{
	struct text text;

	t->outcome = outcome;
	text_init(&text, t->said, sizeof(t->said));
	text_add(&text, "%s%s", what, detail);
}

/* Runs it, and sees to it that *t says how it ended, also where the trial could not. */
static void try(const struct semantics_row *row, struct trial *t)
{
	int status = 0;
	pid_t child;

	*t = (struct trial){.outcome = SEMANTICS_DIED};
	child = fork();
	if (child == 0)
		run(row, t);
	if (child < 0) {
		say(t, SEMANTICS_NOT_TRIED, "no process for it: ", strerror(errno));
		return;
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		say(t, SEMANTICS_NOT_TRIED, "it takes too long here", "");
	else if (WIFSIGNALED(status))
		say(t, SEMANTICS_DIFFERS, "the process was ended by: ", strsignal(WTERMSIG(status)));
	else if (t->outcome == SEMANTICS_DIED)
		say(t, SEMANTICS_DIFFERS, "the process ended", " by itself");
}

static void add(struct report *r, const struct semantics_row *row, const struct trial *t)
{
	char buffer[2 * REPORT_TEXT_MAX];
	struct text text;

	text_init(&text, buffer, sizeof(buffer));
	switch (t->outcome) {
	case SEMANTICS_AS_DOCUMENTED:
		text_add(&text, "%s (%s)", row->behaviour, row->source);
		report_add(r, row->name, REPORT_OK, "as documented", buffer, NULL);
		break;
	case SEMANTICS_DIFFERS:
		text_add(&text, "%s; documented is: %s (%s)", t->said, row->behaviour, row->source);
		report_add(r, row->name, REPORT_PROBLEM, "differs", buffer, NULL);
		break;
	case SEMANTICS_DIED:
	case SEMANTICS_NOT_TRIED:
		report_add(r, row->name, REPORT_NOTE, "not tried", t->said, NULL);
		break;
	}
}

void semantics_try(const struct semantics_group *g, struct report *r, struct semantics_count *count)
{
	void *shared;
	struct trial *t;

	report_group(r, g->name);
	for (size_t i = 0; i < g->count; i++) {
		/* One that came out badly could still be written to. */
		int e = os_reserve_shared_anonymous(sizeof(*t), os_page_size(), os_page_size(), &shared);
		struct trial none;

		e = e == 0 ? os_open(shared, sizeof(*t)) : e;
		t = e == 0 ? shared : &none;
		if (e == 0)
			try(&g->rows[i], t);
		else
			say(t, SEMANTICS_NOT_TRIED, "no memory for it: ", strerror(-e));
		add(r, &g->rows[i], t);
		count->of[t->outcome]++;
		if (e == 0)
			os_release(shared, sizeof(*t));
	}
}

int semantics_check(bool json)
{
	struct semantics_count count = {0};
	struct report r;

	report_begin(&r, stdout, json);
	for (size_t i = 0; i < SEMANTICS_GROUPS; i++)
		semantics_try(semantics_groups[i], &r, &count);
	if (json)
		report_end(&r);
	else
		printf("\n%zu as documented, %zu differ, %zu not tried.\n", count.of[SEMANTICS_AS_DOCUMENTED],
		       count.of[SEMANTICS_DIFFERS], count.of[SEMANTICS_NOT_TRIED]);
	return cli_finish(r.problems == 0 ? 0 : CLI_FAILURE);
}
