#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# redis-benchmark against a redis-server: SET, GET, LPUSH, HSET, with keys at random.

# shellcheck source=bench/programs/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/support/process.sh
. "$support/process.sh"
# shellcheck source=tests/support/redis.sh
. "$support/redis.sh"

# shellcheck disable=SC2317 # common.sh calls it
clean_up() { stop_redis; }

# load TEST BYTES: prints requests a second, and the first percentile from 99.9 up.
load()
{
	redis-benchmark -s "$scratch/server/socket" -n $((scale * 60000)) -c 20 -P 8 -r 50000 -d "$2" --precision 3 \
		-t "$1" >"$scratch/out" || die "redis-benchmark failed: $?"
	tr -d '\r' <"$scratch/out" | awk -v test="$1" '
		/<= .* milliseconds/ && $1 + 0 >= 99.9 && !done { print test "_p99.9_us", $3 * 1000; done = 1 }
		/requests per second/ { print test "_per_s", $3 }'
}

all_loads()
{
	load set 400
	load get 400
	load lpush 60
	load hset 100
}

find_redis || die "no redis-server"
# shellcheck disable=SC2086 # words are wanted
start_redis "$scratch/server" "" $under || die "redis-server does not start"
timed all_loads
resident "$redis_pid"
