#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# background:true for a program that falls idle: python3 frees 100 MB and sleeps, and so does a
# child of it. Seen from outside, since whatever a program does may give its memory back.
# Usage: test_background.sh BUILD_DIR
set -u

# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
build=${1:?usage: test_background.sh BUILD_DIR}
[ -x /usr/bin/python3 ] || skip "no /usr/bin/python3"

program='
import os, sys, time
def use():
    blocks = [bytes(2000) for _ in range(50000)]
    return len(blocks)
use()
if sys.argv[1] == "child" and os.fork():
    os.wait()
    sys.exit(0)
if sys.argv[1] == "child":
    use()
os.write(1, b"%d\n" % os.getpid())
os.read(0, 1)
'

# start CONF KIND: the program runs as $pid, and has freed everything; $idle is what sleeps.
start()
{
	rm -f "$scratch/answer" "$scratch/wait"
	mkfifo "$scratch/answer" "$scratch/wait"
	LD_PRELOAD=$build/libsparena_malloc.so SPARENA_CONF=strict:true,$1 timeout 120 /usr/bin/python3 -c "$program" "$2" \
		<"$scratch/wait" >"$scratch/answer" 2>"$scratch/err" &
	pid=$!
	exec 8>"$scratch/wait"
	read -r idle <"$scratch/answer"
}

stop()
{
	exec 8>&-
	wait "$pid" || { fail "it ended with $?"; show "$scratch/err"; }
	pid=
}
pid=
clean_up() { [ -z "$pid" ] || { kill "$pid"; wait "$pid"; } 2>/dev/null; }

resident_kib() { awk '/^VmRSS/ { print $2 }' "/proc/$idle/status"; }
threads() { awk '/^Threads/ { print $2 }' "/proc/$idle/status"; }

# comes_down_to KIB SECONDS
comes_down_to()
{
	tries=$(($2 * 10))
	while [ "$(resident_kib)" -gt "$1" ] && [ "$tries" -gt 0 ]; do
		sleep 0.1
		tries=$((tries - 1))
	done
	[ "$(resident_kib)" -le "$1" ]
}

for kind in alone child; do
	start background:true $kind
	comes_down_to 50000 20 || fail "$kind: $(resident_kib) KiB are resident still"
	[ "$(threads)" -eq 2 ] || fail "$kind: $(threads) threads"
	stop
	quiet
done

# What it is needed for.
start background:false alone
comes_down_to 50000 2 && fail "it went without a thread"
[ "$(threads)" -eq 1 ] || fail "$(threads) threads without background"
stop

# The statistics at exit are of a quiet moment.
ran 0 env LD_PRELOAD="$build/libsparena_malloc.so" SPARENA_CONF="background:true,stats_file:$scratch/stats" \
	/usr/bin/python3 -c "x = [bytes(100000) for _ in range(1000)]; import os; os.write(1, b'.')"
resident=$(json_number "$scratch/stats" resident)
charged=$(($(json_number "$scratch/stats" committed) + $(json_number "$scratch/stats" metadata)))
[ "$resident" -eq "$charged" ] || fail "resident $resident, charged $charged"

# Where there may be no more threads it says so, and works as without.
if [ "$(id -u)" -eq 0 ]; then
	chmod 755 "$scratch"
	cp "$build/libsparena_malloc.so" "$scratch/"
	ran 0 setpriv --reuid=65534 --regid=65534 --clear-groups sh -c "ulimit -p 0
		LD_PRELOAD=$scratch/libsparena_malloc.so SPARENA_CONF=background:true exec /bin/echo works"
	out works
	err "background: no thread is to be had"
fi
finish
