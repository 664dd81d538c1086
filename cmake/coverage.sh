#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# coverage.sh SOURCE_DIR BUILD_DIR: what of src/ the tests ran, a line for each folder;
# BUILD_DIR/coverage/index.html shows it line by line.
set -eu

source=$1
build=$2
command -v gcovr >/dev/null || { echo "coverage: no gcovr here (Debian: gcovr)" >&2; exit 1; }

mkdir -p "$build/coverage"
gcovr --root "$source" --filter "$source/src/" --object-directory "$build" "$build" \
	--html-details "$build/coverage/index.html" --csv "$build/coverage/files.csv"

# Columns: filename,line_total,line_covered,line_percent,branch_total,branch_covered,...
awk -F, '
function row(name, lines, ran, branches, taken) {
	printf "%-12s %6d %7.1f %% %9d %7.1f %%\n", name, lines, lines ? 100 * ran / lines : 100,
	       branches, branches ? 100 * taken / branches : 100
}
NR == 1 { printf "%-12s %6s %9s %9s %9s\n", "folder", "lines", "run", "branches", "taken"; next }
{
	split($1, path, "/")
	folder = path[1] "/" path[2]
	if (!(folder in lines))
		order[++n] = folder
	lines[folder] += $2; ran[folder] += $3; branches[folder] += $5; taken[folder] += $6
	lines["all"] += $2; ran["all"] += $3; branches["all"] += $5; taken["all"] += $6
}
END {
	order[++n] = "all"
	for (i = 1; i <= n; i++)
		row(order[i], lines[order[i]], ran[order[i]], branches[order[i]], taken[order[i]])
	if (!lines["all"])
		exit 1
}' "$build/coverage/files.csv"
echo "line by line: $build/coverage/index.html"
