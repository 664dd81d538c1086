#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Programs that grow until malloc fails in a memory cgroup of 256 MiB, with nothing
# configured: none is killed, and nearly all of the cgroup is used before. The same without
# sparena are killed. Usage: test_guard.sh CASE GROW HOLD LIBRARY; SPARENA_GUARD_RUNS: how
# often each is run; SPARENA_GUARD_QUICK: fewer sizes.
set -u

support=$(dirname "$0")/../support
# shellcheck source=tests/support/guard.sh
. "$support/guard.sh"
usage="usage: test_guard.sh CASE GROW HOLD LIBRARY"
case=${1:?$usage}
grow=${2:?}
hold=${3:?}
library=${4:?}
runs=${SPARENA_GUARD_RUNS:-2}
quick=${SPARENA_GUARD_QUICK-}

if [ "$case" != machine ] && [ "$case" != hugetlb ]; then
	make_box
fi

# boxed COMMAND...: in the cgroup, with the library.
boxed() { in_cgroup env LD_PRELOAD="$library" SPARENA_CONF="${conf:-strict:true}" timeout 100 "$@"; }

no_kills()
{
	[ "$(cgroup_kills)" = "${killed_before:-0}" ] || fail "$1: the kernel killed $(cgroup_kills)"
	killed_before=$(cgroup_kills)
}

# The control: without sparena, and with another malloc, the same is killed.
is_killed()
{
	what=$1
	shift
	# The shell says so too.
	{ in_cgroup timeout -k 1 100 "$@" >"$scratch/out"; code=$?; } 2>/dev/null
	[ "$code" -eq 137 ] || fail "$what: exit code $code, not 137 (the control)"
	[ "$(cgroup_kills)" -gt "${killed_before:-0}" ] || fail "$what: the kernel killed nobody (the control)"
	killed_before=$(cgroup_kills)
	echo "$what: killed"
}

stock() { ldconfig -p 2>/dev/null | sed -n 's/.*libjemalloc\.so\.2 (.*x86-64.* => //p' | head -n 1; }

use_percent() { echo $((${1:-0} * 100 / (box << 20))); }

# ---- one program, in blocks of every size

grow_once()
{
	boxed "$grow" "$1" 4096 20 "$cgroup/$cgroup_usage" >"$scratch/out" 2>"$scratch/err"
	code=$?
	[ $code -eq 0 ] || { fail "blocks of $1: exit code $code"; show "$scratch/err"; return; }
	out "errno 12"
	used=$(use_percent "$(sed -n 's/.*use //p' "$scratch/out")")
	at_least "$used" 90 "blocks of $1, ${conf:-}: percent used at the first NULL"
	[ "$used" -ge "$least" ] || least=$used
}

grow_blocks()
{
	least=100
	for _ in $(seq "$runs"); do
		grow_once "$1"
	done
	no_kills "blocks of $1"
	echo "blocks of $1${conf:+, $conf}: 0 of $runs killed, $least % used at the first NULL"
}

case_grow()
{
	blocks="100 5000 65536 1048576"
	[ -z "$quick" ] || blocks=65536
	for block in $blocks; do
		grow_blocks "$block"
	done
	conf=thp:never grow_blocks 65536
	conf=backing:memfd grow_blocks 65536
	conf=strict:true,stats_print:true
	boxed "$grow" 65536 4096 20 "$cgroup/$cgroup_usage" >"$scratch/out" 2>"$scratch/err"
	at_least "$(sed -n 's/^ *guarded *\([0-9]*\).*/\1/p' "$scratch/err")" 1 "statistics: guarded"
	conf=limit:auto,guard:off
	boxed "$grow" 65536 4096 5 "$cgroup/$cgroup_usage" >"$scratch/out"
	out "errno 12"
	no_kills "limit:auto, guard:off"
	echo "limit:auto,guard:off: $(use_percent "$(sed -n 's/.*use //p' "$scratch/out")") %"
	conf=
	is_killed "glibc" "$grow" 65536 4096 0
	[ -z "$(stock)" ] || is_killed "stock jemalloc" env LD_PRELOAD="$(stock)" "$grow" 65536 4096 0
	is_killed "guard:off" env LD_PRELOAD="$library" SPARENA_CONF=guard:off "$grow" 65536 4096 0
}

