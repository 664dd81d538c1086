#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The no-fault test and the books with transparent huge pages set to always, madvise
# and never, and khugepaged in a hurry; the settings are put back.
# Usage: thp_modes.sh PROGRAM
set -eu

program=$1
thp=/sys/kernel/mm/transparent_hugepage

for file in "$thp/enabled" "$thp/khugepaged/scan_sleep_millisecs"; do
	if ! [ -w "$file" ]; then
		echo "skipped: $file can't be written: THP modes can't be set"
		exit 77
	fi
done

mode_before=$(sed 's/.*\[\(.*\)\].*/\1/' "$thp/enabled")
sleep_before=$(cat "$thp/khugepaged/scan_sleep_millisecs")
pages_before=$(cat "$thp/khugepaged/pages_to_scan")
put_back() {
	echo "$mode_before" >"$thp/enabled"
	echo "$sleep_before" >"$thp/khugepaged/scan_sleep_millisecs"
	echo "$pages_before" >"$thp/khugepaged/pages_to_scan"
}
trap put_back EXIT
trap 'exit 1' HUP INT TERM

echo 10 >"$thp/khugepaged/scan_sleep_millisecs"
echo 65536 >"$thp/khugepaged/pages_to_scan"
for mode in always madvise never; do
	echo "$mode" >"$thp/enabled"
	for option in auto always never; do
		echo "== enabled: $mode, thp:$option"
		SPARENA_CONF="limit:400M,strict:true,thp:$option" "$program"
	done
done
