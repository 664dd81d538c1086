#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What sparena does: python3 and memcached run into the end of their memory, without
# sparena and with it, in boxes of the same size. Needs the release build. Takes less
# than a minute, leaves nothing behind.
set -u

# shellcheck disable=SC2154 # memcached_* come from support/memcached.sh
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
sparena=$root/build/release/sparena
support=$root/tests/support
box_mib=192   # what the machine grants
limit_mib=160 # what sparena holds at most: the rest is for code, stacks and page tables

LC_ALL=C
export LC_ALL
unset LD_PRELOAD SPARENA_CONF

say() { printf '\n== %s\n' "$*"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }

[ -x "$sparena" ] || die "no $sparena: run sh cmake/quickstart.sh build"
scratch=$(mktemp -d) || exit 1
box=
trap 'stop_memcached; remove_box; rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

# shellcheck source=tests/support/memcached.sh
. "$support/memcached.sh"

# ---- the box: a memory cgroup where one can be made --------------------------------

# try_box DIRECTORY FILE: a cgroup whose FILE holds the limit.
try_box()
{
	mkdir "$1" 2>/dev/null || return 1
	box=$1
	echo $((box_mib << 20)) 2>/dev/null >"$1/$2" && [ "$(cat "$1/$2")" = $((box_mib << 20)) ] && return 0
	remove_box
	return 1
}

make_box()
{
	if grep -qsw memory /sys/fs/cgroup/cgroup.subtree_control; then
		try_box /sys/fs/cgroup/sparena-demo.$$ memory.max || return 1
		# else it would only be slow
		{ echo 0 >"$box/memory.swap.max"; } 2>/dev/null
	else
		try_box /sys/fs/cgroup/memory/sparena-demo.$$ memory.limit_in_bytes || return 1
		{ echo $((box_mib << 20)) >"$box/memory.memsw.limit_in_bytes"; } 2>/dev/null
	fi
	return 0
}

# Only what was started here is in it. Its last process may take a moment to be gone.
remove_box()
{
	[ -n "$box" ] || return 0
	for pid in $(cat "$box/cgroup.procs" 2>/dev/null); do
		kill -9 "$pid" 2>/dev/null
	done
	tries=0
	until rmdir "$box" 2>/dev/null || [ $tries -eq 50 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	[ ! -d "$box" ] || echo "demo: cannot remove $box" >&2
	box=
}

# boxed COMMAND...: in its place, inside the box.
# shellcheck disable=SC2016 # the inner shell's variables
boxed='
	if [ -n "$BOX" ]; then
		echo $$ >"$BOX/cgroup.procs" || exit 99
	else
		ulimit -v $((BOX_MIB * 1024 + 65536)) || exit 99
	fi
	unset BOX BOX_MIB
	exec "$@"'

# These two exec, so that the process has the id of the one that was started. Address
# space is sparena's to reserve: it is bounded only without it.
in_box() { exec env BOX="$box" BOX_MIB=$box_mib sh -c "$boxed" sh "$@"; }
under_sparena()
{
	if [ -n "$box" ]; then
		in_box "$sparena" run --limit ${limit_mib}M -- "$@"
	else
		exec "$sparena" run --limit ${limit_mib}M -- "$@"
	fi
}

# ---- the programs ------------------------------------------------------------------

rows=$scratch/rows
# row PROGRAM SAID ANSWERS PEAK BACK
row() { printf '%s|%s|%s|%s|%s\n' "$@" >>"$rows"; }

value() { sed -n "s/.*\<$1=\([^ ]*\).*/\1/p" "$scratch/out" | tail -n 1; }
mib() { echo "$((($1 + 512) / 1024)) MiB"; }

# how CODE: the ways to end, for people
how()
{
	case $1 in
	137) echo "killed by the kernel" ;;
	*) echo "ended with status $1" ;;
	esac
}

