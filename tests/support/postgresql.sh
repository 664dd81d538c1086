# SPDX-License-Identifier: BSD-2-Clause
# Makes, starts and stops a PostgreSQL of one's own: a database in $scratch, a socket
# beside it, no port. Leaves those of the system alone. For test scripts and the
# demonstration, which have set $scratch and read process.sh.
# shellcheck shell=sh disable=SC2154

postgresql_pid=
postgresql_as=

# Debian has the server in a place that is in nobody's PATH, one for each version.
find_postgresql()
{
	for postgresql_bin in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV) /usr/bin; do
		[ -x "$postgresql_bin/postgres" ] && [ -x "$postgresql_bin/initdb" ] &&
			[ -x "$postgresql_bin/psql" ] && return 0
	done
	return 1
}

# It refuses to be root: $postgresql_as is the command that makes it somebody else.
postgresql_user()
{
	postgresql_as=
	[ "$(id -u)" -eq 0 ] || return 0
	for user in postgres nobody; do
		group=$(id -gn $user 2>/dev/null) || continue
		postgresql_as="setpriv --reuid=$user --regid=$group --clear-groups"
		chown "$user" "$postgresql_dir" && $postgresql_as test -w "$postgresql_dir" && return 0
	done
	return 1
}

# make_postgresql: the database. Messages are in $scratch/postgresql.log.
make_postgresql()
{
	postgresql_dir=$scratch/postgresql
	chmod 755 "$scratch" && mkdir -m 700 "$postgresql_dir" && postgresql_user || return 1
	# shellcheck disable=SC2086 # words are wanted: $postgresql_as may be nothing
	$postgresql_as "$postgresql_bin/initdb" -D "$postgresql_dir/data" -U tester -A trust -E UTF8 --locale=C \
		--no-sync --wal-segsize=1 >"$scratch/postgresql.log" 2>&1
}

# start_postgresql [COMMAND...]: by way of COMMAND, which must exec it, as what
# $postgresql_as makes of us. Small where it is not asked for: 2 MiB of shared buffers
# (or $postgresql_buffers), no helpers that it can do without, no huge pages, which by default
# it takes where a pool has some: a test's that runs at the same time.
start_postgresql()
{
	"$@" "$postgresql_bin/postgres" -D "$postgresql_dir/data" -k "$postgresql_dir" -c listen_addresses= \
		-c shared_buffers="${postgresql_buffers:-2MB}" -c huge_pages=off \
		-c max_connections=8 -c max_locks_per_transaction=10 \
		-c autovacuum=off -c max_worker_processes=0 -c max_parallel_workers=0 -c max_wal_senders=0 \
		-c wal_level=minimal -c fsync=off -c jit=off -c dynamic_shared_memory_type=mmap \
		>"$scratch/postgresql.log" 2>&1 &
	postgresql_pid=$!
	tries=0
	until "$postgresql_bin/pg_isready" -q -h "$postgresql_dir" -U tester; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] && ! has_ended "$postgresql_pid" || return 1
		sleep 0.1
	done
}

# in_postgresql: a session of it, which is told what to do on standard input; in our place.
in_postgresql()
{
	exec env -u PGOPTIONS -u PGSERVICE -u PGHOSTADDR PGCONNECT_TIMEOUT=10 \
		timeout 60 "$postgresql_bin/psql" -XqAt -h "$postgresql_dir" -U tester -d postgres
}

# Fast, which throws sessions out; else without ceremony. Its children end with it.
stop_postgresql()
{
	[ -n "$postgresql_pid" ] || return 0
	end_process "$postgresql_pid" INT QUIT KILL
	postgresql_pid=
}
