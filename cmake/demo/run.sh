# SPDX-License-Identifier: BSD-2-Clause
# How programs are run: in the box, without sparena and with it. Needs $scratch, $build,
# $support, $box, $box_mib and $limit_mib.
# shellcheck shell=sh disable=SC2154,SC2034

# shellcheck source=tests/support/process.sh
. "$support/process.sh"

# Servers run as users who may not be let into the build directory.
install_sparena()
{
	sparena=$scratch/bin/sparena
	mkdir "$scratch/bin" "$scratch/stats" && chmod 755 "$scratch" && chmod 1777 "$scratch/stats" &&
		cp -P "$build/sparena" "$build"/libsparena_malloc.so* "$scratch/bin" && chmod -R a+rX "$scratch/bin" &&
		"$sparena" run --limit 16M -- true
}

# begin NAME WHAT: a new row.
begin()
{
	say "$1: $2"
	rm -f "$scratch"/stats/*
	kills_before=$(kills)
}

# in_box COMMAND...: in its place, inside the box; by way of $before, if anything. These
# two exec, so that the process has the id of the one that was started.
before=
# shellcheck disable=SC2016 # the inner shell's variables
boxed='
	if [ -n "$BOX" ]; then
		echo $$ >"$BOX/cgroup.procs" || exit 99
	elif [ -n "$BOX_MIB" ]; then
		ulimit -v $((BOX_MIB * 1024 + 65536)) || exit 99
	fi
	unset BOX BOX_MIB
	exec "$@"'
# shellcheck disable=SC2086 # words are wanted: $before may be nothing
in_box() { exec env BOX="$box" BOX_MIB=$box_mib sh -c "$boxed" sh $before "$@"; }

# Address space is sparena's to reserve: it is bounded only without it.
# shellcheck disable=SC2086
under_sparena()
{
	exec env BOX="$box" BOX_MIB= sh -c "$boxed" sh $before \
		"$sparena" run --limit ${limit_mib}M --stats="$scratch/stats/%p" -- "$@"
}

# attended INPUT COMMAND...: to its end; in the background, so that a signal to us is
# answered at once. Leaves its exit status in $code, what it wrote in out and err.
child=
attended()
{
	input=$1
	shift
	"$@" <"$input" >"$scratch/out" 2>"$scratch/err" &
	child=$!
	wait "$child" 2>/dev/null
	code=$?
	child=
}

stop_child()
{
	[ -n "$child" ] || return 0
	end_process "$child" TERM KILL
	child=
}

# value KEY: of key=value in what was written.
value() { sed -n "s/.*\<$1=\([^ ]*\).*/\1/p" "$scratch/out" | tail -n 1; }

# killed: by the kernel, for memory, since the row began.
killed() { [ "$(kills)" != "$kills_before" ]; }

# how CODE: the ways to end, for people.
how()
{
	if killed; then
		echo "killed by the kernel"
	elif [ "$1" -eq 124 ]; then
		echo "no answer for a minute"
	elif grep -qs "no limit" "$scratch/err"; then
		echo "had no limit"
	else
		echo "ended with status $1"
	fi
}
