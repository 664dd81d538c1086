# SPDX-License-Identifier: BSD-2-Clause
# For test scripts: . "$(dirname "$0")/../support/lib.sh". Every test makes its files
# in $scratch, which goes away at the end. A failed check is printed and counted; the
# script ends with `finish`.
# shellcheck shell=sh

LC_ALL=C
export LC_ALL
unset SPARENA_CONF LD_PRELOAD

failures=0
scratch=$(mktemp -d) || exit 1
clean_up() { :; } # a script that starts a server puts its own in place
trap 'clean_up; rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

fail()
{
	failures=$((failures + 1))
	echo "FAIL: $*"
}

skip()
{
	echo "skipped: $*"
	exit 77
}

# show FILE...: what was written, for the reader of a failure.
show()
{
	for shown in "$@"; do
		sed "s|^|    $(basename "$shown"): |" "$shown"
	done
}

# ran CODE COMMAND...: COMMAND ends with CODE; what it wrote is in $scratch/out and err.
ran()
{
	wanted=$1
	shift
	"$@" >"$scratch/out" 2>"$scratch/err" </dev/null
	code=$?
	[ "$code" -eq "$wanted" ] && return 0
	fail "$*: exit code $code, not $wanted"
	show "$scratch/out" "$scratch/err"
	return 1
}

# out TEXT, err TEXT: what was written last contains TEXT.
out()
{
	grep -qF -e "$1" "$scratch/out" || { fail "no \"$1\" in the output:"; show "$scratch/out"; }
}

err()
{
	grep -qF -e "$1" "$scratch/err" || { fail "no \"$1\" in the messages:"; show "$scratch/err"; }
}

# quiet: nothing was written to stderr.
quiet()
{
	[ ! -s "$scratch/err" ] || { fail "messages where none belong:"; show "$scratch/err"; }
}

# json_number FILE KEY: the number of KEY in a flat JSON object.
json_number()
{
	sed -n "s/^.*\"$2\": *\([0-9][0-9]*\).*\$/\1/p" "$1"
}

# at_least NUMBER LEAST WHAT, at_most NUMBER MOST WHAT
at_least()
{
	[ "${1:-0}" -ge "$2" ] 2>/dev/null || fail "$3: $1, less than $2"
}

at_most()
{
	[ "${1:-x}" -le "$2" ] 2>/dev/null || fail "$3: $1, more than $2"
}

# python: the system's; its absence skips the test.
find_python()
{
	for python in /usr/bin/python3 "$(command -v python3)"; do
		[ -x "$python" ] && return 0
	done
	skip "no python3"
}

finish()
{
	[ "$failures" -eq 0 ] || echo "$failures failed"
	[ "$failures" -eq 0 ] || exit 1
	exit 0
}
