#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Programs on guard:helper in a memory cgroup of 256 MiB: at the limit the kernel kills the
# helper process, again and again, and never the program, which has all the memory that there
# is before. Usage: test_guard_helper.sh CASE HOLD LIBRARY; SPARENA_GUARD_HITS: how often.
set -u

support=$(dirname "$0")/../support
# shellcheck source=tests/support/guard.sh
. "$support/guard.sh"
usage="usage: test_guard_helper.sh CASE HOLD LIBRARY"
case=${1:?$usage}
hold=${2:?$usage}
library=${3:?$usage}
hits=${SPARENA_GUARD_HITS:-20}
conf=backing:memfd,guard:helper,strict:true
inside= # what starts the program

make_box

# In the place of the shell: what is killed is the program itself.
boxed()
{
	# shellcheck disable=SC2016,SC2086 # the inner shell's; and words are wanted
	exec sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$cgroup" $inside \
		env LD_PRELOAD="$library" SPARENA_CONF="$conf" "$hold"
}

# Helper processes in the cgroup, by their ids.
helpers()
{
	while read -r pid; do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" != sparena-helper ] || echo "$pid"
	done <"$cgroup/cgroup.procs"
}

descriptors() { ls "/proc/$holder/fd" | wc -l; }

# one_helper: it is in $helper, and no child that the program could wait for.
one_helper()
{
	helper=$(helpers)
	case $helper in
	"" | *[!0-9]*) fail "${1-}: the helpers are \"$(echo "$helper" | tr '\n' ' ')\", not one" ;;
	esac
}

is_gone()
{
	tries=0
	until has_ended "$1" || [ $tries -eq 20 ]; do
		tries=$((tries + 1))
		sleep 0.05
	done
	has_ended "$1"
}

# ---- at the limit, again and again

# all_is_well WHAT: the books, and who was killed.
all_is_well()
{
	tell "books"
	[ "$answer" = 0 ] || fail "$1: the books are wrong by $answer"
	tell "lost"
	[ "$answer" = "$(cgroup_kills)" ] || fail "$1: $answer helpers were lost, the kernel killed $(cgroup_kills)"
}

# Nearly always it is data for which there is no room: for metadata the guard is asked, and nobody
# killed.
hit()
{
	tell "take 400"
	taken=$((answer + 20)) # before
	at_least "$taken" $((box * 9 / 10)) "round $1: MiB taken"
	[ "$taken" -ge "$least" ] || least=$taken
	all_is_well "round $1"
	[ "$(cgroup_kills)" -eq "$killed" ] || [ -z "$(helpers)" ] || fail "round $1: a helper in a cgroup that is full"
	killed=$(cgroup_kills)
	tell "give 400"
	tell "purge"
	all_is_well "round $1, given back"
	at_most "$(cgroup_use)" $((40 << 20)) "round $1, given back: bytes used"
}

# The wait from one helper to the next grows to a second where they are lost so fast.
case_hits()
{
	hold_start boxed
	least=$box
	earlier=
	killed=0
	round=0
	while [ "$killed" -lt "$hits" ] && [ $round -lt $((hits + 5)) ]; do
		round=$((round + 1))
		tell "take 20"
		one_helper "before round $round"
		[ "$helper" != "$earlier" ] || [ "$killed" -eq "$before" ] || fail "round $round: the helper is the same: $helper"
		earlier=$helper
		before=$killed
		[ $round -gt 1 ] || open=$(descriptors)
		[ "$(descriptors)" -eq "$open" ] || fail "before round $round: $(descriptors) descriptors, $open at first"
		hit $round
		sleep 1.1
	done
	at_least "$killed" "$hits" "hits"
	hold_stop
	echo "$round rounds: the kernel killed $killed, all of them helpers; at least $least MiB taken; $open descriptors"
}

# ---- it ends with the program

