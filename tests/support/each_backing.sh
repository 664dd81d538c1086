#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Runs a program once for each backing, which it finds in its environment
# (tests/support/backings.h), on pools and file systems that are made for it.
# Usage: each_backing.sh PROGRAM [NAME...]; without names: all. SPARENA_TEST_TIMES=10: with
# ten times as many random operations.
set -u

support=$(dirname "$0")
. "$support/lib.sh"
. "$support/backings.sh"
own_namespace "$0" "$@"
clean_up() { undo_backings; }

program=${1:?usage: each_backing.sh PROGRAM [NAME...]}
shift
small_pages=40
large_pages=1
large_kib=1048576
times=${SPARENA_TEST_TIMES:-1}

# Bytes that can be had at least and at most: of MiB.
room() { room="$(($1 << 20)) $(($2 << 20))"; }

# run NAME PAGE PATH: with and without MADV_POPULATE_WRITE.
run()
{
	for touch in 0 1; do
		case $touch$1 in 1hugetlb-* | 1tmpfs-huge | 1anon-8M) continue ;; esac # refused there
		echo "== $1$([ $touch = 0 ] || echo ", populate:touch")"
		SPARENA_TEST_BACKING=$1 SPARENA_TEST_PAGE=$2 SPARENA_TEST_PATH=$3 SPARENA_TEST_TOUCH=$touch \
			SPARENA_TEST_LEAST=${room% *} SPARENA_TEST_MOST=${room#* } \
			SPARENA_TEST_OPS=$(operations "$2") "$program" >"$scratch/run" 2>&1 ||
			{ fail "$1, touch $touch: exit code $?, after:"; grep -vE '^\[ *(RUN|OK|SKIPPED) *\]|failed 0$' "$scratch/run" | tail -n 40; }
		grep -E '^(skipped:|\[  PASSED|  .* once +[0-9]+, for good )' "$scratch/run"
	done
}

# Of the tests with random ones. The larger the page, the longer the kernel clears it.
operations()
{
	case $1 in
	4096) echo $((8000 * times)) ;;
	2097152) echo $((2000 * times)) ;;
	8388608) echo $((300 * times)) ;;
	*) echo $((30 * times)) ;;
	esac
}

not_here()
{
	echo "== $1"
	echo "skipped: $1: $missing"
}

# huge NAME KIB PAGES PATH
huge()
{
	if add_pages "$2" "$3"; then
		pool_mib=$(($2 / 1024 * $(pool_free "$2"))) # there may have been some before
		room $pool_mib $pool_mib
		run "$1" $(($2 * 1024)) "$4"
		give_pages_back "$2"
	else
		not_here "$1"
	fi
}

huge_small() { huge "$1" 2048 $small_pages "${2:-}"; }
huge_large() { huge "$1" $large_kib $large_pages "${2:-}"; }

# filesystem NAME LEAST MOST COMMAND...: COMMAND mounts it.
filesystem()
{
	name=$1
	room "$2" "$3"
	shift 3
	if "$@"; then
		run "$name" 4096 "$scratch/$name"
		unmount_all
	else
		not_here "$name"
	fi
}

# hugetlbfs NAME SIZE FUNCTION
hugetlbfs()
{
	if mount_at "$1" -t hugetlbfs -o "pagesize=$2" none; then
		"$3" "$1" "$scratch/$1"
		unmount_all
	else
		not_here "$1"
	fi
}

one()
{
	case $1 in
	anon | memfd) room 0 0; run "$1" 4096 "" ;;
	anon-8M) room 0 0; run "$1" 8388608 "" ;;
	hugetlb-2M | memfd-hugetlb-2M) huge_small "$1" ;;
	hugetlb-1G | memfd-hugetlb-1G) huge_large "$1" ;;
	hugetlbfs-2M) hugetlbfs "$1" 2M huge_small ;;
	hugetlbfs-1G) hugetlbfs "$1" 1G huge_large ;;
	tmpfs) filesystem tmpfs 24 24 mount_at tmpfs -t tmpfs -o size=24M none ;;
	tmpfs-huge) filesystem tmpfs-huge 24 24 mount_at tmpfs-huge -t tmpfs -o size=24M,huge=always none ;;
	ext4) filesystem ext4 24 40 ext4_at ext4 40 ;;
	*) fail "no such backing: $1" ;;
	esac
}

[ $# -gt 0 ] || set -- anon anon-8M hugetlb-2M hugetlb-1G memfd memfd-hugetlb-2M memfd-hugetlb-1G tmpfs tmpfs-huge \
	hugetlbfs-2M hugetlbfs-1G ext4
for backing in "$@"; do
	one "$backing"
done
finish
