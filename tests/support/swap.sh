# SPDX-License-Identifier: BSD-2-Clause
# A swap of one's own, in compressed memory where a zram device can be added, else in a file. For test scripts, after lib.sh; one script at a time, by a lock that goes with
# it. Where none can be made, $missing says why.
# shellcheck shell=sh disable=SC2034

missing=
swap=
swap_undo=:

# The lock that ctest knows of is between its own tests only.
lock_swap()
{
	command -v flock >/dev/null && exec 8>"${TMPDIR:-/tmp}/sparena-test-swap" && flock 8
}

# Reading the file adds a device, which is ours.
find_zram()
{
	number=$(cat /sys/class/zram-control/hot_add 2>/dev/null) || return 1
	device=/dev/zram$number
	swap_undo="echo $number >/sys/class/zram-control/hot_remove"
	[ -b "$device" ] || mknod "$device" b "$(cut -d: -f1 "/sys/block/zram$number/dev")" "$number"
}

# on_zram MIB
on_zram()
{
	find_zram || return 1
	swap=$device
	echo "$1M" >"/sys/block/zram$number/disksize" && mkswap "$swap" >/dev/null 2>&1 &&
		swapon -p 32767 "$swap" 2>/dev/null && return 0
	end_swap
	return 1
}

# on_file MIB: with its blocks, on a disk.
on_file()
{
	swap_directory=$(mktemp -d /var/tmp/sparena-swap-XXXXXX) || return 1
	swap=$swap_directory/swap
	swap_undo="rm -rf $swap_directory"
	missing=$(dd if=/dev/zero of="$swap" bs=1M count="$1" 2>&1 && chmod 600 "$swap" &&
		mkswap "$swap" 2>&1 && swapon -p 32767 "$swap" 2>&1) && missing= && return 0
	end_swap
	return 1
}

# begin_swap MIB: a swap that is used first; 1: there is none to be had.
begin_swap()
{
	[ "$(id -u)" -eq 0 ] || { missing="only root may make a swap"; return 1; }
	command -v mkswap >/dev/null && command -v swapon >/dev/null || { missing="no mkswap"; return 1; }
	lock_swap
	on_zram "$1" || on_file "$1"
}

end_swap()
{
	[ -n "$swap" ] || return 0
	swapoff "$swap" 2>/dev/null
	eval "$swap_undo"
	swap=
	swap_undo=:
}
