#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The documentation and the table of options name the same options; the manual page of
# the command names what `sparena check` looks at.
# Usage: test_docs.sh SPARENA SOURCE_ROOT
#        test_docs.sh --self-test SPARENA
set -u

# The keys of `sparena run --help`, one a line.
options()
{
	"$sparena" run --help | sed -n 's/^  \([a-z][a-z_]*\):.*/\1/p' | sort -u
}

# Whether FILE has the key as a whole word.
names()
{
	grep -qE "(^|[^a-z_])$1([^a-z_]|\$)" "$2"
}

# What FILE shows as an option: key:value in code or with \fB before it.
shown()
{
	grep -oE '(`|\\fB|SPARENA_CONF=|-o |,)[a-z][a-z_]*:[A-Za-z0-9%|/]' "$1" | sed -E 's/^(`|\\fB|SPARENA_CONF=|-o |,)//; s/:.$//' | sort -u
}

# check_file FILE ALL: with ALL, FILE names every option.
check_file()
{
	file=$1
	if [ "$2" = all ]; then
		for key in $(cat "$scratch/options"); do
			names "$key" "$file" || { echo "FAIL: ${file##*/} does not name the option $key"; failed=1; }
		done
	fi
	for key in $(shown "$file"); do
		grep -qx "$key" "$scratch/options" || grep -qx "$key" "$scratch/others" ||
			{ echo "FAIL: ${file##*/} shows an option that there is not: $key"; failed=1; }
	done
}

# check_groups FILE: it has each group of findings as a heading.
check_groups()
{
	"$sparena" check --json | grep -o '"group": "[^"]*"' | sort -u | cut -d'"' -f4 >"$scratch/groups"
	[ "$(wc -l <"$scratch/groups")" -ge 5 ] || { echo "FAIL: sparena check has no groups"; failed=1; }
	while read -r group; do
		grep -qx "\.B $group" "$1" || { echo "FAIL: ${1##*/} does not name the group $group"; failed=1; }
	done <"$scratch/groups"
}

check()
{
	failed=0
	files=0
	options >"$scratch/options"
	[ "$(wc -l <"$scratch/options")" -ge 5 ] || { echo "FAIL: sparena run --help lists no options"; return 1; }
	# Of regions only, addresses of pages, and the grammar itself.
	printf '%s\n' closed key https http file >"$scratch/others"
	for file in "$1"/README.md "$1"/doc/*; do
		[ -f "$file" ] || continue
		files=$((files + 1))
		case ${file##*/} in
		README.md | sparena-options.7) check_file "$file" all ;;
		sparena.1)
			check_file "$file" some
			check_groups "$file"
			;;
		*) check_file "$file" some ;;
		esac
	done
	[ $files -gt 0 ] || { echo "skipped: neither README.md nor doc/ is there yet"; return 77; }
	return $failed
}

self_test()
{
	wrong=0
	mkdir "$scratch/root"
	check_groups /dev/null >"$scratch/said"
	options | sed 's/.*/`&:1`/' >"$scratch/all"
	cp "$scratch/all" "$scratch/root/README.md"
	check "$scratch/root" || { echo "FAIL: right documentation is refused"; wrong=1; }
	grep -v commit_ahead "$scratch/all" >"$scratch/root/README.md"
	check "$scratch/root" >"$scratch/said" && { echo "FAIL: a missing option goes unnoticed"; wrong=1; }
	grep -q commit_ahead "$scratch/said" || wrong=1
	{ cat "$scratch/all"; echo 'or `colour:red`'; } >"$scratch/root/README.md"
	check "$scratch/root" >"$scratch/said" && { echo "FAIL: an invented option goes unnoticed"; wrong=1; }
	grep -q colour "$scratch/said" || wrong=1
	cp "$scratch/all" "$scratch/root/README.md"
	mkdir "$scratch/root/doc"
	sed 's/^/.B /' "$scratch/groups" >"$scratch/root/doc/sparena.1"
	check "$scratch/root" || { echo "FAIL: a right manual page is refused"; wrong=1; }
	sed 's/^/.B /; /memory/d' "$scratch/groups" >"$scratch/root/doc/sparena.1"
	check "$scratch/root" >"$scratch/said" && { echo "FAIL: a missing group goes unnoticed"; wrong=1; }
	grep -q "the group memory" "$scratch/said" || wrong=1
	return $wrong
}

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
case ${1-} in
--self-test)
	sparena=${2:?usage: test_docs.sh --self-test SPARENA}
	self_test
	;;
*)
	sparena=${1:?usage: test_docs.sh SPARENA SOURCE_ROOT}
	check "${2:?}"
	;;
esac
