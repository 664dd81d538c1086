#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# memcached with two threads, filled and asked by bench/memload.c.

# shellcheck source=bench/programs/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/support/memcached.sh
. "$support/memcached.sh"

# shellcheck disable=SC2317 # common.sh calls it
clean_up() { stop_memcached; }

find_memcached || die "no memcached"
# shellcheck disable=SC2086 # words are wanted
start_memcached $under || die "memcached does not start"
"$build/bench/memload" "$memcached_socket" $((scale * 10000)) $((scale * 60000)) || die "the load failed: $?"
resident "$memcached_pid"
