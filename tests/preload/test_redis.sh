#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Redis with its memory in a memfd of 160 MiB: SET, GET and expiry under load to the limit
# and beyond; what its background save writes, from a child, under write load, is exactly
# the data at the moment of the fork. Usage: test_redis.sh BUILD_DIR
set -u

support=$(dirname "$0")/../support
. "$support/lib.sh"
. "$support/process.sh"
. "$support/redis.sh"
sparena=${1:?usage: test_redis.sh BUILD_DIR}/sparena
find_python
find_redis || skip "no redis-server, redis-cli, redis-benchmark (Debian: redis-tools)"
load_pids=
clean_up()
{
	for pid in $load_pids; do
		end_process "$pid" TERM KILL
	done
	stop_redis
}

# shellcheck disable=SC3045 # dash has it
ulimit -c 0
options=backing:memfd,limit:160M,strict:true

# load DIR [ARGUMENT...]: redis-benchmark in the background, until clean_up or end_load.
load()
{
	redis-benchmark -s "$1/socket" -q -c 8 -P 4 -l -d 300 -r 30000 -t set,get,lpush,lpop,hset \
		>"$scratch/load" 2>&1 &
	load_pids=$!
}

end_load()
{
	kill -0 "$load_pids" 2>/dev/null || { fail "redis-benchmark has ended"; show "$scratch/load"; }
	end_process "$load_pids" TERM KILL
	load_pids=
}

# Its data, as a digest that has nothing of the memory's layout.
digest() { redis "$1" DEBUG DIGEST; }

# answers WANTED DIR COMMAND...: WANTED is a pattern.
answers()
{
	wanted=$1
	shift
	answer=$(redis "$@" 2>&1)
	# shellcheck disable=SC2254
	case $answer in
	$wanted) ;;
	*) fail "$*: $answer" ;;
	esac
}

# loaded FROM: a second server, without sparena, has read what FROM saved.
loaded()
{
	rm -rf "$scratch/second"
	mkdir "$scratch/second" && cp "$1/dump.rdb" "$scratch/second/" || return 1
	start_redis "$scratch/second" "" || { show "$scratch/second/log"; fail "the saved data cannot be read"; }
	second_pid=$redis_pid
}

unload() { end_process "$second_pid" TERM KILL; }

# ---- the data at the moment of the fork --------------------------------------------

first=$scratch/first
start_redis "$first" "--maxmemory 90mb" "$sparena" run -o $options --stats="$scratch/stats" -- ||
	{ show "$first/log"; fail "Redis does not start"; finish; }
first_pid=$redis_pid
grep -q 'memfd:sparena' "/proc/$first_pid/maps" || fail "Redis does not use the memfd"

load "$first"
number=$(timeout 40 "$python" "$support/redis_sequence.py" "$first/socket" write 10000 2>"$scratch/err") ||
	{ fail "numbered writes"; show "$scratch/err"; }
saved "$first" || { fail "the background save failed"; show "$first/log"; }
echo "fork: $(redis_info "$first" latest_fork_usec) us, $(redis_info "$first" used_memory) bytes in use"
loaded "$first"
timeout 40 "$python" "$support/redis_sequence.py" "$scratch/second/socket" check "${number:-0}" 2>"$scratch/err" ||
	{ fail "not the data at the fork"; show "$scratch/err"; }
unload

# All of it: nobody writes for the moment in which it is looked at and the child is made;
# then, while the child saves, all do. It sleeps at each fourth key, so that there is time.
answers OK "$first" CONFIG SET rdb-key-save-delay -4
answers OK "$first" CLIENT PAUSE 20000 WRITE
before=$(digest "$first")
answers "Background saving started" "$first" BGSAVE
answers OK "$first" CLIENT UNPAUSE
answers OK "$first" SET meanwhile 1
[ "$(redis_info "$first" rdb_bgsave_in_progress)" = 1 ] || fail "nothing was written meanwhile"
saved "$first" || fail "the second save failed"
[ "$(digest "$first")" != "$before" ] || fail "what was written meanwhile is lost"
answers OK "$first" CONFIG SET rdb-key-save-delay 0
loaded "$first"
[ "$(digest "$scratch/second")" = "$before" ] || fail "what was saved is not what was there"
echo "digest at the fork and of what was loaded: $before, $(redis "$scratch/second" DBSIZE) keys"
unload

# ---- expiry, under load ----------------------------------------------------------------------------

