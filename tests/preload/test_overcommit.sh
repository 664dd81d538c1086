#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Where the kernel promises no more than it has (vm.overcommit_memory=2), and where address
# space or writable memory is bounded (ulimit -v, -d): the exhaustion tests pass there too,
# malloc ends in NULL when what was promised is used up, and mappings stay few.
# Usage: test_overcommit.sh CASE LIBRARY UNTIL_NULL EXHAUSTION FAMILY HOLD
# shellcheck disable=SC3045 # dash has ulimit -v and -d
set -u

support=$(dirname "$0")/../support
# shellcheck source=tests/support/lib.sh
. "$support/lib.sh"
usage="usage: test_overcommit.sh CASE LIBRARY UNTIL_NULL EXHAUSTION FAMILY HOLD"
case=${1:?$usage}
library=${2:?}
until_null=${3:?}
exhaustion=${4:?}
family=${5:?}
hold=${6:?}
rounds=3000
most_mappings=100

preloaded() { timeout 100 env LD_PRELOAD="$library" SPARENA_CONF="${conf:-strict:true}" "$@"; }

mib() { sed -n 's/.*, \([0-9]*\) MiB.*/\1/p' "$scratch/out"; }

# ends_in_null LEAST MOST WHAT: MiB.
ends_in_null()
{
	ran 0 preloaded "$until_null" || return
	out "errno 12, again 1"
	at_least "$(mib)" "$1" "$3: MiB until NULL"
	at_most "$(mib)" "$2" "$3: MiB until NULL"
	echo "$3: $(mib) MiB until NULL"
}

# Threads, children and frees at the edge: the program checks itself.
exhausts()
{
	ran 0 timeout 100 env SPARENA_CONF="${conf:-strict:true}" "$exhaustion" $rounds &&
		echo "$1: $(sed 's/, [0-9]* threads started.*//' "$scratch/out")"
}

# How many mappings there are when a heap is full, and when half of it was given back.
maps_are_few()
{
	printf 'take 4000\nmaps\ngive 100\npurge\ntake 50\nmaps\n' | preloaded "$hold" >"$scratch/told" ||
		fail "$1: the holder: exit code $?"
	# shellcheck disable=SC2013 # words are lines
	for maps in $(sed -n 's/^maps //p' "$scratch/told"); do
		at_least "$maps" 10 "$1: mappings"
		at_most "$maps" $most_mappings "$1: mappings"
	done
	echo "$1: $(tr '\n' ' ' <"$scratch/told")"
}

case_ulimit()
{
	for kib in 1000000 400000; do
		(failures=0; ulimit -v $kib && exhausts "ulimit -v $kib"; exit $failures) || fail "ulimit -v $kib"
	done
	for kib in 300000 100000; do
		(
			failures=0
			ulimit -d $kib
			ends_in_null $((kib / 1024 / 2)) $((kib / 1024)) "ulimit -d $kib"
			exhausts "ulimit -d $kib"
			maps_are_few "ulimit -d $kib"
			exit $failures
		) || fail "ulimit -d $kib"
	done
	(failures=0; ulimit -d 900000 && conf=limit:512M,strict:true && ran 0 preloaded "$family"; exit $failures) || fail "ulimit -d, with a limit"
}

# ---- vm.overcommit_memory=2, for the whole machine

change()
{
	[ -w "$1" ] || skip "$1 cannot be written"
	old=$(cat "$1")
	undo="${undo:-} echo $old >$1;"
	echo "$2" >"$1" 2>"$scratch/err" || skip "$1: $(cat "$scratch/err")"
}

committed_kib() { sed -n 's/^Committed_AS: *\([0-9]*\) kB/\1/p' /proc/meminfo; }

case_strict()
{
	# The ratio again too, which writing the other number makes 0. In reverse order: the mode first.
	ratio=$(cat /proc/sys/vm/overcommit_ratio)
	clean_up() { echo 0 >/proc/sys/vm/overcommit_memory; echo "$ratio" >/proc/sys/vm/overcommit_ratio; eval "${undo:-}"; }
	room_mib=700
	mode=/proc/sys/vm/overcommit_memory
	change /proc/sys/vm/overcommit_kbytes $(($(committed_kib) + room_mib * 1024))
	undo=
	change $mode 2
	# Others come and go meanwhile.
	ends_in_null $((room_mib / 2)) $((room_mib * 2)) "overcommit_memory=2"
	exhausts "overcommit_memory=2"
	maps_are_few "overcommit_memory=2"
	conf=limit:300M,strict:true ends_in_null 280 300 "overcommit_memory=2, limit:300M"
	conf=limit:512M,strict:true
	ran 0 preloaded "$family"
	# What is only reserved does not count.
	before=$(committed_kib)
	conf=reserve:1T,strict:true
	mkfifo "$scratch/tell"
	preloaded "$hold" <"$scratch/tell" >"$scratch/told" &
	exec 9>"$scratch/tell"
	echo "take 10" >&9
	tries=0
	until [ -s "$scratch/told" ] || [ $tries -eq 200 ]; do
		tries=$((tries + 1))
		sleep 0.05
	done
	at_most $((($(committed_kib) - before) / 1024)) 200 "MiB committed for 1 TiB of address space and 10 MiB of blocks"
	exec 9>&-
	wait $! || fail "the holder's exit code"
}

"case_$case"
finish
