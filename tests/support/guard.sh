# SPDX-License-Identifier: BSD-2-Clause
# What tests of the guard begin with; $support is this directory. Sourced.
# shellcheck shell=sh disable=SC2034,SC2154

# shellcheck source=tests/support/lib.sh
. "$support/lib.sh"
# shellcheck source=tests/support/cgroup.sh
. "$support/cgroup.sh"
# shellcheck source=tests/support/process.sh
. "$support/process.sh"
# shellcheck source=tests/support/hold.sh
. "$support/hold.sh"

box=256 # MiB

clean_up()
{
	[ -z "$holder" ] || end_process "$holder" KILL
	remove_cgroup
}

# What is over the limit would go to swap: slow, and another test's matter.
make_box()
{
	make_cgroup $((box << 20)) || skip "$missing"
	no_cgroup_swap
}

[ "$(id -u)" -eq 0 ] || skip "not root: no cgroup can be made"
