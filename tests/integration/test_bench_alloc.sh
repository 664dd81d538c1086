#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# sparena bench alloc: its options, that everything is run and counted as it should be, and
# that what fails or hangs is not. No figure is a test. Usage: test_bench_alloc.sh BUILD_DIR
set -u

# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
find_python
build=$(cd "${1:?usage: test_bench_alloc.sh BUILD_DIR}" && pwd) || exit 1
sparena=$build/sparena
check=$(dirname "$0")/bench_alloc_check.py

# checked FILE OPTION...: it is the JSON of such a run.
checked()
{
	checked_file=$1
	shift
	"$python" "$check" "$@" <"$checked_file" >"$scratch/said" 2>&1 ||
		{ fail "bench_alloc_check $*"; show "$scratch/said" "$checked_file"; }
}

# ---- help and wrong options

ran 0 "$sparena" bench --help && out "  alloc  "
ran 0 "$sparena" bench alloc --help
quiet
for word in --quick --full --rounds --workloads --program --allocators --base --timeout --json --markdown --list \
	--progress jemalloc-thp mimalloc tcmalloc sparena sparena-lazy; do
	out "$word"
done

# wrong MESSAGE OPTION...: the options are refused so, as usage.
wrong()
{
	message=$1
	shift
	ran 2 "$sparena" bench alloc "$@" && err "$message" && err "Try 'sparena bench alloc --help'"
}

wrong "unknown 'malloc': there are glibc, jemalloc" -a glibc,malloc
wrong "'0' is not a number from 1 to 1000" -r 0
wrong "'jemalloc' is not among the allocators" -a glibc -b jemalloc
wrong "'smal' is not known" -w small,smal
wrong "'small' is a workload's name" -w small -p small=true
wrong "unexpected argument 'small'" small
wrong "frobnicate" --frobnicate
ran 1 "$sparena" bench alloc -a x=/nowhere/x.so && err "x is left out: there is no /nowhere/x.so"
ran 1 "$sparena" bench alloc -r 1 -w small -a glibc -j "$scratch/none/x.json" && err "cannot write '$scratch/none/x.json'"
[ ! -s "$scratch/out" ] || fail "it measured before it looked whether it can write"
"$sparena" bench alloc -r 1 -a glibc -p it=true >/dev/full 2>"$scratch/err"
[ $? -eq 1 ] || fail "a full disk goes unnoticed"

if [ -w /dev/full ]; then
	ran 1 "$sparena" bench alloc -r 1 -a glibc -p it=true -j /dev/full && err "cannot write '/dev/full': No space left on device"
fi
ran 1 "$sparena" bench alloc -a glibc,gone=/nowhere/x.so -b gone -p it=true && err "gone is left out: there is no /nowhere/x.so"
ran 0 "$sparena" bench alloc -f -r 1 -a glibc -p it=true -m - && out "1 round at full scale" && out "## Allocators" &&
	out "| glibc | "
! grep -q "^  glibc" "$scratch/out" || fail "tables beside those in Markdown"

# Who did not do everything has a mean of fewer, which is said; large numbers stay what they are.
ran 1 "$sparena" bench alloc -r 1 -a glibc,sparena -b glibc -p a=true -p b='echo big 1e15' -p c='[ -z "$LD_PRELOAD" ]' \
	-m "$scratch/m.md" -j "$scratch/m.json"
out "sparena failed, and is not counted: exit status 1"
out "mean, programs"
grep -q "^  mean, programs .* of 2 " "$scratch/out" || { fail "a mean of fewer is not said to be one"; show "$scratch/out"; }
grep -q '"measure": "big", "median": 1e+15,' "$scratch/m.json" || { fail "a large number"; show "$scratch/m.json"; }
err "1 of 6 failed"

# ---- how far it is, on a terminal: one line

ran 0 "$python" "$(dirname "$0")/../support/terminal.py" "$sparena" bench alloc -r 2 -a glibc -p it=true
err "round 1 of 2: it under glibc"
"$python" -c 'import re, sys
text = open(sys.argv[1], "rb").read()
sys.exit(b"\n" in text or not re.search(rb"\r\x1b\[Kround 2 of 2: it under glibc[^\r]*\r\x1b\[K$", text))' "$scratch/err" || { fail "not a single line"; show "$scratch/err"; }

# ---- where calls are refused

