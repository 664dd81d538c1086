#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# sh bench/run.sh NAME|all [BUILD-DIR]: measures, and prints a ratio. See bench/README.md.
set -eu

bench=$(cd "$(dirname "$0")" && pwd)
figures='instructions counts hot touch faults exhausted search commit guard large purge fork scale lock small workloads programs'

usage()
{
	echo "usage: sh bench/run.sh NAME [BUILD-DIR]" >&2
	echo "NAME: all, or one of: $figures" >&2
	echo "BENCH_ROUNDS=N sets the number of rounds; SPARENA_CONF reaches sparena" >&2
	exit 2
}

case $# in
1 | 2) ;;
*) usage ;;
esac
name=$1
build=${2:-$bench/../build/release}
[ -d "$build" ] || { echo "bench: no directory $build: cmake --preset release && cmake --build --preset release" >&2; exit 1; }
build=$(cd "$build" && pwd)

# shellcheck source=common.sh
. "$bench/common.sh"
# shellcheck source=figures.sh
. "$bench/figures.sh"
# shellcheck source=alloc.sh
. "$bench/alloc.sh"
# shellcheck source=scaling.sh
. "$bench/scaling.sh"

# A figure's lines for the table of all: its ratios, or what it said last.
say_last()
{
	case $2 in
	0) grep '^ratio' "$work/out" ;;
	77) tail -n 1 "$work/out" ;;
	*) echo "failed: $(tail -n 1 "$work/out")" ;;
	esac | sed "s/^/$(printf '%-13s' "$1") /"
	[ "$2" -eq 0 ] || [ "$2" -eq 77 ] || return 1
}

# Each figure in a shell of its own, so that one that cannot be measured doesn't stop the rest.
# shellcheck disable=SC2154
run_all()
{
	failed=0
	for figure in $figures; do
		status=0
		sh "$bench/run.sh" "$figure" "$build" >"$work/out" || status=$?
		cat "$work/out"
		echo
		say_last "$figure" $status >>"$work/all" || failed=1
	done
	echo "All figures:"
	cat "$work/all"
	return $failed
}

case " all $figures " in
*" $name "*) ;;
*) usage ;;
esac
if [ "$name" = all ]; then
	run_all
else
	describe_machine
	"figure_$name"
fi
