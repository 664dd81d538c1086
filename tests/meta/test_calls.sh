#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Every call of the C library that the libraries make is in tests/fault/calls.def: failed in
# tests, or with the reason why not; every system call that src/ makes by number too; and what
# is failed is made in some scenario.
# Usage: test_calls.sh CALLS_DEF SRC LIBRARY... -- PROGRAM...: programs that print what they
#        make (--made).
#        test_calls.sh --self-test CALLS_DEF SRC LIBRARY... -- PROGRAM...
set -u

# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

# rows KIND N: the N-th arguments of all rows of a kind.
rows() { grep -oE "(^|\) )$1\([^,)]+(, [^,)]+)?" "$def" | sed 's/^[ )]*'"$1"'(//' | awk -F', ' -v n="$2" '{ print $n }'; }

# As the table of points has them, but for those of ELSEWHERE.
names_of_calls()
{
	sed -n 's/^CALL(\([A-Z_]*\), [a-z0-9_]*, "\([^"]*\)".*/\1 \2/p' "$def" | while read -r id name; do
		grep -q "^ELSEWHERE($id," "$def" || echo "$name"
	done
}

# Weak ones without a version are the linker's and the loader's.
undefined() { nm -D --undefined-only "$@" | awk 'NF == 2 && $1 != "w" { sub(/@.*/, "", $2); print $2 }' | sort -u; }

by_number() { find "$src" -name '*.[ch]' -exec cat {} + | grep -oE '\bSYS_[a-z0-9_]+' | sort -u; }

# only_first WHAT FILE FILE: lines of the one that the other lacks.
only_first()
{
	comm -23 "$2" "$3" | sed "s/^/$1: /"
}

check()
{
	{ rows CALL 2; rows CALM 1; } | sort -u >"$scratch/listed"
	# shellcheck disable=SC2086 # a list
	undefined $libraries >"$scratch/called"
	rows RAW 1 | sort -u >"$scratch/listed_numbers"
	by_number >"$scratch/numbers"
	names_of_calls | sort -u >"$scratch/failed"
	[ -s "$scratch/called" ] && [ -s "$scratch/failed" ] && [ -s "$scratch/made" ] && [ -s "$scratch/numbers" ] ||
		echo "nothing to compare"
	only_first "called, and not in calls.def" "$scratch/called" "$scratch/listed"
	only_first "in calls.def, and never called" "$scratch/listed" "$scratch/called"
	only_first "called by number, and not in calls.def" "$scratch/numbers" "$scratch/listed_numbers"
	only_first "in calls.def, and in no source" "$scratch/listed_numbers" "$scratch/numbers"
	only_first "failed in no scenario" "$scratch/failed" "$scratch/made"
}

# must_say TEXT, of a list that is wrong
must_say()
{
	check >"$scratch/out"
	out "$1"
	[ "$(wc -l <"$scratch/out")" -eq 1 ] || { fail "not just that:"; show "$scratch/out"; }
}

self_test()
{
	right=$def
	def=$scratch/def
	grep -v '^CALL(UNMAP,' "$right" >"$def"
	must_say "called, and not in calls.def: munmap"
	grep -v '^CALM(getpid,' "$right" >"$def"
	must_say "called, and not in calls.def: getpid"
	{ cat "$right"; echo 'CALM(gets, "no")'; } >"$def"
	must_say "in calls.def, and never called: gets"
	grep -v '^RAW(SYS_mlock,' "$right" >"$def"
	must_say "called by number, and not in calls.def: SYS_mlock"
	{ cat "$right"; echo 'CALL(NONE, madvise, "madvise NONE", EIO)'; } >"$def"
	must_say "failed in no scenario: madvise NONE"
}

work=check
[ "$1" != --self-test ] || { work=self_test; shift; }
def=$1
src=$2
shift 2
libraries=
while [ "$1" != -- ]; do
	libraries="$libraries $1"
	shift
done
shift
for program in "$@"; do
	"$program" --made >"$scratch/said" || { fail "$program --made: exit code $?"; show "$scratch/said"; }
	cat "$scratch/said"
done | sed -n 's/^made: //p' | sort -u >"$scratch/made"
if [ $work = check ]; then
	check >"$scratch/wrong"
	[ ! -s "$scratch/wrong" ] || { fail "tests/fault/calls.def:"; show "$scratch/wrong"; }
else
	self_test
fi
finish
