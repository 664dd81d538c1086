#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The demonstration, as people run it: every program goes on under sparena, those without
# it were killed where a cgroup can be made; nothing stays behind, also when it is stopped
# half-way. Usage: test_demo.sh BUILD_DIR
set -u

support=$(dirname "$0")/../support
# shellcheck source=tests/support/lib.sh
. "$support/lib.sh"
# shellcheck source=tests/support/process.sh
. "$support/process.sh"
build=${1:?usage: test_demo.sh BUILD_DIR}
demo=$(dirname "$0")/../../cmake/demo.sh
programs="memcached postgresql python3 sqlite3 lua"
demo_pid=
# shellcheck disable=SC2317 # lib.sh calls it
clean_up() { [ -z "$demo_pid" ] || end_process "$demo_pid" TERM; }

# Servers of other users have theirs below it.
TMPDIR=$scratch/tmp
export TMPDIR
chmod 755 "$scratch" && mkdir -m 1777 "$TMPDIR" || exit 1

# A cgroup can be made where the tree of the memory controller is ours to write.
if grep -qsw memory /sys/fs/cgroup/cgroup.subtree_control; then
	tree=/sys/fs/cgroup
else
	tree=/sys/fs/cgroup/memory
fi
[ -e "$tree/cgroup.procs" ] && [ -w "$tree" ] && boxed=yes || boxed=no

# nothing_left WHEN: no files, no cgroup, and no process that was told of a file there.
nothing_left()
{
	[ -z "$(ls -A "$TMPDIR")" ] || fail "$1: files are left: $(ls "$TMPDIR"/*)"
	[ -z "$(find /sys/fs/cgroup -type d -name "sparena-demo.$demo_pid" 2>/dev/null)" ] || fail "$1: a cgroup is left"
	for process in /proc/[0-9]*; do
		! tr '\0' ' ' 2>/dev/null <"$process/cmdline" | grep -qF "$TMPDIR/" || fail "$1: left: $(tr '\0' ' ' <"$process/cmdline")"
	done
}

# start_demo: in the background, since its process id names its cgroup.
start_demo()
{
	: >"$scratch/out"
	sh "$demo" "$build" >"$scratch/out" 2>"$scratch/err" </dev/null &
	demo_pid=$!
}

# cell PROGRAM COLUMN: of the table, whose columns are two spaces apart.
cell()
{
	sed -n '/^program  /,/^$/p' "$scratch/out" | sed 's/   */|/g' | awk -F'|' -v name="$1" -v column="$2" '$1 == name { print $column }'
}

matches() # PROGRAM COLUMN PATTERN
{
	cell "$1" "$2" | grep -qE "^$3\$" || fail "$1: \"$(cell "$1" "$2")\", not $3"
}

start_demo
wait "$demo_pid"
code=$?
cat "$scratch/out"
quiet
[ $code -eq 0 ] || fail "exit code $code"
nothing_left "at its end"

left_out=
for program in $programs; do
	if grep -q "^== $program: left out" "$scratch/out"; then
		left_out="$left_out $program"
		continue
	fi
	case $program in
	memcached) said="SERVER_ERROR out of memory.*" ;;
	postgresql) said="ERROR: out of memory" ;;
	python3) said="MemoryError" ;;
	sqlite3) said="out of memory.*" ;;
	lua) said="not enough memory" ;;
	esac
	matches "$program + sparena" 2 "$said"
	matches "$program + sparena" 3 "yes.*"
	matches "$program + sparena" 4 "1[3-7][0-9] MiB"
	matches "$program + sparena" 5 "1[3-5][0-9] MiB of 160"
	[ "$program" = memcached ] || matches "$program + sparena" 6 "1[2-5][0-9] MiB"
	if [ "$boxed" = yes ]; then
		matches "$program" 2 "killed by the kernel.*"
		matches "$program" 3 "no.*"
	else
		matches "$program, ulimit -v" 2 "$said"
		matches "$program, ulimit -v" 5 "-"
	fi
done
[ "$boxed" = yes ] || echo "no cgroup can be made here: controls ran under ulimit -v"

# Stopped, while there are servers.
start_demo
tries=0
until grep -q '^== postgresql + sparena\|^program' "$scratch/out" || [ $tries -eq 300 ]; do
	tries=$((tries + 1))
	sleep 0.1
done
kill "$demo_pid"
wait "$demo_pid"
code=$?
[ $code -eq 1 ] || fail "stopped, it ended with $code"
! grep -q '^program' "$scratch/out" || [ -n "$left_out" ] || fail "it was not stopped half-way"
nothing_left "stopped half-way"

# Its reader has seen enough.
# shellcheck disable=SC2016 # the inner shell's variables
sh -c 'echo $$ >"$1"; exec sh "$2" "$3"' sh "$scratch/pid" "$demo" "$build" 2>"$scratch/err" | head -n 5 >"$scratch/out"
demo_pid=$(cat "$scratch/pid")
nothing_left "its output closed"
demo_pid=

[ "$failures" -ne 0 ] || [ -z "$left_out" ] || skip "all but this passed; not here:$left_out"
finish
