#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# test_counts.sh [--self-test] SOURCE BUILD: the hot path takes no more instructions than
# bench/counts.txt says, with 2 % of room.
set -u

self_test=
[ "$1" != --self-test ] || { self_test=1; shift; }
source=$1
build=$2
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

# counts FILE: whether they hold.
counts()
{
	BENCH_COUNTS=$1 sh "$source/bench/run.sh" counts "$build" >"$scratch/out" 2>"$scratch/err"
	code=$?
	[ $code -ne 77 ] || { tail -n 1 "$scratch/out"; exit 77; }
	[ $code -eq 0 ] || { cat "$scratch/err"; exit 1; }
	awk '/^ratio:/ { found = 1; held = $2 <= 1.02 } END { exit !(found && held) }' "$scratch/out"
}

if [ "$self_test" ]; then
	# One size, of which the file knows a time when it took 3 % less.
	awk '/^#/ { print } /^100 / { print $1, $2, $3 / 1.03 }' "$source/bench/counts.txt" >"$scratch/counts"
	! counts "$scratch/counts" || { echo "FAIL: 3 % more are not noticed"; exit 1; }
	echo "3 % more instructions are noticed"
	exit 0
fi
counts "$source/bench/counts.txt" && { tail -n 1 "$scratch/out"; exit 0; }
cat "$scratch/out"
echo "FAIL: more instructions than bench/counts.txt says. Where that is worth it, have them written anew, in the"
echo "same commit: BENCH_WRITE=1 sh bench/run.sh counts"
exit 1
