#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# PostgreSQL, which forks for each connection, with its memory in memfds: pgbench, with
# connections of its own for each transaction and with lasting ones. Usage: test_postgresql.sh BUILD_DIR
set -u

support=$(dirname "$0")/../support
. "$support/lib.sh"
. "$support/process.sh"
. "$support/postgresql.sh"
sparena=${1:?usage: test_postgresql.sh BUILD_DIR}/sparena
find_postgresql || skip "no PostgreSQL (Debian: postgresql)"
# shellcheck disable=SC2154 # set by postgresql.sh
pgbench=$postgresql_bin/pgbench
[ -x "$pgbench" ] || skip "no pgbench in $postgresql_bin"
clean_up() { stop_postgresql; }

# shellcheck disable=SC3045 # dash has it
ulimit -c 0

# bench ARGUMENT...: pgbench, as the server's client.
bench()
{
	# shellcheck disable=SC2154 # set by postgresql.sh
	timeout 50 "$pgbench" -h "$postgresql_dir" -U tester "$@" postgres >"$scratch/out" 2>"$scratch/err" && return 0
	fail "pgbench $*: $?"
	show "$scratch/out" "$scratch/err" "$scratch/postgresql.log"
	return 1
}

# processed COUNT: so many transactions, none failed.
processed()
{
	grep -E "processed|failed|^tps|latency average" "$scratch/out" | sed 's/^/    /'
	if ! grep -q "actually processed: $1/$1\$" "$scratch/out" || ! grep -q "failed transactions: 0 " "$scratch/out"; then
		fail "not $1 transactions:"
		show "$scratch/out"
	fi
}

# ask SQL: the answer.
ask() { echo "$1" | (in_postgresql) 2>&1; }

make_postgresql || { show "$scratch/postgresql.log"; fail "no database can be made"; finish; }
# shellcheck disable=SC2086,SC2154 # words are wanted: $postgresql_as may be nothing
start_postgresql $postgresql_as "$sparena" run -o backing:memfd,limit:256M,strict:true -- ||
	{ show "$scratch/postgresql.log"; fail "the server does not start"; finish; }
grep -q 'memfd:sparena' "/proc/$postgresql_pid/maps" || fail "the server does not use the memfd"

bench -i -s 1 -q
echo "pgbench, 1,200 transactions on 4 connections; 200 and 100 with a connection each:"
bench -n -c 4 -j 2 -t 300 && processed 1200
# -C: a connection, and so a process, for each.
bench -n -C -S -c 2 -j 2 -t 100 && processed 200
bench -n -C -c 2 -j 2 -t 50 && processed 100

# The books of the benchmark itself.
sums=$(ask "select (select sum(abalance) from pgbench_accounts) = (select sum(bbalance) from pgbench_branches)
	and (select count(*) from pgbench_history) = 1300;")
[ "$sums" = t ] || fail "the accounts do not agree with the branches: $sums"

# A session that wants more than there is, is told so; the server and the others go on.
answer=$(ask "set work_mem = '2GB'; select length(repeat('x', 300000000));")
case $answer in
*"out of memory"*) ;;
*) fail "300 MB were to be had under a limit of 256 MiB: $answer" ;;
esac
[ "$(ask "select 1;")" = 1 ] || fail "no answer after that"
! grep -qE "terminated by signal|PANIC" "$scratch/postgresql.log" ||
	{ fail "a process of it ended badly"; show "$scratch/postgresql.log"; }
stop_postgresql
finish
