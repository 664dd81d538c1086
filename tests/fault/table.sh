#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What was tried: a line for each scenario, call and error, with the points at which it failed
# once, and for good; and their sum. Runs the tests of failures, or reads what they printed
# (ctest's own log is one).
# Usage: table.sh BUILD_DIR|LOG...
set -u

[ $# -ge 1 ] || { echo "usage: table.sh BUILD_DIR|LOG..." >&2; exit 2; }
code=0
if [ -d "$1" ]; then
	log=$(mktemp) || exit 1
	trap 'rm -f "$log"' EXIT
	ctest --test-dir "$1" -L fault -V >"$log" 2>&1 || code=$?
	grep -E 'tests passed|\*\*\*|skipped:' "$log"
	set -- "$log"
fi

# With ctest -V each line begins with the test's number. The columns are of fixed width.
sed -n 's/^[0-9]*: \(  .* once *[0-9]*, for good *[0-9]*, failed\)/\1/; /^  .* once *[0-9]*, for good *[0-9]*, failed [0-9]/p' \
	"$@" | awk '
{
	row = $0
	sub(/ once *[0-9]+, for good.*/, "", row)
	rest = substr($0, length(row) + 1)
	gsub(/[,:]/, "", rest)
	split(rest, n, " ") # once N for good N failed N [skipped for good WHY]
	if (!(row in once))
		rows[count++] = row
	once[row] += n[2]
	good[row] += n[5]
	failed[row] += n[7]
	if (match($0, /skipped for good: .*/))
		why[row] = substr($0, RSTART)
}
END {
	printf "  %-26s %-24s %-14s %8s %8s %6s\n", "scenario", "call", "error", "once", "for good", "failed"
	for (i = 0; i < count; i++) {
		r = rows[i]
		printf "%s %8d %8d %6d%s\n", r, once[r], good[r], failed[r], r in why ? "  " why[r] : ""
		all += once[r] + good[r]
		wrong += failed[r]
		left += r in why
	}
	printf "%d rows, %d points tried, %d failed; %d rows for good skipped, with the reason\n", count, all, wrong, left
	exit count == 0 || wrong > 0
}' || code=1
exit $code
