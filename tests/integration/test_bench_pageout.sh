#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# sparena bench pageout: both tables in every format, on swap that it makes; and that the
# machine is as it was afterwards, whatever ends it.
# Usage: test_bench_pageout.sh BUILD_DIR
set -u

# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
find_python
sparena=$(cd "${1:?usage: test_bench_pageout.sh BUILD_DIR}" && pwd)/sparena || exit 1
check=$(dirname "$0")/bench_pageout_check.py
thp=/sys/kernel/mm/transparent_hugepage

# ---- help and wrong options

ran 0 "$sparena" bench --help && out "  pageout "
ran 0 "$sparena" bench pageout --help
quiet
for word in --size --rounds --data --swap --json --csv --progress zero half random zram file system MADV_PAGEOUT \
	POPULATE_READ WILLNEED; do
	out "$word"
done

# wrong MESSAGE OPTION...: the options are refused so, as usage.
wrong()
{
	message=$1
	shift
	ran 2 "$sparena" bench pageout "$@" && err "$message" && err "Try 'sparena bench pageout --help'"
}

wrong "one size, and not a list" --size=2M,4M
wrong "'12Q' is not a size" --size=12Q
wrong "'0' is not a number from 1 to 1000" -r 0
wrong "--data: unknown 'ones': there are zero, half, random" --data=zero,ones
wrong "--swap: unknown 'zswap': there are auto, system, zram, file[:DIR]" --swap=zswap
wrong "unexpected argument '2M'" 2M
wrong "frobnicate" --frobnicate
ran 1 "$sparena" bench pageout --size=1T && err "half of the available memory is"

# ---- without root

unprivileged()
{
	ran "$1" setpriv --reuid=65534 --clear-groups --inh-caps=-all "$sparena" bench pageout -s 128M -r 1 "--swap=$2"
}

[ "$(id -u)" -eq 0 ] || skip "not root: no swap can be made"
if setpriv --reuid=65534 --clear-groups --inh-caps=-all "$sparena" --version >/dev/null 2>&1; then
	unprivileged 1 zram && err "no swap can be made: "
	unprivileged 1 file && err "no swap can be made: a file in /var/tmp: "
	if [ "$(wc -l </proc/swaps)" -eq 1 ]; then
		unprivileged 1 auto && err "there is no swap; root would have some made"
		unprivileged 1 system && err "there is no swap"
	else
		echo "not tried: without swap, as there is some"
	fi
else
	echo "not tried: another user, who cannot run $sparena"
fi

# ---- the machine, as it is left

# settings: what the bench changes of the machine, and what it leaves behind where it fails:
# files, and zram devices that nobody uses. Others on this machine may have swap of their own.
settings()
{
	grep -H . $thp/hugepages-*/enabled 2>/dev/null
	ls -d /var/tmp/sparena-bench-*.swap 2>/dev/null
	for device in /sys/block/zram*; do
		[ "$(cat "$device/disksize" 2>/dev/null)" != 0 ] || echo "unused: $device"
	done
}

# ours: areas of the sizes that this test has made: three times what is measured, and 16 MiB.
ours() { awk '$3 == 65532 || $3 == 212988 || $3 == 28668 || $3 == 22524 || $3 == 19452 { print $1 }' /proc/swaps; }

# left_as_it_was WHAT: after it the settings are those of before, and its swap is off. Others
# may be about to change something.
left_as_it_was()
{
	for _ in 1 2 3 4 5 6; do
		settings >"$scratch/after"
		[ -z "$(ours)" ] && cmp -s "$scratch/before" "$scratch/after" && return
		sleep 0.5
	done
	fail "$1: the machine is not as it was: $(ours)"
	diff "$scratch/before" "$scratch/after"
}

# shellcheck disable=SC2317 # lib.sh calls it
clean_up()
{
	[ ! -s "$scratch/before" ] || sed -n 's/^\([^:]*\):.*\[\(.*\)\].*/\1 \2/p' "$scratch/before" |
		while read -r file word; do
			[ "$(sed 's/.*\[\(.*\)\].*/\1/' "$file")" = "$word" ] || echo "$word" >"$file"
		done
}

settings >"$scratch/before"

