#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# cmake/coverage.py finds what is run too little, what is not run and not in the list, and
# a list that names what there is not.
# Usage: test_coverage.sh COVERAGE_PY
set -u

# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

# write_counts RUN TAKEN: 1000 lines, of which the last ones are not run, each with a branch;
# first() has the first 900 of them.
write_counts()
{
	python3 - "$@" >"$scratch/counts.json" <<-'END'
		import json, sys
		run, taken = map(int, sys.argv[1:])
		lines = [{"line_number": n, "count": int(n <= run), "branches": [{"count": int(n <= taken)}]}
		         for n in range(1, 1001)]
		functions = [{"lineno": 1, "name": "first"}, {"lineno": 901, "name": "last"}]
		print(json.dumps({"files": [{"file": "src/base/a.c", "functions": functions, "lines": lines}]}))
	END
}

# read_counts CODE
read_counts() { ran "$1" "$coverage" --read "$scratch/counts.json" "$scratch/list"; }

coverage=$1
write_counts 960 900
printf '# a comment\n[No memory.]\nsrc/base/a.c: last\n' >"$scratch/list"
read_counts 0
out "    40  No memory."
out "all            1000    96.0 %"
printf '[No memory.]\nsrc/base/a.c: *\n' >"$scratch/list"
read_counts 0
out "    40  No memory."
printf '[No memory.]\nsrc/base/a.c: first\n' >"$scratch/list"
read_counts 1
err "40 lines that are not run are not in the list"
out "not in the list: src/base/a.c: last, line 961, 962"
printf '[No memory.]\nsrc/base/a.c: last gone\nsrc/base/b.c: *\n' >"$scratch/list"
read_counts 1
err "the list names src/base/a.c: gone, which there is not"
err "the list names src/base/b.c: *, which there is not"
printf 'src/base/a.c: last\n' >"$scratch/list"
read_counts 1
err "list:1: neither [REASON] nor FILE: FUNCTION..."
: >"$scratch/list"
write_counts 998 900
read_counts 0
out "     2  not in the list"
write_counts 949 900
read_counts 1
err "94.9 % of lines are run, and 95 % have to be"
write_counts 999 849
read_counts 1
err "84.9 % of branches are run, and 85 % have to be"
finish
