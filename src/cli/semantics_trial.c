/* SPDX-License-Identifier: BSD-2-Clause */
/* check --semantics: how a trial ends, and what it sees. */
#define _GNU_SOURCE
#include "cli/semantics.h"
#include "os/states.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAITS 500 /* of 10 ms */

/* ---- how a trial ends ------------------------------------------------------------ */

static void note_end(struct trial *t, enum semantics_outcome outcome, const char *format, va_list list)
{
	struct text text;

	text_init(&text, t->said, sizeof(t->said));
	text_vadd(&text, format, list);
	t->outcome = outcome;
}

void trial_differs(struct trial *t, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	note_end(t, SEMANTICS_DIFFERS, format, list);
	va_end(list);
	os_exit(0);
}

void trial_not_tried(struct trial *t, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	note_end(t, SEMANTICS_NOT_TRIED, format, list);
	va_end(list);
	os_exit(0);
}

void trial_need(struct trial *t, const char *what, int r)
{
	if (r != 0)
		trial_not_tried(t, "%s: %s", what, strerror(-r));
}

static const char *result_text(int r)
{
	return r == 0 ? "success" : strerror(-r);
}

void trial_result(struct trial *t, const char *what, int seen, int documented)
{
	if (seen != documented)
		trial_differs(t, "%s: %s, not: %s", what, result_text(seen), result_text(documented));
}

void trial_number(struct trial *t, const char *what, size_t seen, size_t documented)
{
	if (seen != documented)
		trial_differs(t, "%s: %zu, not %zu", what, seen, documented);
}

void trial_bytes(struct trial *t, const char *what, const char *p, size_t size, char documented)
{
	for (size_t i = 0; i < size; i++)
		if (p[i] != documented)
			trial_differs(t, "%s: byte %zu is %d, not %d", what, i, p[i], documented);
}

/* ---- the kernel's figures ------------------------------------------------------------- */

size_t trial_resident(struct trial *t, const char *p, size_t size)
{
	size_t bytes = 0;

	trial_need(t, "/proc/self/pagemap", os_resident(p, size, &bytes, NULL));
	return bytes;
}

size_t trial_swapped(struct trial *t, const char *p, size_t size)
{
	size_t resident = 0, bytes = 0;

	trial_need(t, "/proc/self/pagemap", os_resident(p, size, &resident, &bytes));
	return bytes;
}

size_t trial_in_core(struct trial *t, const char *p, size_t size)
{
	size_t bytes = 0;

	trial_need(t, "mincore", os_in_core(p, size, &bytes));
	return bytes;
}

size_t trial_stored(struct trial *t, int fd)
{
	size_t bytes = 0;

	trial_need(t, "fstat", os_file_bytes(fd, &bytes));
	return bytes;
}

/* Of one mapping in /proc/self/smaps, proc_pid_smaps(5). */
struct dirty {
	uintptr_t start;
	bool inside;
	size_t bytes;
};

static bool add_dirty(char *line, void *context)
{
	struct dirty *d = context;
	uintptr_t from, to;
	size_t bytes;

	if (os_parse_mapping(line, &from, &to))
		d->inside = from == d->start;
	if (d->inside && (os_field_bytes(line, "Private_Dirty", &bytes) == 0 ||
	                  os_field_bytes(line, "Shared_Dirty", &bytes) == 0))
		d->bytes += bytes;
	return true;
}

size_t trial_dirty(struct trial *t, const char *p)
{
	struct dirty d = {.start = (uintptr_t)p};
	char buffer[4096];

	trial_need(t, "/proc/self/smaps",
	           os_read_lines("/proc/self/smaps", buffer, sizeof(buffer), add_dirty, &d));
	return d.bytes;
}

static size_t faults_so_far(void)
{
	struct rusage usage = {0};

	getrusage(RUSAGE_SELF, &usage);
	return (size_t)usage.ru_minflt + (size_t)usage.ru_majflt;
}

/* One function, so that what is called first brings in its code, too. Sanitizers have memory of
 * their own for each page. */
__attribute__((noinline, no_sanitize_address, no_sanitize_thread)) static size_t
count_faults(volatile char *p, size_t size, bool write)
{
	size_t before = faults_so_far();

	for (size_t at = 0; at < size; at += os_page_size()) {
		char c = p[at];

		if (write)
			p[at] = c;
	}
	return faults_so_far() - before;
}

size_t trial_faults(char *p, size_t size, bool write)
{
	char first = 0;

	count_faults(&first, 1, true);
	return count_faults(p, size, write);
}

int trial_signal(struct trial *t, char *p)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		signal(SIGBUS, SIG_DFL); /* not a sanitizer's */
		*(volatile char *)p = 1;
		os_exit(0);
	}
	trial_need(t, "no process for it", child < 0 ? -errno : 0);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

bool trial_comes_to(struct trial *t, size_t (*figure)(struct trial *t, const char *p, size_t size),
                    const char *p, size_t size, size_t wanted)
{
	for (int i = 0; i < WAITS; i++) {
		if (figure(t, p, size) == wanted)
			return true;
		usleep(10 * 1000);
	}
	return false;
}

void trial_need_swap(struct trial *t)
{
	struct os_probe probe;

	os_probe(&probe);
	if (probe.swap_total == 0)
		trial_not_tried(t, "no swap is on");
	if (probe.swap_free < 16 * MiB)
		trial_not_tried(t, "swap is full");
}
