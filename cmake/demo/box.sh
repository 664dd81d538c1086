# SPDX-License-Identifier: BSD-2-Clause
# The box: a memory cgroup, where one can be made. Needs $box_mib.
# shellcheck shell=sh disable=SC2154

box=

# Where the memory controller is, in the tree of version 2 or 1, and our place in it.
find_tree()
{
	if grep -qsw memory /sys/fs/cgroup/cgroup.controllers; then
		tree=/sys/fs/cgroup
		limit_file=memory.max
		kills_file=memory.events
		own=$(sed -n 's/^0:://p' /proc/self/cgroup)
	else
		tree=/sys/fs/cgroup/memory
		limit_file=memory.limit_in_bytes
		kills_file=memory.oom_control
		own=$(awk -F: '$2 ~ /(^|,)memory(,|$)/ { print $3 }' /proc/self/cgroup)
	fi
}

# try_box DIRECTORY: a cgroup with the limit, which we may enter.
try_box()
{
	mkdir "$1" 2>/dev/null || return 1
	box=$1
	# A plain directory would take whatever is written to it.
	[ -e "$box/cgroup.procs" ] && [ -e "$box/$limit_file" ] &&
		echo $((box_mib << 20)) 2>/dev/null >"$box/$limit_file" &&
		[ "$(cat "$box/$limit_file")" = $((box_mib << 20)) ] &&
		sh -c 'echo $$ >"$1/cgroup.procs"' sh "$box" 2>/dev/null && return 0
	remove_box
	return 1
}

# At the top, which root may; or beside our own place or in it, which is a user's at times.
make_box()
{
	find_tree
	for parent in "$tree" "$tree${own%/*}" "$tree$own"; do
		try_box "$parent/sparena-demo.$$" || continue
		# With swap it would only be slow.
		{ echo 0 >"$box/memory.swap.max"; } 2>/dev/null
		{ echo $((box_mib << 20)) >"$box/memory.memsw.limit_in_bytes"; } 2>/dev/null
		return 0
	done
	return 1
}

# How many processes the kernel has killed in the box.
kills()
{
	[ -z "$box" ] || sed -n 's/^oom_kill //p' "$box/$kills_file"
}

# Only what was started here is in it. Its last process may take a moment to be gone.
remove_box()
{
	[ -n "$box" ] || return 0
	# shellcheck disable=SC2013 # a line is a word
	for pid in $(cat "$box/cgroup.procs" 2>/dev/null); do
		kill -9 "$pid" 2>/dev/null
	done
	tries=0
	until rmdir "$box" 2>/dev/null || [ $tries -eq 50 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	[ ! -d "$box" ] || echo "demo: cannot remove $box" >&2
	box=
}
