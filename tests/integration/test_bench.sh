#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# sparena bench: options, every cell present in every format, reasons that help.
# Usage: test_bench.sh BUILD_DIR
set -u

# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
find_python
sparena=$(cd "${1:?usage: test_bench.sh BUILD_DIR}" && pwd)/sparena || exit 1
check=$(dirname "$0")/bench_check.py
pool=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
pool_before=
mounted=

# shellcheck disable=SC2317 # lib.sh calls it
clean_up()
{
	for type in $mounted; do
		umount "$scratch/$type"'&<">'
	done
	[ -z "$pool_before" ] || echo "$pool_before" >"$pool"
}

# checked FORMAT VERB OPTION...: what it printed has all cells of those options.
checked()
{
	"$python" "$check" "$@" <"$scratch/out" >"$scratch/said" 2>&1 || { fail "bench_check $*"; show "$scratch/said"; }
}

# mounted_at TYPE OPTIONS: makes $directory such a mount; false where that may not be. Its
# name has what JSON, CSV and XML must not take as it is.
mounted_at()
{
	directory=$scratch/$1'&<">'
	mkdir "$directory" || exit 1
	mount -t "$1" -o "$2" none "$directory" 2>/dev/null || return 1
	mounted="$mounted $1"
}

# ---- help and wrong options

ran 0 "$sparena" --help && out "  bench  "
ran 0 "$sparena" bench --help
quiet
out populate
out discard
for verb in populate discard; do
	ran 0 "$sparena" bench $verb --help
	quiet
	for word in --size --rounds --threads --backing --mapping --method --directory --json --csv --plot --progress \
		anon hugetlb memfd tmpfs disk hugetlbfs sparena_region_; do
		out "$word"
	done
	"$sparena" bench $verb -s 2M -r 1 -b anon >/dev/full 2>"$scratch/err"
	[ $? -eq 1 ] || fail "bench $verb: a full disk goes unnoticed"
done
ran 2 "$sparena" bench && err "no verb given"
ran 2 "$sparena" bench popullate && err "did you mean 'populate'?" && err "Try 'sparena bench --help'"
ran 2 "$sparena" bench --frobnicate

# wrong MESSAGE OPTION...: the options are refused so, as usage.
wrong()
{
	message=$1
	shift
	ran 2 "$sparena" bench populate "$@" && err "$message" && err "Try 'sparena bench populate --help'"
}

wrong "'12Q' is not a size" --size=12Q
wrong "'0' is not a size" -s 2M,0
wrong "'' is not a size" -s 2M,
wrong "no multiple of the page" -s 2M,5000
wrong "'0' is not a number from 1 to 1000" -r 0
wrong "'1001' is not a number" -r 1001
wrong "'1K' is not a number" -r 1K
wrong "'65' is not a number from 1 to 64" -t 1,65
wrong "at most 8 at a time" -t 1,2,3,4,5,6,7,8,9
wrong "unknown 'disc': there are anon, anon-thp" -b anon,disc
wrong "unknown '': there are private, shared" -m ''
wrong "unknown 'MADV_DONTNEED': there are read, write" -x MADV_DONTNEED
wrong "unexpected argument '2M'" 2M
wrong "frobnicate" --frobnicate
wrong "'8E' is not a size" -s 8E # of which the kernel has no half
wrong "'99999999999999999999999' is not a number from 1 to 1000" -r 99999999999999999999999
wrong "--size: at most 16 at a time" -s 4K,4K,4K,4K,4K,4K,4K,4K,4K,4K,4K,4K,4K,4K,4K,4K,4K
wrong "there are not so many kinds of file systems" -d a -d a -d a -d a -d a -d a -d a -d a -d a
ran 1 "$sparena" bench populate -s 2M -d "$scratch/none" && err "no file can be made in '$scratch/none': No such file"
ran 1 "$sparena" bench populate -s 2M -d "$scratch" -d "$scratch" && err "are of the same kind"
ran 1 "$sparena" bench populate -s 2M -p "$scratch/none/plot.svg" && err "cannot write '$scratch/none/plot.svg'"
[ ! -s "$scratch/out" ] || fail "it measured before it looked whether it can draw"

# ---- every cell, or its reason, in every format

mkdir "$scratch/files"
ran 0 "$sparena" bench populate -s 128K,2M -r 3 -t 1,2 --json -d "$scratch/files" --plot "$scratch/plot.svg" &&
	checked json populate --sizes 131072,2097152 --rounds 3 --threads 1,2 --plot "$scratch/plot.svg"
