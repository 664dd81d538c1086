#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# sh bench/plot.sh FILE.json OUT.svg [MEASURE]: bars of what `sparena bench alloc --json`
# wrote, a group for each workload, as ratios to the base on a scale where half and double
# are equally far from it. MEASURE: time_ms (unless told otherwise), cpu_ms, instructions,
# peak_kib, final_kib, faults. What `sh bench/run.sh scale` printed is drawn as curves.
set -eu

if [ $# -lt 2 ] || [ $# -gt 3 ]; then
	echo "usage: sh bench/plot.sh FILE OUT.svg [MEASURE]" >&2
	exit 2
fi
if [ $# -eq 2 ] && grep -q '^Growth from' "$1"; then
	exec sh "$(dirname "$0")/curves.sh" "$1" "$2"
fi
for tool in python3 gnuplot; do
	command -v $tool >/dev/null || { echo "plot: apt-get install python3 gnuplot-nox" >&2; exit 1; }
done
measure=${3:-time_ms}
rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
python3 "$(dirname "$0")/plot_rows.py" "$1" "$measure" >"$rows"
columns=$(head -n 1 "$rows" | awk -F'\t' '{ print NF }')
count=$(($(wc -l <"$rows") - 1))
[ $count -gt 0 ] || { echo "plot: there is nothing of $measure in $1" >&2; exit 1; }

gnuplot <<END
set terminal svg size $((200 + count * 70)),420 dynamic enhanced background rgb "white" font "sans,12"
set output "$2"
set datafile separator "\t"
set datafile missing "nan"
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set boxwidth 0.95
set logscale y 2
set grid ytics lc rgb "#cccccc"
set key outside top horizontal center noenhanced
set xtics rotate by -35 noenhanced
set ylabel "$measure, ratio to the base" noenhanced
plot [][:] 1 with lines lc rgb "black" notitle, \
	for [i=2:$columns] "$rows" using i:xtic(1) title columnheader(i)
END
echo "$2"