# measured FORMAT SWAP OPTION...: everything, on such swap.
measured()
{
	format=$1
	swap=$2
	shift 2
	ran 0 "$sparena" bench pageout -s 16M -r 2 "--swap=$swap" "$@" || return 1
	quiet
	left_as_it_was "--swap=$swap"
	"$python" "$check" "$format" "${swap%%:*}" <"$scratch/out" >"$scratch/said" 2>&1 ||
		{ fail "bench_pageout_check $format $swap"; show "$scratch/said" "$scratch/out"; }
}

# ---- both tables, on each kind of swap

directory=$(mktemp -d /var/tmp/sparena-pageout-XXXXXX) || exit 1
# shellcheck disable=SC2317 # lib.sh calls it
restore() { clean_up; rmdir "$directory"; }
trap 'restore; rm -rf "$scratch"' EXIT

if "$sparena" bench pageout -s 2M -r 1 -D zero --swap=zram >"$scratch/out" 2>"$scratch/err"; then
	kind=zram
	measured json zram --json
	measured csv zram --csv
	ran 0 "$sparena" bench pageout -s 16M -r 2 -D half,random --swap=zram --progress
	for text in "sparena bench pageout on Linux" "swap: /dev/zram" "made for this" \
		"16 MiB swapped out by MADV_PAGEOUT, 2 rounds, milliseconds" "  4 KiB, half random " "  4 KiB, random " \
		"16 MiB until it is back, by pages of 4 KiB, milliseconds" "  touch, random " \
		"  POPULATE_READ, half random " "  WILLNEED+touch, half random " "  WILLNEED+POPULATE_READ, random "; do
		out "$text"
	done
	err "16M: round 2 of 2"
	awk 'length($0) > 110 || / $/ { bad = 1 } END { exit bad }' "$scratch/out" || { fail "untidy lines"; show "$scratch/out"; }
	left_as_it_was "text"
else
	echo "not tried: zram: $(cat "$scratch/err")"
	kind=
fi
if "$sparena" bench pageout -s 2M -r 1 -D zero "--swap=file:$directory" >"$scratch/out" 2>"$scratch/err"; then
	kind=${kind:-file:$directory}
	measured json "file:$directory" --json --data=half
	[ -z "$(ls -A "$directory")" ] || fail "files were left behind"
else
	echo "not tried: a file: $(cat "$scratch/err")"
fi
[ -n "$kind" ] || skip "neither zram nor a file can be swap here"
# In memory it would be no swap.
ran 1 "$sparena" bench pageout -s 4M --swap=file:/dev/shm && err "/dev/shm: it would be in memory itself"
ran 1 "$sparena" bench pageout -s 4M --swap=file:"$directory/none" && err "No such file or directory"
left_as_it_was "swap that cannot be had"
"$sparena" bench pageout -s 4M -r 1 -D zero "--swap=$kind" >/dev/full 2>"$scratch/err"
[ $? -eq 1 ] || fail "a full disk goes unnoticed"
left_as_it_was "a full disk"

# What is smaller than a folio has none.
for format in json csv; do
	ran 0 "$sparena" bench pageout -s 1M -r 1 -D zero --$format "--swap=$kind"
	[ -d $thp/hugepages-2048kB ] || continue
	case $format in
	json) out '{"folio": 2097152, "data": "zero", "reason": "it is less than one of them"}' ;;
	csv) out ',2097152,zero,,,,,,,,,,"it is less than one of them"' ;;
	esac
done

# Swap that is there: it is used, and left.
area=$directory/swap
# shellcheck disable=SC2317 # called at the end
restore() { clean_up; swapoff "$area" 2>/dev/null; rm -rf "$directory"; }
if [ "$(wc -l </proc/swaps)" -ne 1 ]; then
	echo "not tried: the system's swap, as there is some already"
