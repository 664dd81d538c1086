#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# SPARENA_CONF from the environment, good and bad.
# Usage: test_options.sh LIBRARY UNTIL_NULL LINKED
set -u

. "$(dirname "$0")/../support/lib.sh"
library=${1:?usage: test_options.sh LIBRARY UNTIL_NULL LINKED}
plain=${2:?}
linked=${3:?}

# with CONF ARG...: the program under the drop-in with these options.
with()
{
	conf=$1
	shift
	timeout 60 env LD_PRELOAD="$library" SPARENA_CONF="$conf" "$plain" "$@"
}

mib() { sed -n 's/.*, \([0-9]*\) MiB.*/\1/p' "$scratch/out"; }

# reaches LEAST MOST: MiB that the last program got before NULL.
reaches()
{
	out "errno 12, again 1"
	at_least "$(mib)" "$1" "SPARENA_CONF=$conf: MiB"
	at_most "$(mib)" "$2" "SPARENA_CONF=$conf: MiB"
}

# says TEXT LINES: stderr is so many lines of ours, TEXT among them.
says()
{
	err "$1"
	lines=$(grep -c '^sparena: ' "$scratch/err")
	all=$(wc -l <"$scratch/err")
	{ [ "$lines" -eq "$2" ] && [ "$all" -eq "$2" ]; } ||
		{ fail "SPARENA_CONF=$conf: $lines lines of ours of $all, not $2"; show "$scratch/err"; }
}

# bad TEXT CONF: a line on stderr and the program runs; with strict:true it does not.
bad()
{
	text=$1
	conf=$2
	ran 0 with "$conf" some
	says "$text" 1
	out "64 MiB, errno 0"
	ran 78 with "$conf,strict:true" some
	says "$text" 1
	[ ! -s "$scratch/out" ] || fail "SPARENA_CONF=$conf,strict:true: main was called"
}

# ---- good ones

for conf in "" "limit:none" "strict:true" "reserve:8G" "thp:never,decay_ms:0" ",,strict:true,"; do
	ran 0 with "$conf" some && out "64 MiB, errno 0" && quiet
done
conf=limit:64M
ran 0 with "$conf" && reaches 50 64
quiet
conf=limit:64M,limit:32M
ran 0 with "$conf" && reaches 24 32
conf=limit:4M,strict:true
ran 0 with "$conf" && quiet
conf=limit:100M,reserve:100M,strict:true
ran 0 with "$conf" && reaches 80 100

# More than the machine has: a bound that never comes into play.
for conf in limit:1T limit:30T limit:64T limit:8E; do
	conf=$conf,strict:true
	ran 0 with "$conf" some && out "64 MiB, errno 0" && quiet
done
conf=limit:1%,strict:true
total=$(sed -n 's/^MemTotal:[^0-9]*\([0-9]*\).*/\1/p' /proc/meminfo)
[ "$total" -lt 1000000 ] || { ran 0 with "$conf" && reaches 4 $((total / 1024 / 100)); }

# Without /proc, as in a bare chroot: the library starts before the C library's environ is set.
without_proc()
{
	unshare -m true 2>/dev/null || { echo "not tried without /proc: unshare -m is refused"; return; }
	# shellcheck disable=SC2016 # for the inner shell
	ran 0 unshare -m sh -c 'mount -t tmpfs none /proc && LD_PRELOAD=$0 SPARENA_CONF=limit:16M exec "$1"' \
		"$library" "$plain" && reaches 8 16
}

conf=limit:16M
without_proc

# ---- bad ones: the default is kept

bad 'unknown option "lmit": did you mean "limit"?' lmit:64M
bad 'unknown option "frobnicate"' frobnicate:1
bad '"limit" has no value' limit
bad 'option "closed" is for regions' closed:true
bad 'thp:"sometimes" is not known' thp:sometimes
bad 'backing:"disk" is not known' backing:disk
bad 'log:"yes" is neither true nor false' log:yes
bad 'decay_ms:"-1"' decay_ms:-1
bad 'commit_ahead:"3M"' commit_ahead:3M
bad 'limit:"-1" is not a size' limit:-1
bad 'limit:"12Q" is not a size' limit:12Q
bad 'limit:"101%"' limit:101%
bad 'limit:"16E" is too large' limit:16E
bad 'limit:"18446744073709551616" is too large' limit:18446744073709551616
bad 'is too large' limit:99999999999999999999999999999999T
bad 'decay_ms:"99999999999999999999" is too long' decay_ms:99999999999999999999
bad 'reserve:"17179869184G" is too large' reserve:17179869184G
bad 'limit:3M is below the 4M that start-up needs' limit:3M
bad 'limit:0 is below' limit:0
bad 'lazy_above:"63K" is below 64K' lazy_above:63K
bad 'thread_cache:"15K" is not between 16K and 1M' thread_cache:15K
bad 'thread_cache:"1048577" is not between 16K and 1M' thread_cache:1048577
bad 'lazy_above: is for backing:anon alone' lazy_above:1M,backing:memfd
bad 'reserve:64M is smaller than limit:128M' reserve:64M,limit:128M

