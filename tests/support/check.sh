# SPDX-License-Identifier: BSD-2-Clause
# For tests of sparena check, whose BUILD_DIR is in $build; brings lib.sh with it.
# shellcheck shell=sh

# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
sparena=${build:?}/sparena

# check CODE ARG...: sparena check ARG... ends with CODE; with "any", with 0 or 1 as the
# problems that it shows demand.
check()
{
	wanted=$1
	shift
	"$sparena" check "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
	code=$?
	problems=$(grep -c '^  [^ ].* problem  ' "$scratch/out")
	[ "$wanted" != any ] || wanted=$((problems > 0))
	[ "$code" -eq "$wanted" ] || { fail "check $*: exit code $code, not $wanted"; show "$scratch/out" "$scratch/err"; }
}

# finding NAME STATE TEXT [GROUP]: in what was printed last, the finding NAME (of GROUP,
# where there are two) has STATE and, over all its lines, TEXT.
finding()
{
	awk -v name="$1" -v state="$2" -v group="${4-}" '
	/^[^ ]/ { current = $0; inside = 0 }
	/^  [^ ]/ {
		inside = (group == "" || group == current) && substr($0, 3, length(name) + 1) == name " " &&
			$0 ~ ("^  " name " +" state " ")
	}
	inside { sub(/^ +/, ""); printf "%s ", $0 }' "$scratch/out" >"$scratch/finding"
	grep -qF -e "$3" "$scratch/finding" || { fail "no \"$3\" as $2 in $1:"; show "$scratch/out"; }
}
