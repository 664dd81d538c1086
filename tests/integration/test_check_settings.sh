#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# sparena check on real settings of the machine, which are changed for the moment and put
# back. Usage: test_check_settings.sh BUILD_DIR hugetlb|swap|zram|overcommit|thp|ksm
set -u

build=$(cd "${1:?usage: test_check_settings.sh BUILD_DIR PART}" && pwd) || exit 1
part=${2:?usage: test_check_settings.sh BUILD_DIR PART}
# shellcheck source=tests/support/check.sh
. "$(dirname "$0")/../support/check.sh"

# change FILE VALUE: writes it; what was there comes back at the end. Skips where it may not.
change()
{
	[ -w "$1" ] || skip "$1 can't be written"
	was=$(sed 's/.*\[\(.*\)\].*/\1/' "$1") || exit 1
	case "$changed" in
	*" $1 "*) ;;
	*)
		changed="$changed $1 "
		echo "$1 $was" >>"$scratch/before"
		;;
	esac
	echo "$2" 2>/dev/null >"$1" || skip "$1 can't be changed"
}
changed=

put_back()
{
	[ ! -s "$scratch/before" ] || while read -r file was; do
		echo "$was" >"$file"
	done <"$scratch/before"
}
clean_up() { put_back; }

test_hugetlb()
{
	pool=/sys/kernel/mm/hugepages/hugepages-2048kB
	[ -d "$pool" ] || skip "the kernel has no huge pages of 2 MiB"
	[ "$(cat "$pool/nr_hugepages")" -eq 0 ] || skip "there is a pool of huge pages, which is left alone"
	check any
	finding "hugetlb 2M" ok "no pool: backing:anon needs none"
	command=$(sed -n 's/.*to change it: \(echo .*hugepages-2048kB.*\)/\1/p' "$scratch/out")
	[ "$command" = "echo 64 > $pool/nr_hugepages" ] || fail "no command that makes a pool: $command"
	change "$pool/nr_hugepages" 3
	[ "$(cat "$pool/nr_hugepages")" -eq 3 ] || skip "no huge page is free just now"
	change "$pool/nr_overcommit_hugepages" 5
	check any
	finding "hugetlb 2M" note "3 pages (6 MiB), 3 free, up to 5 in surplus allowed: 6 MiB of memory wait"
	finding "hugetlb 2M" note "to change it: echo 0 > $pool/nr_hugepages"
	"$sparena" check --json >"$scratch/out"
	out '"name": "hugetlb 2M", "state": "note", "value": "3 pages (6 MiB), 3 free, up to 5'
}

test_swap()
{
	[ "$(id -u)" -eq 0 ] || skip "not root: no swap can be made"
	[ "$(wc -l </proc/swaps)" -eq 1 ] || skip "there is swap, which is left alone"
	check any
	finding swap ok "none: what is backed stays in memory"
	directory=$(mktemp -d "/var/tmp/sparena-swap-XXXXXX") || exit 1
	swap_file="$directory/a file"
	clean_up() { swapoff "$swap_file" 2>/dev/null; rm -rf "$directory"; }
	dd if=/dev/zero of="$swap_file" bs=1M count=16 2>"$scratch/err" && chmod 600 "$swap_file" &&
		mkswap "$swap_file" >"$scratch/out" 2>&1 && swapon "$swap_file" 2>"$scratch/err" ||
		skip "no swap can be made in $directory: $(cat "$scratch/err")"
	check any
	finding swap note "16 MiB, 16 MiB of it free: $swap_file (file, 16 MiB): a page that was swapped out"
	finding swap note "to change it: swapoff -a"
}

test_zram()
{
	[ "$(id -u)" -eq 0 ] || skip "not root: no swap can be made"
	[ "$(wc -l </proc/swaps)" -eq 1 ] || skip "there is swap, which is left alone"
	device=/dev/zram0
	size=/sys/block/zram0/disksize
	[ -b "$device" ] && [ -w "$size" ] || skip "no $device"
	[ "$(cat "$size")" -eq 0 ] || skip "$device is in use"
	clean_up() { swapoff "$device" 2>/dev/null; echo 1 >/sys/block/zram0/reset; }
	echo 16M >"$size" && mkswap "$device" >"$scratch/out" 2>&1 && swapon "$device" 2>"$scratch/err" ||
		skip "no swap can be made on $device: $(cat "$scratch/err")"
	check any
	finding swap note "$device (zram, 16 MiB)"
	finding zram note "$device: is compressed memory"
	finding zram note "to change it: swapoff $device"
}

