#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# build.sh memcached|redis FOLDER: the Debian source package of one of them, unpacked and
# built with the C library's malloc in FOLDER/src, where its own tests are run. Once:
# FOLDER/built is its version. No Debian, no source package: skipped.
set -eu

usage="usage: build.sh memcached|redis FOLDER"
program=${1:?$usage}
folder=${2:?$usage}
cmake=$(CDPATH='' cd -- "$(dirname -- "$0")/../../cmake" && pwd)

skip()
{
	echo "skipped: $*"
	exit 77
}

fetch()
{
	command -v dpkg-source >/dev/null || skip "no dpkg-source (Debian: dpkg-dev)"
	mkdir -p "$folder"
	rm -rf "$folder/src" "$folder/package"
	mkdir "$folder/package"
	sh "$cmake/debian-source.sh" "$program" "$folder/package" >"$folder/fetch.log" 2>&1 ||
		skip "no Debian source package of $program: $(tail -n 1 "$folder/fetch.log")"
	dpkg-source --no-check -x "$folder"/package/*.dsc "$folder/src" >>"$folder/fetch.log" 2>&1
}

# TLS, SASL and the proxy are left out: they want packages of their own.
make_memcached()
{
	./configure
	make -j"$jobs" memcached-debug sizes testapp timedrun
}

# By default it has a jemalloc of its own, and no other malloc would be asked.
make_redis()
{
	make -j"$jobs" MALLOC=libc
}

case $program in
memcached) [ -f /usr/include/event.h ] || skip "no event.h (Debian: libevent-dev)" ;;
redis) ;;
*)
	echo "$usage" >&2
	exit 2
	;;
esac
[ ! -f "$folder/built" ] || exit 0
jobs=$(nproc)
fetch
(cd "$folder/src" && "make_$program") >"$folder/build.log" 2>&1 || {
	tail -n 20 "$folder/build.log"
	echo "build.sh: $program does not build: $folder/build.log" >&2
	exit 1
}
basename "$folder"/package/*.dsc .dsc >"$folder/built"
