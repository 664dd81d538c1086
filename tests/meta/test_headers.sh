#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Each public header compiles alone, as C11 and as C++17, needing nothing generated.
# Usage: test_headers.sh INCLUDE_DIR CC [CXX]
#        test_headers.sh --self-test CC
set -u

warnings="-Wall -Wextra -pedantic -Werror -fsyntax-only"

# check INCLUDE_DIR CC [CXX]
check()
{
	failed=0
	count=0
	for header in "$1"/sparena/*.h; do
		[ -f "$header" ] || continue
		count=$((count + 1))
		name=sparena/${header##*/}
		# Twice: the guard works. A translation unit that declares nothing would not be pedantic.
		printf '#include <%s>\n#include <%s>\nextern int dummy;\n' "$name" "$name" >"$scratch/alone.c"
		cp "$scratch/alone.c" "$scratch/alone.cpp"
		# shellcheck disable=SC2086 # words are wanted
		"$2" -std=c11 $warnings -I"$1" "$scratch/alone.c" || { echo "FAIL: $name as C11"; failed=1; }
		[ -n "${3-}" ] || continue
		# shellcheck disable=SC2086
		"$3" -std=c++17 $warnings -I"$1" "$scratch/alone.cpp" || { echo "FAIL: $name as C++17"; failed=1; }
	done
	[ $count -gt 0 ] || { echo "FAIL: no headers in $1/sparena"; failed=1; }
	return $failed
}

must_fail()
{
	mkdir -p "$scratch/include/sparena"
	echo "$1" >"$scratch/include/sparena/bad.h"
	! check "$scratch/include" "$cc" >"$scratch/said" 2>&1 || { echo "FAIL: '$1' goes unnoticed"; return 1; }
}

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
case ${1-} in
--self-test)
	cc=${2:?usage: test_headers.sh --self-test CC}
	must_fail 'size_t f(void);' && must_fail 'static inline int f(void) { return 0; }' && must_fail 'int f(void) {}'
	;;
*)
	[ -n "${3-}" ] || echo "no C++ compiler: only C11"
	check "${1:?usage: test_headers.sh INCLUDE_DIR CC [CXX]}" "${2:?}" "${3-}"
	;;
esac