if strace -f -o "$scratch/trace" true 2>"$scratch/err"; then
	ran 1 strace -o "$scratch/trace" -e trace=clone -e inject=clone:error=EAGAIN "$sparena" bench alloc --list
	err "bench/workload' could not be started: Resource temporarily unavailable"
	ran 1 strace -o "$scratch/trace" -e trace=clone -e inject=clone:error=EAGAIN "$sparena" bench alloc -r 1 -a glibc -p it=true
	out "glibc failed, and is not counted: it could not be started: Resource temporarily unavailable"
	err "1 of 1 failed"
	ran 0 strace -o "$scratch/trace" -e trace=wait4 -e inject=wait4:error=EINTR:when=1 "$sparena" bench alloc -r 1 -a glibc -p it=true
	# A counter that counts nothing: there are no instructions, and no reason why.
	ran 0 strace -o "$scratch/trace" -e trace=perf_event_open -e inject=perf_event_open:retval=99 \
		"$sparena" bench alloc -r 1 -a glibc -p it=true
	! grep -i instr "$scratch/out" || fail "instructions that nobody counted"
else
	echo "not tried: calls that are refused, as strace may not trace here"
fi

# ---- two workloads under two allocators

ran 0 "$sparena" bench alloc --quick --rounds 2 --workloads latency,sparse --allocators glibc,sparena,gone=/nowhere/x.so \
	--base glibc --json "$scratch/a.json" --markdown "$scratch/a.md" --progress
for text in "2 rounds at quick scale" "gone is left out: there is no /nowhere/x.so" "latency p99.9_ns" \
	"Time, as a ratio to glibc" "sparse (sparse)" "sparena to best other" "time, ms" "peak, MiB" "final, MiB"; do
	out "$text"
done
err "round 1 of 2: latency"
err "round 2 of 2: sparse"
checked "$scratch/a.json" --rounds 2 --allocators glibc,sparena --workloads latency,sparse --base glibc --left-out gone
grep -q "^| sparena | [0-9]" "$scratch/a.md" || { fail "no table in Markdown"; show "$scratch/a.md"; }
awk 'length($0) > 200 || / $/ { bad = 1 } END { exit bad }' "$scratch/out" || { fail "untidy lines"; show "$scratch/out"; }
# The one that is backed in full, though little of it is touched, shows that it was preloaded.
"$python" - "$scratch/a.json" <<'END' || fail "the allocators were not preloaded"
import json, sys
peak = {(c["workload"], c["allocator"]): f["median"] for c in json.load(open(sys.argv[1]))["cells"]
        for f in c["figures"] if f["measure"] == "peak_kib"}
sys.exit(not peak["sparse", "sparena"] > 3 * peak["sparse", "glibc"])
END

# Where none is named, sparse workloads are shown with lazy_above too, and others are not.
ran 0 "$sparena" bench alloc -r 1 -w sparse,pairs -j "$scratch/lazy.json" && out "sparena-lazy"
"$python" - "$scratch/lazy.json" <<'END' || fail "sparena-lazy is not what it should be"
import json, sys
data = json.load(open(sys.argv[1]))
peak = {(c["workload"], c["allocator"]): f["median"] for c in data["cells"]
        for f in c["figures"] if f["measure"] == "peak_kib"}
print(peak)
sys.exit(not (peak["sparse", "sparena"] > 3 * peak["sparse", "sparena-lazy"] and ("pairs", "sparena") in peak
              and ("pairs", "sparena-lazy") not in peak))
END
ran 0 "$sparena" bench alloc -r 1 -w pairs && ! grep -q sparena-lazy "$scratch/out" || fail "sparena-lazy where there is nothing for it"
ran 0 "$sparena" bench alloc -r 1 -w pairs -a glibc,sparena-lazy && out "sparena-lazy"

# ---- every workload: that it goes to its end under us, and how large it becomes is as it says

ran 0 "$sparena" bench alloc --list
awk '{ print $1 }' "$scratch/out" | paste -sd, - >"$scratch/names"
awk '{ print $1, $2 }' "$scratch/out" >"$scratch/needs"
[ "$(wc -l <"$scratch/needs")" -ge 13 ] || fail "there are few workloads"
ran 0 "$sparena" bench alloc -r 1 -a sparena -b sparena --json=- && cp "$scratch/out" "$scratch/all.json" &&
	checked "$scratch/all.json" --rounds 1 --allocators sparena --base sparena --workloads "$(cat "$scratch/names")"
"$python" - "$scratch/all.json" "$scratch/needs" <<'END' || fail "a workload needs more than it says"
import json, sys
need = {name: int(mib) for name, mib in map(str.split, open(sys.argv[2]))}
peak = {c["workload"]: f["median"] / 1024 for c in json.load(open(sys.argv[1]))["cells"]
        for f in c["figures"] if f["measure"] == "peak_kib"}
wrong = {n: (peak[n], need[n]) for n in need if peak[n] > 1.25 * need[n] + 8}
print(wrong)
sys.exit(bool(wrong))
END

# ---- programs, of which some fail or hang: told, and not counted

