/* SPDX-License-Identifier: BSD-2-Clause */
/* The processor's counter of instructions, by perf_event_open(2). */
#define _GNU_SOURCE
#include "cli/bench_alloc.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <math.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Only user mode: the kernel's own are nobody's to see in many places, and repeat badly. */
int count_open(pid_t pid)
{
	struct perf_event_attr attribute = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attribute),
		.config = PERF_COUNT_HW_INSTRUCTIONS,
		.disabled = 1,
		.enable_on_exec = 1,
		.inherit = 1,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};
	long fd = syscall(SYS_perf_event_open, &attribute, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : (int)fd;
}

double count_read(int fd)
{
	uint64_t value;

	return read(fd, &value, sizeof(value)) == sizeof(value) && value > 0 ? (double)value : NAN;
}

const char *count_refused(struct bench_notes *notes)
{
	int fd = count_open(0);

	if (fd >= 0) {
		close(fd);
		return NULL;
	}
	if (fd == -EACCES || fd == -EPERM)
		return bench_note(notes,
		                  "perf_event_open(2) is refused: sysctl kernel.perf_event_paranoid=2");
	if (fd == -ENOENT || fd == -ENODEV || fd == -EOPNOTSUPP)
		return bench_note(notes, "this machine lets nobody use the processor's counters, as many "
		                         "virtual ones don't");
	return bench_note(notes, "perf_event_open(2): %s", strerror(-fd));
}
