# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154
# Who is measured, and how: rounds in turns, each in a process of its own that was
# started from this shell, since a process inherits its parent's peak of memory.

programs=$build/bench
dropin=$build/libsparena_malloc.so
unset LD_PRELOAD MALLOC_CONF

for file in "$dropin" "$programs/touch"; do
	[ -e "$file" ] || { echo "bench: $file is missing: cmake --build $build" >&2; exit 1; }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

PATH=$PATH:/sbin:/usr/sbin
ldconfig -p >"$work/libraries"

progress() { printf '%s' "$*" >&2; }

describe_machine()
{
	thp=$(sed 's/.*\[\(.*\)\].*/\1/' /sys/kernel/mm/transparent_hugepage/enabled 2>/dev/null || echo none)
	echo "Linux $(uname -r) $(uname -m), $(nproc) CPUs, transparent huge pages: $thp, load $(cut -d' ' -f1 /proc/loadavg)"
}

# ---- peers -------------------------------------------------------------------

peer_library()
{
	case $1 in
	stock | stock-thp) soname=libjemalloc.so.2 ;;
	mimalloc) soname=libmimalloc.so.2 ;;
	tcmalloc) soname=libtcmalloc_minimal.so.4 ;;
	esac
	awk -v soname="$soname" '$1 == soname && /x86-64|AArch64|64bit/ { print $NF; exit }' "$work/libraries"
}

peer_package()
{
	case $1 in
	stock | stock-thp) echo libjemalloc2 ;;
	mimalloc) echo libmimalloc2.0 ;;
	tcmalloc) echo libtcmalloc-minimal4 ;;
	esac
}

# Those of the named ones that are here; a line on stderr for each that is not.
present()
{
	for who in "$@"; do
		if [ "$who" = sparena ] || [ "$who" = glibc ] || [ -n "$(peer_library "$who")" ]; then
			echo "$who"
		else
			echo "bench: $who is left out: apt-get install $(peer_package "$who")" >&2
		fi
	done
}

need_stock()
{
	[ -n "$(peer_library stock)" ] && return
	echo "skipped: there is nothing to compare with: apt-get install libjemalloc2"
	exit 77
}

need_memory()
{
	here=$(awk '/^MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)
	[ "$here" -ge "$1" ] && return
	echo "skipped: needs $1 GiB of free memory, there are $here"
	exit 77
}

# as WHO COMMAND...: runs it with that allocator.
as()
{
	who=$1
	shift
	case $who in
	sparena) LD_PRELOAD=$dropin "$@" ;;
	unguarded) SPARENA_CONF=guard:off${SPARENA_CONF:+,$SPARENA_CONF} LD_PRELOAD=$dropin "$@" ;;
	glibc) "$@" ;;
	stock-thp) MALLOC_CONF=thp:always LD_PRELOAD=$(peer_library stock) "$@" ;;
	*) LD_PRELOAD=$(peer_library "$who") "$@" ;;
	esac
}

# ---- rounds ------------------------------------------------------------------

reversed()
{
	order=
	for word in "$@"; do
		order="$word $order"
	done
	echo "$order"
}

# in_turns ROUNDS "WHO..." COMMAND...: one process for each in each round, there and back
# again. Adds "case who value [MiB]" to the samples for each "case value [MiB]" that it prints.
in_turns()
{
	rounds=${BENCH_ROUNDS:-$1}
	turn=$2
	shift 2
	progress "  $(basename "$1") $(echo "$*" | cut -d' ' -f2-): "
	round=0
	while [ $round -lt "$rounds" ]; do
		for who in $turn; do
			as "$who" "$@" >"$work/one" || { echo "bench: $who: $(basename "$1") failed: $?" >&2; exit 1; }
			awk -v who="$who" '{ print $1, who, $2, $3 }' "$work/one" >>"$work/samples"
		done
		# shellcheck disable=SC2086
		turn=$(reversed $turn)
		round=$((round + 1))
		progress "$round "
	done
	progress "of $rounds
"
}

# medians AWK TITLE, then assignments for that awk program, of the samples.
medians()
{
	program=$1
	echo "$2"
	shift 2
	for assignment in "$@"; do
		set -- "$@" -v "$assignment"
		shift
	done
	awk "$@" -f "$bench/medians.awk" -f "$bench/$program.awk" "$work/samples"
}

# summary TITLE, then assignments for summary.awk: the table and the last line.
summary()
{
	medians summary "$@"
	: >"$work/samples"
}

: >"$work/samples"