# ---- several at once

race()
{
	pids=
	for i in $(seq "$1"); do
		boxed "$grow" "$2" 4096 20 "$cgroup/$cgroup_usage" >"$scratch/out.$i" 2>"$scratch/err.$i" &
		pids="$pids $!"
	done
	for pid in $pids; do
		wait "$pid" || { echo "  exit code $?"; lost=$((lost + 1)); }
	done
	# The last to be refused saw the cgroup at its fullest.
	used=$(use_percent "$(sed -n 's/.*use //p' "$scratch"/out.* | sort -n | tail -n 1)")
	at_least "$used" 90 "$1 racing: percent used at the last's first NULL"
}

case_race()
{
	for n in 2 4; do
		for block in 5000 1048576; do
			[ -z "$quick" ] || [ "$n$block" = 45000 ] || continue
			lost=0
			for _ in $(seq "$runs"); do
				race $n $block
			done
			[ $lost -eq 0 ] || { fail "$n racing, blocks of $block: $lost of $((n * runs)) did not end well"; show "$scratch"/err.*; }
			no_kills "$n racing"
			echo "$n racing, blocks of $block: $lost of $((n * runs)) did not end well"
		done
	done
}

# ---- page cache

# Fills the cgroup with file pages: written ones, and ones that were read only.
fill_cache()
{
	case $(stat -f -c %T "$scratch") in
	tmpfs | ramfs) skip "$scratch is in memory: no page cache to be had" ;;
	esac
	# shellcheck disable=SC2016 # the inner shell's
	in_cgroup sh -c 'head -c 200M /dev/zero >"$0/written" && sync "$0/written" && head -c 150M /dev/zero >>"$0/written" &&
		cat "$0/written" >/dev/null' "$scratch"
	at_least "$(use_percent "$(cgroup_use)")" 90 "percent of the cgroup full of page cache"
}

case_cache()
{
	for _ in $(seq "$runs"); do
		fill_cache
		before=$(sed -n 's/^\(total_\)\{0,1\}inactive_file //p' "$cgroup/memory.stat" | tail -n 1)
		boxed "$grow" 65536 4096 20 "$cgroup/$cgroup_usage" >"$scratch/out" 2>"$scratch/err" ||
			{ fail "exit code $?"; show "$scratch/err"; }
		got=$(sed -n 's/null after \([0-9]*\) MiB.*/\1/p' "$scratch/out")
		at_least "$got" $((box * 9 / 10)) "MiB where the cgroup was full of page cache"
		no_kills "page cache"
		rm -f "$scratch/written"
		echo "$before bytes of page cache: $got MiB until NULL"
	done
}

# ---- cgroups one in another, and memory.high

# inner NAME LIMIT: one in the cgroup, which the rest is run in, until outer.
inner()
{
	[ "$cgroup_version" -eq 1 ] || echo +memory >"$cgroup/cgroup.subtree_control"
	outer=$cgroup
	mkdir "$cgroup/$1" || exit 1
	cgroup=$cgroup/$1
	set_cgroup_limit "$2"
}

outer()
{
	rmdir "$cgroup" || fail "$cgroup cannot be removed"
	cgroup=$outer
}

case_levels()
{
	# The limit is above: the use that counts is there.
	inner a $((4 * box << 20))
	boxed "$grow" 65536 4096 5 "$outer/$cgroup_usage" >"$scratch/out"
	out "errno 12"
	at_least "$(use_percent "$(sed -n 's/.*use //p' "$scratch/out")")" 90 "percent used of the outer cgroup"
	outer
	inner b $((box / 2 << 20))
	boxed "$grow" 65536 4096 5 "$cgroup/$cgroup_usage" >"$scratch/out"
	out "errno 12"
	at_most "$(use_percent "$(sed -n 's/.*use //p' "$scratch/out")")" 50 "percent used, inner limit"
	at_least "$(use_percent "$(sed -n 's/.*use //p' "$scratch/out")")" 45 "percent used, inner limit"
	outer
	no_kills "levels"
	echo "limits above and below: 0 killed"
}

