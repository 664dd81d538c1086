#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Programs that people run, under the drop-in and a limit: those that fit in do what
# they always do, those that don't say so and go on or end as they mean to.
# Usage: test_programs.sh BUILD_DIR
set -u

. "$(dirname "$0")/../support/lib.sh"
sparena=${1:?usage: test_programs.sh BUILD_DIR}/sparena
tried=

# under LIMIT COMMAND...
under()
{
	limit=$1
	shift
	timeout 100 "$sparena" run --limit "$limit" -o strict:true -- "$@"
}

# program NAME...: all are here; else says that they are not.
program()
{
	for name in "$@"; do
		command -v "$name" >/dev/null 2>&1 || { echo "not here: $name"; return 1; }
	done
	tried="$tried $*"
}

# same LIMIT COMMAND...: writes and returns what it does without the drop-in.
same()
{
	limit=$1
	shift
	"$@" >"$scratch/expected" 2>"$scratch/expected.err" </dev/null
	expected=$?
	ran $expected under "$limit" "$@" || return
	cmp -s "$scratch/out" "$scratch/expected" || { fail "$*: another output"; diff "$scratch/expected" "$scratch/out" | head -n 20; }
	cmp -s "$scratch/err" "$scratch/expected.err" || { fail "$*: other messages"; show "$scratch/err"; }
}

i=0
while [ $i -lt 20000 ]; do
	echo "line $i $((i * 7919 % 20011))"
	i=$((i + 1))
done >"$scratch/lines"

# ---- python3

if [ -x /usr/bin/python3 ]; then
	tried="$tried python3"
	ran 0 under 64M /usr/bin/python3 -c '
for i in range(5):
    try:
        blocks = []
        while True:
            blocks.append(bytearray(100_000))
    except MemoryError:
        n = len(blocks)
        del blocks
        print("MemoryError after", n > 300)
try:
    bytearray(2**40)
except MemoryError:
    print("too large")
print(sum(range(10**6)), len(str(3**8000)))' && out "499999500000 3817" && out "too large"
	[ "$(grep -c 'MemoryError after True' "$scratch/out")" -eq 5 ] || fail "python3: no MemoryError each time"
	quiet
	# Ends in a traceback, not in a signal.
	ran 1 under 64M /usr/bin/python3 -c 'x = [bytearray(10**6) for i in range(1000)]' && err "MemoryError"
	# Threads, and children with pipes.
	ran 0 under 64M /usr/bin/python3 -c '
import subprocess, threading
def work():
    for i in range(50):
        [str(k) for k in range(1000)]
threads = [threading.Thread(target=work) for i in range(16)]
[t.start() for t in threads]
[t.join() for t in threads]
print(subprocess.run(["sh", "-c", "echo child"], capture_output=True, text=True).stdout.strip())' && out child
fi

# ---- the shell and its kind

program sh && same 16M sh -c 'x=0; for i in 1 2 3; do x=$((x + i)); done; echo $x; (exit 3) || echo $? | cat'
program ls && same 16M ls -lR /etc/default /usr/include/linux
program sort && same 32M sort -k 3n "$scratch/lines"
program grep && same 16M grep -c 'line 1.*7$' "$scratch/lines"
# shellcheck disable=SC2016 # not the shell's variables
program awk && same 64M awk '{ n[$3 % 1000] += $2 } END { for (i = 0; i < 1000; i++) print i, n[i] }' "$scratch/lines"
program sed && same 16M sed 's/\(line\) \([0-9]*\)/\2 \1/' "$scratch/lines"
if program bash; then
	same 32M bash -c 'for i in {1..2000}; do a[$i]=$(( i * i )); done; echo ${a[1999]}; f() { local x=$1; echo ${x^^}; }; f abc'
fi
if program perl; then
	# shellcheck disable=SC2016
	same 64M perl -e 'my %h; $h{$_ % 5000} .= "x" x 10 for 1 .. 50000; print length(join "", map { $h{$_} } sort keys %h), "\n"'
	# perl's own way to end.
	under 32M perl -e '$x = "x" x (1 << 20); push @a, $x . $_ while 1' >"$scratch/out" 2>"$scratch/err"
	code=$?
	{ [ $code -ge 1 ] && [ $code -lt 128 ]; } || { fail "perl at the limit: exit code $code"; show "$scratch/err"; }
	err "Out of memory"
fi

# ---- databases and languages that may be here

if program sqlite3; then
	same 64M sqlite3 :memory: "create table t(a, b); with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
		insert into t select i, hex(i) from n; create index x on t(b); select count(*), max(b), sum(a) from t;"
	# Says it, and serves the next statement.
	printf '%s\n' 'create table t(a);' 'insert into t select zeroblob(900000000);' 'select 40 + 2;' >"$scratch/statements"
	timeout 100 "$sparena" run --limit 64M -- sqlite3 :memory: <"$scratch/statements" >"$scratch/out" 2>"$scratch/err"
	out "42"
	err "out of memory"
fi
for lua in lua5.4 lua5.3 lua; do
	command -v $lua >/dev/null 2>&1 || continue
	program $lua && ran 0 under 64M $lua -e 'print(pcall(function() local t = {} for i = 1, 1e9 do t[i] = {i} end end)) print("goes on")' &&
		out "not enough memory" && out "goes on"
	break
done

# ---- many processes

if program git; then
	export GIT_CONFIG_NOSYSTEM=1 HOME="$scratch"
	ran 0 under 128M sh -ec 'cd "$1" && git init -q r && cd r && cp ../lines a && git add a &&
		git -c user.name=n -c user.email=e@example.org commit -qm one && git gc -q && git log --format=%s && git fsck' sh "$scratch" &&
		out "one"
fi
if program cc; then
	cat >"$scratch/a.c" <<-'END'
	#include <stdio.h>
	#include <stdlib.h>
	#include <string.h>
	int main(void) { char *p = malloc(6); strcpy(p, "hello"); puts(p); free(p); return 0; }
	END
	ran 0 under 256M cc -O2 -g -o "$scratch/a" "$scratch/a.c" && quiet
	ran 0 under 16M "$scratch/a" && out hello
fi

echo "tried:$tried"
finish
