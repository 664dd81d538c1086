#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# sh bench/programs.sh [NAME...] [-- OPTION...]: real programs under several allocators, by
# `sparena bench alloc`, which gets the options. See bench/README.md.
set -eu

bench=$(cd "$(dirname "$0")" && pwd)
all='redis memcached postgresql sqlite gcc python lua true'

usage()
{
	echo "usage: sh bench/programs.sh [NAME...] [-- OPTION...]" >&2
	echo "NAME: $all; OPTION: see sparena bench alloc --help" >&2
	echo "BENCH_SCALE=N (1 to 10) is how much each does [3], BENCH_BUILD the build directory" >&2
	exit 2
}

names=
while [ $# -gt 0 ]; do
	case " $all " in
	*" $1 "*) names="$names $1" ;;
	*) [ "$1" = -- ] || usage ;;
	esac
	word=$1
	shift
	[ "$word" != -- ] || break
done
names=${names:-$all}

BENCH_BUILD=$(cd "${BENCH_BUILD:-$bench/../build/release}" && pwd)
BENCH_SCALE=${BENCH_SCALE:-3}
BENCH_WORK=$(mktemp -d)
export BENCH_BUILD BENCH_SCALE BENCH_WORK
scratch=$BENCH_WORK

support=$bench/../tests/support
# shellcheck source=tests/support/process.sh
. "$support/process.sh"
# shellcheck source=tests/support/redis.sh
. "$support/redis.sh"
# shellcheck source=tests/support/memcached.sh
. "$support/memcached.sh"
# shellcheck source=tests/support/postgresql.sh
. "$support/postgresql.sh"
trap 'stop_postgresql; rm -rf "$BENCH_WORK"' EXIT
trap 'exit 130' INT TERM

# missing NAME PACKAGE: says so; false.
missing()
{
	echo "bench: $1 is left out: apt-get install $2" >&2
	return 1
}

has() { command -v "$1" >/dev/null; }

# ---- what each needs, made once ------------------------------------------------------

prepare_redis() { find_redis || missing redis redis-tools; }
prepare_memcached() { find_memcached || missing memcached memcached; }
prepare_python() { has python3 || missing python python3; }
prepare_lua() { has lua5.4 || missing lua lua5.4; }
prepare_true() { :; }

prepare_postgresql()
{
	if ! find_postgresql || ! [ -x "$postgresql_bin/pgbench" ]; then
		missing postgresql postgresql
		return 1
	fi
	made=1
	if make_postgresql; then
		# shellcheck disable=SC2086 # words are wanted
		start_postgresql $postgresql_as &&
			"$postgresql_bin/pgbench" -h "$postgresql_dir" -U tester -i -q -s 3 postgres >/dev/null 2>&1 &&
			cp "$bench/programs/report.sql" "$BENCH_WORK/" && made=0
		stop_postgresql
	fi
	[ $made -eq 0 ] || cat "$scratch/postgresql.log" >&2
	return $made
}

# As sqlite's own speed test: inserts with and without an index, selects, updates, deletes,
# strings, a join, in a database in memory.
prepare_sqlite()
{
	has sqlite3 || { missing sqlite sqlite3; return 1; }
	cat >"$BENCH_WORK/speed.sql" <<END
CREATE TABLE plain(a INTEGER, b INTEGER, c TEXT);
CREATE TABLE indexed(a INTEGER PRIMARY KEY, b INTEGER, c TEXT);
CREATE INDEX indexed_b ON indexed(b);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $((BENCH_SCALE * 40000)))
	INSERT INTO plain SELECT i, i * 7919 % 100003, printf('%08x text of row %d', i * 2654435761, i) FROM n;
INSERT INTO indexed SELECT * FROM plain ORDER BY b;
COMMIT;
SELECT count(*), avg(b) FROM plain WHERE c LIKE '%99%';
SELECT count(*) FROM plain JOIN indexed ON plain.b = indexed.a;
SELECT sum(length(x)) FROM (SELECT group_concat(c) AS x FROM indexed GROUP BY b % 1000);
UPDATE indexed SET c = c || c, b = b + 1 WHERE a % 3 = 0;
SELECT count(*) FROM (SELECT c FROM plain ORDER BY c DESC);
SELECT sum(json_extract(json_object('a', a, 'c', c), '\$.a')) FROM plain;
DELETE FROM indexed WHERE b % 2 = 0;
SELECT count(*), sum(length(replace(c, 'row', 'line'))) FROM indexed;
END
}

# Functions that all differ a little.
prepare_gcc()
{
	has gcc || { missing gcc gcc; return 1; }
	awk -v count=$((BENCH_SCALE * 100)) 'BEGIN {
		print "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>"
		for (i = 0; i < count; i++) {
			printf "struct s%d { int a[%d]; struct s%d *next; char name[%d]; };\n", i, i % 7 + 1, i, i % 13 + 4
			printf "int f%d(struct s%d *p, int n)\n{\n\tint sum = %d;\n", i, i, i
			printf "\tfor (int i = 0; i < n; i++) {\n\t\tswitch ((i + p->a[0]) %% 5) {\n"
			for (j = 0; j < 5; j++)
				printf "\t\tcase %d: sum += p->a[%d] * %d; break;\n", j, (i + j) % (i % 7 + 1), i * j + 1
			printf "\t\t}\n\t\tif (p->next) sum ^= f%d((void *)p->next, n / 2);\n\t}\n", i ? int(i * 0.7) : 0
			printf "\tsnprintf(p->name, sizeof p->name, \"%%d-%d\", sum);\n\treturn sum + (int)strlen(p->name);\n}\n", i
		}
	}' >"$BENCH_WORK/large.c"
}

# ---- how each is run -------------------------------------------------------------------

command_of()
{
	case $1 in
	redis | memcached | postgresql) echo "exec sh $bench/programs/$1.sh" ;;
	sqlite) echo "exec sqlite3 :memory: <$BENCH_WORK/speed.sql >/dev/null" ;;
	gcc) echo "exec gcc -w -O1 -c -o /dev/null $BENCH_WORK/large.c" ;;
	python) echo "exec python3 $bench/programs/objects.py $((BENCH_SCALE * 2))" ;;
	lua) echo "exec lua5.4 $bench/programs/objects.lua $((BENCH_SCALE * 2))" ;;
	true) echo "i=0; while [ \$i -lt $((BENCH_SCALE * 50)) ]; do /bin/true; i=\$((i + 1)); done" ;;
	esac
}

chmod 755 "$BENCH_WORK"
for name in $names; do
	"prepare_$name" || continue
	set -- "$@" --program "$name=$(command_of "$name")"
done
"$BENCH_BUILD/sparena" bench alloc "$@"
