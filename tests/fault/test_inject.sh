#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Each system call that the drop-in library makes fails in turn, once and for good:
# strace(1) makes them fail in a program that checks what must hold all the same. The
# loader's own calls, before the library's start, are left out.
# Usage: test_inject.sh FAULT_VICTIM
set -u

. "$(dirname "$0")/../support/lib.sh"

victim=${1:?usage: test_inject.sh FAULT_VICTIM}
SPARENA_CONF=limit:48M,log:true,strict:true,stats_print:true,stats_file:$scratch/stats
startup=45 # so many calls are tried one by one, as start-up has no second chance...
stride=${SPARENA_FAULT_STRIDE:-6} # ...and of the later ones each so many-th
seconds=120 # a run takes 0.05 s, or some seconds where each call is made 100 times over

# traced OPTION...: the victim under strace, in $mode; its exit code is the result.
traced()
{
	timeout -k 5 "$seconds" strace -f --seccomp-bpf -o "$scratch/trace" -E "SPARENA_CONF=$SPARENA_CONF" "$@" \
		"$victim" "$mode" >"$scratch/out" 2>"$scratch/err" </dev/null
}

# acceptable CODE SYSCALL: all is well; or, where failures last, there is no heap and the
# program was told so, a few times at most.
acceptable()
{
	case $1 in
	0) return 0 ;;
	3) [ "$mode" != once ] || return 1
		[ "$2" != write ] || return 0
		! grep -q '^sparena: limit' "$scratch/err" || return 0 # it did start, without memory
		said=$(grep -c '^sparena: cannot start' "$scratch/err")
		[ "$said" -ge 1 ] && [ "$said" -le 5 ] ;;
	*) return 1 ;;
	esac
}

# try SYSCALL ERRNO N: returns 1 when the run was not touched.
try()
{
	when=$3
	[ "$mode" = once ] || when=$when+
	# shellcheck disable=SC2086 # words are wanted: $also is a list
	traced -e "trace=$1" -e "inject=$1:error=$2:when=$when" $also
	code=$?
	grep -q "$1.*INJECTED" "$scratch/trace" || [ "$code" -ne 0 ] || return 1
	points=$((points + 1))
	[ "$code" -ne 3 ] || no_heap=$((no_heap + 1))
	acceptable "$code" "$1" && return 0
	fail "$1 fails with $2, $mode, call $(($3 - before)) since start-up: exit code $code"
	head -n 5 "$scratch/err" | sed 's/^/    /'
}

# each SYSCALL STEP ERRNO...: every STEP-th call of start-up, and beyond it a sixth of
# those; all with SPARENA_FAULT_STRIDE=1, which takes two minutes more.
each()
{
	syscall=$1
	step=$2
	shift 2
	before=$(calls_before_start "$syscall")
	for errno in "$@"; do
		n=$((before + 1))
		while try "$syscall" "$errno" "$n"; do
			[ $((n - before)) -le "$startup" ] && n=$((n + step)) || n=$((n + step * stride))
		done
	done
}

# some SYSCALL ERRNO N...: these calls since start-up.
some()
{
	syscall=$1
	errno=$2
	shift 2
	before=$(calls_before_start "$syscall")
	for n in "$@"; do
		try "$syscall" "$errno" "$((before + n))" || fail "$syscall: no call $n"
	done
}

calls_before_start()
{
	sed '/fault_victim: start/q' "$scratch/untouched" | grep -c "^[0-9]* *$1("
}

calls()
{
	grep -c "^[0-9]* *$1(" "$scratch/untouched"
}

# ---- what there is to fail ------------------------------------------------------

command -v strace >/dev/null || skip "no strace"
strace -f -o /dev/null true 2>/dev/null || skip "strace may not trace here"
strace --seccomp-bpf -f -o /dev/null true 2>/dev/null || skip "this strace knows no --seccomp-bpf"

mode=once
also=
points=0
no_heap=0
before=0
traced
code=$?
if [ $code -ne 0 ]; then
	fail "untouched: exit code $code"
	show "$scratch/err"
	finish
fi
cp "$scratch/trace" "$scratch/untouched"
grep -q 'fault_victim: start' "$scratch/untouched" || fail "the library's start was not seen"
at_least "$(calls madvise)" 50 "calls of madvise"

# A call that is not listed below would never fail.
known=" brk clone clone3 exit exit_group futex getpid rseq rt_sigaction rt_sigprocmask rt_sigreturn set_robust_list wait4 \
madvise mprotect mmap munmap open openat read pread64 ioctl close write prctl newfstatat sched_getaffinity gettid "
sed '1,/fault_victim: start/d' "$scratch/untouched" | sed -n 's/^[0-9]* *\([a-z_0-9]*\)(.*/\1/p' | sort -u >"$scratch/made"
while read -r name; do
	case $known in
	*" $name "*) ;;
	*) fail "the library calls $name, which this test does not know" ;;
	esac
done <"$scratch/made"

# ---- every point ----------------------------------------------------------------

for mode in once lasts; do
	each madvise 1 ENOMEM EINVAL
	each madvise 9 EFAULT EIO EPERM EACCES EBADF EHWPOISON
	each mprotect 1 ENOMEM EACCES
	each mmap 1 ENOMEM
	each mmap 3 EAGAIN EPERM EINVAL
	[ "$mode" = once ] || mode=leaks
	each munmap 1 ENOMEM EINVAL
	[ "$mode" = once ] || mode=lasts
	each open 1 ENOENT EACCES EMFILE ENFILE ENOMEM EINTR
	each openat 1 ENOENT EMFILE
	each openat 3 EACCES ENFILE ENOMEM EINTR ELOOP EPERM
	each read 1 EIO EINTR
	each read 3 EAGAIN EISDIR EINVAL EBADF
	each ioctl 2 ENOTTY EINVAL EINTR EFAULT ENOMEM EBADF
	also="-e trace=pread64,ioctl -e inject=ioctl:error=ENOTTY" # as before Linux 6.7
	some pread64 EIO 1 2 40
	some pread64 EINTR 1 2 40
	also=
	each close 2 EIO EINTR EBADF
	each write 1 EAGAIN EBADF EINTR EIO ENOSPC
	each prctl 1 EINVAL ENOMEM EBADF
	each newfstatat 5 EBADF ENOMEM # the same question each time: is it still that file?
	each sched_getaffinity 1 EINVAL EPERM
done

# Tried again, but not for ever: 100 times for each call, so only here and there.
mode=once
each madvise 9 EAGAIN EINTR
mode=lasts
some madvise EAGAIN 1 3 20 60
some madvise EINTR 1 3 20 60

echo "$points points tried, at $no_heap of them the heap could not start"
finish
