#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What memcheck reports of blocks of a heap (libsparena.so), and of malloc under the drop-in:
# the same as of any malloc.
# Usage: test_memcheck.sh MEMCHECK_VICTIM DROPIN
set -u

# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
victim=${1:?usage: test_memcheck.sh MEMCHECK_VICTIM DROPIN}
dropin=${2:?}
command -v valgrind >/dev/null || skip "no valgrind"

# under_memcheck CODE MISTAKE: 99 where memcheck has something to say.
under_memcheck()
{
	preload=
	[ "$kind" = heap ] || preload=$dropin
	code=0
	LD_PRELOAD=$preload timeout 100 valgrind --error-exitcode=99 --leak-check=full "$victim" "$kind" "$2" \
		>"$scratch/out" 2>"$scratch/err" </dev/null || code=$?
	[ "$code" -eq "$1" ] || { fail "$kind $2: exit code $code, not $1"; show "$scratch/err"; }
}

# reports MISTAKE TEXT...
reports()
{
	under_memcheck 99 "$1"
	mistake=$1
	shift
	for text in "$@"; do
		grep -qE -e "$text" "$scratch/err" || { fail "$kind $mistake: no \"$text\":"; show "$scratch/err"; }
	done
}

for kind in heap malloc; do
	reports overrun 'Invalid write of size 1' 'is 0 bytes after a block of size 100 '
	reports underrun 'Invalid write of size 1' 'is 1 bytes before a block of size 100 '
	reports used_after_free 'Invalid write of size 1' 'is 50 bytes inside a block of size 100 free.d'
	reports freed_twice 'Invalid free\(\)' 'a block of size 100 free.d'
	reports not_set 'depends on uninitialised value'
	reports lost 'definitely lost: (1,001,000|1,000,900|900,900) bytes'
	under_memcheck 0 none
done
kind=heap
under_memcheck 0 heap_goes
finish
