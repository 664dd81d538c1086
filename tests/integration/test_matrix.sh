#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The failure matrix: every backing under every condition in which it can have no more, for
# each way of asking. A cell is a process (matrix_cell.c) that must get a number of MiB,
# then NULL with ENOMEM or -errno, and whose books must balance all the way. Printed is what
# it got. Usage: test_matrix.sh CELL DROPIN [NAME...]; names of backings: those alone
set -u

support=$(dirname "$0")/../support
. "$support/lib.sh"
. "$support/backings.sh"
own_namespace "$0" "$@"
clean_up() { undo_backings; }

cell=${1:?usage: test_matrix.sh CELL DROPIN [NAME...]}
dropin=${2:?}
shift 2
only=" $* "
pages=40            # of 2 MiB
large_kib=1048576
cells=0
reasons=

# ---- one cell

# How a process comes into its condition.
# shellcheck disable=SC2086 # $injected is a list
into_condition()
{
	case $condition in
	FSIZE) prlimit --fsize=$((96 << 20)) "$@" ;;
	MEMLOCK) setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock "$@" ;;
	ENFILE) strace -f -qq -o /dev/null $injected "$@" ;;
	*) "$@" ;;
	esac
}

# cell KIND LEAST MOST: its MiB, or FAIL and the reason beneath the table.
cell()
{
	preload=$dropin
	[ "$1" != region ] || preload=
	into_condition timeout 100 env LD_PRELOAD="$preload" SPARENA_CONF="strict:true,$options$limit" MATRIX_HOLDS="$holds" \
		"$cell" "$1" "$condition" "$2" "$3" "$options$limit" >"$scratch/out" 2>"$scratch/err" </dev/null
	code=$?
	cells=$((cells + 1))
	if [ $code -eq 0 ]; then
		printf ' %8s' "$(cat "$scratch/out")"
		return
	fi
	printf ' %8s' FAIL
	failures=$((failures + 1))
	case $code in
	124) how="took too long" ;;
	1[2-9][0-9]) how="ended with signal $((code - 128))" ;;
	*) how="exit code $code" ;;
	esac
	reasons="$reasons
FAIL: $name, $condition, $1: $how: $(grep -v '^sparena: cannot start' "$scratch/err" | head -n 3 | tr '\n' ' ')"
}

# line CONDITION LIMIT LEAST MOST [LEAST MOST of the region]
line()
{
	condition=$1
	limit=$2
	printf '%-24s %-8s' "$name" "$condition"
	for kind in small large calloc realloc; do
		cell $kind "$3" "$4"
	done
	cell region "${5:-$3}" "${6:-$4}"
	echo
}

# no CONDITION REASON: cells that cannot exist.
no() { printf '%-24s %-8s  -  %s\n' "$name" "$1" "$2"; }

# ---- one backing

# wanted NAME
wanted() { [ "$only" = "  " ] || [ "${only#* "$1" }" != "$only" ]; }

not_here() { printf '%-24s %-8s  skipped: %s\n' "$1" all "$missing"; }

# rows NAME OPTIONS HOLDS FULL_LEAST FULL_MOST INJECTED: INJECTED is for strace(1), or - where
# there is no descriptor.
rows()
{
	name=$1
	options=$2
	holds=$3
	injected=$6
	line limit ,limit:32M 27 32 30 32
	if [ "$5" -gt 0 ]; then
		line full "" "$4" "$5"
	else
		no full "nothing bounds it but the machine, where the kernel kills instead of answering"
	fi
	line MEMLOCK ,limit:32M 27 32 30 32
	if [ "$injected" = - ]; then
		no FSIZE "no file"
		no EMFILE "no descriptor"
		no ENFILE "no descriptor"
		return
	fi
	# The reservation is what the limit on files leaves of it: 64 MiB.
	line FSIZE "" 58 64 "$(($4 < 94 ? $4 : 94))" 96
	line EMFILE ,limit:32M 27 32 30 32
	if command -v strace >/dev/null; then
		line ENFILE ,limit:32M 0 0
	else
		no ENFILE "skipped: no strace"
	fi
}

# both NAME ...: as rows, and once more without MADV_POPULATE_WRITE.
both()
{
	label=$1
	given=$2
	shift 2
	rows "$label" "$given" "$@"
	rows "$label, touched" "$given,populate:touch" "$@"
}

memfd="-e trace=memfd_create -e inject=memfd_create:error=ENFILE"
in_directory() { echo "-P $1 -e trace=openat -e inject=openat:error=ENFILE"; }

