/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check: what `sparena check` looks at, one file a group of findings. Each function
 * adds what it found to the report.
 */
#ifndef SPARENA_CLI_CHECK_H
#define SPARENA_CLI_CHECK_H

#include "cli/report.h"
#include "conf/conf.h"
#include "os/os.h"

/* Larger reservations are not tried: none is needed. */
#define CHECK_RESERVATION_MAX TiB

struct check {
	struct report report;
	const char *root; /* in front of /proc and /sys: "", or a planted tree in tests */
	struct os_probe probe;
	bool options_given;
	bool options_valid;
	struct conf conf; /* the options, as far as they are valid */
	char options_error[CONF_ERROR_MAX];
	size_t reservation;   /* the largest that can be made, CHECK_RESERVATION_MAX at most */
	char raise_as[64];    /* the command that lifts RLIMIT_AS; "": it is unlimited */
	char raise_data[64];  /* and RLIMIT_DATA */
	size_t cgroup_box;    /* where a cgroup's limit makes the kernel kill; OS_UNLIMITED */
	size_t cgroup_advice; /* the limit that is advised because of it */
};

void check_kernel(struct check *c);
void check_huge_pages(struct check *c);
void check_memory(struct check *c);
void check_limits(struct check *c);
void check_cgroup(struct check *c);
void check_room(struct check *c);

/* Where the options ask for guard:helper. */
void check_helper(struct check *c);

/* What was given as options, against what the others found; and whether the drop-in
 * starts with them. */
void check_options(struct check *c);
void check_start(struct check *c);

#endif
