#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A copy for which the control group has no room: the kernel kills the child, whatever it
# finds larger; fork fails in the parent, which goes on. Usage: test_fork_cgroup.sh BUILD_DIR
set -u

support=$(dirname "$0")/../support
. "$support/lib.sh"
. "$support/cgroup.sh"
clean_up() { remove_cgroup; }

build=${1:?usage: test_fork_cgroup.sh BUILD_DIR}
# 47 MiB of blocks, and some of metadata: when there is no more room, the child is still
# smaller than the parent.
make_cgroup $((64 << 20)) || skip "$missing"
for backing in memfd file,path:/dev/shm; do
	ran 0 in_cgroup env SPARENA_CONF=backing:$backing,limit:200M,strict:true "LD_PRELOAD=$build/libsparena_malloc.so" \
		"$build/tests/preload/test_fork_refused_plain" no_room
	cat "$scratch/out"
done
finish
