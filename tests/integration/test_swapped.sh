#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What is written to swap, comes back, or is freed there, of regions and heaps on each kind of
# memory. Usage: test_swapped.sh SWAPPED
set -u

support=$(dirname "$0")/../support
. "$support/lib.sh"
. "$support/backings.sh"
. "$support/swap.sh"
own_namespace "$0" "$@"

swapped=${1:?usage: test_swapped.sh SWAPPED}
clean_up()
{
	end_swap
	undo_backings
}

# run CASE [OPTIONS]
run()
{
	echo "== $*"
	ran 0 "$swapped" "$@" && cat "$scratch/out"
}

begin_swap 256 || skip "no swap: $missing"
echo "swap on $swap"
run region thp:never
run region thp:always
run region thp:never,closed:true
run region thp:never,trap:true
run region backing:memfd
run zeros thp:always
run zeros thp:never
run heap
run heap thp:always
run heap thp:never,decay_ms:0
run heap backing:memfd
run threads
run threads backing:memfd
run threads harden:true
run samples thp:never
if mount_at tmpfs -t tmpfs -o size=300M none; then
	run region "backing:file,path:$scratch/tmpfs"
	run heap "backing:file,path:$scratch/tmpfs"
else
	echo "skipped: tmpfs: $missing"
fi
run file backing:file,path:/var/tmp
if add_pages 2048 4; then
	run stays backing:hugetlb,page:2M
	run stays backing:memfd-hugetlb,page:2M
else
	echo "skipped: huge pages: $missing"
fi

# With less than is to go: huge pages are taken apart.
end_swap
begin_swap 45 || skip "no second swap: $missing"
run zeros thp:always
run zeros thp:never
finish