quiet
ran 0 "$sparena" bench discard --size=2M --rounds=3 --json -d "$scratch/files" &&
	checked json discard --sizes 2097152 --rounds 3 --threads 1
ran 0 "$sparena" bench populate -s 16M -r 1 --csv -b anon,MEMFD -m private && # by 1, 2 and 4 threads unasked
	checked csv populate --sizes 16777216 --rounds 1 --threads 1,2,4 --backings anon,memfd --mappings private
ran 0 "$sparena" bench discard -s 2M -r 2 -c -x munmap,madv_dontneed -p "$scratch/plot.svg" &&
	checked csv discard --sizes 2097152 --rounds 2 --threads 1 --methods MADV_DONTNEED,munmap --plot "$scratch/plot.svg"
[ -z "$(ls -A "$scratch/files")" ] || fail "files were left behind"

# A directory may be called as it likes: here it has a tab, a quote and a backslash.
odd=$scratch/$(printf 'a\tb"\\c')
mkdir "$odd"
ran 0 "$sparena" bench populate -s 2M -r 1 -t 1 -b anon --json -d "$odd"
"$python" -c 'import json, sys
directories = json.load(open(sys.argv[1]))["directories"]
sys.exit(sys.argv[2] not in directories.values())' "$scratch/out" "$odd" || { fail "the directory's name in JSON"; show "$scratch/out"; }

# A plot replaces what was drawn before, also when it is shorter.
size=$(wc -c <"$scratch/plot.svg")
ran 0 "$sparena" bench discard -s 2M -r 1 -b anon -p "$scratch/plot.svg"
[ "$(wc -c <"$scratch/plot.svg")" -lt "$size" ] || fail "a shorter plot leaves something of a longer one"
"$python" -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$scratch/plot.svg" || fail "the plot is not well-formed"

# ---- text

ran 0 "$sparena" bench populate -s 2M,16M -r 2 -b anon,hugetlb -x write,fallocate,fallocate+read,POPULATE_WRITE --progress
for text in "2 MiB by 1 thread, 2 rounds, microseconds" "16 MiB by 1 thread, 2 rounds, milliseconds" \
	"16 MiB by so many threads" "private mapping" "anon: anonymous memory" "  POPULATE_WRITE " \
	"anonymous memory has no descriptor to call fallocate on" "  fallocate, 1 more "; do
	out "$text"
done
err "2M: round 1 of 2"
err "16M: round 2 of 2"
awk 'length($0) > 200 || / $/ { bad = 1 } END { exit bad }' "$scratch/out" || { fail "untidy lines"; show "$scratch/out"; }
ran 0 "$sparena" bench discard -s 2M -r 1 -b memfd && out "freed" && out "50 %" && out "100 %"

# One kind of mapping alone, by several threads from the start.
ran 0 "$sparena" bench populate -s 16M -r 1 -t 2,3 -b anon,tmpfs -m private -x write,fallocate,fallocate+read -p "$scratch/plot.svg"
out "16 MiB by 2 threads, 1 round, milliseconds"
out "private mapping"
! grep -q "shared mapping" "$scratch/out" "$scratch/plot.svg" || { fail "mappings that nobody asked for"; show "$scratch/out"; }
grep -q "16 MiB, private mapping, milliseconds, by 2 threads<" "$scratch/plot.svg" || fail "no such panel in the plot"
if [ -w /dev/full ]; then
	ran 1 "$sparena" bench populate -s 2M -r 1 -b anon -x write -p /dev/full && err "cannot write '/dev/full': No space left on device"
fi

# On a terminal there is one line, over and over, which is gone at the end.
ran 0 "$python" "$(dirname "$0")/../support/terminal.py" "$sparena" bench populate -s 2M -r 2 -b anon,memfd -x write
err "2M: round 1 of 2, private anon"
err "2M: round 2 of 2, shared memfd"
"$python" -c 'import sys
text = open(sys.argv[1], "rb").read()
sys.exit(b"\n" in text or not text.endswith(b"\r\x1b[K") or text.count(b"\r\x1b[K") != 9)' "$scratch/err" ||
	{ fail "not a single line"; show "$scratch/err"; }

# ---- a kernel that refuses madvise(2), or has no MADV_POPULATE_WRITE, which looks alike