anon()
{
	both anon backing:anon own 0 0 -
	rows "anon, thp:never" backing:anon,thp:never own 0 0 -
	rows "anon, thp:always" backing:anon,thp:always own 0 0 -
}

memfd() { both memfd backing:memfd room:memfd 0 0 "$memfd"; }

# of_pool NAME KIB COUNT FUNCTION ARGUMENT...
of_pool()
{
	pool_name=$1
	kib=$2
	how_many=$3
	shift 3
	if add_pages "$kib" "$how_many"; then
		most=$(($(pool_free "$kib") * kib / 1024)) # there may have been some before
		"$@"
		give_pages_back "$kib"
	else
		not_here "$pool_name"
	fi
}

hugetlb_2M() { rows hugetlb-2M backing:hugetlb,page:2M pool:2048 $((most - 2)) "$most" -; }
memfd_hugetlb_2M()
{
	both memfd-hugetlb-2M backing:memfd-hugetlb,page:2M pool:2048 $((most - 2)) "$most" "$memfd"
}
hugetlbfs_2M()
{
	mount_at hugetlbfs -t hugetlbfs -o pagesize=2M none || { not_here hugetlbfs-2M; return; }
	both hugetlbfs-2M "backing:file,path:$scratch/hugetlbfs" pool:2048 $((most - 2)) "$most" \
		"$(in_directory "$scratch/hugetlbfs")"
	unmount_all
}

# Of 1 GiB each: one is within the limit, two are in the pool.
large_rows()
{
	name=$1
	options=$2
	holds=pool:$large_kib
	line limit ,limit:1700M 1024 1024
	line full "" "$most" "$most"
}
hugetlb_1G() { large_rows hugetlb-1G backing:hugetlb,page:1G; }
memfd_hugetlb_1G() { large_rows memfd-hugetlb-1G backing:memfd-hugetlb,page:1G; }
hugetlbfs_1G()
{
	mount_at hugetlbfs -t hugetlbfs -o pagesize=1G none || { not_here hugetlbfs-1G; return; }
	large_rows hugetlbfs-1G "backing:file,path:$scratch/hugetlbfs"
	unmount_all
}

# on_filesystem NAME HOLDS LEAST MOST COMMAND...: COMMAND mounts it at $scratch/NAME.
on_filesystem()
{
	label=$1
	way=$2
	at_least=$3
	at_most=$4
	shift 4
	"$@" || { not_here "$label"; return; }
	both "$label" "backing:file,path:$scratch/$label" "$way:$scratch/$label" "$at_least" "$at_most" \
		"$(in_directory "$scratch/$label")"
	unmount_all
}

tmpfs() { on_filesystem tmpfs room 78 80 mount_at tmpfs -t tmpfs -o size=80M none; }
ext4() { on_filesystem ext4 data 78 100 ext4_at ext4 100; }

# There is no way for it without MADV_POPULATE_WRITE.
tmpfs_huge()
{
	mount_at tmpfs-huge -t tmpfs -o size=80M,huge=always none || { not_here tmpfs-huge; return; }
	rows tmpfs-huge "backing:file,path:$scratch/tmpfs-huge" "room:$scratch/tmpfs-huge" 78 80 \
		"$(in_directory "$scratch/tmpfs-huge")"
	unmount_all
}

printf '%-24s %-8s %8s %8s %8s %8s %8s   (MiB had before NULL)\n' backing under "100 B" "1 MiB" calloc realloc region
! wanted anon || anon
! wanted hugetlb-2M || of_pool hugetlb-2M 2048 $pages hugetlb_2M
! wanted hugetlb-1G || of_pool hugetlb-1G $large_kib 2 hugetlb_1G
! wanted memfd || memfd
! wanted memfd-hugetlb-2M || of_pool memfd-hugetlb-2M 2048 $pages memfd_hugetlb_2M
! wanted memfd-hugetlb-1G || of_pool memfd-hugetlb-1G $large_kib 2 memfd_hugetlb_1G
! wanted tmpfs || tmpfs
! wanted tmpfs-huge || tmpfs_huge
! wanted hugetlbfs-2M || of_pool hugetlbfs-2M 2048 $pages hugetlbfs_2M
! wanted hugetlbfs-1G || of_pool hugetlbfs-1G $large_kib 2 hugetlbfs_1G
! wanted ext4 || ext4
echo "$cells cells$reasons"
finish
