#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Heaps and regions beside a kernel that merges pages that are alike (KSM), which is switched
# on for that, and off again. Usage: test_merged.sh MERGED
set -u

. "$(dirname "$0")/../support/lib.sh"

merged=${1:?usage: test_merged.sh MERGED}
ksm=/sys/kernel/mm/ksm
[ -d $ksm ] || skip "the kernel has no KSM"
[ -w $ksm/run ] || skip "$ksm/run can't be written"
[ -e /proc/self/ksm_merging_pages ] || skip "the kernel does not tell what is merged (Linux 5.19)"
[ "$(cat $ksm/run)" != 1 ] || skip "KSM runs already, for somebody else"

was=
for setting in sleep_millisecs pages_to_scan use_zero_pages smart_scan advisor_mode run; do
	[ -w $ksm/$setting ] && was="$was $setting=$(sed 's/.*\[\(.*\)\].*/\1/' $ksm/$setting)"
done
# shellcheck disable=SC2317 # lib.sh calls it
clean_up()
{
	echo 2 >$ksm/run # what was merged is parted
	for entry in $was; do
		echo "${entry#*=}" >"$ksm/${entry%%=*}" 2>/dev/null
	done
}
{ echo none >$ksm/advisor_mode; } 2>/dev/null
{ echo 0 >$ksm/smart_scan; } 2>/dev/null
echo 0 >$ksm/use_zero_pages
echo 10 >$ksm/sleep_millisecs
echo 20000 >$ksm/pages_to_scan
echo 1 >$ksm/run

for case in on all-before all-after; do
	echo "== $case"
	ran 0 "$merged" $case && cat "$scratch/out"
done
finish