if strace -f -o "$scratch/trace" true 2>"$scratch/err"; then
	ran 0 strace -f -o "$scratch/trace" -e trace=madvise -e inject=madvise:error=EINVAL \
		"$sparena" bench populate -s 2M -r 1 -t 1 -b anon -m private -x write,POPULATE_WRITE
	out "the kernel has no MADV_POPULATE_READ and _WRITE: boot Linux 5.14 or later"
	grep -q "^  write  *[0-9.]* " "$scratch/out" || { fail "what needs no advice was not measured"; show "$scratch/out"; }
	ran 1 strace -f -o "$scratch/trace" -e trace=madvise -e inject=madvise:error=EINVAL \
		"$sparena" bench discard -s 2M -r 2 -b anon -m private -x MADV_DONTNEED
	out "it failed in round 1: Invalid argument"
	err "nothing could be measured here"
else
	echo "not tried: a kernel without MADV_POPULATE_WRITE, as strace may not trace here"
fi

# ---- what cannot be measured is not tried

# Under a limit, lest the machine be filled when that goes wrong.
too_large()
{
	failures=0
	# shellcheck disable=SC3045 # not POSIX, but in every sh of Linux
	ulimit -v 1000000
	ran 1 "$sparena" bench populate -s 1T -r 1 -b anon,memfd -p "$scratch/plot.svg" && out "half of the available memory" &&
		err "nothing could be measured here"
	grep -q "<title>it needs 1 TiB, half" "$scratch/plot.svg" || fail "the plot has no reason"
	! grep -q "mean 0" "$scratch/plot.svg" || fail "the plot has bars of what was not measured"
	ran 1 "$sparena" bench populate -s 1536M -r 1 -b anon && out "it cannot be mapped"
	[ "$failures" -eq 0 ]
}

(too_large) || fail "sizes that are too large"

if mounted_at tmpfs size=8M; then
	ran 1 "$sparena" bench populate -s 16M -r 1 -b tmpfs -d "$directory" && out "$directory has less room than that"
	ran 0 "$sparena" bench populate -s 16M -r 1 -t 1 -b anon,tmpfs -d "$directory" --json -p "$scratch/plot.svg" &&
		checked json populate --sizes 16777216 --rounds 1 --threads 1 --backings anon,tmpfs --small tmpfs \
			--plot "$scratch/plot.svg"
	ran 0 "$sparena" bench populate -s 16M -r 1 -t 1 -b anon,tmpfs -d "$directory" --csv &&
		checked csv populate --sizes 16777216 --rounds 1 --threads 1 --backings anon,tmpfs &&
		out 'tmpfs&<"">'
	ran 0 "$sparena" bench populate -s 4M -r 1 -b tmpfs -d "$directory" --json &&
		checked json populate --sizes 4194304 --rounds 1 --threads 1 --backings tmpfs
else
	echo "not tried: a tmpfs that is too small, as mount is refused"
fi

# ---- huge pages: the reason tells what to do

ran_pool()
{
	"$sparena" bench "$@" -b hugetlb,memfd-hugetlb,hugetlbfs >"$scratch/out" 2>"$scratch/err"
}

try_pool()
{
	pages=$(cat "$pool")
	free=$(cat "${pool%/*}/free_hugepages")
	[ "$free" -eq 0 ] || { echo "not tried: an empty pool of huge pages, as somebody has one"; return; }
	ran_pool populate -s 2M -r 1
	command=$(sed -n 's/^.*2 huge pages of 2M needed, 0 free: \(echo [0-9]* > .*\)$/\1/p' "$scratch/out" | head -n 1)
	case $command in
	"echo $((pages + 2)) > $pool") pool_before=$pages; eval "$command" ;;
	*) fail "no such command: '$command'"; show "$scratch/out"; return ;;
	esac
	[ "$(cat "${pool%/*}/free_hugepages")" -ge 2 ] || { echo "not tried: the kernel has no huge pages left"; return; }
	mounted_at hugetlbfs pagesize=2M || echo "not tried: hugetlbfs, as mount is refused"
	ran_pool populate -s 2M -r 2 --json &&
		checked json populate --sizes 2097152 --rounds 2 --threads 1 --backings hugetlb,memfd-hugetlb,hugetlbfs --pool
	ran_pool discard -s 2M -r 2 --json &&
		checked json discard --sizes 2097152 --rounds 2 --threads 1 --backings hugetlb,memfd-hugetlb,hugetlbfs --pool
	[ "$(cat "${pool%/*}/free_hugepages")" -ge 2 ] || fail "huge pages were not given back"
}

if [ -w "$pool" ]; then
	try_pool
else
	echo "not tried: pools of huge pages, as $pool cannot be written"
fi
finish
