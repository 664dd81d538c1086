#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# sparena check inside a real memory cgroup with a limit, which level of it binds, and what
# is seen of it from inside a container. Usage: test_check_cgroup.sh BUILD_DIR
set -u

build=$(cd "${1:?usage: test_check_cgroup.sh BUILD_DIR}" && pwd) || exit 1
# shellcheck source=tests/support/check.sh
. "$(dirname "$0")/../support/check.sh"
find_python

[ "$(id -u)" -eq 0 ] || skip "not root: no cgroup can be made"

# ---- two cgroups, one in the other, of which the outer one has a limit

# Where memory's hierarchy is mounted: the first such mount that shows this shell's own.
if own=$(sed -n 's/^[0-9]*:\([^:]*,\)\{0,1\}memory\(,[^:]*\)\{0,1\}:\(.*\)/\3/p' /proc/self/cgroup) && [ -n "$own" ]; then
	version=1
	mount=$(awk '/ - cgroup / && $NF ~ /(^|,)memory(,|$)/ && $4 == "/" { print $5; exit }' /proc/self/mountinfo)
	limit_file=memory.limit_in_bytes
	usage_file=memory.usage_in_bytes
else
	version=2
	own=$(sed -n 's/^0:://p' /proc/self/cgroup)
	mount=$(awk '/ - cgroup2 / && $4 == "/" { print $5; exit }' /proc/self/mountinfo)
	limit_file=memory.max
	usage_file=memory.current
fi
[ -n "$mount" ] && [ -d "$mount$own" ] || skip "the memory cgroup of this process cannot be seen"
parent=$mount${own%/}
if [ "$version" -eq 2 ]; then
	# Version 2 has no processes beside cgroups with controllers, except at the top.
	[ -e "$parent/memory.max" ] && parent=$(dirname "$parent")
	grep -qw memory "$parent/cgroup.subtree_control" || echo +memory 2>/dev/null >"$parent/cgroup.subtree_control" ||
		skip "the memory controller of cgroups version 2 can't be had below $parent"
fi

