# SPDX-License-Identifier: BSD-2-Clause
# A memory control group of one's own, of either version. For test scripts, after lib.sh.
# Where it cannot be made, $missing says why.
# shellcheck shell=sh disable=SC2034

cgroup=

# make_cgroup BYTES: in $cgroup.
make_cgroup()
{
	name=sparena-test-$$
	for parent in /sys/fs/cgroup/memory /sys/fs/cgroup /sys/fs/cgroup/unified; do
		limit=memory.limit_in_bytes
		if grep -qs memory "$parent/cgroup.controllers"; then
			limit=memory.max
			echo +memory >"$parent/cgroup.subtree_control"
		elif [ ! -e "$parent/$limit" ]; then
			continue
		fi 2>/dev/null
		mkdir "$parent/$name" 2>/dev/null || continue
		cgroup=$parent/$name
		echo "$1" 2>/dev/null >"$cgroup/$limit" && return 0
		remove_cgroup
	done
	missing="no memory control group can be made"
	return 1
}

# in_cgroup COMMAND...: with its memory counted there.
in_cgroup()
{
	# shellcheck disable=SC2016 # $0 and $@ are the inner shell's
	sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$cgroup" "$@"
}

remove_cgroup()
{
	[ -n "$cgroup" ] || return 0
	for _ in 1 2 3 4 5; do
		rmdir "$cgroup" 2>/dev/null && break
		sleep 0.2
	done
	cgroup=
}
