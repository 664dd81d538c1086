#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The errors that calls fail with in tests are those of their manual pages: each that a page
# lists is tried, or stands in tests/fault/calls.def with the reason why not.
# Usage: test_errnos.sh [--self-test] CALLS_DEF
set -u

# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

pages=/usr/share/man

# page FUNCTION: its text.
page()
{
	case $1 in
	__fork) set -- fork ;;
	__register_atfork) set -- pthread_atfork ;;
	syscall) set -- pidfd_open ;;
	esac
	for file in "$pages/man2/$1.2.gz" "$pages/man2/$1.2" "$pages/man3/$1.3.gz" "$pages/man3/$1.3"; do
		[ -r "$file" ] || continue
		case $file in *.gz) gzip -dc "$file" ;; *) cat "$file" ;; esac
		return
	done
}

# listed FUNCTION: the errors under ERRORS.
listed()
{
	page "$1" | awk '/^\.SH/ { errors = /^\.SH "?ERRORS/ } errors' | grep -oE '^\.(BR?|IR?) E[A-Z0-9]+' |
		awk '{ print $2 }' | sort -u
}

# known FUNCTION: the errors of its rows, which may be of several lines.
known()
{
	awk -v name="$1" '
		/^CALL\(/ { row = "" }
		{ row = row " " $0 }
		/^CALL\(/, /\)$/ { if ($0 ~ /\)$/ && index(row, ", " name ", \"")) print row }
		/^LEFT\(/ { if (index($0, "LEFT(" name ",") || index($0, "LEFT(*,")) print $0 }' "$def" |
		grep -oE '\bE[A-Z0-9]+\b' | sort -u
}

check()
{
	sed -n 's/^CALL([A-Z_]*, \([a-z0-9_]*\),.*/\1/p' "$def" | sort -u >"$scratch/functions"
	found=0
	while read -r function; do
		listed "$function" >"$scratch/listed"
		[ ! -s "$scratch/listed" ] || found=$((found + 1))
		known "$function" >"$scratch/known"
		comm -23 "$scratch/listed" "$scratch/known" | sed "s/^/$function: not tried: /"
	done <"$scratch/functions"
	[ "$found" -gt 20 ] || echo "pages of $found calls alone were found"
}

[ -r $pages/man2/madvise.2.gz ] || [ -r $pages/man2/madvise.2 ] || skip "no manual pages (package manpages-dev)"
work=check
[ "$1" != --self-test ] || { work=self_test; shift; }
def=${1:?usage: test_errnos.sh [--self-test] CALLS_DEF}
if [ $work = self_test ]; then
	sed 's/^CALL(FORK, __fork, "fork", ENOMEM, EAGAIN/CALL(FORK, __fork, "fork", ENOMEM/' "$def" >"$scratch/def"
	def=$scratch/def
	check >"$scratch/out"
	out "__fork: not tried: EAGAIN"
	[ "$(wc -l <"$scratch/out")" -eq 1 ] || { fail "not just that:"; show "$scratch/out"; }
else
	check >"$scratch/wrong"
	[ ! -s "$scratch/wrong" ] || { fail "tests/fault/calls.def:"; show "$scratch/wrong"; }
fi
finish
