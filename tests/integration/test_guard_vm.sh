#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Cases of test_guard.sh in a virtual machine of 512 MiB with cgroups of version 2, which is Debian's
# kernel and a small system in memory, made of this one's programs; and the same on the
# machine as a whole. Usage: test_guard_vm.sh GROW HOLD LIBRARY CACHE_DIRECTORY [CASE...],
# where "all" is all that it can run, in every size. SPARENA_GUARD_RUNS as there;
# SPARENA_VM_KERNEL: another kernel; SPARENA_VM_SECONDS: how long it may take.
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/support/lib.sh
. "$here/../support/lib.sh"
usage="usage: test_guard_vm.sh GROW HOLD LIBRARY CACHE_DIRECTORY [CASE...]"
grow=${1:?$usage}
hold=${2:?$usage}
library=${3:?$usage}
cache=${4:?$usage}
shift 4
quick=
case $# in
0) quick=1 && set -- grow race high helper machine ;;
esac
[ "$1" != all ] || set -- grow race levels high limits descriptors python helper machine
tools="sh cat ls sed grep awk mount umount head tail sort seq mktemp rm mkdir rmdir mkfifo sleep wc basename dirname id stat
	timeout env tr chmod date cut"
qemu=$(command -v qemu-system-x86_64) || skip "no qemu-system-x86_64"
[ "$(uname -m)" = x86_64 ] || skip "for x86-64 alone"
command -v cpio >/dev/null || skip "no cpio"

# ---- the kernel: the package's, taken apart, not installed

find_kernel()
{
	kernel=${SPARENA_VM_KERNEL-}
	for kernel in ${kernel:-"$cache"/boot/vmlinuz-* /boot/vmlinuz-*cloud-amd64}; do
		[ -r "$kernel" ] && return 0
	done
	package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p')
	[ -n "$package" ] || skip "no package linux-image-cloud-amd64"
	mkdir -p "$cache" && chmod 755 "$scratch"
	(cd "$scratch" && apt-get -q download "$package" >"$scratch/err" 2>&1) || skip "$package: $(tail -n 1 "$scratch/err")"
	dpkg-deb --fsys-tarfile "$scratch/$package"_*.deb | tar -x -C "$cache" ./boot || skip "$package cannot be taken apart"
	kernel=$(ls "$cache"/boot/vmlinuz-*)
}

# ---- the system

root=$scratch/root

# put FILE...: at the same place there, with the libraries that it needs.
put()
{
	for file in "$@"; do
		[ -e "$root$file" ] && continue
		mkdir -p "$root$(dirname "$file")"
		cp -L "$file" "$root$file" || exit 1
		# shellcheck disable=SC2046 # words are wanted
		put $(ldd "$file" 2>/dev/null | sed -n 's/.* => \(\/[^ ]*\) (.*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p')
	done
}

put_python()
{
	python=/usr/bin/python3
	[ -x "$python" ] || return 0
	put "$python"
	standard=$("$python" -c 'import os; print(os.path.dirname(os.__file__))')
	mkdir -p "$root$standard"
	cp "$standard"/*.py "$root$standard/"
	cp -R "$standard/encodings" "$standard/collections" "$root$standard/"
}

make_system()
{
	mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/test/tests/integration" "$root/test/tests/support"
	for tool in $tools; do
		put "$(command -v "$tool")"
	done
	mkdir -p "$root/bin" && cp -L "$(command -v sh)" "$root/bin/sh"
	put_python
	cp "$here/test_guard.sh" "$here/test_guard_helper.sh" "$root/test/tests/integration/"
	cp "$here"/../support/*.sh "$here"/../support/*.py "$root/test/tests/support/"
	cp "$grow" "$root/test/grow" && cp "$hold" "$root/test/hold" && cp -L "$library" "$root/test/library.so" || exit 1
	write_init "$@" >"$root/init"
	chmod 755 "$root/init" "$root/bin/sh"
	(cd "$root" && find . | cpio --quiet -o -H newc) >"$scratch/system"
}

write_init()
{
	cat <<END
#!/bin/sh
PATH=/usr/bin:/bin:/usr/sbin:/sbin
export PATH
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /tmp
export SPARENA_GUARD_MACHINE=1 SPARENA_GUARD_RUNS=${SPARENA_GUARD_RUNS:-1} SPARENA_GUARD_QUICK=$quick
echo "vm: Linux \$(cat /proc/sys/kernel/osrelease), \$(sed -n 's/MemTotal: *//p' /proc/meminfo)"
for case in $*; do
	if [ \$case = helper ]; then
		SPARENA_GUARD_HITS=${SPARENA_GUARD_HITS:-2} sh /test/tests/integration/test_guard_helper.sh hits /test/hold /test/library.so 2>&1
	else
		sh /test/tests/integration/test_guard.sh \$case /test/grow /test/hold /test/library.so 2>&1
	fi
	echo "vm: \$case ended with \$?, \$(cut -d' ' -f1 /proc/uptime) s"
done
echo "vm: done"
echo o >/proc/sysrq-trigger
sleep 10
END
}

# ---- running it

find_kernel
make_system "$@"
timeout "${SPARENA_VM_SECONDS:-580}" "$qemu" -accel tcg,thread=multi -cpu max -smp 2 -m 512 -nographic -no-reboot -nic none \
	-kernel "$kernel" -initrd "$scratch/system" -append "console=ttyS0 quiet panic=-1 oops=panic" \
	</dev/null >"$scratch/console" 2>&1
tr -d '\r' <"$scratch/console" | sed -n '/vm: Linux/,$p' >"$scratch/out"
cat "$scratch/out"
grep -q '^vm: done' "$scratch/out" || { fail "the virtual machine did not get to its end"; show "$scratch/console"; }
for case in "$@"; do
	ended=$(sed -n "s/^vm: $case ended with \([0-9]*\),.*/\1/p" "$scratch/out")
	[ "${ended:-none}" = 0 ] || fail "$case: ${ended:-none}"
done
finish
