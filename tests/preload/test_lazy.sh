#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# lazy_above: a program that asks for much more than it touches, with it and without.
# Usage: test_lazy.sh BUILD_DIR SPARSE
set -u

# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
build=${1:?usage: test_lazy.sh BUILD_DIR SPARSE}
sparse=${2:?}

# under CONF BLOCKS TOUCHED: the program under the drop-in with these options.
under()
{
	conf=$1
	shift
	ran 0 timeout 60 env LD_PRELOAD="$build/libsparena_malloc.so" SPARENA_CONF="$conf,strict:true" "$sparse" "$@"
}

# number BEFORE AFTER: what stands between them.
number() { sed -n "s/^\(.*[^0-9]\)*$1\([0-9][0-9]*\)$2.*/\2/p" "$scratch/out"; }

# got LEAST MOST ERRNO, takes LEAST MOST: MiB that it got, and that were resident.
got()
{
	at_least "$(number '' ' MiB, errno')" "$1" "$conf: got, MiB"
	at_most "$(number '' ' MiB, errno')" "$2" "$conf: got, MiB"
	out "errno $3,"
	out "again 1"
}

takes()
{
	at_least "$(number 'resident ' ' MiB')" "$1" "$conf: resident, MiB"
	at_most "$(number 'resident ' ' MiB')" "$2" "$conf: resident, MiB"
}

under lazy_above:512K 475 50 && got 475 475 0 && takes 50 70
under lazy_above:2M 475 50 && got 475 475 0 && takes 475 500 # not so large are they
under lazy_above:never 475 50 && got 475 475 0 && takes 475 500

# Within the limit, either way.
under limit:200M,lazy_above:512K 475 50 && got 180 199 12 && takes 50 70
under limit:200M 475 50 && got 180 199 12 && takes 180 202

# What was charged for them is told, and is exactly that.
under "limit:200M,lazy_above:512K,stats_file:$scratch/stats" 100 50 && takes 50 70
[ "$(json_number "$scratch/stats" lazy)" = $((100 * 1048576)) ] || { fail "lazy is not 100 MiB"; show "$scratch/stats"; }
at_most "$(json_number "$scratch/stats" committed)" 4194304 "committed beside it"
at_least "$(json_number "$scratch/stats" resident)" $((50 * 1048576)) "resident of it"

# Where the system gives less, that is NULL, too.
limited()
{
	# shellcheck disable=SC3045 # dash and bash know it
	(ulimit "$1" 300000 && shift && "$@")
}

for bound in -d -v; do
	conf="ulimit $bound"
	ran 0 limited $bound timeout 60 env LD_PRELOAD="$build/libsparena_malloc.so" \
		SPARENA_CONF=lazy_above:512K,strict:true "$sparse" 475 50 && got 40 290 12 && takes 40 80
done

# By the command.
conf="sparena run"
ran 0 timeout 60 "$build/sparena" run --limit 300M -o lazy_above:512K -- "$sparse" 475 10 && got 280 299 12 && takes 10 30
finish
