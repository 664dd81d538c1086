#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Threats of doc/security.md that need a real program: whom the environment reaches, who can
# open what memory comes from, and what of it is seen by those who come later.
# Usage: test_security.sh BUILD_DIR SECURE_PROBE
set -u

# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
build=${1:?usage: test_security.sh BUILD_DIR SECURE_PROBE}
probe=${2:?}
dropin=$build/libsparena_malloc.so
chmod 755 "$scratch"

# with CONF COMMAND...
with()
{
	conf=$1
	shift
	env LD_PRELOAD="$dropin" SPARENA_CONF="$conf" "$@"
}

# ---- the environment of privileged programs

cp "$probe" "$scratch/probe"
ran 0 env SPARENA_CONF="limit:64M,stats_file:$scratch/stats" "$scratch/probe" && out "limit 67108864,"
[ -s "$scratch/stats" ] || fail "no statistics were written: the next test would show nothing"
rm -f "$scratch/stats"
if [ "$(id -u)" -eq 0 ] && chown 65534 "$scratch/probe" && chmod 4755 "$scratch/probe" &&
	! findmnt -n -o OPTIONS -T "$scratch" | grep -q nosuid; then
	mkdir -m 777 "$scratch/open"
	ran 0 env SPARENA_CONF="limit:64M,stats_print:true,stats_file:$scratch/open/stats" "$scratch/probe" &&
		out "limit -1," && quiet
	[ ! -e "$scratch/open/stats" ] || fail "a set-user-ID program wrote where the environment told it to"
else
	echo "skipped: set-user-ID programs: not root, or $scratch is mounted nosuid"
fi

# ---- who can open a heap's file

umask 0
mkdir "$scratch/files"
file=$scratch/files/heap
with "backing:file,path:$file,strict:true" stat -c %a-%U-%h "$file" >"$scratch/out" 2>&1
out "600-$(id -un)-1"
[ ! -e "$file" ] || fail "the file is there when its program has ended"

# refused WHAT TEXT: what is at $file is not used, and stays as it is.
refused()
{
	before=$(ls -l "$scratch/files"; cat "$scratch/files/victim")
	with "backing:file,path:$file" true 2>"$scratch/err"
	err "$2"
	[ "$before" = "$(ls -l "$scratch/files"; cat "$scratch/files/victim")" ] || fail "$1: something was changed"
	rm -f "$file"
}

echo precious >"$scratch/files/victim"
ln -s victim "$file" && refused "a symbolic link" "is a symbolic link"
ln -s nothing "$file" && refused "a dangling link" "is a symbolic link"
ln "$scratch/files/victim" "$file" && refused "a second name of a file" "not a regular file with one name"
: >"$file" && chmod 644 "$file" && refused "a file that others can read" "with mode 0600"
mkfifo -m 600 "$file" && refused "a FIFO" "not a regular file"
if [ "$(id -u)" -eq 0 ]; then
	: >"$file" && chmod 600 "$file" && chown 65534 "$file" && refused "another user's file" "is another user's"
fi

# Statistics do not follow links either, nor do they stop a program that has ended well.
ln -s victim "$scratch/files/link"
ran 0 with "stats_file:$scratch/files/link" true
grep -qx precious "$scratch/files/victim" || fail "statistics were written through a symbolic link"

# ---- descriptors

# targets: what the descriptors of ls -l /proc/PID/fd, on stdin, lead to.
targets()
{
	sed -n 's/.* -> //p' | sed 's,/proc/[0-9]*/fd,/proc/PID/fd,' | sort
}

# A program that is started has none of them: no memfd, no file, no helper's socket, nothing
# but what it would have without us. (env takes the library away, and is one process with its
# program.)
list='exec env -u LD_PRELOAD ls -l /proc/self/fd'
sh -c "$list" >"$scratch/both" 2>&1
targets <"$scratch/both" >"$scratch/plain"
for conf in backing:memfd backing:memfd,guard:helper "backing:file,path:$scratch/files"; do
	with "$conf" sh -c 'ls -l /proc/$$/fd; '"$list" >"$scratch/both" 2>&1
	grep -qE "memfd:sparena|$scratch/files/.*\(deleted\)" "$scratch/both" ||
		fail "$conf: no descriptor was seen at all"
	awk '/^total/ { part++ } part == 2' "$scratch/both" | targets >"$scratch/out"
	comm -13 "$scratch/plain" "$scratch/out" >"$scratch/more"
	[ -s "$scratch/out" ] && [ ! -s "$scratch/more" ] || { fail "$conf: left open:"; show "$scratch/out"; }
done

# ---- what others left behind

# A program gets no byte that another one, or an earlier run, had in its memory.
for conf in backing:anon backing:memfd "backing:file,path:$scratch/files" "backing:file,path:$file,keep:true"; do
	for run in 1 2; do
		ran 0 env SPARENA_CONF="limit:64M,$conf" "$probe" && out "foreign bytes 0"
		[ "$conf" = "${conf%keep:true}" ] || { : >"$file" && chmod 600 "$file"; }
	done
done
finish
