#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The floors (each folder of src/ is on one): includes point only downwards, system
# calls for memory are made on one floor only, and only the glue sees jemalloc's
# internals. Usage: test_floors.sh [--self-test] SOURCE_ROOT
set -u

check()
{
	find "$1/src" -name '*.[ch]' | sort >"$scratch/files"
	[ -s "$scratch/files" ] || { echo "no sources in $1/src"; return 1; }
	xargs awk -v root="$1/src/" '
	BEGIN {
		n = split("base 0 os 1 conf 2 backing 2 region 3 pages 4 heap 5 stats 5 preload 6 cli 6", word, " ")
		for (i = 1; i < n; i += 2)
			floor[word[i]] = word[i + 1]
		allowed["heap", "stats"] = 1 # the same floor; not the other way round
	}
	function complain(what) {
		printf "%s:%d: %s\n", file, FNR, what
		wrong = 1
	}
	FNR == 1 {
		file = substr(FILENAME, length(root) + 1)
		split(file, path, "/")
		folder = path[1]
		if (!(folder in floor))
			complain("src/" folder "/ is on no floor")
	}
	!/^[ \t]*#[ \t]*include/ { next }
	{
		split($0, part, /[<">]/)
		header = part[2]
		split(header, path, "/")
		to = path[1]
	}
	header == "sys/mman.h" && folder != "os" { complain("only src/os/ may include <sys/mman.h>") }
	header ~ /^jemalloc\// && file !~ /^heap\/je_[^\/]*\.[ch]$/ {
		complain("only src/heap/je_* may include jemalloc'\''s headers: " header)
	}
	header ~ /(^|\/)\.\.\// { complain("an include by .. passes the floors by: " header) }
	(to in floor) && index(header, "/") && to != folder && !((folder, to) in allowed) && floor[to] >= floor[folder] {
		complain(folder " (floor " floor[folder] ") includes " header " (floor " floor[to] ")")
	}
	END { exit wrong }' <"$scratch/files" || return 1
}

# must_fail FILE LINE TEXT: on a copy with LINE in FILE the check fails and says TEXT.
must_fail()
{
	rm -rf "$scratch/copy"
	mkdir "$scratch/copy"
	cp -R "$root/src" "$scratch/copy/"
	mkdir -p "$(dirname "$scratch/copy/$1")"
	echo "$2" >>"$scratch/copy/$1"
	if check "$scratch/copy" >"$scratch/said"; then
		echo "FAIL: '$2' in $1 goes unnoticed"
		failed=1
	elif ! grep -qF "$3" "$scratch/said"; then
		echo "FAIL: '$2' in $1: no \"$3\" but:"
		cat "$scratch/said"
		failed=1
	fi
}

self_test()
{
	failed=0
	must_fail src/base/size.c '#include "os/os.h"' "base (floor 0) includes os/os.h (floor 1)"
	must_fail src/base/base.h '# include "conf/conf.h"' "base (floor 0) includes conf/conf.h (floor 2)"
	must_fail src/conf/parse.c '#include "backing/backing.h"' "conf (floor 2) includes backing/backing.h (floor 2)"
	must_fail src/stats/print.c '#include "heap/heap.h"' "stats (floor 5) includes heap/heap.h (floor 5)"
	must_fail src/region/region.c '#include <pages/pages.h>' "region (floor 3) includes pages/pages.h (floor 4)"
	must_fail src/cli/main.c '#include "preload/preload.h"' "cli (floor 6) includes preload/preload.h (floor 6)"
	must_fail src/backing/anon.c '#include <sys/mman.h>' "only src/os/ may include <sys/mman.h>"
	must_fail src/heap/hooks.c '#include "jemalloc/internal/emap.h"' "only src/heap/je_* may include"
	must_fail src/pages/alloc.c '#include "../heap/heap.h"' "passes the floors by"
	must_fail src/attic/new.c '#include "base/base.h"' "src/attic/ is on no floor"
	return $failed
}

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
case ${1-} in
--self-test)
	root=${2:?usage: test_floors.sh [--self-test] SOURCE_ROOT}
	self_test
	;;
*)
	check "${1:?usage: test_floors.sh [--self-test] SOURCE_ROOT}"
	;;
esac
