#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# sh bench/curves.sh FILE OUT.svg: what `sh bench/run.sh scale` printed, as curves: a plot for
# each CURVE of its rows "CURVE/X value...", a line for each allocator.
set -eu

[ $# -eq 2 ] || { echo "usage: sh bench/curves.sh FILE OUT.svg" >&2; exit 2; }
command -v gnuplot >/dev/null || { echo "plot: apt-get install gnuplot-nox" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Tables end where a line has no slash in its first word.
awk -v work="$work" '
$1 == "case" { sub(/^ *case +/, ""); header = $0; inside = 1; next }
inside && $1 !~ /\/[0-9]+$/ { inside = 0 }
inside {
	split($1, part, "/")
	file = work "/" part[1]
	if (!(file in seen)) {
		seen[file] = 1
		print part[1] >(work "/names")
		print "x", header >file
	}
	$1 = part[2]
	print >file
}' "$1"
[ -s "$work/names" ] || { echo "plot: there are no curves in $1" >&2; exit 1; }
rows=$((($(wc -l <"$work/names") + 1) / 2))

unit_of()
{
	case $1 in
	extents-*) echo 'extents;ns a malloc and free' ;;
	heap-fill) echo 'MiB of the heap;ms a GiB' ;;
	heap-*) echo 'MiB of the heap;ns a malloc and free' ;;
	*) echo 'threads;million pairs a second' ;;
	esac
}

{
	echo "set terminal svg size 1200,$((rows * 360)) dynamic background rgb 'white' font 'sans,12'"
	echo "set output '$2'"
	echo "set multiplot layout $rows,2"
	echo "set logscale xy; set grid lc rgb '#cccccc'; set key outside right noenhanced; set datafile missing '-'"
	echo "set format x '%.0s%c'"
	while read -r name; do
		unit=$(unit_of "$name")
		columns=$(head -n 1 "$work/$name" | wc -w)
		echo "set title '$name' noenhanced; set xlabel '${unit%;*}'; set ylabel '${unit#*;}'"
		echo "plot for [i=2:$columns] '$work/$name' using 1:i with linespoints lw 2 title columnheader(i)"
	done <"$work/names"
} >"$work/script"
gnuplot "$work/script"
echo "$2"