elif dd if=/dev/zero of="$area" bs=1M count=96 2>/dev/null && chmod 600 "$area" &&
	mkswap "$area" >"$scratch/out" 2>&1 && swapon "$area" 2>"$scratch/err"; then
	ran 0 "$sparena" bench pageout -s 16M -r 1 -D half && out "$area (file, 96 MiB)" && out ", the system's"
	left_as_it_was "the system's swap"
	grep -qF "$area" /proc/swaps || fail "the system's swap was switched off"
	# Of its own it is used before that.
	ran 0 "$sparena" bench pageout -s 16M -r 1 -D half "--swap=$kind" --json
	share=$(sed -n 's/.*"own_share": \([01]\.[0-9]*\).*/\1/p' "$scratch/out")
	awk -v share="${share:-0}" 'BEGIN { exit share < 0.9 }' || fail "so much went to the bench's own swap: $share"
	ran 1 "$sparena" bench pageout -s 512M -r 1 -D half --swap=system && err "528 MiB of swap are needed, "
	swapoff "$area"
else
	echo "not tried: the system's swap: $(cat "$scratch/err")"
fi
rm -f "$area"

# ---- a kernel that refuses

if strace -f -o "$scratch/trace" true 2>"$scratch/err"; then
	ran 1 strace -f -o "$scratch/trace" -e trace=madvise -e inject=madvise:error=EINVAL \
		"$sparena" bench pageout -s 4M -r 2 -D half "--swap=$kind" && err "nothing went to swap here"
	out "4 KiB: it failed in round 1: Invalid argument"
	out "the kernel has no MADV_POPULATE_READ: boot Linux 5.14 or later"
	left_as_it_was "a kernel without such advice"
	ran 1 strace -f -o "$scratch/trace" -e trace=swapon -e inject=swapon:error=EPERM \
		"$sparena" bench pageout -s 4M -r 1 --swap=zram && err "no swap can be made: "
	left_as_it_was "swapon that fails"
	# A file system that gives no room ahead.
	ran 0 strace -f -o "$scratch/trace" -e trace=fallocate -e inject=fallocate:error=EOPNOTSUPP \
		"$sparena" bench pageout -s 4M -r 1 -D zero "--swap=file:$directory" && out "(file, 28 MiB), made for this"
	left_as_it_was "fallocate that fails"
	if [ "$(wc -l </proc/swaps)" -eq 1 ]; then
		ran 0 "$sparena" bench pageout -s 4M -r 1 -D zero && out "made for this"
		ran 0 strace -f -o "$scratch/trace" -e trace=swapon -e inject=swapon:error=EPERM:when=1 \
			"$sparena" bench pageout -s 4M -r 1 -D zero && out "swap: /var/tmp/sparena-bench-"
		ran 1 strace -f -o "$scratch/trace" -e trace=swapon -e inject=swapon:error=EPERM \
			"$sparena" bench pageout -s 4M -r 1 -D zero && err "a file in /var/tmp: Operation not permitted"
		left_as_it_was "--swap=auto"
	fi
	# And it says so where it cannot clean up.
	ran 1 strace -f -o "$scratch/trace" -e trace=swapoff -e inject=swapoff:error=ENOMEM \
		"$sparena" bench pageout -s 4M -r 1 -D zero "--swap=file:$directory" &&
		err "/sparena-bench-" && err "stays, to be removed by hand (swapoff: Cannot allocate memory)"
	for area in $(ours); do
		swapoff "$area" && rm -f "$area"
	done
	left_as_it_was "swapoff that fails"
else
	echo "not tried: a kernel that refuses, as strace may not trace here"
fi

# ---- ended in the middle

# interrupted SIGNAL CODE: it is sent once there is swap; the shell's own code of that end.
interrupted()
{
	env --default-signal="$1" "$sparena" bench pageout -s 64M -r 1000 "--swap=$kind" >"$scratch/out" 2>"$scratch/err" &
	pid=$!
	tries=0
	until [ -n "$(ours)" ] || [ $tries -ge 100 ]; do
		sleep 0.1
		tries=$((tries + 1))
	done
	[ -n "$(ours)" ] || fail "SIG$1: there was no swap"
	sleep 1
	kill "-$1" $pid
	wait $pid 2>/dev/null
	code=$?
	[ "$code" -eq "$2" ] || { fail "SIG$1: exit code $code, not $2"; show "$scratch/out" "$scratch/err"; }
	quiet
	left_as_it_was "SIG$1"
}

interrupted INT 130
interrupted TERM 143

finish
