# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2034
# For the drivers here, which `sparena bench alloc` starts under an allocator: the programs
# that are measured get it, their clients and this shell's tools don't. A driver does a
# fixed amount of work and prints lines of "metric value"; time_ms, peak_kib and final_kib take
# the place of what is measured of the driver itself.
set -u

preload=${LD_PRELOAD:-}
unset LD_PRELOAD
build=${BENCH_BUILD:?run by bench/programs.sh}
work=${BENCH_WORK:?}
scale=${BENCH_SCALE:-3}
support=$(cd "$(dirname "$0")/../../tests/support" && pwd) || exit 1

scratch=$(mktemp -d "$work/XXXXXX") || exit 1 # which goes with $work where this shell is killed
clean_up() { :; } # a driver that starts a server puts its own in place
trap 'clean_up; rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

die()
{
	echo "$*" >&2
	exit 1
}

# A command in front of the program that is measured.
under="env LD_PRELOAD=$preload"

now_ms() { echo $(($(date +%s%N) / 1000000)); }

# Prints how long a command takes.
timed()
{
	began=$(now_ms)
	"$@" || die "$1 failed: $?"
	echo "time_ms $(($(now_ms) - began))"
}

# resident PID: prints what a server holds, and held at most.
resident()
{
	awk '/^VmHWM:/ { print "peak_kib", $2 } /^VmRSS:/ { print "final_kib", $2 }' "/proc/$1/status"
}
