# SPDX-License-Identifier: BSD-2-Clause
# PostgreSQL: one session runs a query that needs too much memory, another is idle; then
# both are asked again. Needs run.sh.
# shellcheck shell=sh disable=SC2154,SC2034

# shellcheck source=tests/support/postgresql.sh
. "$support/postgresql.sh"

# The idle session reads from a pipe what it is to ask.
idle_session=
start_idle_session()
{
	rm -f "$scratch/ask"
	mkfifo "$scratch/ask" || return 1
	in_postgresql <"$scratch/ask" >"$scratch/idle" 2>&1 &
	idle_session=$!
	exec 9>"$scratch/ask"
	echo "SELECT 'here';" >&9
	tries=0
	until grep -qx here "$scratch/idle"; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || return 1
		sleep 0.1
	done
}

# Whether it answers. Its psql may have given up already.
ask_idle_session()
{
	(trap '' PIPE; echo "SELECT 'answer=' || 6 * 7;" >&9) 2>/dev/null
	exec 9>&-
	wait "$idle_session" 2>/dev/null
	idle_session=
	grep -qx answer=42 "$scratch/idle"
}

stop_idle_session()
{
	[ -n "$idle_session" ] || return 0
	exec 9>&-
	end_process "$idle_session" TERM KILL
	idle_session=
}

# Whether a new session is served: PostgreSQL starts over when a process was killed.
restarted()
{
	tries=0
	until [ "$(echo 'SELECT 6 * 7;' | (in_postgresql) 2>/dev/null)" = 42 ]; do
		tries=$((tries + 1))
		[ $tries -lt 50 ] && ! has_ended "$postgresql_pid" || return 1
		sleep 0.1
	done
}

# What becomes of the two, in $said and $answers.
sessions()
{
	attended "$root/cmake/demo/session.sql" in_postgresql
	quote "$scratch/err" 4
	idle=no
	ask_idle_session && idle=yes
	if [ "$(value kept)$(value answer)$idle" = 10001000yes ]; then
		said=$(sed -n 's/^ERROR: */ERROR: /p' "$scratch/err" | head -n 1)
		said=${said:-had no limit}
		answers="yes: both sessions"
		return
	fi
	note "what the idle session got:"
	quote "$scratch/idle" 7
	said=$(how "$code")
	restarted && said="$said, server restarted"
	answers="no: both sessions lost"
	[ $idle = no ] || answers="no: session lost"
}

# What the process that ran the query had from malloc when there was no more: PostgreSQL
# writes that to its log. (sparena's statistics are of the process that was started.)
own_account_kib()
{
	[ -z "$(held_kib)" ] || awk '/^Grand total:/ { print int($3 / 1024); exit }' "$scratch/postgresql.log"
}

# The database is made once, for both rows.
try_postgresql()
{
	begin "$1" "a sort of 400 MB, with work_mem = 1GB"
	if [ -z "${postgresql_dir:-}" ] && ! make_postgresql; then
		quote "$scratch/postgresql.log"
		row "$1" "no database can be made" no
		return
	fi
	: >"$scratch/out"
	said="does not start"
	answers=no
	before=$postgresql_as
	if start_postgresql "$2" && before= && start_idle_session; then
		sessions
	else
		quote "$scratch/postgresql.log"
	fi
	before=
	stop_idle_session
	stop_postgresql
	row "$1" "$said" "$answers" "$(value peak_kib)" "$(value rss_kib)" "$(own_account_kib)"
}
