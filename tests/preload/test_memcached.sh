#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# memcached, which believes that it may have 4 GiB, under a limit of 128 MiB: says
# "out of memory" to some requests and serves the next. Usage: test_memcached.sh BUILD_DIR
set -u

support=$(dirname "$0")/../support
. "$support/lib.sh"
. "$support/memcached.sh"
sparena=${1:?usage: test_memcached.sh BUILD_DIR}/sparena
find_python
find_memcached || skip "no memcached"
clean_up() { stop_memcached; }

limit_mib=128
value() { sed -n "s/.*\<$1=\([^ ]*\).*/\1/p" "$scratch/out"; }

# What it has without sparena, before anybody stores anything.
start_memcached env || { show "$scratch/memcached.err"; fail "memcached does not start at all"; finish; }
baseline=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$memcached_pid/status")
stop_memcached

start_memcached "$sparena" run --limit ${limit_mib}M --stats="$scratch/memcached/stats" -- ||
	{ show "$scratch/memcached.err"; fail "memcached does not start under the limit"; finish; }
# shellcheck disable=SC2154 # set by memcached.sh
grep -q libsparena_malloc "/proc/$memcached_pid/maps" || fail "memcached does not use sparena"
timeout 100 "$python" "$support/memcached_fill.py" "$memcached_socket" "$memcached_pid" 1024 \
	>"$scratch/out" 2>"$scratch/err" ||
	fail "the client: exit code $?"
stop_memcached

show "$scratch/out"
quiet
at_least "$(value stored)" 900 "values stored" # of 100 kB: 85 of 128 MiB
at_least "$(value refused)" 1 "values refused"
answer=$(sed -n 's/.*answer=//p' "$scratch/out")
case $answer in
"SERVER_ERROR "*memory*) ;;
*) fail "the refusal does not speak of memory: $answer" ;;
esac
[ "$(value served)" = 1 ] || fail "get, delete and set fail after the fill"
[ "$(value alive)" = 1 ] || fail "memcached does not answer any more"
at_most "$(value peak_kib)" $((limit_mib * 1024 + baseline)) "peak resident, KiB"
[ "$memcached_code" -eq 0 ] || fail "memcached ended with $memcached_code when asked to stop"
if [ -f "$scratch/memcached/stats" ]; then
	at_least "$(json_number "$scratch/memcached/stats" exhausted)" 1 "exhausted"
else
	fail "no statistics at its end"
fi
echo "memcached alone has $baseline KiB"
finish
