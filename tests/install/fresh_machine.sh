#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# README's two commands, as somebody types them on a Debian 12 that was just installed:
# debootstrap's smallest system with git and certificates in a directory of its own, a
# clone, the commands. Prints how long each took. Needs root, debootstrap, a mirror.
# Usage: fresh_machine.sh [VERB...]    VERB of cmake/quickstart.sh; demo test if none
# MIRROR=URL names the mirror; otherwise it is the one that this machine uses.
set -u

suite=bookworm
source=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
skip() { echo "skipped: $*"; exit 77; }
die() { echo "fresh_machine: $*" >&2; exit 1; }

[ $# -gt 0 ] || set -- demo test
[ -z "${SPARENA_FRESH_MACHINE-}" ] || skip "this is the fresh machine already"
[ "$(id -u)" -eq 0 ] || skip "only root can make a root directory"
command -v debootstrap >/dev/null || skip "no debootstrap: apt-get install debootstrap"
git -C "$source" rev-parse HEAD >/dev/null 2>&1 || skip "$source is no clone that could be cloned"

# ---- in a mount and process namespace of its own, which leaves nothing behind ----------

if [ -z "${FRESH_MACHINE_ROOT-}" ]; then
	FRESH_MACHINE_ROOT=$(mktemp -d) && chmod 755 "$FRESH_MACHINE_ROOT" || exit 1
	export FRESH_MACHINE_ROOT
	trap 'rm -rf --one-file-system "$FRESH_MACHINE_ROOT"' EXIT
	trap 'exit 1' HUP INT TERM
	unshare --mount --pid --fork --kill-child true 2>/dev/null || skip "no namespaces can be made here"
	unshare --mount --pid --fork --kill-child sh "$0" "$@"
	exit $?
fi
root=$FRESH_MACHINE_ROOT

# The first address in this machine's list of packages.
mirror_here()
{
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
		sed -n 's/^deb  *\(\[[^]]*\]  *\)*\([a-z]*:[^ ]*\) .*/\2/p; s/^URIs: *\([^ ]*\).*/\1/p' | head -n 1
}

mirror=${MIRROR:-$(mirror_here)}
mirror=${mirror:-http://deb.debian.org/debian}

timed()
{
	what=$1
	shift
	start=$(date +%s)
	"$@"
	status=$?
	took=$(($(date +%s) - start))
	times="$times
  $what: $((took / 60)) min $((took % 60)) s, status $status"
	return $status
}
times=

echo "== a fresh Debian ($suite)"
timed debootstrap debootstrap --variant=minbase --include=ca-certificates,git "$suite" "$root" "$mirror" \
	>"$root.log" 2>&1 || { tail -n 5 "$root.log"; rm -f "$root.log"; skip "debootstrap failed: no mirror?"; }
rm -f "$root.log"

# How this machine reaches its packages is all that the fresh one is told of it.
rm -f "$root/etc/apt/sources.list"
for file in /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/apt.conf /etc/apt/apt.conf.d /etc/resolv.conf; do
	[ ! -e "$file" ] || cp -RL "$file" "$root$(dirname "$file")/"
done
mount -t proc proc "$root/proc" && mount --rbind /sys "$root/sys" && mount --rbind /dev "$root/dev" ||
	die "cannot mount what a machine has"

git clone -q --no-hardlinks "$source" "$root/root/sparena" || die "cannot clone $source"
git -C "$root/root/sparena" remote remove origin

inside()
{
	chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
		SPARENA_FRESH_MACHINE=1 ${SPARENA_PRESETS:+SPARENA_PRESETS="$SPARENA_PRESETS"} ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
		sh -c 'cd /root/sparena && exec sh cmake/quickstart.sh "$1"' sh "$1"
}

failed=0
for verb in "$@"; do
	echo "== sh cmake/quickstart.sh $verb"
	timed "sh cmake/quickstart.sh $verb" inside "$verb" || failed=1
done
echo "== on the fresh machine$times"
exit $failed
