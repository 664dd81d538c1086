/* SPDX-License-Identifier: BSD-2-Clause */
/* The system calls that fail in tests, calls.def, and their names in the table of points. */
#ifndef SPARENA_TESTS_CALLS_H
#define SPARENA_TESTS_CALLS_H

#define CALL(id, function, name, ...) id,
#define ONCE_ONLY(id, error, why)
#define LEFT(function, error, why)
#define CALM(function, why)
#define RAW(number, where)
#define ELSEWHERE(id, where)
enum call_id {
#include "calls.def"
	CALLS
};
#undef CALL
#undef ONCE_ONLY
#undef LEFT
#undef CALM
#undef RAW
#undef ELSEWHERE

/* How often handlers for fork(2) were registered. */
extern unsigned fork_handlers;

#endif