case_high()
{
	[ "$cgroup_version" -eq 2 ] || skip "memory.high is of version 2"
	echo $((box / 2 << 20)) >"$cgroup/memory.high"
	conf=guard:high
	boxed "$grow" 65536 4096 5 "$cgroup/$cgroup_usage" >"$scratch/out"
	out "errno 12"
	at_most "$(use_percent "$(sed -n 's/.*use //p' "$scratch/out")")" 50 "percent used, guard:high"
	at_least "$(use_percent "$(sed -n 's/.*use //p' "$scratch/out")")" 45 "percent used, guard:high"
	[ "$(sed -n 's/^high //p' "$cgroup/memory.events")" -eq 0 ] || fail "the kernel slowed it down"
	no_kills "memory.high"
}

# ---- the whole machine: one that is made for it (test_guard_vm.sh)

available() { sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo; }
machine_kills() { echo $(($(sed -n 's/^oom_kill //p' /proc/vmstat) - kills_before)); }

grow_machine()
{
	pids=
	before=$(available)
	for i in $(seq "$1"); do
		LD_PRELOAD=$library "$grow" "$2" 4096 5 >"$scratch/out.$i" 2>&1 &
		pids="$pids $!"
	done
	for pid in $pids; do
		wait "$pid" || lost=$((lost + 1))
	done
	got=$(sed -n 's/null after \([0-9]*\) MiB.*/\1/p' "$scratch/out."? | awk '{ n += $1 } END { print n * 1024 }')
	rm -f "$scratch/out."?
	percent=$((got * 100 / before))
	# Of several the first are refused when the others are not at their end yet.
	at_least $percent $((n == 1 ? 90 : 60)) "$n on the machine: percent of what was available at the first NULL"
	[ $percent -ge "$least" ] || least=$percent
}

case_machine()
{
	[ -n "${SPARENA_GUARD_MACHINE-}" ] || skip "the machine's memory is not ours to use up"
	kills_before=0
	kills_before=$(machine_kills)
	for n in 1 2 4; do
		for block in 5000 65536 1048576; do
			case ${quick:+$n-$block} in
			"" | 1-65536 | 4-5000) ;;
			*) continue ;;
			esac
			lost=0
			least=100
			for _ in $(seq "$runs"); do
				grow_machine $n $block
			done
			[ $lost -eq 0 ] && [ "$(machine_kills)" -eq 0 ] || fail "$lost did not end well, $(machine_kills) killed"
			echo "machine, $n growing, blocks of $block: $lost of $((runs * n)) killed, $least % of MemAvailable at the first NULL"
		done
	done
	{ "$grow" 65536 4096 0 >"$scratch/out"; code=$?; } 2>/dev/null
	[ $code -eq 137 ] && [ "$(machine_kills)" -gt 0 ] || fail "glibc: exit code $code (the control)"
	echo "machine, glibc: killed"
}

# ---- huge pages of a pool: their controller has the kernel refuse, and kills nobody

find_hugetlb()
{
	for tree in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/hugetlb; do
		if grep -qsw hugetlb "$tree/cgroup.controllers"; then
			# Left as it was found: what we switch on is switched off again.
			grep -qw hugetlb "$tree/cgroup.subtree_control" || { echo +hugetlb >"$tree/cgroup.subtree_control" && enabled=$tree; }
			hugetlb_limit=hugetlb.2MB.max
		elif [ -e "$tree/hugetlb.2MB.limit_in_bytes" ]; then
			hugetlb_limit=hugetlb.2MB.limit_in_bytes
		else
			continue
		fi 2>/dev/null
		hugetlb=$tree/sparena-huge-$$
		mkdir "$hugetlb" 2>/dev/null && [ -e "$hugetlb/$hugetlb_limit" ] && return 0
	done
	return 1
}

