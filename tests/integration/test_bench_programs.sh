#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The real programs that allocators are compared by (bench/programs.sh): each does its work
# under us, says what it should, and is gone then. No figure is a test.
# Usage: test_bench_programs.sh BUILD_DIR
set -u

# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
find_python
build=$(cd "${1:?usage: test_bench_programs.sh BUILD_DIR}" && pwd) || exit 1
bench=$(cd "$(dirname "$0")/../../bench" && pwd) || exit 1
chmod 755 "$scratch" # servers that are started by root become somebody else
export BENCH_BUILD="$build" BENCH_SCALE=1 TMPDIR="$scratch"

ran 2 sh "$bench/programs.sh" frobnicate
err "usage: sh bench/programs.sh"

# Who is not installed is left out, and said to be.
mkdir "$scratch/bin"
for tool in awk basename cat chmod cut date dirname env mktemp mv rm sed sh sort tail; do
	ln -s "$(command -v $tool)" "$scratch/bin/"
done
PATH=$scratch/bin ran 1 sh "$bench/programs.sh" sqlite true -- -r 1 -a gone=/nowhere/x.so
err "sqlite is left out: apt-get install sqlite3"

ran 0 sh "$bench/programs.sh" -- -r 1 -a sparena -b sparena --json "$scratch/p.json"
! grep . "$scratch/err" || echo "not tried: the above"

# metric PROGRAM NAME: it told so.
metric()
{
	"$python" - "$scratch/p.json" "$@" <<'END' || fail "$1 told no $2"
import json, sys
data = json.load(open(sys.argv[1]))
cells = [c for c in data["cells"] if c["workload"] == sys.argv[2]]
told = [f["median"] for c in cells for f in c["figures"] if f["measure"] == sys.argv[3]]
# A server with us under it has its metadata at least; a shell of the driver has not.
least = 20000 if sys.argv[3] == "final_kib" else 0
sys.exit(bool(cells) and not (told and told[0] > least))
END
}

for name in true python sqlite gcc lua; do
	metric $name time_ms
done
metric redis set_per_s
metric redis set_p99.9_us
metric redis hset_p99.9_us
metric redis final_kib
metric memcached requests_per_s
metric memcached p99.9_us
metric memcached final_kib
metric postgresql transactions_per_s
metric postgresql reports_us

# Nothing is left, of files and of processes that had any of them open.
[ -z "$(find "$scratch" -mindepth 1 -maxdepth 1 -name 'tmp.*')" ] || { fail "files were left behind"; ls -lR "$scratch"/tmp.* ; }
# shellcheck disable=SC2009 # pgrep may not be here, and matches itself
! grep -lzF "$scratch/tmp." /proc/[0-9]*/cmdline 2>/dev/null || fail "a server was left behind"

# The rows of a plot: a head, and what is on a line of its own.
if "$python" "$bench/plot_rows.py" "$scratch/p.json" time_ms >"$scratch/out"; then
	out "workload	sparena"
	out "lua	1"
	out "mean, programs	1"
else
	fail "plot_rows.py"
fi
finish
