# SPDX-License-Identifier: BSD-2-Clause
# memcached: a client stores values until it is refused, and sees whether it is served
# then. Needs run.sh; python3 is the client.
# shellcheck shell=sh disable=SC2154

# shellcheck source=tests/support/memcached.sh
. "$support/memcached.sh"

try_memcached()
{
	find_python3 || { say "$1: left out, since its client needs python3"; return; }
	begin "$1" "values of 100 kB until it refuses (it was told -m 4096)"
	if ! start_memcached "$2"; then
		quote "$scratch/memcached.err"
		stop_memcached
		row "$1" "does not start" no
		return
	fi
	attended /dev/null "$python" "$support/memcached_fill.py" "$memcached_socket" "$memcached_pid" 1024
	alive=no
	kill -0 "$memcached_pid" 2>/dev/null && [ "$(value served)$(value alive)" = 11 ] && alive=yes
	stop_memcached
	note "$(value stored) values stored, $(value refused) refused"
	said=$(sed -n 's/.*answer=//p' "$scratch/out")
	if [ $alive = no ]; then
		quote "$scratch/err"
		row "$1" "$(how "$memcached_code")" no
	elif [ "$(value refused)" -gt 0 ]; then
		row "$1" "$said" "yes: get, set, delete" "$(value peak_kib)" "$(value rss_kib)"
	else
		row "$1" "had no limit" yes "$(value peak_kib)" "$(value rss_kib)"
	fi
}