# What does not fit goes, and nothing else.
conf=lazy_above:1M,backing:memfd,limit:32M
ran 0 with "$conf" && reaches 24 32
says 'lazy_above: is for backing:anon alone' 1

# Each wrong part is named, and the right ones count.
conf=lmit:1,limit:64M,thp:no
ran 0 with "$conf" && reaches 50 64
says 'unknown option "lmit"' 2
says 'thp:"no"' 2

# Not only short ones.
long=$(printf '%03000d' 7)
for conf in "limit:$long" "$long" "$long:1" "stats_file:/$long"; do
	ran 0 with "$conf" some && out "64 MiB, errno 0"
	[ -s "$scratch/err" ] || [ "$conf" = "limit:$long" ] || fail "3000 characters: no message"
done

# ---- statistics

conf=limit:64M,stats_print:true
ran 0 with "$conf" && reaches 50 64
for key in limit committed committed_peak resident metadata reserved allocated exhausted commits decommits \
	populate_ns faults_avoided backing page_size granule guarded helper_lost lazy swapped broken merged; do
	grep -q "\<$key\>" "$scratch/err" || fail "stats_print: no $key"
done

# A process that does nothing holds little: 184 KiB.
ran 0 timeout 60 env LD_PRELOAD="$library" SPARENA_CONF=stats_print:true true
metadata=$(sed -n 's/^  metadata  *\([0-9]*\) .*/\1/p' "$scratch/err")
at_least "${metadata:-0}" 1 "true: bytes of metadata"
at_most "${metadata:-0}" $((200 * 1024)) "true: bytes of metadata"

conf=limit:64M,stats_file:$scratch/stats-%p.json
ran 0 with "$conf" some
quiet
set -- "$scratch"/stats-*.json
[ $# -eq 1 ] && [ -f "$1" ] || fail "stats_file: not one file but $*"
case ${1##*/} in
stats-*[!0-9]*.json | stats-.json) fail "stats_file: %p is not a process id in $1" ;;
esac
[ "$(json_number "$1" limit)" = 67108864 ] || { fail "stats_file: limit is not 64 MiB"; show "$1"; }
at_least "$(json_number "$1" committed_peak)" 50000000 "stats_file: committed_peak"
if [ -x /usr/bin/python3 ]; then
	/usr/bin/python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$1" 2>"$scratch/err" ||
		{ fail "stats_file: no JSON"; show "$1"; }
fi

conf=stats_file:/nonexistent/stats
ran 0 with "$conf" some
says "cannot write statistics to /nonexistent/stats" 1

conf=log:true
ran 0 with "$conf" some
err "sparena: "

# ---- a program with somebody else's rights does not listen to the environment

# A group of ours that is not the one we run with.
other_group()
{
	if [ "$(id -u)" -eq 0 ]; then
		id -g nobody
	else
		id -G | tr ' ' '\n' | grep -vx "$(id -g)" | head -n 1
	fi
}

secure()
{
	group=$(other_group 2>/dev/null)
	[ -n "$group" ] || { echo "not tried as set-group-ID: no group to give it"; return; }
	cp "$linked" "$scratch/secure" && chmod 755 "$scratch"
	chgrp "$group" "$scratch/secure" 2>/dev/null && chmod g+s "$scratch/secure" ||
		{ echo "not tried as set-group-ID: chgrp $group is refused"; return; }
	conf=limit:16M,stats_print:true
	ran 0 timeout 60 env SPARENA_CONF="$conf" "$scratch/secure" some || return
	grep -q "^secure 1" "$scratch/out" || { echo "not tried as set-group-ID: the file system is mounted nosuid"; return; }
	out "64 MiB, errno 0"
	quiet
	conf=lmit:16M,strict:true
	ran 0 timeout 60 env SPARENA_CONF="$conf" "$scratch/secure" some
	quiet
	echo "set-group-ID: SPARENA_CONF is ignored"
}

conf=limit:16M
ran 0 timeout 60 env SPARENA_CONF="$conf" "$linked" some && reaches 8 16
secure
finish
