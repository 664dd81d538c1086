#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Each system call that the drop-in library makes fails in turn, once and for good:
# strace(1) makes them fail in a program that checks what must hold all the same. The
# loader's own calls, before the library's start, are left out.
# Usage: test_inject.sh FAULT_VICTIM [memory|files|helper OPTIONS]: with OPTIONS added, of
# all these those for memory alone, those for files whose pages are memory, or those of the
# helper process and of who asks it.
set -u

# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

victim=${1:?usage: test_inject.sh FAULT_VICTIM [memory|files|helper OPTIONS]}
what=${2:-all}
more=${3-}
SPARENA_CONF=limit:48M,log:true,strict:true,stats_print:true,stats_file:$scratch/stats${more:+,$more}
startup=45 # so many calls are tried one by one, as start-up has no second chance...
stride=${SPARENA_FAULT_STRIDE:-15} # ...and of the later ones each so many-th
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
	echo "$1 $2 $mode" >>"$scratch/points"
	[ "$code" -ne 3 ] || no_heap=$((no_heap + 1))
	acceptable "$code" "$1" && return 0
	echo "$1 $2 failed" >>"$scratch/points"
	fail "$1 fails with $2, $mode, call $(($3 - before)) since start-up: exit code $code"
	head -n 5 "$scratch/err" | sed 's/^/    /'
}

# each SYSCALL STEP ERRNO...: every STEP-th call of start-up, and beyond it a fifteenth of
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

# first SYSCALL N... ERRNO...: the N-th calls of each process.
first()
{
	syscall=$1
	shift
	before=0
	numbers=
	for word in "$@"; do
		case $word in
		E*) for n in $numbers; do
				try "$syscall" "$word" "$n" || fail "$syscall: no call $n"
			done ;;
		*) numbers="$numbers $word" ;;
		esac
	done
}

# Behind the mark the loader protects what it has relocated, against writing.
calls_before_start()
{
	{
		sed '/fault_victim: start/q' "$scratch/untouched"
		sed '1,/fault_victim: start/d' "$scratch/untouched" | grep 'mprotect(.* PROT_READ)'
	} | grep -c "^[0-9]* *$1("
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
[ "$(sed -n '/fault_victim: start/,$p' "$scratch/untouched" | grep -c 'sparena: limit')" -eq 1 ] ||
	fail "the library's start was not seen"
at_least "$(calls madvise)" 50 "calls of madvise"

# A call that is not listed below would never fail.
known=" brk clone clone3 exit exit_group futex getpid rseq rt_sigaction rt_sigprocmask rt_sigreturn set_robust_list wait4 \
madvise mincore mprotect mmap munmap open openat read pread64 ioctl close write prctl newfstatat sched_getaffinity gettid \
access fcntl prlimit64 "
# Those of shared memory, of forks with it, and of the helper process: test_calls_process
# makes them fail in this one, and what stands below in the helper.
[ "$what" = all ] || known="$known memfd_create ftruncate fallocate fstatfs lseek getrlimit pipe2 \
sigaltstack geteuid getuid pidfd_open socketpair sendmsg recvfrom poll waitid kill shutdown rseq close_range setsid chdir \
mremap mlock ppoll recvmsg "
sed '1,/fault_victim: start/d' "$scratch/untouched" | sed -n 's/^[0-9]* *\([a-z_0-9]*\)(.*/\1/p' | sort -u >"$scratch/made"
while read -r name; do
	case $known in
	*" $name "*) ;;
	*) fail "the library calls $name, which this test does not know" ;;
	esac
done <"$scratch/made"

# ---- every point ----------------------------------------------------------------

memory()
{
	for mode in once lasts; do
		each madvise 1 ENOMEM
		each madvise 4 EINVAL
		each mprotect 1 ENOMEM
		each mprotect 4 EACCES
		each mmap 1 ENOMEM
		each mincore 3 ENOMEM EAGAIN
		[ "$mode" = once ] || mode=leaks
		each munmap 1 ENOMEM
		each munmap 4 EINVAL
	done
}

# The other errors of the same calls.
more_memory()
{
	for mode in once lasts; do
		each madvise 9 EFAULT EIO EPERM EACCES EBADF EHWPOISON
		each mmap 3 EAGAIN EPERM EINVAL
	done
	# Tried again, but not for ever: 100 times for each call, so only here and there.
	mode=once
	each madvise 9 EAGAIN EINTR
	mode=lasts
	some madvise EAGAIN 1 3 20 60
	some madvise EINTR 1 3 20 60
}

