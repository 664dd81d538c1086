# SPDX-License-Identifier: BSD-2-Clause
# A memory control group of one's own, of either version. For test scripts, after lib.sh.
# Where it cannot be made, $missing says why.
# shellcheck shell=sh disable=SC2034

cgroup=

# try_cgroup PARENT BYTES: one that takes a limit and can be entered.
try_cgroup()
{
	if grep -qsw memory "$1/cgroup.controllers"; then
		cgroup_version=2 cgroup_limit=memory.max cgroup_usage=memory.current cgroup_events=memory.events
		{ echo +memory >"$1/cgroup.subtree_control"; } 2>/dev/null
	else
		cgroup_version=1 cgroup_limit=memory.limit_in_bytes cgroup_usage=memory.usage_in_bytes
		cgroup_events=memory.oom_control
		[ -e "$1/$cgroup_limit" ] || return 1
	fi
	mkdir "$1/sparena-test-$$" 2>/dev/null || return 1
	cgroup=$1/sparena-test-$$
	[ -e "$cgroup/cgroup.procs" ] && { echo "$2" >"$cgroup/$cgroup_limit"; } 2>/dev/null && in_cgroup cat /dev/null 2>/dev/null &&
		return 0
	remove_cgroup
	return 1
}

# make_cgroup BYTES: in $cgroup. At the top, which root may; or beside our own place or in it.
make_cgroup()
{
	own=$(awk -F: '$2 ~ /(^|,)memory(,|$)/ || $1 == 0 { print $3; exit }' /proc/self/cgroup)
	for tree in /sys/fs/cgroup/memory /sys/fs/cgroup /sys/fs/cgroup/unified; do
		for parent in "$tree" "$tree${own%/*}" "$tree$own"; do
			try_cgroup "$parent" "$1" && return 0
		done
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

# Nothing of it goes to swap. Version 1 has a limit of both that is never below the other.
no_cgroup_swap()
{
	{ echo 0 >"$cgroup/memory.swap.max"; } 2>/dev/null
	{ cat "$cgroup/$cgroup_limit" >"$cgroup/memory.memsw.limit_in_bytes"; } 2>/dev/null
	:
}

set_cgroup_limit()
{
	{ echo -1 >"$cgroup/memory.memsw.limit_in_bytes"; } 2>/dev/null
	echo "$1" >"$cgroup/$cgroup_limit" && no_cgroup_swap
}

cgroup_use() { cat "$cgroup/$cgroup_usage"; }

# How many processes the kernel has killed in it.
cgroup_kills() { sed -n 's/^oom_kill //p' "$cgroup/$cgroup_events"; }

# Its last process may take a moment to be gone.
remove_cgroup()
{
	[ -n "$cgroup" ] || return 0
	tries=0
	until rmdir "$cgroup" 2>/dev/null || [ $tries -eq 50 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	[ ! -d "$cgroup" ] || echo "cannot remove $cgroup"
	cgroup=
}
