# SPDX-License-Identifier: BSD-2-Clause
# python3, lua and sqlite3: programs that run a script, in which they meet the limit, go
# on, and at the end say what is resident. Needs run.sh.
# shellcheck shell=sh disable=SC2154,SC2034

find_python3()
{
	for python in /usr/bin/python3 "$(command -v python3)"; do
		[ -x "$python" ] && return 0
	done
	return 1
}

find_lua()
{
	for lua in lua5.4 lua5.3 lua; do
		command -v "$lua" >/dev/null && return 0
	done
	return 1
}

find_sqlite3() { command -v sqlite3 >/dev/null; }

# interpret INPUT WAY COMMAND...
interpret()
{
	input=$1
	way=$2
	shift 2
	before="timeout 60"
	attended "$input" "$way" "$@"
	before=
}

# rounds NAME ERROR: the row of a script that fills up three times over.
rounds()
{
	sed -n "s/^round \(.*\): \([0-9]*\).*/   round \1: $2 after \2 MiB, dropped them/p" "$scratch/out"
	if [ "$code" -eq 0 ] && [ "$(grep -c '^round' "$scratch/out")" -eq 3 ]; then
		row "$1" "$2" "yes: fills up again" "$(value peak_kib)" "$(value rss_kib)"
	else
		quote "$scratch/err"
		row "$1" "$(how "$code")" no
	fi
}

try_python3()
{
	begin "$1" "arrays of 1 MiB until there is no more memory, three times over"
	interpret /dev/null "$2" "$python" "$support/python_rounds.py" 3 1
	rounds "$1" MemoryError
}

try_lua()
{
	begin "$1" "strings of 1 MiB until there is no more memory, three times over"
	interpret /dev/null "$2" "$lua" "$root/cmake/demo/rounds.lua" 3 1
	rounds "$1" "not enough memory"
}

# The answers are those of the same process, on the same connection: the table that it
# had before, and a statement that needs memory again.
try_sqlite3()
{
	begin "$1" "an INSERT of 500 MB into a database in memory"
	interpret "$root/cmake/demo/session.sqlite" "$2" sqlite3 -batch :memory:
	quote "$scratch/err"
	peak=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "$scratch/out")
	resident=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "$scratch/out")
	said=$(sed -n 's/.*\(out of memory.*\)/\1/p' "$scratch/err" | head -n 1)
	if [ -n "$said" ] && [ "$(value before)$(value after)$(value later)" = 101020 ]; then
		row "$1" "$said" "yes: same connection" "$peak" "$resident"
	elif [ -n "$(value filled)" ]; then
		row "$1" "had no limit" "yes" "$peak" "$resident"
	else
		row "$1" "$(how "$code")" no
	fi
}