# try_python NAME COMMAND...: python3 by way of COMMAND.
try_python()
{
	name=$1
	shift
	say "$name: arrays of 1 MiB until there is no more memory, three times over"
	: >"$scratch/out"
	("$@" "$python" "$support/python_rounds.py" 3 1 >"$scratch/out" 2>"$scratch/err")
	code=$?
	sed -n 's/^round \(.*\): \(.*\)/   round \1: MemoryError after \2 arrays, dropped them/p' "$scratch/out"
	if [ $code -eq 0 ]; then
		row "$name" "MemoryError, caught" yes "$(mib "$(value peak_kib)")" \
			"$(mib $(($(value peak_kib) - $(value rss_kib))))"
	else
		sed 's/^/   /' "$scratch/err" | tail -n 3
		row "$name" "$(how $code)" no - -
	fi
	echo "   $(tail -n 1 "$rows" | cut -d'|' -f2)"
}

try_memcached()
{
	name=$1
	shift
	say "$name: values of 100 kB until it refuses (it was told -m 4096)"
	if ! start_memcached "$@"; then
		sed 's/^/   /' "$scratch/memcached.err"
		stop_memcached
		row "$name" "does not start" no - -
		return
	fi
	"$python" "$support/memcached_fill.py" "$memcached_socket" "$memcached_pid" 1024 >"$scratch/out" 2>"$scratch/err"
	alive=no
	kill -0 "$memcached_pid" 2>/dev/null && [ "$(value served)$(value alive)" = 11 ] && alive=yes
	stop_memcached
	echo "   $(value stored) values stored, $(value refused) refused"
	said=$(sed -n 's/.*answer=//p' "$scratch/out")
	[ $alive = yes ] || said=$(how "$memcached_code")
	echo "   $said"
	if [ $alive = yes ]; then
		row "$name" "$said" yes "$(mib "$(value peak_kib)")" \
			"$(mib $(($(value peak_kib) - $(value rss_kib)))) (memcached keeps it for new values)"
	else
		row "$name" "$said" no - -
	fi
}

# ---- the whole -----------------------------------------------------------------------

for python in /usr/bin/python3 "$(command -v python3)"; do
	[ -x "$python" ] && break
done
[ -x "$python" ] || die "no python3"

say "the box"
if make_box; then
	echo "   a memory cgroup of $box_mib MiB, for all four; inside it sparena has --limit ${limit_mib}M"
else
	echo "   No memory cgroup can be made here (that takes root, and a controller that is switched"
	echo "   on), so the kernel's kill cannot be shown. Without sparena the programs run under"
	echo "   ulimit -v instead ($((box_mib + 64)) MiB: code and stacks count, too). That bounds address"
	echo "   space, used or not, and stock malloc answers to it with NULL, as well. With sparena"
	echo "   they have --limit ${limit_mib}M and no other bound."
fi

try_python "python3" in_box
try_python "python3 + sparena" under_sparena
if find_memcached; then
	try_memcached "memcached" in_box
	try_memcached "memcached + sparena" under_sparena
else
	say "memcached is not installed: left out"
fi

if [ -n "$box" ]; then
	say "in a memory cgroup of $box_mib MiB, with a limit of $limit_mib MiB for sparena"
else
	say "under ulimit -v of $((box_mib + 64)) MiB, or a limit of $limit_mib MiB for sparena"
fi
awk -F'|' '
	BEGIN { print_row("program", "at the limit", "still answers", "peak resident", "given back") }
	{ print_row($1, $2, $3, $4, $5) }
	function print_row(a, b, c, d, e) { printf "%-20s  %-42s  %-13s  %-13s  %s\n", a, b, c, d, e }' "$rows"

# A demonstration that shows something else is a failure.
grep -q '^python3 + sparena|MemoryError, caught|yes|' "$rows" || die "python3 did not go on under sparena"
! grep -q '^memcached + sparena|' "$rows" || grep -q '^memcached + sparena|SERVER_ERROR .*|yes|' "$rows" ||
	die "memcached did not go on under sparena"
