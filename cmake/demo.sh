#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What sparena does: five programs run into the end of their memory, each without sparena
# and with it, in boxes of the same size. Takes less than a minute, leaves nothing behind.
# Ends with 1 when a program under sparena did not go on.
# Usage: demo.sh [BUILD_DIR]    (build/release)
set -u

# shellcheck disable=SC2034 # used by what is read in below
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
support=$root/tests/support
build=$(CDPATH='' cd -- "${1:-$root/build/release}" 2>/dev/null && pwd) ||
	{ echo "demo: no ${1:-build/release}: run sh cmake/quickstart.sh build" >&2; exit 1; }
box_mib=192   # what the machine grants
limit_mib=160 # what sparena holds at most: the rest is for code, stacks and page tables

LC_ALL=C
export LC_ALL
unset LD_PRELOAD SPARENA_CONF
cd / || exit 1 # servers run as other users, who may not be let in where we are

# shellcheck source=cmake/demo/table.sh
. "$root/cmake/demo/table.sh"
# shellcheck source=cmake/demo/box.sh
. "$root/cmake/demo/box.sh"
# shellcheck source=cmake/demo/run.sh
. "$root/cmake/demo/run.sh"
# shellcheck source=cmake/demo/interpreters.sh
. "$root/cmake/demo/interpreters.sh"
# shellcheck source=cmake/demo/memcached.sh
. "$root/cmake/demo/memcached.sh"
# shellcheck source=cmake/demo/postgresql.sh
. "$root/cmake/demo/postgresql.sh"

clean_up()
{
	trap '' HUP INT PIPE TERM
	stop_child
	stop_memcached
	stop_idle_session
	stop_postgresql
	remove_box
	rm -rf "$scratch"
}

scratch=$(mktemp -d) || exit 1
trap clean_up EXIT
trap 'exit 1' HUP INT PIPE TERM
install_sparena || die "sparena does not run from $build: run sh cmake/quickstart.sh build"

say "the box"
if make_box; then
	note "a memory cgroup of $box_mib MiB ($box); inside it sparena has --limit ${limit_mib}M"
else
	note "No memory cgroup can be made here (that takes root, or a part of the tree that is one's"
	note "own, and a controller that is switched on), so the kernel's kill cannot be shown. Without"
	note "sparena the programs run under ulimit -v instead ($((box_mib + 64)) MiB: code and stacks count, too)."
	note "That bounds address space, used or not, and stock malloc answers to it with NULL, as well."
	note "With sparena they have --limit ${limit_mib}M and no other bound."
fi

without=
[ -n "$box" ] || without=", ulimit -v"
for program in memcached postgresql python3 sqlite3 lua; do
	missing=$program
	if "find_$program"; then
		"try_$program" "$program$without" in_box
		"try_$program" "$program + sparena" under_sparena
	else
		say "$program: left out, since here is no $missing"
	fi
done

print_table
judge