outer=$parent/sparena-check-$$
odd=$(printf 'in "n\\e\001r'\''\377')
inner=$outer/$odd
plain=$outer/plain
tmpfs=$scratch/tmpfs
mkdir "$tmpfs"
clean_up()
{
	for directory in "$inner" "$plain" "$outer"; do
		[ ! -d "$directory" ] || rmdir "$directory"
	done
}
mkdir "$outer" 2>"$scratch/err" || skip "no cgroup can be made in $parent: $(cat "$scratch/err")"
[ -e "$outer/$limit_file" ] || skip "$outer has no memory controller"
if [ "$version" -eq 2 ]; then
	echo +memory >"$outer/cgroup.subtree_control" || skip "no memory controller below $outer"
fi
mkdir "$inner" "$plain" || exit 1
echo 96M >"$outer/$limit_file" || exit 1
echo "version $version, $outer"

# in_cgroup DIRECTORY COMMAND...: COMMAND, in a process that was moved there.
in_cgroup()
{
	# shellcheck disable=SC2016 # the inner shell's
	sh -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' sh "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
	code=$?
}

exits() { [ "$code" -eq "$1" ] || { fail "exit code $code, not $1"; show "$scratch/out" "$scratch/err"; }; }

in_cgroup "$inner" "$sparena" check
exits 0
finding cgroup ok "$outer/in \"n\\e\\001r'\\377 (version $version" cgroup
finding limit note "96 MiB, set on $outer: the kernel kills beyond it" cgroup
finding use ok "since the kernel can take the cache back" cgroup
advised=$(sed -n 's/.*to change it: sparena run --limit \([0-9]*\)M -- PROGRAM/\1/p' "$scratch/out")
at_least "$advised" 64 "advised limit"
at_most "$advised" 84 "advised limit"

# The nearer limit binds when it is less, and is left aside when it is more.
echo 48M >"$inner/$limit_file"
in_cgroup "$inner" "$sparena" check
exits 0
finding limit note "48 MiB, set on $outer/in \"n" cgroup
echo 200M >"$inner/$limit_file"
in_cgroup "$inner" "$sparena" check
finding limit note "96 MiB, set on $outer: the kernel" cgroup

# With a limit among the options.
in_cgroup "$inner" "$sparena" check -o limit:64M
exits 0
finding limit ok "the limit given as an option comes first" cgroup
finding options ok "limit:64M: is available" start
in_cgroup "$inner" "$sparena" check -o limit:1G
exits 0
finding options note "limit:1G: is not below the 96 MiB that the cgroup allows: the guard refuses" start
in_cgroup "$inner" "$sparena" check -o limit:1G,guard:off
exits 1
finding options problem "limit:1G: is not below the 96 MiB that the cgroup allows: the kernel kills" start
finding binds note "with guard:off the kernel kills a process there" room
in_cgroup "$inner" "$sparena" check
finding cgroup ok "of 96 MiB: the limit of $outer" room
finding binds ok "$outer, " room

# The name as JSON.
in_cgroup "$inner" "$sparena" check --json
exits 0
"$python" - "$scratch/out" "$outer" >"$scratch/said" 2>&1 <<'END' || { fail "not the JSON that it should be"; show "$scratch/said" "$scratch/out"; }
import json, sys
report = json.load(open(sys.argv[1], encoding="utf-8", errors="strict"))
values = {f["name"]: f["value"] for f in report["findings"] if f["group"] == "cgroup"}
assert values["cgroup"].startswith(sys.argv[2] + "/in \"n\\e\x01r'\ufffd (version "), values
assert values["limit"] == "96 MiB, set on " + sys.argv[2], values
END

# ---- what it says is true: with the limit that it advises the program lives, without it dies

cat >"$scratch/fill.py" <<'END'
a = []
try:
    while len(a) < 400:
        a.append(bytearray(1 << 20))
except MemoryError:
    print("MemoryError after", len(a))
a.clear()
print("still here")
END
in_cgroup "$inner" "$sparena" run --limit "${advised}M" -- "$python" "$scratch/fill.py"
exits 0
out "MemoryError after"
out "still here"
if [ "$(wc -l </proc/swaps)" -eq 1 ]; then
	in_cgroup "$inner" "$python" "$scratch/fill.py"
	exits 137
fi

# What is held where the limit is counts, also when others hold it.
# shellcheck disable=SC2016 # the inner shell's
in_cgroup "$plain" "$python" -c 'import subprocess, sys
a = bytearray(b"x") * (40 << 20)
sys.exit(subprocess.call(["sh", "-c", "echo $$ >\"$1/cgroup.procs\" && exec \"$2\" check", "sh", *sys.argv[1:]]))' \
	"$inner" "$sparena"
exits 0
less=$(sed -n 's/.*to change it: sparena run --limit \([0-9]*\)M -- PROGRAM/\1/p' "$scratch/out")
at_most "$less" $((advised - 30)) "advised limit beside 40 MiB in use"
at_least "$less" 20 "advised limit beside 40 MiB in use"
at_most "$(cat "$outer/$usage_file")" $((96 << 20)) "use"

# ---- a benchmark stays within half of it

in_cgroup "$inner" "$sparena" bench populate --size 16M,64M --rounds 2 --threads 1 --backing anon --method write,POPULATE_WRITE
exits 0
out "it needs 64 MiB, half of the available memory is"
grep -q "  write  *[0-9.]* " "$scratch/out" || { fail "16 MiB were not measured"; show "$scratch/out"; }

# ---- inside containers

# contained FLAGS SCRIPT: the script in $plain and in namespaces of its own, "$1" the mount point of
# the hierarchy, "$2" to "$4" outer, plain and inner, "$sparena" check at its end.
contained()
{
	in_cgroup "$plain" unshare -m "$1" --propagation private sh -c "$2"' && exec "$0" check' "$sparena" \
		"$mount" "$outer" "$plain" "$inner" "$tmpfs"
	if [ "$code" -ne 0 ] && ! grep -q '^cgroup' "$scratch/out"; then
		echo "not tried: $2: $(cat "$scratch/err")"
		return 1
	fi
	exits 0
}
if [ "$version" -eq 1 ]; then
	new_mount='mount -t cgroup -o memory cgroup "$5"'
else
	new_mount='mount -t cgroup2 cgroup2 "$5"'
fi

# shellcheck disable=SC2016 # the inner shell's
{
	# A part of the host's hierarchy in place of the whole: its root is not "/".
	if contained -m 'mount --bind "$2" "$1"'; then
		finding cgroup ok "$mount/plain (version $version" cgroup
		finding limit note "96 MiB, set on $mount: " cgroup
	fi
	if contained -m 'mount --bind "$3" "$1"'; then
		finding cgroup ok "$mount (version $version" cgroup
		finding limit ok "none" cgroup
	fi
	# A part that the process is not in.
	if contained -m 'mount --bind "$4" "$1"'; then
		finding cgroup note "$mount (version $version" cgroup
		finding cgroup note "is the nearest that can be seen from here" cgroup
	fi
	# The mount is hidden.
	if contained -m 'mount -t tmpfs tmpfs "$1"'; then
		finding cgroup note "version $version: the hierarchy is not mounted" cgroup
	fi
	# A namespace: the old mount shows what is above, a new one begins at one's own.
	if contained -C true; then
		finding cgroup note "$mount (version $version" cgroup
		finding cgroup note "is the nearest that can be seen from here" cgroup
	fi
	if contained -C "$new_mount"; then
		finding cgroup ok "$tmpfs (version $version" cgroup
		finding limit ok "none" cgroup
	fi
	echo 80M >"$plain/$limit_file"
	if contained -C "$new_mount"; then
		finding limit note "80 MiB, set on $tmpfs: " cgroup
	fi
}

finish