case_end()
{
	hold_start boxed
	tell "take 20"
	one_helper
	hold_stop
	is_gone "$helper" || fail "the helper is there after the program's exit"

	hold_start boxed
	tell "take 20"
	one_helper
	kill -KILL "$holder"
	is_gone "$helper" || fail "the helper is there after the program was killed"
	{ wait "$holder"; } 2>/dev/null
	holder=

	# Killed while it is waiting for an answer: what it had is not held by the helper.
	hold_start boxed
	tell "take 20"
	one_helper
	echo "take 150" >&9
	kill -KILL "$holder"
	is_gone "$helper" || fail "the helper is there after the program was killed in a request"
	{ wait "$holder"; } 2>/dev/null
	holder=
	sleep 0.2
	at_most "$(cgroup_use)" $((10 << 20)) "bytes in use after all have ended"
	[ "$(cgroup_kills)" -eq 0 ] || fail "the kernel killed $(cgroup_kills)"
	echo "gone after exit, SIGKILL, and SIGKILL in a request"
}

# ---- what programs do

case_programs()
{
	# The old helper ends with its descriptor, and the memory file's is lost.
	hold_start boxed
	tell "take 20"
	one_helper
	tell "close"
	is_gone "$helper" || fail "descriptors closed: the helper is there"
	tell "take 400"
	at_least "$answer" $((box * 9 / 10 - 20)) "descriptors closed: MiB taken"
	tell "books"
	[ "$answer" = 0 ] || fail "descriptors closed: the books are wrong by $answer"
	[ "$(descriptors)" -lt 64 ] || fail "descriptors closed: $(descriptors) open"
	hold_stop

	# A child has a copy of the memory, and no helper; the parent's serves on.
	hold_start boxed
	tell "take 100"
	one_helper
	before=$helper
	tell "fork"
	[ "$answer" = 0 ] || fail "a child that takes 1 MiB ends with $answer"
	one_helper "after fork"
	[ "$helper" = "$before" ] || fail "after fork the helper is another one"
	tell "lost"
	[ "$answer" = 0 ] || fail "after fork $answer helpers were lost"
	hold_stop

	# Its user is another one: so is the next helper's.
	hold_start boxed
	tell "take 20"
	tell "nobody"
	[ "$answer" = 0 ] || fail "privileges were not dropped: errno $answer"
	one_helper
	kill -KILL "$helper"
	is_gone "$helper" || fail "the helper is there after SIGKILL"
	tell "take 20" # which finds it out
	at_least "$answer" 20 "the helper killed by somebody else: MiB taken"
	sleep 0.1
	tell "take 20"
	one_helper "privileges dropped"
	tell "lost"
	[ "$answer" = 1 ] || fail "privileges dropped: $answer helpers were lost"
	user=$(sed -n 's/^Uid:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$helper/status")
	[ "$user" = 65534 ] || fail "privileges dropped: the helper's user is $user"
	hold_stop
	echo "descriptors closed, fork, privileges dropped: served"
}

# ---- a program that is to be killed before any helper goes by the estimate

# estimated WHAT MESSAGE: there is no helper, and the program takes nearly all there is.
estimated()
{
	tell "take 400"
	at_least "$answer" $((box * 9 / 10)) "$1: MiB taken"
	[ -z "$(helpers)" ] || fail "$1: a helper"
	[ "$(cgroup_kills)" -eq 0 ] || fail "$1: the kernel killed $(cgroup_kills)"
	err "no helper process, so the guard's estimate has to do: $2"
	hold_stop
}

case_score()
{
	hold_start boxed
	echo 200 >"/proc/$holder/oom_score_adj"
	estimated "oom_score_adj above 0" oom_score_adj
}

# ---- where children are in another namespace, so that their ids mean nothing here

case_namespace()
{
	inside="unshare --pid"
	$inside true 2>/dev/null || skip "no namespaces can be made here"
	hold_start boxed
	estimated "children elsewhere" "children begin in another PID namespace"
}

# ---- others in the cgroup that nobody guards

case_neighbour()
{
	find_python
	hold_start boxed
	tell "take 150"
	one_helper
	# shellcheck disable=SC2016
	sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$cgroup" "$python" -c 'import time
a = bytearray(b"1") * (60 << 20)
time.sleep(3)' &
	neighbour=$!
	sleep 1
	tell "take 400"
	all_is_well "beside a neighbour"
	has_ended "$holder" && fail "the program was killed"
	wait "$neighbour" || fail "the neighbour ended with $?"
	hold_stop
	echo "a neighbour of 60 MiB: the kernel killed $(cgroup_kills), a helper"
}

"case_$case"
finish
