# SPDX-License-Identifier: BSD-2-Clause
# What the demonstration says: progress as it goes, a table at the end, and a verdict.
# Needs $scratch, $box, $box_mib and $limit_mib.
# shellcheck shell=sh disable=SC2154

say() { printf '\n== %s\n' "$*"; }
note() { printf '   %s\n' "$*"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }

# quote FILE [LINES]: the end of what a program wrote.
quote() { tail -n "${2:-3}" "$1" | sed 's/^/   | /'; }

# row NAME SAID ANSWERS [PEAK_KIB RESIDENT_KIB [HELD_KIB]]: a line of the table, once the
# program has ended. Peak and what is resident at the end are of the live process, so there
# is none where it was killed.
row()
{
	peak=-
	back=-
	held=${6:-$(held_kib)}
	if [ -n "${4:-}" ]; then
		peak=$(mib "$4")
		back=$(mib $(($4 - $5)))
	fi
	[ -z "$held" ] || held="$(mib "$held") of $limit_mib"
	printf '%s|%s|%s|%s|%s|%s\n' "$1" "$2" "$3" "$peak" "${held:--}" "$back" >>"$scratch/rows"
	note "$2; answers afterwards: $3"
}

mib() { echo "$((($1 + 512) / 1024)) MiB"; }

# The most that malloc held in one of the row's processes, its metadata included. Nothing
# without sparena.
held_kib()
{
	cat "$scratch"/stats/* 2>/dev/null | tr -d '",' | awk '
		{ value[$1] = $2 }
		/^}/ { held = value["committed_peak:"] + value["metadata:"]; if (held > most) most = held }
		END { if (most) print int(most / 1024) }'
}

print_table()
{
	[ -s "$scratch/rows" ] || die "none of the programs is here"
	if [ -n "$box" ]; then
		say "each in a memory cgroup of $box_mib MiB; with sparena, --limit ${limit_mib}M for each process"
	else
		say "ulimit -v of $((box_mib + 64)) MiB, which bounds address space; with sparena, --limit ${limit_mib}M for each process"
	fi
	echo "program|at the limit|answers afterwards|peak resident|held by malloc|given back" | cat - "$scratch/rows" | awk -F'|' '
		{ for (i = 1; i <= NF; i++) { cell[NR, i] = $i; if (length($i) > width[i]) width[i] = length($i) } }
		END {
			for (line = 1; line <= NR; line++) {
				for (i = 1; i < NF; i++)
					printf "%-*s  ", width[i], cell[line, i]
				print cell[line, NF]
			}
		}'
	echo
	note "Resident counts code, libraries, stacks and shared memory, too; the limit is on what malloc holds,"
	note "its metadata included. Of PostgreSQL it is the process that ran the query, and what it holds by its"
	note "own account. memcached gives nothing back by its own design: it keeps its memory for new values."
}

# A demonstration that shows something else is a failure.
judge()
{
	grep -F '+ sparena|' "$scratch/rows" >"$scratch/ours"
	bad=$(grep -v '^[^|]*|[^|]*|yes[^|]*|[0-9]* MiB|' "$scratch/ours" | cut -d'|' -f1 | paste -sd, -)
	[ -z "$bad" ] || die "did not go on: $bad"
	bad=$(awk -F'|' -v limit="$limit_mib" '$5 + 0 == 0 || $5 + 0 > limit { print $1 }' "$scratch/ours" | paste -sd, -)
	[ -z "$bad" ] || die "was not held to its limit by sparena: $bad"
}
