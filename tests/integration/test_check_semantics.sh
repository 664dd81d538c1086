#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# sparena check --semantics on the kernel that runs: as anybody, with swap and without, where
# calls are refused, and where they lie; and what it leaves out, the kernel's killing.
# Usage: test_check_semantics.sh BUILD_DIR PROGRAM, where PROGRAM is unit_semantics'.
set -u

build=$(cd "${1:?usage: test_check_semantics.sh BUILD_DIR PROGRAM}" && pwd) || exit 1
program=${2:?}
# shellcheck source=tests/support/check.sh
. "$(dirname "$0")/../support/check.sh"
# shellcheck source=tests/support/cgroup.sh
. "$(dirname "$0")/../support/cgroup.sh"
clean_up() { remove_cgroup; }

rows=$("$program" --rows | grep -c '^| ')

# row GROUP NAME STATE TEXT
row() { finding "$2" "$3" "$4" "$1"; }

# As documented, or with a reason; and every row.
all_rows()
{
	quiet
	out " 0 differ, "
	[ "$(grep -c '^  [a-z]' "$scratch/out")" -eq "$rows" ] || { fail "not $rows rows:"; show "$scratch/out"; }
	grep '^  [a-z]' "$scratch/out" | grep -vE '^  [a-z-]+ +(ok +as documented: [a-z]|note +not tried: [a-zA-Z/])' >"$scratch/odd" &&
		{ fail "odd lines:"; show "$scratch/odd"; }
}

# nothing_left: no process. For files, which have no names, and mounts see below.
nothing_left()
{
	ps -eo args | grep -F "$scratch/sparena check --semantics" | grep -v grep && fail "a process is left"
}

cp "$sparena" "$scratch/sparena" && sparena=$scratch/sparena
# ---- as it is

check 0 --semantics
all_rows
row populate-write breaks-cow ok "as documented: "
row punch-hole partial ok "as documented: "
row populate oom note "not tried: the kernel would kill a process"
nothing_left

check 2 --semantics -o limit:64M
err "--semantics is about the kernel"
check 2 --semantics extra
[ ! -w /dev/full ] || { "$sparena" check --semantics >/dev/full 2>"$scratch/err" && fail "a full disk goes unnoticed"; }

find_python
"$sparena" check --semantics --json >"$scratch/json" || fail "--json: exit code $?"
"$python" - "$scratch/json" "$rows" >"$scratch/said" 2>&1 <<'PYTHON' || { fail "--json:"; show "$scratch/said"; }
import json, sys
report = json.load(open(sys.argv[1]))
assert set(report) == {"version", "findings", "problems"} and report["problems"] == 0, report
assert len(report["findings"]) == int(sys.argv[2]), len(report["findings"])
for f in report["findings"]:
    assert (f["state"], f["value"]) in (("ok", "as documented"), ("note", "not tried")) and f["meaning"], f
assert len({(f["group"], f["name"]) for f in report["findings"]}) == int(sys.argv[2])
PYTHON

# ---- as nobody

# Where lines are counted, the counts are files, of root and of some size.
counted=
[ ! -e "$build/CMakeFiles/sparena.dir/src/cli/semantics.c.gcno" ] || counted=1

if [ "$(id -u)" -eq 0 ] && [ -z "$counted" ]; then
	chmod 711 "$scratch" && : >"$scratch/before"
	# The first is nobody, and others may be, too.
	for user in 65534 63210; do
		# shellcheck disable=SC3045 # dash has this limit
		(ulimit -l 0 && exec setpriv --reuid $user --regid $user --clear-groups "$sparena" check --semantics) \
			>"$scratch/out" 2>"$scratch/err" || fail "as user $user: exit code $?"
		all_rows
		nothing_left
	done
	row pageout locked note "not tried: no page may be locked (ulimit -l)"
	row dontneed locked note "not tried: no page may be locked (ulimit -l)"
	row dontneed private ok "as documented"
	find /tmp /var/tmp /dev/shm -xdev -user 63210 -newer "$scratch/before" 2>/dev/null >"$scratch/files"
	[ ! -s "$scratch/files" ] || { fail "files are left:"; show "$scratch/files"; }
	# shellcheck disable=SC2016 # the inner shell's
	unshare --mount --propagation private sh -c 'cat /proc/self/mountinfo >"$1/before" && "$1/sparena" check --semantics &&
		cat /proc/self/mountinfo >"$1/after"' sh "$scratch" >"$scratch/out" 2>"$scratch/err"
	cmp -s "$scratch/before" "$scratch/after" || { fail "mounts are left:"; show "$scratch/after" "$scratch/err"; }
