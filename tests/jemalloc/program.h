/* SPDX-License-Identifier: BSD-2-Clause */
/* What programs.cmake says of a program, for program.c. */
#ifndef TESTS_JEMALLOC_PROGRAM_H
#define TESTS_JEMALLOC_PROGRAM_H

/* A test, or what one expects and says when it is not so; with the reason why not here. */
struct left_out {
	const char *what;
	const char *why;
};

/* Ends with one whose `what` is NULL. */
extern const struct left_out program_leaves_out[];

#endif
