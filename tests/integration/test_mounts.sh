#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Mounts that vanish, turn read-only, fill up or break while a program's memory is on them,
# directories in which it may not, pools that shrink. Usage: test_mounts.sh STEADY DROPIN
set -u

support=$(dirname "$0")/../support
. "$support/lib.sh"
. "$support/backings.sh"
own_namespace "$0" "$@"

steady=${1:?usage: test_mounts.sh STEADY DROPIN}
dropin=${2:?}
pid=
name=
trap '' PIPE # it may be dead
clean_up()
{
	[ -z "$pid" ] || stop
	undo_backings
}

# begin NAME OPTIONS [COMMAND...]: a program with its memory there, by way of COMMAND.
begin()
{
	name=$1
	options=$2
	told=
	shift 2
	rm -f "$scratch/in" "$scratch/answers"
	mkfifo "$scratch/in" "$scratch/answers"
	"$@" env LD_PRELOAD="$dropin" SPARENA_CONF="strict:true,$options" "$steady" \
		<"$scratch/in" >"$scratch/answers" 2>"$scratch/err" &
	pid=$!
	exec 8>"$scratch/in" 7<"$scratch/answers"
}

# stop: it ends well.
stop()
{
	exec 8>&- 7<&-
	wait "$pid"
	code=$?
	pid=
	echo "$name:$told"
	[ $code -eq 0 ] || { fail "$name: ended with $code"; show "$scratch/err"; }
}

# ask COMMAND ANSWER: says so; the number of an answer is in $number.
ask()
{
	echo "$1" >&8 2>/dev/null
	answer=
	read -r answer <&7
	number=${answer##* }
	told="$told $1: $answer;"
	case "|$2|" in *"|${answer% *}|"*) return 0 ;; esac
	fail "$name: $1: \"$answer\", not \"$2\""
	show "$scratch/err"
}

between()
{
	at_least "$number" "$1" "$name: $3"
	at_most "$number" "$2" "$name: $3"
}

took() { ask "take $1" got; between "$2" "$3" "take $1"; }
sound() { ask check ok; }

# charged_too_much_at_most KIB
charged_too_much_at_most()
{
	ask check "ok|charged too much"
	[ "${answer% *}" = ok ] || between 0 "$1" "KiB charged too much"
}

empty() { ask free left; between 0 "${1:-64}" "KiB left when all is free"; sound; }

not_here() { echo "skipped: $1: $missing"; }

# ---- a mount that vanishes: the descriptor and the mapping hold the file system

vanishing_mount()
{
	mount_at vanish -t tmpfs -o size=40M none || { not_here "vanishing mount"; return; }
	begin "vanishing mount" "backing:file,path:$scratch/vanish"
	took 10 10 10
	umount -l "$scratch/vanish"
	mounted=
	took 10 10 10
	sound
	ask write written
	sound
	took 40 17 20 # it ends where it would have ended
	empty
	stop
	! ls -A "$scratch/vanish" | grep -q . || fail "$name: something was left in the directory beneath"
}

# ---- filled by another program, which gives the room back later

filled_mount()
{
	mount_at filled -t tmpfs -o size=40M none || { not_here "filled mount"; return; }
	begin "filled mount" "backing:file,path:$scratch/filled"
	took 10 10 10
	dd if=/dev/zero of="$scratch/filled/other" bs=1M 2>/dev/null && fail "$name: not full"
	took 10 0 1
	sound
	ask write written
	ask half kept
	took 4 4 4 # its own, at once
	sound
	rm "$scratch/filled/other"
	took 20 20 20
	sound
	dd if=/dev/zero of="$scratch/filled/other" bs=1M 2>/dev/null
	[ "$(df --output=avail "$scratch/filled" | tail -n 1)" -lt 1024 ] || fail "$name: others do not meet ENOSPC"
	empty
	dd if=/dev/zero of="$scratch/filled/third" bs=1M count=20 2>/dev/null || fail "$name: what was freed cannot be had by others"
	stop
	unmount_all
}

# ---- read-only: the kernel refuses while there is a file open for writing...

read_only_mount()
{
	mount_at ro -t tmpfs -o size=40M none || { not_here "read-only mount"; return; }
	begin "read-only mount" "backing:file,path:$scratch/ro"
	took 10 10 10
	mount -o remount,ro "$scratch/ro" 2>/dev/null && echo "$name: the kernel lets it become read-only"
	took 10 10 10
	sound
	empty
	stop
	mount -o remount,ro "$scratch/ro" || fail "$name: still busy when the program is gone"
	begin "read-only from the beginning" "backing:file,path:$scratch/ro"
	took 1 0 0
	grep -q "mounted read-only" "$scratch/err" || fail "$name: it does not say why"
	stop
	unmount_all
}

# ...but a file system that finds an error does so at once.
broken_filesystem()
{
	ext4_at broken 60 || { not_here "broken file system"; return; }
	begin "broken file system" "backing:file,path:$scratch/broken"
	took 10 10 10
	mount -o remount,abort "$scratch/broken" 2>/dev/null
	took 10 0 2
	sound
	ask half kept # cannot be given back: it stays, charged, for the next
	ask "take 4" got
	between 4 4 "take 4"
	sound
	ask free left # nor can any of it
	left=$number
	# The kernel may have dropped the pages before it noticed that it can't; the charge stays.
	charged_too_much_at_most "$left"
	stop
	unmount_all
}

# ---- no permission

forbidden_directory()
{
	mount_at forbidden -t tmpfs -o size=40M,mode=700 none || { not_here "forbidden directory"; return; }
	chmod 755 "$scratch"
	chmod 700 "$scratch/forbidden"
	cp "$steady" "$dropin" "$scratch" # where nobody may read them
	was="$steady $dropin"
	steady=$scratch/${steady##*/} dropin=$scratch/${dropin##*/}
	begin "forbidden directory" "backing:file,path:$scratch/forbidden" setpriv --reuid=65534 --regid=65534 --clear-groups
	took 1 0 0
	grep -q "no permission" "$scratch/err" || { fail "$name: it does not say why"; show "$scratch/err"; }
	stop
	steady=${was% *} dropin=${was#* }
	unmount_all
}

# ---- a pool that shrinks

shrinking_pool()
{
	if [ "$(pool_free 2048 2>/dev/null || echo 0)" -ne 0 ]; then # else what shrinks is somebody else's
		echo "skipped: shrinking pool: $(pool_free 2048) huge pages are free already"
		return
	fi
	add_pages 2048 30 || { not_here "shrinking pool: $1"; return; }
	pool=$(pool_of 2048)
	begin "shrinking pool, $1" "backing:$1,page:2M"
	took 20 20 20
	echo $((before + 12)) >"$pool/nr_hugepages" # 10 are in use, or one more
	took 40 2 4
	sound
	echo "$before" >"$pool/nr_hugepages"
	took 2 0 1
	sound
	ask write written
	ask half kept
	took 4 4 4
	empty 2048
	[ "$(cat "$pool/nr_hugepages")" -le $((before + 1)) ] || fail "$name: pages that were given back are still in the pool"
	echo $((before + 30)) >"$pool/nr_hugepages"
	took 40 40 40
	sound
	empty 2048
	stop
	give_pages_back 2048
}

vanishing_mount
filled_mount
read_only_mount
broken_filesystem
forbidden_directory
shrinking_pool hugetlb
shrinking_pool memfd-hugetlb
finish
