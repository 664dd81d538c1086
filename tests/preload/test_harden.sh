#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# harden:true in programs: each mistake ends one by SIGABRT with a line that names it; trap:true:
# what was given back ends one by SIGSEGV. Programs without mistakes run as ever.
# Usage: test_harden.sh BUILD_DIR HARDEN_VICTIM HARDEN_VICTIM_LINKED
set -u

# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
build=${1:?usage: test_harden.sh BUILD_DIR HARDEN_VICTIM HARDEN_VICTIM_LINKED}
victim=${2:?}
linked=${3:?}
dropin=$build/libsparena_malloc.so
ulimit -c 0

# hardened PROGRAM ARG...: under the drop-in.
hardened()
{
	timeout 100 env LD_PRELOAD="$dropin" SPARENA_CONF="limit:512M,strict:true,harden:true${more:+,$more}" "$@"
}

# ends MISTAKE SIZE TEXT
ends()
{
	ran 134 hardened "$victim" "$1" "$2" && err "sparena: harden: " && err "$3"
	ran 134 env SPARENA_CONF=harden:true "$linked" "$1" "$2" && err "$3"
}

for more in "" backing:memfd lazy_above:64K thread_cache:1M; do
	for size in 24 5000 100000 3000000; do
		for way in malloc calloc realloc aligned memalign; do
			ends "overrun_$way" $size "written beyond its end"
		done
		ends free_twice $size "freed already"
		ends realloc_freed $size "freed already"
		ends free_inside $size "no block of this heap begins there"
		ends free_local $size "no block of this heap begins there"
		ends realloc_foreign $size "no block of this heap begins there"
		ran 0 hardened "$victim" use_all $size && out exact && quiet
	done
	ran 0 hardened "$victim" getline_frees 1 && out exact && quiet
done
more=

# Nobody is stopped who did not ask for it.
ran 0 env LD_PRELOAD="$dropin" SPARENA_CONF=limit:64M "$victim" free_local 24 && out survived && quiet

# What went back cannot be touched any more.
for backing in anon memfd; do
	ran 139 env LD_PRELOAD="$dropin" SPARENA_CONF=trap:true,decay_ms:0,backing:$backing "$victim" touch_freed 8000000
	ran 139 env LD_PRELOAD="$dropin" SPARENA_CONF=trap:true,decay_ms:0,backing:$backing "$victim" touch_freed 100000
	ran 0 env LD_PRELOAD="$dropin" SPARENA_CONF=decay_ms:0,backing:$backing "$victim" touch_freed 8000000
done
ran 139 env LD_PRELOAD="$dropin" SPARENA_CONF=trap:true,lazy_above:1M "$victim" touch_freed 8000000

# Programs: interpreters, threads, children, C++.
python='import json, threading, subprocess, sys
def work(): json.loads(json.dumps([{str(i): [i] * (i % 50)} for i in range(3000)]))
threads = [threading.Thread(target=work) for i in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
sys.stdout.write(subprocess.run(["sh", "-c", "echo child of $0 | sort"], capture_output=True, text=True).stdout + "done\n")'
for conf in "" backing:memfd trap:true trap:true,decay_ms:0,backing:memfd; do
	more=$conf
	ran 0 hardened /usr/bin/env PYTHONMALLOC=malloc python3 -c "$python" && out done && quiet
done
more=
if command -v sqlite3 >/dev/null; then
	ran 0 hardened sqlite3 :memory: "with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
		select count(*) from (select distinct printf('%x', i * 7919) from n);" && out 20000 && quiet
fi
finish
