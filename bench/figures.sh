# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154
# One function a figure.

GiB=1073741824
blocks='100 4096 65536 1048576'
hot_sizes='16 32 100 1000'

# Start-up drops out as the difference of two lengths. callgrind leaves malloc alone.
count_instructions()
{
	as "$1" valgrind --tool=callgrind --callgrind-out-file=/dev/null "$programs/hot" "$2" "$3" \
		2>"$work/callgrind" >/dev/null
	awk '/Collected/ { print $NF }' "$work/callgrind"
}

# instructions_of WHO SIZE SHORT LONG: those of a pair, by loops of so many batches.
instructions_of()
{
	short=$(count_instructions "$1" "$2" "$3")
	long=$(count_instructions "$1" "$2" "$4")
	awk -v d=$((long - short)) -v n=$((($4 - $3) * 100)) 'BEGIN { printf "%.2f\n", d / n }'
}

figure_instructions()
{
	need_stock
	if ! command -v valgrind >/dev/null; then
		echo "skipped: apt-get install valgrind"
		exit 77
	fi
	for size in $hot_sizes; do
		progress "  instructions, $size B: "
		for who in sparena $(present stock mimalloc tcmalloc); do
			echo "$size $who $(instructions_of "$who" "$size" 1000 3000)" >>"$work/samples"
			progress "$who "
		done
		progress "
"
	done
	summary "Instructions of malloc and free, by size in bytes, in batches of 100 (callgrind; the loop included)" \
		subject=sparena ref=stock target=1.02
}

# Who compiled the library, "GCC 12 x86_64": another one's counts are others.
compiled_by()
{
	readelf -p .comment "$dropin" | sed -n 's/.*GCC: (.*) \([0-9]*\).*/GCC \1/p' | head -n 1 | sed "s/\$/ $(uname -m)/"
}

write_counts()
{
	{ echo "# counted: $(compiled_by)"; sed -n '/^# counted/d; /^#/p' "$kept"; cat "$work/counts"; } >"$work/new"
	cp "$work/new" "$kept"
}

# Against those of the last time that somebody wrote the file (BENCH_WRITE=1). Without what
# goes by the clock, of which more falls into each pair on a busy machine: so they repeat
# exactly.
figure_counts()
{
	kept=${BENCH_COUNTS:-$bench/counts.txt}
	export SPARENA_CONF=decay_ms:never,guard:off
	command -v valgrind >/dev/null || { echo "skipped: apt-get install valgrind"; exit 77; }
	counted=$(sed -n 's/^# counted: //p' "$kept")
	[ "${BENCH_WRITE-}" ] || [ "$counted" = "$(compiled_by)" ] ||
		{ echo "skipped: bench/counts.txt is of $counted, this library of $(compiled_by)"; exit 77; }
	grep -v '^#' "$kept" | while read -r size batches then; do
		now=$(instructions_of sparena "$size" "$batches" $((batches * 4)))
		progress "  $size B: $now"
		printf '%s\n' "$size kept $then" "$size now $now" >>"$work/samples"
		echo "$size $batches $now" >>"$work/counts"
	done
	progress "
"
	[ -z "${BENCH_WRITE-}" ] || write_counts
	summary "Instructions of malloc and free, by size in bytes, in batches of 100 (callgrind), against bench/counts.txt" \
		subject=now ref=kept target=1.02
}

figure_hot()
{
	need_stock
	for size in $hot_sizes; do
		batches=100000
		[ "$size" -lt 1000 ] || batches=20000 # thread caches don't hold a batch of these
		in_turns 21 "$(present sparena stock mimalloc tcmalloc glibc)" "$programs/hot" "$size" $batches
	done
	summary "Nanoseconds of malloc and free, by size in bytes, in batches of 100" \
		subject=sparena ref=stock target=1.02
}

figure_touch()
{
	need_stock
	need_memory 3
	for block in $blocks; do
		in_turns 9 "$(present sparena stock stock-thp glibc mimalloc tcmalloc)" "$programs/touch" first "$block" $GiB
	done
	summary "Milliseconds of malloc and first touch of 1 GiB, by size of the blocks; 65536 counts" \
		subject=sparena ref=stock best=1.00 target=0.5 only=65536 wanted="100=0.55 4096=0.50 65536=0.42 1048576=0.42"
}

figure_faults()
{
	need_memory 3
	for block in $blocks; do
		in_turns 3 "$(present sparena stock)" "$programs/touch" faults "$block" $GiB
	done
	summary "Page faults while 1 GiB is touched after the mallocs have returned, by size of the blocks" \
		subject=sparena target=0 unit=' faults'
}

