# SPDX-License-Identifier: BSD-2-Clause
# What the backings need of a machine: pools of huge pages, and file systems of one's own.
# For test scripts, after lib.sh. Where something cannot be made, $missing says why.
# shellcheck shell=sh

missing=
mounted=
pools=

# own_namespace "$0" "$@": runs the script again where its mounts are nobody else's, and go
# with its last process, whatever ends it.
own_namespace()
{
	[ -z "${SPARENA_TEST_NAMESPACE:-}" ] || return 0
	# shellcheck disable=SC2154 # lib.sh makes it
	rm -rf "$scratch"
	SPARENA_TEST_NAMESPACE=1
	export SPARENA_TEST_NAMESPACE
	if unshare --mount true 2>/dev/null; then
		exec unshare --mount sh "$@"
	fi
	exec sh "$@"
}

# try COMMAND...: or the reason in $missing.
try()
{
	missing=$("$@" 2>&1) && missing= && return 0
	missing=$(printf '%s' "${missing:-$1: no reason given}" | tr '\n' ' ')
	return 1
}

# mount_at NAME MOUNT-ARGUMENT...: at $scratch/NAME.
mount_at()
{
	place=$scratch/$1
	shift
	if [ "$(id -u)" -ne 0 ]; then
		missing="only root may mount"
		return 1
	fi
	mkdir -p "$place" && try mount "$@" "$place" || return 1
	mounted="$place $mounted"
	chmod 1777 "$place"
}

# ext4_at NAME MIB: in a file of that size, which is in memory, since a full ext4 waits for
# its journal again and again.
ext4_at()
{
	command -v mkfs.ext4 >/dev/null || { missing="no mkfs.ext4 (package e2fsprogs)"; return 1; }
	mount_at "$1.disk" -t tmpfs -o "size=$(($2 + 1))M" none || return 1
	image=$scratch/$1.disk/image
	try truncate -s "$2M" "$image" &&
		try mkfs.ext4 -q -m 0 -E lazy_itable_init=0 "$image" &&
		mount_at "$1" -t ext4 -o loop "$image"
}

unmount_all()
{
	for place in $mounted; do
		umount "$place" 2>/dev/null || umount -l "$place"
	done
	mounted=
}

# ---- huge pages

# pool_of KIB-OF-A-PAGE: its directory.
pool_of() { echo "/sys/kernel/mm/hugepages/hugepages-$1kB"; }

pool_free() { cat "$(pool_of "$1")/free_hugepages"; }

# One test at a time counts their pages. The lock goes with the script.
lock_pools()
{
	[ -z "$pools" ] && command -v flock >/dev/null && exec 9>"${TMPDIR:-/tmp}/sparena-test-pools" && flock 9
}

# add_pages KIB COUNT: that many more are free. Memory may be in pieces: it is tidied first.
add_pages()
{
	pool=$(pool_of "$1")
	[ -d "$pool" ] || { missing="the kernel has no huge pages of $1 KiB"; return 1; }
	if [ "$(id -u)" -ne 0 ] || [ ! -w "$pool/nr_hugepages" ]; then
		missing="$pool/nr_hugepages cannot be written"
		return 1
	fi
	lock_pools
	before=$(cat "$pool/nr_hugepages")
	wanted=$((before + $2))
	pools="$1:$2 $pools"
	for pause in 0 0 1 2 3; do
		sleep $pause # others may be at it
		echo "$wanted" >"$pool/nr_hugepages" 2>/dev/null
		[ "$(cat "$pool/nr_hugepages")" -lt "$wanted" ] || return 0
		echo 1 >/proc/sys/vm/compact_memory 2>/dev/null
	done
	got=$(cat "$pool/nr_hugepages")
	missing="the kernel found memory for $((got - before)) of $2 huge pages of $1 KiB"
	pools=${pools#* }
	fewer_pages "$1" $((got - before))
	return 1
}

# fewer_pages KIB COUNT: than now, since others may have changed it meanwhile.
fewer_pages()
{
	file=$(pool_of "$1")/nr_hugepages
	now=$(cat "$file")
	echo $((now > $2 ? now - $2 : 0)) >"$file"
}

# give_pages_back [KIB]: what was added to the pools.
# shellcheck disable=SC2120 # scripts name one pool
give_pages_back()
{
	rest=
	for entry in $pools; do
		if [ "${entry%:*}" = "${1:-${entry%:*}}" ]; then
			fewer_pages "${entry%:*}" "${entry#*:}"
		else
			rest="$rest $entry"
		fi
	done
	pools=$rest
}

undo_backings()
{
	unmount_all
	give_pages_back
}
