#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# thread_cache: which blocks a thread keeps, how many of them, and that it lets go of them
# where another request needs their memory.
# Usage: test_thread_cache.sh BUILD_DIR THREAD_CACHE
set -u

# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
build=${1:?usage: test_thread_cache.sh BUILD_DIR THREAD_CACHE}
program=${2:?}

# keeps LEAST MOST CONF SIZE COUNT: bytes of the blocks that were freed.
keeps()
{
	least=$1
	most=$2
	conf=$3
	shift 3
	ran 0 timeout 60 env LD_PRELOAD="$build/libsparena_malloc.so" SPARENA_CONF="limit:64M,strict:true${conf:+,$conf}" \
		"$program" "$@" || return
	kept=$(sed -n 's/^kept \([0-9]*\) of.*/\1/p' "$scratch/out")
	at_least "$kept" "$least" "${conf:-default}: bytes kept of $2 blocks of $1"
	at_most "$kept" "$most" "${conf:-default}: bytes kept of $2 blocks of $1"
	out "half of it 1"
}

mib=1048576

keeps 32768 32768 "" 32768 1
keeps 0 0 "" 32769 1
keeps $((10 * 32768)) $((20 * 32768)) "" 32768 100

keeps 300000 330000 thread_cache:512K 300000 1
keeps 524288 524288 thread_cache:512K 524288 1
keeps 0 0 thread_cache:512K 524289 1
keeps $mib $mib thread_cache:1M $mib 1
keeps 0 0 thread_cache:16K 20480 2

# No more than 2 MiB of a size.
keeps $mib $((2 * mib)) thread_cache:512K 300000 100
keeps $mib $((2 * mib)) thread_cache:1M $mib 40
finish
