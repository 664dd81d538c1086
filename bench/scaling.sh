# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154
# Figures of what grows: extents, heaps, threads, processors.

# ---- scale -------------------------------------------------------------------

everybody() { present sparena stock glibc mimalloc tcmalloc 2>/dev/null; }

# fits MIB WHAT: whether that is less than half of what is available; else says so.
fits()
{
	half=$(awk '/^MemAvailable/ { print int($2 / 2048) }' /proc/meminfo)
	[ "$1" -lt "$half" ] && return
	echo "$2 is left out: it takes $1 MiB, and half of what is available is $half" | tee -a "$work/left-out"
	return 1
}

# The dearest points are only for those whose growth is compared, in fewer rounds.
few() { present sparena stock; }

scale_extents()
{
	all=$(present sparena stock glibc mimalloc tcmalloc)
	for count in 100 1000 10000; do
		in_turns 9 "$all" "$programs/extents" $count
	done
	in_turns 5 "$all" "$programs/extents" 100000
	fits 9000 "extents: 1,000,000" && in_turns 3 "$(few)" "$programs/extents" 1000000
	return 0
}

scale_heap()
{
	all=$(everybody)
	for mib in 64 256; do
		in_turns 9 "$all" "$programs/filled" $mib
	done
	in_turns 5 "$all" "$programs/filled" 1024
	for mib in 4096 8192 12288; do
		fits $((mib + mib / 8)) "heap: $mib MiB" && in_turns 3 "$(few)" "$programs/filled" $mib
	done
	return 0
}

scale_threads()
{
	for count in 1 2 4 8 16 32 64; do
		for what in small mixed; do
			in_turns 3 "$(everybody)" "$programs/threads" $count $what 200
		done
	done
}

# 3 for a thousand times as much, as `search` has it, is 1.44 for ten times. In a larger heap a
# random block is a miss in caches and TLB, whoever it is from: so there stock's growth is beside.
figure_scale()
{
	need_stock
	need_memory 3
	scale_extents
	scale_heap
	scale_threads
	medians table "Nanoseconds of malloc and free by extents, and by MiB of the heap (fill: milliseconds for a GiB);
millions of pairs a second by threads: small and mixed (one in eight of 16 to 256 KiB)"
	medians growth "Growth from the smallest to the largest" subject=sparena ref=stock target=1.44 \
		only="extents-16K extents-64K" beside="heap-fill heap-small heap-large"
}

# ---- lock --------------------------------------------------------------------

lock_threads=${BENCH_THREADS:-8}

# watched LIBRARY COMMAND...: with lockwatch before it; its report is in $work/locks.
watched()
{
	library=$1
	shift
	LOCKWATCH_OUT=$work/locks LOCKWATCH_HEAP=$heap LD_PRELOAD=$programs/lockwatch.so:$library "$@" >/dev/null
}

# Shares in percent: of all threads' time (waits and holds), and of processor time (paid).
lock_shares()
{
	awk -v name="$1" -v who="$2" -v threads=$lock_threads '
	function say(column, share) { printf "%s %s %.6f\n", name, column, 100 * share }
	$1 == "time" { all = $2 * threads; cpu = $3; next }
	$1 == "others" { next }
	$1 == "jemalloc" { wait["je"] = $2; paid["je"] = $3; held["je"] = $4; next }
	{
		part = $1 == "pages.lock" ? "pages" : $1 == "region.lock" ? "region" : "rest"
		wait[part] += $2; wait["own"] += $2; paid["own"] += $3; held["own"] += $4
	}
	END {
		if (who == "stock") {
			say("stock-wait", wait["je"] / all); say("stock-paid", paid["je"] / cpu)
			exit
		}
		say("wait", wait["own"] / all)
		say("pages", wait["pages"] / all); say("region", wait["region"] / all); say("rest", wait["rest"] / all)
		say("paid", paid["own"] / cpu); say("hold", held["own"] / all)
		say("je-wait", wait["je"] / all); say("je-paid", paid["je"] / cpu); say("je-hold", held["je"] / all)
	}' "$work/locks" >>"$work/samples"
}

# lock_rounds CASE COMMAND...: in turns with stock jemalloc, where there is one.
lock_rounds()
{
	name=$1
	shift
	progress "  $name: "
	round=0
	while [ $round -lt "${BENCH_ROUNDS:-7}" ]; do
		watched "$dropin" "$@" || { echo "bench: lock: $name failed" >&2; exit 1; }
		lock_shares "$name" sparena
		stock=$(peer_library stock)
		if [ -n "$stock" ]; then
			watched "$stock" "$@" || { echo "bench: lock: $name failed with stock jemalloc" >&2; exit 1; }
			lock_shares "$name" stock
		fi
		round=$((round + 1))
		progress "$round "
	done
	progress "
"
}

figure_lock()
{
	need_memory 1
	heap=$(nm "$dropin" | awk '$3 == "heap_process" { print $1 }')
	[ -n "$heap" ] || { echo "skipped: no symbols in $dropin"; exit 77; }
	for name in exchange freers storm; do
		lock_rounds $name "$programs/workload" $name 2 $lock_threads
	done
	for name in small mixed 4096 16384 65536 1048576; do
		lock_rounds "$name" "$programs/threads" $lock_threads "$name" 300
		lock_rounds "$name-bare" "$programs/threads" $lock_threads "$name" 300 bare
	done
	medians table "Locks with $lock_threads threads, in percent. Of all threads' time: waiting for sparena's locks (pages', region's, the
rest), holding them, and the same of jemalloc's. paid: of processor time, what went into waiting and waking" \
		subject=wait target=3 unit=' %'
}

# ---- small -------------------------------------------------------------------

# small_case CASE PRELOADED COMMAND...: PRELOADED goes before the allocator, and ends in a colon.
small_case()
{
	name=$1
	before=$2
	shift 2
	progress "  $name... "
	"$programs/spawn" "${BENCH_ROUNDS:-101}" "$name" sparena "LD_PRELOAD=$before$dropin" \
		stock "LD_PRELOAD=$before$(peer_library stock)" glibc "LD_PRELOAD=$before" -- "$@" >>"$work/samples"
	progress "done
"
}

# A machine of 64 processors has 256 arenas; processors.so makes any such a one.
figure_small()
{
	need_stock
	for processors in "" -64; do
		before=${processors:+$programs/processors.so:}
		small_case true$processors "$before" /bin/true
		small_case ls$processors "$before" /bin/ls /
		if [ -x /usr/bin/python3 ]; then
			small_case python$processors "$before" /usr/bin/python3 -c pass
		fi
	done
	[ -x /usr/bin/python3 ] || echo "python is left out: apt-get install python3"
	summary "Processes that do little, on a machine as it is and with 64 processors: microseconds, and KiB at the peak" \
		subject=sparena ref=stock target=1.05
}