# Of /proc, of /sys and of cgroups, and those that the program's end writes.
system_files()
{
	for mode in once lasts; do
		each open 1 ENOENT EACCES EMFILE ENFILE ENOMEM EINTR
		each openat 1 ENOENT
		each openat 4 EMFILE EACCES ENFILE ENOMEM EINTR ELOOP EPERM
		each read 1 EIO
		each read 4 EINTR EAGAIN EISDIR EINVAL EBADF
		each ioctl 2 ENOTTY EINVAL EINTR EFAULT ENOMEM EBADF
		also="-e trace=pread64,ioctl -e inject=ioctl:error=ENOTTY" # as before Linux 6.7
		some pread64 EIO 1 2 40
		some pread64 EINTR 1 2 40
		also=
		each close 2 EIO
		each close 6 EINTR EBADF
		each write 1 EAGAIN EBADF EINTR EIO ENOSPC
		each prctl 1 EINVAL ENOMEM EBADF
		each access 1 ENOENT EACCES
		each fcntl 1 EMFILE EINVAL
		each newfstatat 5 EBADF ENOMEM # the same question each time: is it still that file?
		each sched_getaffinity 1 EINVAL EPERM
	done
}

# Whose pages are memory.
memory_files()
{
	for mode in once lasts; do
		each memfd_create 1 EMFILE ENFILE ENOMEM
		each ftruncate 1 EFBIG EPERM EINTR
		each fcntl 1 EMFILE EPERM
		each fallocate 3 ENOSPC EINTR EIO EOPNOTSUPP
		each madvise 5 EIO EAGAIN ENOMEM
		each lseek 1 EINVAL EIO
		each pread64 5 EIO EINTR
		each pipe2 1 EMFILE ENFILE
		each rt_sigaction 1 EINVAL
	done
}

# Each process counts its own calls: what only the helper calls, fails in it alone; of others
# the first ones do in both.
helper()
{
	for mode in once lasts; do
		first close_range 1 2 3 ENOSYS
		first rseq 1 EINVAL EPERM
		first setsid 1 EPERM
		first chdir 1 ENOENT EACCES
		first mlock 1 ENOMEM EPERM EAGAIN
		first mremap 1 2 9 ENOMEM EAGAIN
		first ppoll 1 2 5 ENOMEM EINVAL
		first recvmsg 1 2 5 ENOMEM ECONNRESET
		[ "$mode" = once ] || mode=leaks
		first munmap 1 2 3 ENOMEM EINVAL
		[ "$mode" = once ] || mode=lasts
		first prctl 1 2 3 EINVAL EPERM
		first write 1 2 3 4 EPIPE EIO
		first fallocate 1 2 5 ENOSPC EIO EPERM
		also="-P /proc/self/oom_score_adj"
		first openat 1 EACCES EMFILE ENOENT
		also=
		first pidfd_open 1 ENOSYS EMFILE
		first socketpair 1 EMFILE ENFILE
		first sendmsg 1 3 EAGAIN ECONNRESET ENOMEM
		first recvfrom 1 3 ENOMEM
		first waitid 1 3 9 ECHILD
		first shutdown 1 ENOTCONN
	done
	# From then on it would take the ten seconds that a helper may.
	mode=once
	first ppoll 1 2 5 EINTR EAGAIN
	first recvmsg 1 2 5 EINTR EAGAIN
	first recvfrom 1 3 EINTR
	first fallocate 1 2 5 EINTR
}

case $what in
all) memory; more_memory; system_files ;;
memory) memory ;;
files) memory_files ;;
helper) helper ;;
*) fail "no such calls: $what" ;;
esac

# What was tried: a line for each call and error. (leaks: for good, where memory may be lost.)
table()
{
	awk -v what="drop-in${more:+, $what}" '{
		key = $1 " " $2
		if (!(key in seen)) { seen[key] = 1; order[n++] = key }
		count[key, $3 == "leaks" ? "lasts" : $3]++
	}
	END {
		for (i = 0; i < n; i++) {
			split(order[i], k, " ")
			printf "  %-26s %-24s %-14s once %4d, for good %4d, failed %d\n", what, k[1], k[2],
				count[order[i], "once"], count[order[i], "lasts"], count[order[i], "failed"]
		}
	}' "$scratch/points"
}

table
echo "$points points tried, at $no_heap of them the heap could not start"
finish