case_hugetlb()
{
	pool=/proc/sys/vm/nr_hugepages
	hugetlb=
	enabled=
	pages=$(cat "$pool")
	clean_up()
	{
		echo "$pages" >"$pool"
		[ ! -d "$hugetlb" ] || rmdir "$hugetlb"
		[ -z "$enabled" ] || echo -hugetlb >"$enabled/cgroup.subtree_control"
		remove_cgroup
	}
	find_hugetlb || skip "no hugetlb controller"
	echo $((pages + 64)) >"$pool"
	[ "$(cat "$pool")" -eq $((pages + 64)) ] || skip "no 64 huge pages are to be had"
	echo 64M >"$hugetlb/$hugetlb_limit"
	for backing in hugetlb memfd-hugetlb; do
		# shellcheck disable=SC2016 # the inner shell's
		sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$hugetlb" env LD_PRELOAD="$library" \
			SPARENA_CONF=backing:$backing,page:2M timeout 100 "$grow" 65536 4096 20 >"$scratch/out" 2>"$scratch/err" ||
			{ fail "$backing: exit code $?"; show "$scratch/err"; }
		out "errno 12"
		got=$(sed -n 's/null after \([0-9]*\) MiB.*/\1/p' "$scratch/out")
		at_least "$got" 58 "$backing, limit of the controller 64 MiB: MiB"
		at_most "$got" 64 "$backing, limit of the controller 64 MiB: MiB"
		echo "$backing in a hugetlb cgroup of 64 MiB: $got MiB until NULL"
	done
}

# ---- limits that change, descriptors that are lost: a program that is told what to do

start_holder() { hold_start boxed "$hold"; }

stop_holder()
{
	hold_stop
	no_kills "the holder"
}

case_limits()
{
	start_holder
	tell "take 100"
	at_least "$answer" 100 "MiB taken"
	set_cgroup_limit $((160 << 20))
	tell "take 400"
	at_most "$answer" 60 "MiB after the limit was lowered to 160 MiB"
	at_least "$answer" 40 "MiB after the limit was lowered to 160 MiB"
	set_cgroup_limit $((200 << 20))
	tell "take 400"
	at_most "$answer" 40 "MiB after the limit was raised to 200 MiB"
	at_least "$answer" 30 "MiB after the limit was raised to 200 MiB"
	# What it gives back makes room for a limit that is lower still.
	tell "give 150"
	tell "purge"
	at_most "$(cgroup_use)" $((70 << 20)) "bytes used after a purge"
	set_cgroup_limit $((96 << 20)) || fail "the limit cannot be lowered after a purge"
	tell "take 400"
	at_most "$answer" 60 "MiB at 96 MiB"
	at_least "$answer" 30 "MiB at 96 MiB"
	stop_holder
	set_cgroup_limit $((box << 20))

	conf=limit:auto
	start_holder
	tell "take 400"
	at_most "$answer" $((box * 7 / 8)) "MiB, limit:auto"
	at_least "$answer" $((box * 7 / 8 - 20)) "MiB, limit:auto"
	tell "take 1"
	at_most "$answer" 0 "MiB, limit:auto, again"
	set_cgroup_limit $((box * 3 / 2 << 20))
	sleep 0.05
	tell "take 800"
	at_most "$answer" $((box * 7 / 16)) "MiB more, limit:auto, limit of the cgroup raised"
	at_least "$answer" $((box * 7 / 16 - 12)) "MiB more, limit:auto, limit of the cgroup raised"
	stop_holder
	conf=limit:25%
	start_holder
	tell "take 400"
	at_most "$answer" $((box * 3 / 8)) "MiB, limit:25%"
	at_least "$answer" $((box * 3 / 8 - 12)) "MiB, limit:25%"
	stop_holder
}

# full WHAT: all that there is, and not more, with nobody killed.
full()
{
	tell "take 400"
	at_least "$(use_percent "$(cgroup_use)")" 90 "$1: percent used at the first NULL"
	tell "fork"
	no_kills "$1"
}

case_descriptors()
{
	start_holder
	tell "take 20"
	tell "close"
	full "descriptors closed"
	stop_holder

	start_holder
	tell "take 20"
	tell "nobody"
	[ "$answer" = 0 ] || fail "privileges were not dropped: errno $answer"
	full "privileges dropped"
	stop_holder

	start_holder
	tell "take 20"
	tell "close"
	tell "nobody"
	full "descriptors closed, privileges dropped"
	stop_holder

	mkdir "$scratch/empty"
	start_holder
	tell "take 20"
	tell "root $scratch/empty"
	[ "$answer" = 0 ] || fail "the root was not changed: errno $answer"
	tell "nobody"
	sleep 1.1 # what is looked for once a second is not found
	full "root changed, privileges dropped"
	stop_holder

	start_holder
	tell "take 20"
	tell "close"
	tell "take 4" # more than was committed ahead, so that it is noticed
	tell "root $scratch/empty"
	full "descriptors closed, then the root changed"
	stop_holder
}

