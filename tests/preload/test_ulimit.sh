#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Where the address space is bounded (ulimit -v) the drop-in reserves less, programs
# start, and malloc ends in NULL. Usage: test_ulimit.sh LIBRARY UNTIL_NULL LINKED
set -u

. "$(dirname "$0")/../support/lib.sh"
library=${1:?usage: test_ulimit.sh LIBRARY UNTIL_NULL LINKED}
plain=${2:?}
linked=${3:?}

bounded()
{
	(ulimit -v "$1" && shift && exec timeout 60 "$@")
}

mib() { sed -n 's/.*, \([0-9]*\) MiB.*/\1/p' "$scratch/out"; }

for kib in 1000000 400000; do
	for how in preloaded linked; do
		case $how in
		preloaded) ran 0 bounded $kib env LD_PRELOAD="$library" "$plain" ;;
		linked) ran 0 bounded $kib "$linked" ;;
		esac || continue
		out "errno 12, again 1"
		quiet
		at_least "$(mib)" $((kib / 1024 / 8)) "ulimit -v $kib, $how: MiB"
		at_most "$(mib)" $((kib / 1024)) "ulimit -v $kib, $how: MiB"
		echo "ulimit -v $kib, $how: $(mib) MiB"
	done
done

# A limit of our own that fits in.
ran 0 bounded 1000000 env SPARENA_CONF=limit:100M,strict:true LD_PRELOAD="$library" "$plain"
out "errno 12, again 1"
at_least "$(mib)" 80 "limit:100M under ulimit -v: MiB"
at_most "$(mib)" 100 "limit:100M under ulimit -v: MiB"

for command in "ls /" "awk BEGIN{print(1)}"; do
	# shellcheck disable=SC2086 # words are wanted
	ran 0 bounded 1000000 env LD_PRELOAD="$library" $command
	quiet
done
finish