ran 1 "$sparena" bench alloc -r 2 -t 2 -a glibc,sparena -b sparena --json "$scratch/p.json" -p ok='echo queries 50; true' \
	-p other='echo time_ms 7' -p bad='echo oops >&2; exit 3' -p hangs='sleep 77 & sleep 77' -p gone=/nowhere/program
for text in "sparena failed, and is not counted: exit status 3: oops" \
	"glibc failed, and is not counted: not done after 2 s" "exit status 127" "ok queries"; do
	out "$text"
done
err "6 of 10 failed"
checked "$scratch/p.json" --rounds 2 --allocators glibc,sparena --base sparena --workloads ok,other,bad,hangs,gone \
	--failed bad,hangs,gone
grep -q '"measure": "time_ms", "median": 7,' "$scratch/p.json" || fail "a program's own time does not replace the measured one"

# An allocator under which a program cannot go on, and one by a path with options of its own.
ran 1 "$sparena" bench alloc -r 1 -a glibc -a "tight=sparena:SPARENA_CONF=limit:32M,strict:true" -b glibc -w grow-1m &&
	out "tight failed, and is not counted: exit status 1: bench: malloc: Cannot allocate memory"
ran 0 "$sparena" bench alloc -r 1 -a "own=$build/libsparena_malloc.so:SPARENA_CONF=limit:300M" \
	-p it='echo "limited $(echo $SPARENA_CONF | grep -c limit:300M)"; echo "preloaded $(grep -c libsparena_malloc.so /proc/self/maps)"'
out "it limited    1.00"

# ---- Ctrl-C ends the children, too

"$sparena" bench alloc -r 1 -a glibc -p hangs="sleep 77 & echo \$! >$scratch/child; wait" >"$scratch/out" 2>&1 &
bench=$!
tries=0
until [ -s "$scratch/child" ] || [ $tries -eq 100 ]; do
	sleep 0.1
	tries=$((tries + 1))
done
kill -TERM $bench # a shell has its background processes ignore SIGINT
wait $bench
[ $? -eq 143 ] || fail "it did not end by the signal"
sleep 0.2
! readlink "/proc/$(cat "$scratch/child")/exe" >"$scratch/said" 2>&1 || fail "a child was left behind"

# The same where the signal was blocked before: it cannot end by it, and still says so. One
# that is ignored does nothing.
cat >"$scratch/block.py" <<'END'
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:])
END
"$python" "$scratch/block.py" "$sparena" bench alloc -r 1000 -a glibc --progress -p nap="echo \$\$ >$scratch/child; exec sleep 1.1" \
	>"$scratch/out" 2>"$scratch/err" &
bench=$!
tries=0
until grep -q "round 3 of 1000: nap, about [1-9][0-9]* min left" "$scratch/err" || [ $tries -eq 100 ]; do
	sleep 0.1
	tries=$((tries + 1))
done
[ $tries -lt 100 ] || { fail "no guess how long it takes"; show "$scratch/err"; }
kill -HUP $bench
sleep 0.2
kill -TERM $bench || fail "it ended by a signal that is ignored"
wait $bench
[ $? -eq 143 ] || fail "it did not end as by the signal"
sleep 0.2
! readlink "/proc/$(cat "$scratch/child")/exe" >"$scratch/said" 2>&1 || fail "a child was left behind"

# ---- a workload that needs more memory than there is: it is not tried

mkdir "$scratch/bin" "$scratch/bin/bench"
cp "$sparena" "$scratch/bin/"
cat >"$scratch/bin/bench/workload" <<END
#!/bin/sh
[ "\$1" = --list ] && echo "giant 99999999 plain more than there is" || echo >"$scratch/tried"
END
chmod +x "$scratch/bin/bench/workload"
ran 1 "$scratch/bin/sparena" bench alloc -r 1 -a glibc && out "not measured: it needs 95.4 TiB, half of the available memory" &&
	err "nothing could be measured here"
[ ! -e "$scratch/tried" ] || fail "what needs more memory than there is was tried"
printf '#!/bin/sh\necho "what is this"\n' >"$scratch/bin/bench/workload"
ran 1 "$scratch/bin/sparena" bench alloc -r 1 -a glibc && err "another version's: 'what is this'"
printf '#!/bin/sh\necho what >&2; exit 3\n' >"$scratch/bin/bench/workload"
ran 1 "$scratch/bin/sparena" bench alloc -r 1 -a glibc && err "bench/workload': exit status 3: what"
ran 1 "$scratch/bin/sparena" bench alloc -r 1 -a sparena -p it=true &&
	err "sparena is left out: the drop-in library is neither beside this command"
rm "$scratch/bin/bench/workload"
ran 1 "$scratch/bin/sparena" bench alloc -r 1 -a glibc && err "cannot find the program of the workloads"
finish
