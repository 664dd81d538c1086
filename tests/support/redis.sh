# SPDX-License-Identifier: BSD-2-Clause
# Starts and stops Redis servers of one's own: files and socket in a directory, no port.
# For test scripts that have read lib.sh and process.sh.
# shellcheck shell=sh disable=SC2154

redis_pids=

# Debian's redis-tools has the server, too, by another name: what the program does goes by
# its name. So nobody has to install a service.
find_redis()
{
	for program in redis-cli redis-benchmark; do
		command -v "$program" >/dev/null || return 1
	done
	redis_server=$(command -v redis-server) && return 0
	redis_server=$scratch/redis-server
	checker=$(command -v redis-check-rdb) && ln -s "$checker" "$redis_server" &&
		"$redis_server" --version | grep -q "Redis server"
}

# start_redis DIR OPTIONS [COMMAND...]: by way of COMMAND, which must exec it. Its process is
# $redis_pid, what it says is in DIR/log.
start_redis()
{
	redis_dir=$1
	redis_options=$2
	shift 2
	mkdir -p "$redis_dir" || return 1
	# shellcheck disable=SC2086 # words are wanted: $redis_options is a list
	"$@" "$redis_server" --port 0 --unixsocket "$redis_dir/socket" --dir "$redis_dir" --save '' \
		--enable-debug-command local $redis_options >"$redis_dir/log" 2>&1 &
	redis_pid=$!
	redis_pids="$redis_pids $redis_pid"
	tries=0
	until [ "$(redis "$redis_dir" PING 2>/dev/null)" = PONG ]; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] && ! has_ended "$redis_pid" || return 1
		sleep 0.1
	done
}

# redis DIR COMMAND...: one command to the server there.
redis()
{
	server=$1
	shift
	redis-cli -s "$server/socket" "$@"
}

# redis_info DIR NAME: one number of INFO.
redis_info()
{
	redis "$1" INFO | tr -d '\r' | sed -n "s/^$2://p"
}

# saved DIR: the background save is over, and went well.
saved()
{
	tries=0
	while [ "$(redis_info "$1" rdb_bgsave_in_progress)" = 1 ] && [ $tries -lt 300 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	[ "$(redis_info "$1" rdb_last_bgsave_status)" = ok ] &&
		[ "$(redis_info "$1" rdb_bgsave_in_progress)" = 0 ]
}

stop_redis()
{
	for pid in $redis_pids; do
		end_process "$pid" TERM KILL
	done
	redis_pids=
}
