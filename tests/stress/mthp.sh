#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The books, and that a heap is never of folios between a page and a huge page, which lose
# what was not written when the kernel splits them, under settings of each size of transparent
# huge pages, with khugepaged in a hurry; the settings are put back.
# Usage: mthp.sh PROGRAM
set -eu

program=$1
thp=/sys/kernel/mm/transparent_hugepage
sizes="16 32 64 128 256 512 1024 2048"

skip()
{
	echo "skipped: $*"
	exit 77
}

[ -d "$thp/hugepages-64kB" ] || skip "the kernel has no folios of 64 KiB (mTHP, Linux 6.8)"
[ -w "$thp/hugepages-64kB/enabled" ] || skip "$thp can't be written"
[ -r /proc/kpageflags ] || skip "/proc/kpageflags can't be read"

# Files and what was in them; one may be missing.
files="$thp/enabled $thp/khugepaged/scan_sleep_millisecs $thp/khugepaged/pages_to_scan"
for size in $sizes; do
	files="$files $thp/hugepages-${size}kB/enabled"
done
before=$(for file in $files; do
	[ ! -e "$file" ] || echo "$file $(sed 's/.*\[\(.*\)\].*/\1/' "$file")"
done)
put_back()
{
	echo "$before" | while read -r file was; do
		echo "$was" >"$file" || echo "$file could not be put back: $was" >&2
	done
}
trap put_back EXIT
trap 'exit 1' HUP INT TERM

# set_size KIB VALUE: where the kernel has the size.
set_size() { [ ! -e "$thp/hugepages-${1}kB/enabled" ] || echo "$2" >"$thp/hugepages-${1}kB/enabled"; }

# run ENABLED SIZES OPTIONS small|huge|mixed [FILE VALUE]: SIZES is KIB=VALUE..., others are never but
# 2048=inherit.
run()
{
	echo "== enabled: $1, $2, $3${5:+, then ${5#"$thp/"}: $6}"
	echo "$1" >"$thp/enabled"
	for size in $sizes; do
		set_size "$size" never
	done
	set_size 2048 inherit
	for pair in $2; do
		set_size "${pair%=*}" "${pair#*=}"
	done
	options="limit:30M,decay_ms:20,strict:true,$3"
	shift 3
	SPARENA_CONF=$options "$program" "$@"
}

echo 10 >"$thp/khugepaged/scan_sleep_millisecs"
echo 65536 >"$thp/khugepaged/pages_to_scan"

run madvise "64=never" thp:auto huge
# Sizes for all memory, or where it is asked for; huge pages are off, by either setting.
for kind in always inherit madvise; do
	run always "64=$kind 2048=never" thp:auto small
	run madvise "64=$kind 2048=never" thp:auto small
	run never "64=$kind" thp:auto small
done
run madvise "16=always 128=madvise 1024=inherit 2048=never" thp:auto small
run always "64=always" thp:never small
# A small heap has none where there are huge pages either; another mind while it runs.
run madvise "64=always" thp:auto mixed
run never "64=always" thp:auto small "$thp/enabled" always
run madvise "64=always 2048=never" thp:auto small "$thp/hugepages-1024kB/enabled" always