for i in 1 2 3 4 5 6 7 8 9; do
	echo "SET expiring:$i $i PX $((i * 100))"
done | redis "$first" >/dev/null
sleep 1.1
answers 0 "$first" EXISTS expiring:1 expiring:5 expiring:9
end_load

# ---- to the limit, and beyond ------------------------------------------------------------

# 160 MB for which there are 90.
redis-benchmark -s "$first/socket" -q -c 20 -P 8 -d 4000 -r 1000000 -n 40000 -t set >"$scratch/load" 2>&1
grep -q "OOM command not allowed" "$scratch/load" || { fail "it was never full"; show "$scratch/load"; }
i=0
until [ $i -gt 20 ]; do # what the clients had is free again
	i=$((i + 1))
	redis "$first" SETRANGE "large:$i" 4000000 1 >/dev/null 2>&1
done
answers "OOM command not allowed*" "$first" SET more 1
answers "PONG" "$first" PING
at_least "$(redis_info "$first" used_memory)" 90000000 "bytes in use"
answers "Background saving started" "$first" BGSAVE
saved "$first" || fail "the save of the full server failed"
echo "fork: $(redis_info "$first" latest_fork_usec) us, $(redis_info "$first" used_memory) bytes in use"
before=$(digest "$first")
loaded "$first"
[ "$(digest "$scratch/second")" = "$before" ] || fail "what the full server saved is not what was there"
unload

# Told to evict, it takes all, and what has a time to live ends in time.
answers OK "$first" CONFIG SET maxmemory-policy allkeys-lru
redis-benchmark -s "$first/socket" -q -c 20 -P 8 -d 4000 -r 1000000 -n 20000 -t set,get >"$scratch/load" 2>&1 &
load_pids=$!
answers OK "$first" SET expiring:10 10 PX 300
sleep 0.4
answers 0 "$first" EXISTS expiring:10
wait "$load_pids" || { fail "redis-benchmark against a full server"; show "$scratch/load"; }
load_pids=
at_least "$(redis_info "$first" evicted_keys)" 5000 "evicted keys"
at_most "$(redis_info "$first" used_memory)" $((100 << 20)) "bytes in use"
echo "full: $(redis_info "$first" evicted_keys) keys evicted, $(redis_info "$first" used_memory) bytes in use"
answers OK "$first" FLUSHALL
answers OK "$first" SET more 1
answers 1 "$first" GET more
end_process "$first_pid" TERM KILL
code=$?
[ $code -eq 0 ] || fail "Redis ended with $code when asked to stop"
grep -q '"backing": *"memfd"' "$scratch/stats" || { fail "statistics"; show "$scratch/stats"; }
at_least "$(json_number "$scratch/stats" committed_peak)" 90000000 "committed_peak"
at_most "$(json_number "$scratch/stats" committed_peak)" $((160 << 20)) "committed_peak"

# Beyond what it knows of it ends, by its own decision and words, and not by SIGBUS. (Its
# crash log would want more memory, and again.)
start_redis "$scratch/third" "--crash-log-enabled no" "$sparena" run -o $options -- || fail "Redis does not start once more"
third_pid=$redis_pid
redis-benchmark -s "$scratch/third/socket" -q -c 20 -P 8 -d 4000 -r 1000000 -n 60000 -t set >"$scratch/load" 2>&1
wait "$third_pid"
code=$?
grep -q "Out Of Memory allocating" "$scratch/third/log" || { fail "no word of memory"; show "$scratch/third/log"; }
[ $code -eq 134 ] || fail "without maxmemory it ended with $code, not by abort(3)"
echo "without maxmemory: $(grep "Out Of Memory allocating" "$scratch/third/log" | sed 's/^.*# //')"

# ---- fork:deny -----------------------------------------------------------------------------

start_redis "$scratch/fourth" "" "$sparena" run -o $options,fork:deny -- ||
	fail "Redis does not start under fork:deny"
answers OK "$scratch/fourth" SET here 1
answers "ERR*" "$scratch/fourth" BGSAVE
grep -q "Can't save in background: fork: Cannot allocate memory" "$scratch/fourth/log" ||
	{ fail "no word of the fork"; show "$scratch/fourth/log"; }
echo "fork:deny: $(grep "Can't save in background" "$scratch/fourth/log" | sed 's/^.*# //')"
answers 1 "$scratch/fourth" GET here
answers OK "$scratch/fourth" SET there 2
answers OK "$scratch/fourth" SAVE
finish
