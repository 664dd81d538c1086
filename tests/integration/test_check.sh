#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# sparena check: what it prints, as lines and as JSON, its exit codes, and the limits that
# any user can set. Usage: test_check.sh BUILD_DIR
set -u

build=$(cd "${1:?usage: test_check.sh BUILD_DIR}" && pwd) || exit 1
# shellcheck source=tests/support/check.sh
. "$(dirname "$0")/../support/check.sh"

# ---- lines

for conf in "" limit:64M limit:50% log:true decay_ms:0,thp:never; do
	check any -o "$conf"
	quiet
	for name in release populate locked pagemap ksm thp mthp memory overcommit swap RLIMIT_AS RLIMIT_DATA \
		RLIMIT_MEMLOCK max_map_count reservation cgroup drop-in; do
		grep -q "^  $name  *\(ok\|note\|problem\)  *[^ ]" "$scratch/out" || fail "check -o '$conf': no $name"
	done
	for group in kernel "huge pages" memory "limits of the process" cgroup start; do
		grep -qx "$group" "$scratch/out" || fail "check -o '$conf': no section '$group'"
	done
	# Nothing is longer than a line but what must stay in one piece.
	grep -v 'to change it: ' "$scratch/out" | grep -E '.{101}' | grep -E ' .* .* ' |
		grep -vE '^ {26}[^ ]+ *$' >"$scratch/long" && { fail "check -o '$conf': long lines:"; show "$scratch/long"; }
done
grep -q "^sparena can\(not\)\{0,1\} keep its promise here" "$scratch/out" || fail "no line that sums it up"
finding release ok "$(uname -r)"
finding drop-in ok "it was tried, and starts"

# ---- options

check 1 -o lmit:3
finding options problem 'unknown option "lmit": did you mean "limit"?'
out "see the 1 problem above"
check 1 -o limit:64K
finding options problem "below the 4M"
check 1 -o limit:1P,guard:off
finding options problem "limit:1P: is not below the"
check 0 -o limit:1P
finding options note "limit:1P: is not below the"
finding machine ok "free swap" room
finding binds ok "with sparena malloc returns NULL" room
check 1 -o limit:1G,reserve:1M
check any -o limit:64M
finding drop-in ok "limit 64M, reserved"
SPARENA_CONF=limit:96M
export SPARENA_CONF
check any
finding options ok "limit:96M: is available"
finding drop-in ok "limit 96M, reserved"
check any -o limit:32M
finding options ok "limit:32M: is available"
unset SPARENA_CONF
# Trying does not write what the options would write at exit.
SPARENA_CONF=stats_print:true,stats_file:$scratch/stats
export SPARENA_CONF
check any -o "stats_print:true,stats_file:$scratch/stats"
finding drop-in ok "it was tried, and starts"
quiet
unset SPARENA_CONF
[ ! -e "$scratch/stats" ] || fail "the trial wrote statistics"

# ---- wrong usage

check 2 extra
err "unexpected argument 'extra'"
check 2 --frobnicate
err "Try 'sparena check --help'"
check 2 -o
if [ -w /dev/full ]; then
	"$sparena" check >/dev/full 2>"$scratch/err" && fail "a full disk goes unnoticed"
	err "cannot write to standard output"
fi

# ---- the limits of the process

# limited -OPTION LIMIT CODE [ARG...]: check in a shell of its own with a limit set.
limited()
{
	(
		# shellcheck disable=SC3045 # dash has these limits
		ulimit "$1" "$2" || exit 1
		shift 2
		check "$@"
		exit "$failures"
	)
	failures=$?
}

# shellcheck disable=SC3045 # dash has these limits
if [ "$(ulimit -v)" = unlimited ] && [ "$(ulimit -d)" = unlimited ]; then
	limited -Sv 2000000 any
	finding RLIMIT_AS note "1.9 GiB"
	finding RLIMIT_AS note "to change it: ulimit -v unlimited"
	finding reservation note "1 GiB: is the most address space"
	finding drop-in ok "it was tried, and starts"
	limited -v 2000000 any
	finding RLIMIT_AS note 'to change it: sudo prlimit --pid $$ --as=unlimited'
	limited -v 2000000 1 -o reserve:8G
	finding options problem "reserve:8G: is more address space than can be reserved"
	limited -Sd 300000 any
	finding RLIMIT_DATA note "293 MiB"
	finding RLIMIT_DATA note "to change it: ulimit -d unlimited"
	finding drop-in ok "it was tried, and starts"
	# So little that nothing starts: the trial says so.
	limited -Sd 4000 1
	finding drop-in problem "cannot start: no address space or memory for the heap"
	finding drop-in problem "to change it: ulimit -d unlimited"
	limited -v 100000 1
	finding reservation note "64 MiB: is the most address space"
	finding drop-in problem 'to change it: sudo prlimit --pid $$ --as=unlimited'
else
	echo "address space or data are limited already: those limits are not tried"
fi
limited -l 64 any
finding RLIMIT_MEMLOCK ok "64 KiB: matters only to the option lock, and to programs that call mlockall"

# ---- without its library

library=$(echo "$build"/libsparena_malloc.so.?)

