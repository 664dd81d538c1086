#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# doc/semantics.md has the tables of `sparena check --semantics` as they are in the code, row by
# row; and what it says besides names only rows that there are, each of the eight points some.
# Usage: test_semantics.sh [--self-test] PROGRAM DOC, where PROGRAM --rows prints the tables.
set -u

# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

tables_of() { grep -E '^(## (MADV_|fallocate)|\| `)' "$1"; }

# What the text names as a row, outside of the tables.
names_of() { grep -v '^| `' "$1" | grep -oE '`[a-z]+(-[a-z]+)?\.[a-z-]+`'; }

# point_of N DOC: its text, of some lines.
point_of() { awk -v start="^$1\\. " '/^$/ || /^[0-9]\. / { on = 0 } $0 ~ start { on = 1 } on' "$2"; }

# check DOC: prints what is wrong.
check()
{
	[ "$(grep -c '^| `' "$scratch/rows")" -ge 40 ] || echo "there are hardly any rows"
	tables_of "$1" >"$scratch/shown"
	diff "$scratch/rows" "$scratch/shown" | sed -n 's/^< /not in the document: /p; s/^> /only in the document: /p'
	sed -n 's/^| \(`[^`]*`\) .*/\1/p' "$scratch/rows" | sort -u >"$scratch/ids"
	names_of "$1" | sort -u | comm -23 - "$scratch/ids" | sed 's/^/no such row: /'
	for point in 1 2 3 4 5 6 7 8; do
		point_of $point "$1" | grep -q '`[a-z-]*\.[a-z-]*`' || echo "no row for point $point"
		grep -q "^| .*, point $point" "$1" || echo "point $point is the source of no row"
	done
}

# must_say SCRIPT TEXT: changed by sed SCRIPT, the document is wrong, and TEXT is said of it.
must_say()
{
	sed "$1" "$doc" >"$scratch/changed"
	cmp -s "$doc" "$scratch/changed" && fail "'$1' changes nothing"
	check "$scratch/changed" >"$scratch/out"
	out "$2"
}

self_test()
{
	must_say '/^| `populate.poison`/d' "not in the document: | \`populate.poison\`"
	must_say 's/^\(| `dontneed.private` | \)private/\1some/' "only in the document: | \`dontneed.private\` | some"
	must_say 's/^## MADV_REMOVE/## MADV_MOVE/' "not in the document: ## MADV_REMOVE"
	must_say 's/^| `remove.frees`.*/&\n| `remove.twice` | is done | nowhere | never |/' "only in the document: | \`remove.twice\`"
	must_say 's/^7\. .*/7. `populate.poisonous`/' "no such row: \`populate.poisonous\`"
	must_say 's/^8\. .*/8. Nothing./' "no row for point 8"
}

work=check
[ "$1" != --self-test ] || { work=self_test; shift; }
program=${1:?usage: test_semantics.sh [--self-test] PROGRAM DOC}
doc=${2:?}
ran 0 "$program" --rows
cp "$scratch/out" "$scratch/rows"
if [ $work = self_test ]; then
	self_test
else
	check "$doc" >"$scratch/wrong"
	[ ! -s "$scratch/wrong" ] || { fail "$doc is not as $program --rows has it:"; show "$scratch/wrong"; }
fi
finish
