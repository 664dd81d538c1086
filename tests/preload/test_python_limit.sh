#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# python3 fills its memory to a limit of 256 MiB 20 times over: it never dies, gets as
# much each time, stays under the limit, and gives back. Usage: test_python_limit.sh BUILD_DIR
set -u

support=$(dirname "$0")/../support
. "$support/lib.sh"
sparena=${1:?usage: test_python_limit.sh BUILD_DIR}/sparena
find_python

limit=268435456
number() { sed -n "s/.*$1=\([0-9]*\).*/\1/p" "$2"; }

timeout 60 "$python" "$support/python_rounds.py" 0 0 >"$scratch/baseline" || fail "python3 without sparena"
baseline=$(number peak_kib "$scratch/baseline")

timeout 150 "$sparena" run --limit 256M --stats="$scratch/stats" -- \
	"$python" "$support/python_rounds.py" 20 2 >"$scratch/out" 2>"$scratch/err"
code=$?
[ "$code" -eq 0 ] || { fail "python3 under the limit: exit code $code"; show "$scratch/out" "$scratch/err"; }
quiet

rounds=$(grep -c '^round ' "$scratch/out")
counts=$(sed -n 's/^round [0-9]*: //p' "$scratch/out" | sort -u | tr '\n' ' ')
[ "$rounds" -eq 20 ] || fail "$rounds rounds, not 20"
[ "$(echo "$counts" | wc -w)" -eq 1 ] || fail "not as many arrays each time: $counts"

peak=$(json_number "$scratch/stats" committed_peak)
resident=$(number peak_kib "$scratch/out")
region=$(number region_kib "$scratch/out")
at_least "$peak" $((limit / 10 * 9)) "committed_peak"
at_most "$peak" $limit "committed_peak"
at_least "$(json_number "$scratch/stats" exhausted)" 20 "exhausted"
at_least "$resident" $((limit / 1024 / 10 * 9)) "peak resident, KiB: the arrays were not all there"
at_most "$resident" $((limit / 1024 + baseline)) "peak resident, KiB"
at_least "$region" 1 "resident of the region, KiB: it was not found"
at_most "$region" $((limit / 1024 / 20)) "resident of the region at the end, KiB"

echo "arrays: $counts; committed_peak $peak; peak resident $resident KiB (python3 alone $baseline); at the end $region KiB"
finish