mkdir "$scratch/bin" "$scratch/with space"
cp "$build/sparena" "$scratch/bin/" && sparena=$scratch/bin/sparena
check any
finding drop-in note "not found"
quiet
cp "$build/sparena" "$library" "$scratch/with space/" && sparena="$scratch/with space/sparena"
check any
finding drop-in note "LD_PRELOAD has no way to name a path with a space"
# One that is no library: it is tried, and does not start.
echo garbage >"$scratch/bin/${library##*/}" && sparena=$scratch/bin/sparena
check 1
finding drop-in problem "it was tried, and does not start"
# Its message may be of any length.
deep=$scratch/$(printf '%200s/%200s/%200s' '' '' '' | tr ' ' x)
mkdir -p "$deep" && cp "$scratch/bin/sparena" "$scratch/bin/${library##*/}" "$deep/" && sparena=$deep/sparena
check 1
finding drop-in problem "ERROR: ld.so: object '$scratch/xxx"
# Another library in its place starts, and says nothing.
libm=$(ldd "$build/sparena" | awk '/libm\.so/ { print $3 }')
if [ -e "$libm" ]; then
	cp "$libm" "$scratch/bin/${library##*/}" && sparena=$scratch/bin/sparena
	check 1
	finding drop-in problem "a program with it ended with status 0 and said nothing"
fi
sparena=$build/sparena

# ---- where the trial itself is refused what it needs

# refused CODE TEXT STRACE_OPTION...: check under strace with what it injects.
refused()
{
	wanted=$1
	text=$2
	shift 2
	strace -f -o "$scratch/trace" "$@" "$sparena" check >"$scratch/out" 2>"$scratch/err" </dev/null
	code=$?
	grep -q INJECTED "$scratch/trace" || fail "$*: nothing was refused"
	[ "$code" -eq "$wanted" ] || { fail "$*: exit code $code, not $wanted"; show "$scratch/out" "$scratch/err"; }
	finding drop-in "$([ "$wanted" -eq 0 ] && echo "${text%%:*}" || echo problem)" "${text#*:}"
}

if strace -f -o "$scratch/trace" true 2>"$scratch/err"; then
	refused 0 "note:not tried: Too many open files" -e trace=pipe2 -e inject=pipe2:error=EMFILE
	refused 0 "note:not tried: Resource temporarily unavailable" -e trace=clone -e inject=clone:error=EAGAIN
	refused 0 "ok:it was tried, and starts" -e trace=wait4 -e inject=wait4:error=EINTR:when=1
	refused 1 "problem:No such file or directory" -e trace=execve -P /proc/self/exe -e inject=execve:error=ENOENT
else
	echo "not tried: calls that are refused, as strace may not trace here"
fi

# ---- JSON

find_python
cat >"$scratch/shape.py" <<'END'
import json, sys
report = json.load(open(sys.argv[1], encoding="utf-8", errors="strict"))
assert set(report) == {"version", "findings", "problems"}, report.keys()
assert report["version"] == 1
findings = report["findings"]
keys = {"group", "name", "state", "value", "meaning", "fix"}
for f in findings:
    assert set(f) == keys, f
    assert f["state"] in ("ok", "note", "problem"), f
    assert all(isinstance(f[k], str) and f[k] for k in keys - {"fix"}), f
    assert f["fix"] is None or isinstance(f["fix"], str) and f["fix"], f
assert len({(f["group"], f["name"]) for f in findings}) == len(findings), "two findings have one name"
assert report["problems"] == sum(f["state"] == "problem" for f in findings)
assert (report["problems"] > 0) == (sys.argv[2] == "1"), "exit code %s" % sys.argv[2]
by = {(f["group"], f["name"]): f for f in findings}
eval("print(%s)" % sys.argv[3]) if len(sys.argv) > 3 else None
END

# json ARG...: check --json ARG... prints what it should; `python` EXPRESSION looks at `by`.
json()
{
	expression=$1
	shift
	"$sparena" check --json "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
	code=$?
	"$python" "$scratch/shape.py" "$scratch/out" "$code" "$expression" >"$scratch/said" 2>&1 ||
		{ fail "check --json $*: not what it should be"; show "$scratch/said" "$scratch/out"; }
	quiet
}

# said TEXT: what the expression had as value.
said()
{
	grep -qxF -e "$1" "$scratch/said" || { fail "not $1 but:"; show "$scratch/said"; }
}

json 'by["kernel", "release"]["state"], by["kernel", "release"]["group"]'
said "ok kernel"
json 'by["start", "options"]["state"]' -o limit:1P,guard:off
said "problem"
json 'by["start", "drop-in"]["fix"]'
said "None"
# Every byte that an argument can hold, first as it is and then in front of letters.
strange=$("$python" -c 'import sys
sys.stdout.buffer.write(bytes(b for b in range(1, 256) if b not in b",:\n"))')
json 'by["start", "options"]["value"]' -o "$strange:3"
said "not valid"
json 'by["start", "options"]["meaning"].split(" ")[0]' -o "l\"mi\\t$(printf '\001\033\177\377\303'):3"
said "unknown"
json 'by["start", "options"]["meaning"].split(":")[0]' -o 'l"m\it:3'
said 'unknown option "l"m\it"'
# A path may hold what is no UTF-8.
odd="$scratch/$(printf 'a "b\\c\001\033\377\303\244')"
mkdir "$odd" && cp "$build/sparena" "$library" "$odd/" && sparena=$odd/sparena
json 'ascii(by["start", "drop-in"]["value"].split("/")[-2])'
said "'a \"b\\\\c\\x01\\x1b\\ufffd\\xe4'"
sparena=$build/sparena
json 'by["start", "options"]["state"]' -o "limit:1G,stats_file:$("$python" -c 'print("x" * 5000)')"
said "problem"

finish