# The same at two limits shows that the heap's size doesn't matter.
figure_exhausted()
{
	need_memory 6
	for fill in 65536 1048576; do
		for limit in 4G 64M; do
			SPARENA_CONF=limit:$limit${conf:+,$conf}
			export SPARENA_CONF
			in_turns 5 sparena "$programs/exhausted" "$fill"
			awk -v limit="$limit" -v fill=$((fill / 1024))K '!($1 ~ /-/) || $1 ~ /%/ { print fill "/" $1, limit, $3 }' \
				"$work/samples" >>"$work/by-limit"
			: >"$work/samples"
		done
	done
	mv "$work/by-limit" "$work/samples"
	summary "Nanoseconds of a failing malloc, by limit, as FILLED-WITH/SIZE in bytes; 99.9% is the slowest of 1,000" \
		subject=4G target=500 unit=' ns' only="$(exhausted_cases)"
}
conf=${SPARENA_CONF:-}

exhausted_cases() { cut -d' ' -f1 "$work/samples" | grep -v % | sort -u | tr '\n' ' '; }

figure_search()
{
	need_memory 7
	progress "  1,000,000 extents are being made, then searched... "
	"$programs/search" "${BENCH_ROUNDS:-15}" >"$work/samples"
	progress "done
"
	summary "Nanoseconds of finding, taking and putting back a run in 1 TiB, by number of extents" \
		subject=1000000 ref=1000 target=3
}

figure_commit()
{
	for length in 2097152 134217728; do
		progress "  commit of $length bytes... "
		"$programs/commit" "$length" "${BENCH_ROUNDS:-$((length > 9999999 ? 25 : 201))}" >>"$work/samples"
		progress "done
"
	done
	summary "Microseconds of a region's commit and of a bare madvise, by bytes and kind of pages" \
		subject=region ref=bare target=1.05
}

# What grows fastest, in the largest steps, has the guard's looks stand out most.
figure_guard()
{
	need_memory 3
	for block in 4096 65536 1048576; do
		in_turns 21 "sparena unguarded" "$programs/touch" first "$block" $GiB
	done
	summary "Milliseconds of malloc and first touch of 1 GiB with the guard and without it, by size of the blocks" \
		subject=sparena ref=unguarded target=1.02
}

figure_large()
{
	need_memory 6
	for live in 1 4 16; do
		in_turns 7 "$(present sparena stock stock-thp glibc mimalloc tcmalloc)" "$programs/large" $live 200
	done
	summary "Microseconds of a block of 1 to 64 MiB, allocated, touched and freed, by number of live ones (information)" \
		subject=sparena best=0.6
}

figure_purge()
{
	need_stock
	in_turns 3 "$(present sparena stock glibc mimalloc tcmalloc)" "$programs/purge" $((513 * 1048576))
	summary "MiB resident with 513 MiB in use, after all was freed, after a purge (information)" \
		subject=sparena ref=stock target=1.05 only=purged
}

# The options of each way to have a heap and its child; empty: not to be had here.
fork_options()
{
	case $1 in
	private | bare) echo backing:anon ;;
	memfd) echo backing:memfd ;;
	exec) echo backing:memfd,fork:exec ;;
	tmpfs) [ ! -w /dev/shm ] || echo backing:file,path:/dev/shm ;;
	hugetlb)
		free=$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages 2>/dev/null || echo 0)
		[ "$free" -lt $(($2 / 2 + 8)) ] || echo backing:memfd-hugetlb,page:2M
		;;
	esac
}

fork_once()
{
	SPARENA_CONF=$(fork_options "$1" "$2")
	[ -n "$SPARENA_CONF" ] || return 0
	export SPARENA_CONF
	bare=
	[ "$1" != bare ] || bare=bare
	as sparena "$programs/fork" "$2" 1 $bare >"$work/one" || { echo "bench: fork failed: $1" >&2; exit 1; }
	awk -v way="$1" '{ print $1, way, $2 }' "$work/one" >>"$work/samples"
}

figure_fork()
{
	need_memory 5
	ways='private bare memfd exec tmpfs hugetlb'
	for mib in 64 256 1024; do
		progress "  fork $mib MiB: "
		round=0
		while [ $round -lt "${BENCH_ROUNDS:-9}" ]; do
			for way in $ways; do
				fork_once "$way" $mib
			done
			# shellcheck disable=SC2086
			ways=$(reversed $ways)
			round=$((round + 1))
			progress "$round "
		done
		progress "
"
	done
	grep -q ' hugetlb ' "$work/samples" || echo "hugetlb is left out: not as many huge pages in the pool"
	summary "Milliseconds of fork(), by MiB of the heap, backing, and what the child gets" \
		subject=memfd ref=bare target=1.3 only=1024
}
