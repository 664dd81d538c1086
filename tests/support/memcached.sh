# SPDX-License-Identifier: BSD-2-Clause
# Starts and stops a memcached of one's own. For test scripts and the demonstration,
# which have set $scratch and $python.
# shellcheck shell=sh

memcached_pid=

# Debian has it in a place that is not in every user's PATH.
find_memcached()
{
	for memcached in "$(command -v memcached)" /usr/bin/memcached /usr/sbin/memcached; do
		[ -x "$memcached" ] && return 0
	done
	return 1
}

# start_memcached [COMMAND...]: by way of COMMAND, which must exec it, with $memcached_options. Listens on
# $memcached_socket, so that no port of the machine is taken.
start_memcached()
{
	user=
	[ "$(id -u)" -ne 0 ] || user="-u nobody"
	# nobody makes the socket
	mkdir -p "$scratch/memcached" && chmod 755 "$scratch" && chmod 777 "$scratch/memcached"
	memcached_socket=$scratch/memcached/$$-$(date +%N)
	# -M: refuse instead of throwing old values away
	# shellcheck disable=SC2086 # words are wanted: $user may be nothing
	"$@" "$memcached" $user ${memcached_options:-} -m 4096 -M -t 2 -s "$memcached_socket" 2>"$scratch/memcached.err" &
	memcached_pid=$!
	tries=0
	until [ -S "$memcached_socket" ]; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] && kill -0 "$memcached_pid" 2>/dev/null || return 1
		sleep 0.1
	done
}

# Leaves its exit code in $memcached_code: 137 means killed.
stop_memcached()
{
	[ -n "$memcached_pid" ] || return 0
	kill "$memcached_pid" 2>/dev/null
	wait "$memcached_pid" 2>/dev/null
	memcached_code=$?
	memcached_pid=
}
