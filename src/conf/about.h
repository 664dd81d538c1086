/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * about: what sparena/sparena.h declares. It lives beside the options since most
 * texts of sparena_last_error() are theirs, and both libraries have this floor.
 */
#ifndef SPARENA_CONF_ABOUT_H
#define SPARENA_CONF_ABOUT_H

#include "sparena/sparena.h"

/* Makes `reason` (copied, cut when very long) this thread's sparena_last_error().
 * Leaves errno alone. */
void about_set_error(const char *reason);

#endif
