#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Runs a program under Valgrind's memcheck; errors and leaks make it fail. In the drop-in's
# blocks it sees no leaks and no ends: they are its program's memory, as mapped as the rest.
# Usage: valgrind.sh PROGRAM [ARG...]
set -u

command -v valgrind >/dev/null || { echo "skipped: no valgrind"; exit 77; }
export SPARENA_TEST_VALGRIND=1

# NOUSER: the drop-in's malloc stays in place.
exec valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect,possible \
	--show-leak-kinds=definite,indirect,possible --suppressions="$(dirname "$0")/valgrind.supp" \
	--soname-synonyms=somalloc=NOUSER --max-threads=1100 "$@"
