#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# fork(2) on one backing, with one policy, on a pool or a file system that is made for it.
# Usage: test_fork.sh BUILD_DIR WAY BACKING [OPTIONS]. WAY: linked or plain (the library
# is preloaded); BACKING: memfd, memfd-hugetlb, tmpfs, hugetlbfs, ext4.
set -u

support=$(dirname "$0")/../support
. "$support/lib.sh"
. "$support/backings.sh"
own_namespace "$0" "$@"
clean_up() { undo_backings; }

build=${1:?usage: test_fork.sh BUILD_DIR WAY BACKING [OPTIONS]}
way=${2:?}
backing=${3:?}
options=${4:-fork:copy}
pool_pages=100 # 200 MiB

preload=
[ "$way" = linked ] || preload=$build/libsparena_malloc.so

pool() { add_pages 2048 $pool_pages || skip "$backing: $missing"; }

case $backing in
memfd) conf=backing:memfd ;;
memfd-hugetlb)
	pool
	conf=backing:memfd-hugetlb,page:2M
	;;
tmpfs)
	mount_at fs -t tmpfs -o size=400M none || skip "$backing: $missing"
	conf=backing:file,path:$scratch/fs
	;;
hugetlbfs)
	pool
	mount_at fs -t hugetlbfs -o pagesize=2M none || skip "$backing: $missing"
	conf=backing:file,page:2M,path:$scratch/fs
	;;
ext4)
	ext4_at fs 400 || skip "$backing: $missing"
	conf=backing:file,path:$scratch/fs
	;;
*) fail "no such backing: $backing" ;;
esac
SPARENA_CONF=limit:400M,$conf,$options,strict:true
echo "SPARENA_CONF=$SPARENA_CONF"

# run PROGRAM CASE...: all of them, each in a process of its own.
run()
{
	program=$build/tests/preload/${1}_$way
	shift
	for name in "$@"; do
		env SPARENA_CONF="$SPARENA_CONF" LD_PRELOAD="$preload" "$program" "$name" >"$scratch/out" 2>&1
		code=$?
		if [ $code -eq 0 ]; then
			echo "passed  $(basename "$program") $name"
			cat "$scratch/out"
		else
			fail "$(basename "$program") $name: exit code $code"
			show "$scratch/out"
		fi
	done
}

# What is the same on all backings is tried on one.
case $backing:$options in
*:fork:deny)
	run test_fork_refused deny spawn
	;;
memfd:fork:exec)
	run test_fork contents view heap threads grandchild
	run test_fork_libc streams stream_in_thread locale keys blocked closed
	run test_fork_refused spawn_view stack coroutine raw
	;;
*:fork:exec | *populate:touch)
	run test_fork contents threads
	;;
*)
	run test_fork contents heap threads grandchild
	run test_fork_libc closed
	run test_fork_refused no_memory spawn
	;;
esac
case $backing:$options in
memfd:fork:copy)
	run test_fork atfork
	LEDGER_EARLY=1
	export LEDGER_EARLY
	run test_fork atfork_early
	unset LEDGER_EARLY
	run test_fork_libc streams stream_list stream_in_thread locale keys faults blocked
	run test_fork_refused no_addresses no_descriptors no_process stack coroutine raw
	;;
esac
clean_up
finish
