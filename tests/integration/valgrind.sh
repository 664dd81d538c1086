#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Runs a program under Valgrind's memcheck. Usage: valgrind.sh PROGRAM [ARG...]
set -u

command -v valgrind >/dev/null || { echo "skipped: no valgrind"; exit 77; }

# NOUSER: the drop-in's malloc stays in place. Valgrind has little address space to give.
SPARENA_CONF=limit:48M,reserve:256M,strict:true
SPARENA_TEST_OPS=2000
export SPARENA_CONF SPARENA_TEST_OPS
exec valgrind --quiet --error-exitcode=99 --leak-check=no --soname-synonyms=somalloc=NOUSER "$@"
