#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Locked memory, each case in a process of its own; what calls mlockall(2) in a cgroup that
# would end it if it filled what is only reserved. Usage: test_locked.sh PROGRAM
set -u

support=$(dirname "$0")/../support
. "$support/lib.sh"
. "$support/cgroup.sh"

program=${1:?usage: test_locked.sh PROGRAM}
clean_up() { [ -z "$cgroup" ] || remove_cgroup; }

# check COMMAND...
check()
{
	echo "== $*"
	ran 0 "$@" && cat "$scratch/out"
}

unprivileged() { setpriv --reuid=65534 --clear-groups --inh-caps=-all --bounding-set=-all "$@"; }

if [ "$(id -u)" -eq 0 ]; then
	without=unprivileged
	chmod 755 "$scratch"
else
	without=
	[ "$(ulimit -l)" = unlimited ] || echo "skipped: more than RLIMIT_MEMLOCK ($(ulimit -l) KiB): not root"
fi
for backing in anon memfd; do
	for lock in onfault now; do
		check $without "$program" limit backing:$backing,lock:$lock
		check $without "$program" no-limit backing:$backing,lock:$lock
	done
done
[ -n "$without" ] || [ "$(ulimit -l)" = unlimited ] || finish

for backing in anon memfd; do
	for lock in onfault now; do
		check "$program" region backing:$backing,lock:$lock
		check "$program" heap backing:$backing,lock:$lock
	done
done
check "$program" region lock:now,trap:true
check "$program" heap lock:onfault,trap:true,thp:always
check "$program" heap lock:now,lazy_above:1M

make_cgroup 256M || skip "$missing"
no_cgroup_swap
for case in all all-onfault all-current; do
	for when in before after; do
		check in_cgroup "$program" $case-$when reserve:1T
		check in_cgroup "$program" $case-$when reserve:1T,backing:memfd
	done
done
check in_cgroup "$program" all-after trap:true
finish