test_overcommit()
{
	mode=/proc/sys/vm/overcommit_memory
	change "$mode" 1
	check any
	finding overcommit note "1 (always): other programs can be promised more than there is"
	finding overcommit note "to change it: sysctl vm.overcommit_memory=0"
	change "$mode" 0
	check any
	finding overcommit ok "0 (heuristic)"
	# Strict, with petabytes to give, so that nothing else on this machine is refused any.
	change /proc/sys/vm/overcommit_ratio 100000000
	change "$mode" 2
	check any
	finding overcommit ok "2 (strict), "
	finding overcommit ok ": no program is promised what is not there"
	finding drop-in ok "it was tried, and starts"
}

test_thp()
{
	thp=/sys/kernel/mm/transparent_hugepage
	[ -e "$thp/enabled" ] || skip "the kernel has no transparent huge pages"
	change "$thp/enabled" never
	check any
	finding thp note "never: all works, but populating is several times slower"
	finding thp note "to change it: echo madvise > $thp/enabled"
	finding drop-in ok "huge pages never"
	grep -q '^  defrag ' "$scratch/out" && fail "defrag matters without huge pages"
	change "$thp/enabled" always
	change "$thp/defrag" defer
	check any
	finding thp ok "always: huge pages serve full chunks"
	finding defrag note "defer: a chunk gets a huge page only when one is free"
	finding defrag note "to change it: echo madvise > $thp/defrag"
	change "$thp/shmem_enabled" within_size
	change "$thp/khugepaged/max_ptes_none" 7
	change "$thp/defrag" defer+madvise
	check any
	finding defrag ok "defer+madvise"
	finding shmem ok "within_size: of shared memory"
	finding khugepaged ok "max_ptes_none 7"
	# A size's own setting, where the kernel has them.
	own=$thp/hugepages-$(($(cat "$thp/hpage_pmd_size") / 1024))kB/enabled
	[ -w "$own" ] || return 0
	change "$own" never
	check any
	finding thp note "to change it: echo inherit > $own"
	finding drop-in ok "huge pages never"
	# And of smaller ones, which come where no huge page is free.
	small=$thp/hugepages-64kB/enabled
	if [ -w "$small" ]; then
		change "$own" inherit
		change "$small" inherit
		check any
		finding mthp note "to change it: echo never > $small"
		change "$small" never
		check any
		finding mthp ok "sparena does without the small ones"
		finding drop-in ok "huge pages auto"
	fi
	# sparena asks for none where only this setting allows them.
	change "$own" madvise
	change "$thp/enabled" never
	check any
	finding thp note "to change it: echo madvise > $thp/enabled"
	finding drop-in ok "huge pages never"
}

test_ksm()
{
	find_python
	[ -e /sys/kernel/mm/ksm/run ] || skip "the kernel has no KSM"
	change /sys/kernel/mm/ksm/run 1
	check any
	finding ksm ok "on: merges pages only where a program asks for it"
	# Runs a program that may be merged; without one, tells whether it is after exec.
	cat >"$scratch/merging.py" <<-'END'
		import ctypes, os, sys
		PR_SET_MEMORY_MERGE, PR_GET_MEMORY_MERGE = 67, 68
		prctl = ctypes.CDLL(None).prctl
		if len(sys.argv) == 1:
		    sys.exit(0 if prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0) == 1 else 77)
		if prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) != 0:
		    sys.exit(77)
		os.execv(sys.argv[1], sys.argv[1:])
	END
	"$python" "$scratch/merging.py" "$python" "$scratch/merging.py" ||
		skip "PR_SET_MEMORY_MERGE can't be had, or not over exec"
	"$python" "$scratch/merging.py" "$sparena" check >"$scratch/out" 2>"$scratch/err"
	code=$?
	[ "$code" -eq 1 ] || fail "exit code $code where pages are merged"
	finding ksm problem "merges the pages of this process and those that it starts"
	finding ksm problem "to change it: echo 2 > /sys/kernel/mm/ksm/run"
	change /sys/kernel/mm/ksm/run 0
	"$python" "$scratch/merging.py" "$sparena" check >"$scratch/out" 2>"$scratch/err" || fail "exit code $?"
	finding ksm note "off, but this process has asked for it"
}

case $part in
hugetlb) test_hugetlb ;;
swap) test_swap ;;
zram) test_zram ;;
overcommit) test_overcommit ;;
thp) test_thp ;;
ksm) test_ksm ;;
*) fail "no such part: $part" ;;
esac
finish
