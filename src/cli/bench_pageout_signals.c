/* SPDX-License-Identifier: BSD-2-Clause */
/* Signals that end a program: kept until the machine is as it was. */
#define _GNU_SOURCE
#include "cli/bench_pageout.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const int held[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

#define HELD_COUNT (sizeof(held) / sizeof(held[0]))

static struct sigaction before[HELD_COUNT], pipe_before;
static volatile sig_atomic_t caught; /* 0: none */

static void note(int number)
{
	caught = number;
}

/* What was ignored, as by nohup(1), stays so. A pipe that nobody reads any more is found out
 * when the tables are printed. */
void pageout_hold_signals(void (*undo)(void))
{
	struct sigaction noting = {.sa_handler = note, .sa_flags = SA_RESTART};
	struct sigaction ignoring = {.sa_handler = SIG_IGN};

	atexit(undo);
	for (size_t i = 0; i < HELD_COUNT; i++) {
		sigaction(held[i], NULL, &before[i]);
		if (before[i].sa_handler != SIG_IGN)
			sigaction(held[i], &noting, NULL);
	}
	sigaction(SIGPIPE, &ignoring, &pipe_before);
}

void pageout_release_signals(void)
{
	for (size_t i = 0; i < HELD_COUNT; i++)
		sigaction(held[i], &before[i], NULL);
	sigaction(SIGPIPE, &pipe_before, NULL);
	if (caught != 0)
		raise(caught);
}

bool pageout_interrupted(void)
{
	return caught != 0;
}
