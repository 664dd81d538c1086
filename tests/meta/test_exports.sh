#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What a library exports is exactly what a list says: every plain name is there, every
# symbol is on it. Usage: test_exports.sh LIBRARY LIST
#                         test_exports.sh --self-test CC
# LIST has a name or a pattern with * on each line.
set -u

# check LIBRARY LIST
check()
{
	nm -D --defined-only "$1" >"$scratch/nm" || return 1
	# Version nodes (type A) are no symbols; name@@VERSION has its name before the @.
	awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' "$scratch/nm" | sort -u >"$scratch/exported"
	[ -s "$scratch/exported" ] || { echo "$1 exports nothing"; return 1; }
	awk '
	NR == FNR {
		if ($0 == "")
			next
		if (!index($0, "*")) {
			plain[$0] = 1
			next
		}
		pattern = $0
		gsub(/\*/, ".*", pattern)
		patterns["^" pattern "$"] = $0
		next
	}
	$0 in plain { seen[$0] = 1; next }
	{
		for (p in patterns)
			if ($0 ~ p) {
				used[p] = 1
				next
			}
		print "exported, but not on the list: " $0
		wrong = 1
	}
	END {
		for (name in plain)
			if (!(name in seen)) {
				print "on the list, but not exported: " name
				wrong = 1
			}
		for (p in patterns)
			if (!(p in used)) {
				print "(nothing matches yet: " patterns[p] ")"
			}
		exit wrong
	}' "$2" "$scratch/exported"
}

# make NAME FUNCTION...: a library with these.
make()
{
	library=$scratch/$1.so
	shift
	for name in "$@"; do
		echo "int $name(void); int $name(void) { return 0; }"
	done >"$scratch/source.c"
	"$cc" -shared -fPIC -o "$library" "$scratch/source.c"
}

self_test()
{
	failed=0
	printf '%s\n' aa_one aa_two 'bb_*' >"$scratch/list"
	make right aa_one aa_two bb_three bb_four || return 1
	check "$library" "$scratch/list" || { echo "FAIL: a right library is refused"; failed=1; }
	make more aa_one aa_two bb_three aa_three
	check "$library" "$scratch/list" >"$scratch/said" && { echo "FAIL: one symbol more goes unnoticed"; failed=1; }
	grep -q "not on the list: aa_three" "$scratch/said" || { cat "$scratch/said"; failed=1; }
	make fewer aa_one bb_three
	check "$library" "$scratch/list" >"$scratch/said" && { echo "FAIL: one symbol less goes unnoticed"; failed=1; }
	grep -q "not exported: aa_two" "$scratch/said" || { cat "$scratch/said"; failed=1; }
	make similar aa_one aa_two xbb_three
	check "$library" "$scratch/list" >"$scratch/said" && { echo "FAIL: a pattern inside a name counts"; failed=1; }
	return $failed
}

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
case ${1-} in
--self-test)
	cc=${2:?usage: test_exports.sh --self-test CC}
	self_test
	;;
*)
	check "${1:?usage: test_exports.sh LIBRARY LIST}" "${2:?}"
	;;
esac
