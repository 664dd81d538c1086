#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# pgbench against a PostgreSQL: its transactions, its selects, and some that sort and
# aggregate; four clients. The database was made by bench/programs.sh, and is copied.

# shellcheck source=bench/programs/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/support/process.sh
. "$support/process.sh"
# shellcheck source=tests/support/postgresql.sh
. "$support/postgresql.sh"

# shellcheck disable=SC2317 # common.sh calls it
clean_up() { stop_postgresql; }

# load NAME TRANSACTIONS OPTION...: of each client
load()
{
	name=$1
	each=$2
	shift 2
	"$postgresql_bin/pgbench" -h "$postgresql_dir" -U tester -n -c 4 -t "$each" "$@" postgres \
		>"$scratch/out" 2>"$scratch/err" || die "pgbench failed: $(cat "$scratch/err")"
	awk -v name="$name" '/^tps = / { print name "_per_s", $3 } /^latency average/ { print name "_us", $4 * 1000 }' \
		"$scratch/out"
}

all_loads()
{
	load transactions $((scale * 200))
	load selects $((scale * 2000)) -S
	load reports "$scale" -f "$work/report.sql"
}

find_postgresql || die "no PostgreSQL"
postgresql_dir=$scratch/postgresql
postgresql_buffers=64MB
chmod 755 "$scratch"
mkdir -m 700 "$postgresql_dir"
postgresql_user || die "there is nobody to run PostgreSQL as"
cp -a "$work/postgresql/data" "$postgresql_dir/" || die "there is no database"
# shellcheck disable=SC2086 # words are wanted
start_postgresql $postgresql_as $under || die "PostgreSQL does not start: $(tail -n 1 "$scratch/postgresql.log")"
timed all_loads