# ---- programs that are not ours

case_python()
{
	find_python
	for _ in $(seq "$runs"); do
		boxed "$python" "$support/python_rounds.py" 3 0 >"$scratch/out" 2>"$scratch/err" ||
			{ fail "python3: exit code $?"; show "$scratch/out" "$scratch/err"; }
		at_least "$(sed -n 's/^round 1: //p' "$scratch/out")" $((box * 9 / 10 - 10)) "arrays of 1 MiB"
		no_kills "python3"
		echo "python3: $(sed -n 's/^round [0-9]*: //p' "$scratch/out" | tr '\n' ' ')arrays of 1 MiB"
	done
	# shellcheck disable=SC2154 # set by find_python
	is_killed "python3 without sparena" "$python" "$support/python_rounds.py" 1 0
}

fill_memcached()
{
	start_memcached in_cgroup_exec "$@" || { fail "memcached does not start"; show "$scratch/memcached.err"; return 1; }
	timeout 100 "$python" "$support/memcached_fill.py" "$memcached_socket" "$memcached_pid" 1024 \
		>"$scratch/out" 2>"$scratch/err"
	used=$(use_percent "$(cgroup_use)")
	stop_memcached
}

# In the place of the shell: what follows is to be a child of ours.
in_cgroup_exec()
{
	# shellcheck disable=SC2016 # the inner shell's
	exec sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$cgroup" "$@"
}

case_memcached()
{
	# shellcheck source=tests/support/memcached.sh
	. "$support/memcached.sh"
	find_python
	find_memcached || skip "no memcached"
	clean_up() { stop_memcached; remove_cgroup; }
	for _ in $(seq "$runs"); do
		fill_memcached env LD_PRELOAD="$library" || return
		[ "${memcached_code:-1}" -eq 0 ] || fail "memcached ended with $memcached_code"
		grep -q " served=1" "$scratch/out" || { fail "memcached does not serve after the fill"; show "$scratch/out" "$scratch/err"; }
		at_least "$used" 90 "percent used when memcached refuses"
		no_kills "memcached"
		echo "memcached: $used % used, $(sed 's/answer=/answer: /' "$scratch/out")"
	done
	fill_memcached env
	[ "$memcached_code" -eq 137 ] || fail "memcached without sparena ended with $memcached_code (the control)"
}

# A sort of 400 MB in memory, and what the session answers afterwards.
ask_postgresql()
{
	(in_postgresql) <"$support/../../cmake/demo/session.sql" >"$scratch/out" 2>"$scratch/err"
}

case_postgresql()
{
	# shellcheck source=tests/support/postgresql.sh
	. "$support/postgresql.sh"
	find_postgresql || skip "no PostgreSQL"
	clean_up() { stop_postgresql; remove_cgroup; }
	postgresql_buffers=16MB
	make_postgresql || { fail "no database can be made"; show "$scratch/postgresql.log"; return; }
	# shellcheck disable=SC2086 # words are wanted
	start_postgresql in_cgroup_exec $postgresql_as env LD_PRELOAD="$library" ||
		{ fail "PostgreSQL does not start"; show "$scratch/postgresql.log"; return; }
	for _ in $(seq "$runs"); do
		ask_postgresql
		err "ERROR:  out of memory"
		out "answer=1000"
		no_kills "PostgreSQL"
	done
	stop_postgresql
	echo "PostgreSQL: $runs times $(head -n 1 "$scratch/err"), and the session goes on"
	# shellcheck disable=SC2086
	start_postgresql in_cgroup_exec $postgresql_as env || { fail "PostgreSQL does not start without sparena"; return; }
	ask_postgresql
	[ "$(cgroup_kills)" -gt "${killed_before:-0}" ] || fail "PostgreSQL without sparena: nobody was killed (the control)"
}

"case_$case"
finish
