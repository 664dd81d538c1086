#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# memcached -k, which calls mlockall(2), with sparena's reservation of 1 TiB, in a cgroup of
# 256 MiB: it fills what it is asked to store, and nothing else. Usage: test_memcached_locked.sh DROPIN
set -u

support=$(dirname "$0")/../support
. "$support/lib.sh"
. "$support/process.sh"
. "$support/memcached.sh"
. "$support/cgroup.sh"

dropin=${1:?usage: test_memcached_locked.sh DROPIN}
find_python
find_memcached || skip "no memcached"
[ "$(id -u)" -eq 0 ] || skip "not root: the reservation counts for RLIMIT_MEMLOCK ($(ulimit -l) KiB)"
clean_up()
{
	stop_memcached
	[ -z "$cgroup" ] || remove_cgroup
}
make_cgroup 256M || skip "$missing"
no_cgroup_swap

# kib FIELD: of smaps, over all mappings.
kib() { awk -v field="$1:" '$1 == field { sum += $2 } END { print sum + 0 }' "/proc/$memcached_pid/smaps"; }

value() { sed -n "s/.*\<$1=\([^ ]*\).*/\1/p" "$scratch/out"; }

memcached_options="-u root -k"
# shellcheck disable=SC2016 # $0 and $@ are the inner shell's
start_memcached sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$cgroup" \
	env LD_PRELOAD="$dropin" SPARENA_CONF=limit:128M,strict:true ||
	{ show "$scratch/memcached.err"; fail "memcached does not start"; finish; }
before=$(kib Rss)
at_least "$(kib Locked)" 1 "locked before anything is stored, KiB"
at_least "$(sed -n 's/^VmLck:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$memcached_pid/status")" 1000000000 \
	"locked address space, KiB"
timeout 100 "$python" "$support/memcached_fill.py" "$memcached_socket" "$memcached_pid" 1024 \
	>"$scratch/out" 2>"$scratch/err" || fail "the client: exit code $?"
show "$scratch/out"
at_least "$(value stored)" 900 "values stored"
at_least "$(value refused)" 1 "values refused"
[ "$(value served)" = 1 ] || fail "get, delete and set fail after the fill"
echo "$before KiB resident at the beginning, $(kib Rss) with all, $(kib Locked) of it locked"
at_most "$(kib Rss)" $((before + 128 * 1024 + 1024)) "resident, KiB"
at_least "$(kib Locked)" 100000 "locked, KiB"
finish