else
	echo "not tried: other users, as this is not root, or lines are counted"
fi

if [ -z "$counted" ]; then
	(ulimit -f 8 && exec "$sparena" check --semantics) 2>"$scratch/err" | cat >"$scratch/out"
	all_rows
	row populate-read clean note "not tried: no room in /var/tmp: File too large"
	row punch-hole frees note "not tried: no memory file: File too large"
fi

# ---- where calls are refused, or do nothing and say that all is well

# under CODE STRACE_OPTION...
under()
{
	wanted=$1
	shift
	strace -f -qq -o "$scratch/trace" "$@" "$sparena" check --semantics >"$scratch/out" 2>"$scratch/err"
	code=$?
	grep -q INJECTED "$scratch/trace" || fail "$*: nothing was injected"
	[ $code -eq "$wanted" ] || { fail "$*: exit code $code, not $wanted"; show "$scratch/out" "$scratch/err"; }
}

if strace -f -o "$scratch/trace" true 2>"$scratch/err"; then
	under 0 -e trace=fsopen,unshare,userfaultfd,memfd_secret -e inject=fsopen,unshare,userfaultfd,memfd_secret:error=EPERM
	all_rows
	row populate backing-full note "not tried: no tmpfs can be mounted: Operation not permitted"
	row populate poison note "not tried: no page can be poisoned by userfaultfd: Operation not permitted"
	row populate secret note "not tried: no secret memory: Operation not permitted"
	under 0 -e trace=fsopen -e inject=fsopen:error=EPERM:when=1
	row populate backing-full "$([ "$(cat /proc/sys/user/max_user_namespaces)" -gt 0 ] && echo ok || echo note)" ""
	under 0 -e trace=openat -P /var/tmp -e inject=openat:error=EOPNOTSUPP
	row remove disk note "not tried: no unnamed file in /var/tmp: Operation not supported"
	row pageout dirty note "not tried: no unnamed file in /var/tmp"
	under 1 -e trace=fallocate -e inject=fallocate:retval=0
	row punch-hole frees problem "differs: resident: "
	row punch-hole keeps-size problem "differs: its last byte: 104, not 0; documented is: "
	row remove frees ok "as documented"
	out ", 4 differ, "
	under 0 -e trace=clone,clone3 -e inject=clone,clone3:error=EAGAIN
	row dontneed private note "not tried: no process for it: Resource temporarily unavailable"
	out "0 as documented, 0 differ, $rows not tried."
else
	echo "not tried: calls that are refused, as strace may not trace here"
fi

# ---- point 8: the kernel kills, in a cgroup of one's own

# populates ADVICE MIB SHARED CODE: in the cgroup
populates()
{
	ran "$4" in_cgroup "$python" -c "import mmap, os, sys
open('/proc/self/oom_score_adj', 'w').write('1000')
m = mmap.mmap(-1, $2 << 20, flags=mmap.MAP_ANONYMOUS | (mmap.MAP_SHARED if $3 else mmap.MAP_PRIVATE))
m.madvise($1)"
}

if make_cgroup 67108864; then
	no_cgroup_swap
	populates 23 16 0 0
	populates 23 128 0 137
	populates 22 16 1 0
	populates 22 128 1 137
	[ "$(cgroup_kills)" -ge 2 ] || fail "the kernel did not kill for want of memory: $(cgroup_kills)"
	remove_cgroup
else
	echo "not tried: the kernel's killing: $missing"
fi

# ---- with swap: on a device of one's own

control=/sys/class/zram-control
number=
[ ! -w $control/hot_remove ] || number=$(cat $control/hot_add 2>/dev/null)
[ -n "$number" ] || { echo "not tried: swap, as no zram device can be made"; finish; }
clean_up()
{
	remove_cgroup
	swapoff "/dev/zram$number" 2>/dev/null
	echo "$number" >$control/hot_remove
}
echo 64M >"/sys/block/zram$number/disksize" && mkswap "/dev/zram$number" >"$scratch/out" 2>&1 &&
	swapon "/dev/zram$number" 2>"$scratch/err" || { echo "not tried: swap: $(cat "$scratch/err")"; finish; }
check 0 --semantics
all_rows
row willneed swap ok "as documented"
row pageout swap ok "as documented"
row pageout shared ok "as documented"
row pageout no-swap note "not tried: swap is on"
ran 0 "$program"
grep -q 'swap.*no swap is on' "$scratch/out" && { fail "rows about swap were not tried:"; show "$scratch/out"; }
finish
