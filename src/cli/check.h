/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check: what `sparena check` looks at, apart from the options.
 */
#ifndef SPARENA_CLI_CHECK_H
#define SPARENA_CLI_CHECK_H

#include "cli/report.h"
#include "os/os.h"

/* Larger reservations are not tried: none is needed. */
#define CHECK_RESERVATION_MAX TiB

/* Adds what the machine has (cli/machine.c). Returns the largest reservation of
 * address space that can be made, CHECK_RESERVATION_MAX at most. */
size_t check_machine(struct report *r, const struct os_probe *p);

#endif
