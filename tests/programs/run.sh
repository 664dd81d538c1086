#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Runs the tests that programs bring themselves, with glibc's malloc and with the drop-in
# preloaded, and compares them test by test: memcached's and Redis's, built from their Debian
# source packages in BUILD_DIR/programs, and python3's, with and without its own layer over
# malloc. Prints a table at the end. All of it takes the better part of an hour.
set -u

usage="usage: sh tests/programs/run.sh [memcached|redis|python|python-malloc|all] [BUILD_DIR [UNIT...]]
  BUILD_DIR  of a build, build/release if none is named
  UNIT       a file of the program's tests, as they are named in what this prints; all
             if none is named"

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
what=${1:-all}
[ $# -eq 0 ] || shift
build=${1:-$here/../../build/release}
[ $# -eq 0 ] || shift

case $what in
all) what="memcached redis python python-malloc" ;;
memcached | redis | python | python-malloc) ;;
*)
	echo "$usage" >&2
	exit 2
	;;
esac
library=$build/libsparena_malloc.so
[ -f "$library" ] || { echo "run.sh: no $library: cmake --preset release && cmake --build --preset release" >&2; exit 2; }
build=$(CDPATH='' cd -- "$build" && pwd)
library=$build/libsparena_malloc.so
unset LD_PRELOAD SPARENA_CONF

# run PROGRAM UNIT...: 0, 1, or 77 with the reason.
run()
{
	program=$1
	shift
	folder=$build/programs/$program
	[ -x /usr/bin/python3 ] || { echo "skipped: no /usr/bin/python3"; return 77; }
	mkdir -p "$folder"
	case $program in
	memcached | redis) sh "$here/build.sh" "$program" "$folder" || return ;;
	esac
	/usr/bin/python3 -B "$here/suites.py" --library "$library" --differences "$here/differences.txt" \
		--folder "$folder" --log "$folder/log" ${SPARENA_PROGRAMS_CONF:+--conf "$SPARENA_PROGRAMS_CONF"} "$program" "$@"
}

print_table()
{
	[ ! -s "$scratch/table" ] || awk -F '\t' '
		BEGIN {
			split("units tests same skipped flaky better known worse processes", heads, " ")
			printf "\n%-30s", "program"
			for (i = 1; i <= 9; i++) printf "%10s", heads[i]
			print ""
		}
		{
			printf "%-30s", $1
			for (i = 2; i <= 10; i++) printf "%10s", $i
			print ""
		}' "$scratch/table"
	cat "$scratch/skipped"
	[ ! -s "$scratch/failed" ] || echo "failed: $(tr '\n' ' ' <"$scratch/failed")"
}

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap "exit 1" HUP INT TERM
: >"$scratch/skipped"
: >"$scratch/failed"
for program in $what; do
	{ run "$program" "$@"; echo $? >"$scratch/code"; } 2>&1 | tee "$scratch/out"
	sed -n 's/^table: //p' "$scratch/out" >>"$scratch/table"
	case $(cat "$scratch/code") in
	0) ;;
	77) sed -n "s/^skipped: /skipped: $program: /p" "$scratch/out" >>"$scratch/skipped" ;;
	*) echo "$program" >>"$scratch/failed" ;;
	esac
done
print_table
[ ! -s "$scratch/failed" ] || exit 1
[ -s "$scratch/table" ] || exit 77
