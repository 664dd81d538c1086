#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# memcached with its memory on a tmpfs of 64 MiB, and on a pool of 32 huge pages, filled past
# it: answers errors, goes on, serves again what fits. Usage: test_memcached_backings.sh DROPIN
set -u

support=$(dirname "$0")/../support
. "$support/lib.sh"
. "$support/backings.sh"
. "$support/memcached.sh"
own_namespace "$0" "$@"
dropin=${1:?usage: test_memcached_backings.sh DROPIN}
find_python
find_memcached || skip "no memcached"
clean_up()
{
	stop_memcached
	undo_backings
}

value() { sed -n "s/.*\<$1=\([^ ]*\).*/\1/p" "$scratch/out"; }

# fill NAME OPTIONS LEAST_STORED WHILE_FULL...: WHILE_FULL is run when it is.
fill()
{
	name=$1
	least=$3
	start_memcached env LD_PRELOAD="$dropin" SPARENA_CONF="strict:true,stats_file:$scratch/memcached/stats,$2" ||
		{ fail "$name: memcached does not start"; show "$scratch/memcached.err"; return; }
	shift 3
	# shellcheck disable=SC2154 # set by memcached.sh
	timeout 100 "$python" "$support/memcached_fill.py" "$memcached_socket" "$memcached_pid" 1024 \
		>"$scratch/out" 2>"$scratch/err" || fail "$name: the client: exit code $?"
	quiet
	at_least "$(value stored)" "$least" "$name: values stored" # of 100 kB
	at_least "$(value refused)" 1 "$name: values refused"
	case $(sed -n 's/.*answer=//p' "$scratch/out") in
	"SERVER_ERROR "*memory*) ;;
	*) fail "$name: the refusal does not speak of memory" ;;
	esac
	[ "$(value served)" = 1 ] || fail "$name: get, delete and set fail after the fill"
	[ "$(value alive)" = 1 ] || fail "$name: memcached does not answer any more"
	"$@"
	stop_memcached
	[ "$memcached_code" -eq 0 ] || fail "$name: memcached ended with $memcached_code"
	at_least "$(json_number "$scratch/memcached/stats" exhausted)" 1 "$name: exhausted"
	echo "$name: $(cat "$scratch/out")"
}

# Others are told that it is full, and by the error, not by a signal.
others_see_it()
{
	if dd if=/dev/zero of="$scratch/shared/other" bs=1M count=8 2>"$scratch/dd"; then
		fail "8 MiB are left on the tmpfs"
	fi
	grep -q "No space left" "$scratch/dd" || { fail "the others' error is another"; show "$scratch/dd"; }
	rm "$scratch/shared/other"
}

pool_is_empty()
{
	at_most "$(pool_free 2048)" $((free_before + 4)) "free pages while it is full"
}

pool_is_whole()
{
	[ "$(pool_free 2048)" -eq $((free_before + 32)) ] || fail "$1: $(pool_free 2048) pages are free at its end"
}

if mount_at shared -t tmpfs -o size=64M none; then
	fill "tmpfs of 64 MiB" "backing:file,path:$scratch/shared" 450 others_see_it
	[ "$(df --output=used "$scratch/shared" | tail -n 1)" -eq 0 ] || fail "the tmpfs is not empty at its end"
	unmount_all
else
	echo "skipped: tmpfs: $missing"
fi

free_before=$(pool_free 2048 2>/dev/null)
if add_pages 2048 32; then
	for backing in hugetlb memfd-hugetlb; do
		fill "$backing, 32 pages" "backing:$backing,page:2M" 450 pool_is_empty
		pool_is_whole "$backing"
	done
else
	echo "skipped: huge pages: $missing"
fi
finish
