#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The sparena command: exit codes, messages, help; and what it promises of the program
# that it runs. Usage: test_cli.sh BUILD_DIR UNTIL_NULL
set -u

build=$(cd "${1:?usage: test_cli.sh BUILD_DIR UNTIL_NULL}" && pwd) || exit 1
until_null=${2:?}
sparena=$build/sparena
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
unset SPARENA_CONF LD_PRELOAD
failures=0
LC_ALL=C
export LC_ALL

fail()
{
	failures=$((failures + 1))
	echo "FAIL: $*"
	sed 's/^/    out: /' "$scratch/out"
	sed 's/^/    err: /' "$scratch/err"
}

# expect CODE ARG...: sparena ARG... exits with CODE.
expect()
{
	wanted=$1
	shift
	what="sparena $*"
	"$sparena" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
	code=$?
	[ "$code" -eq "$wanted" ] || fail "$what: exit code $code, not $wanted"
}

# out TEXT, err TEXT: what the last command wrote contains TEXT.
out()
{
	grep -qF -e "$1" "$scratch/out" || fail "$what: no \"$1\" in its output"
}

err()
{
	grep -qF -e "$1" "$scratch/err" || fail "$what: no \"$1\" in its messages"
}

silent()
{
	[ ! -s "$scratch/err" ] || fail "$what: messages where none belong"
}

# ---- the command itself

expect 0 --version
out "sparena 0.1.0"
expect 0 --help
out "Usage: sparena VERB"
out "run"
out "check"
silent
expect 2
err "no verb given"
err "Try 'sparena --help'"
expect 2 runn
err "unknown verb 'runn': did you mean 'run'?"
expect 2 chekc
err "did you mean 'check'?"
expect 2 frobnicate
err "unknown verb 'frobnicate'"
expect 2 --frobnicate
err "Try 'sparena --help'"

# ---- help names every option

for verb in run check; do
	expect 0 $verb --help
	out "Usage: sparena $verb"
	silent
	for key in backing thp reserve limit decay_ms commit_ahead stats_print stats_file strict log; do
		grep -q "^  $key:" "$scratch/out" || fail "sparena $verb --help: no $key"
	done
	expect 2 $verb --frobnicate
	err "Try 'sparena $verb --help'"
done

if [ -w /dev/full ]; then
	for option in --help --version; do
		what="sparena $option >/dev/full"
		"$sparena" $option >/dev/full 2>"$scratch/err"
		[ $? -eq 1 ] || fail "a full disk under $option goes unnoticed"
		err "cannot write to standard output: No space left on device"
	done
fi

# ---- run: usage

expect 2 run
err "no program given"
expect 2 run --limit
err "Try 'sparena run --help'"
expect 2 run --limit 12Q -- true
err 'limit:"12Q" is not a size: use bytes or a number with K, M, G, T (64M), a percentage (50%), auto or none'
expect 2 run --limit 64K -- true
err "limit:64K is below the 4M that start-up needs"
expect 2 run -l 18446744073709551616 -- true
err "is too large"
expect 2 run -l 16E true
err "is too large"
expect 2 run -l 99999999999999999999999999% true
err "is not a percentage"
expect 2 run -l -1 true
err "is not a size"
expect 2 run -l 1G,log:true true
err "contains a comma"
expect 2 run -o lmit:1G true
err 'unknown option "lmit": did you mean "limit"?'
expect 2 run -o closed:true true
err 'option "closed" is for regions'
expect 2 run --backing disk true
err 'backing:"disk" is not known: use anon'
expect 2 run -o reserve:1G,limit:2G true
err "reserve:1G is smaller than limit:2G"
expect 2 run --stats= true
err "--stats= needs a file name"
SPARENA_CONF=thp:bad
export SPARENA_CONF
expect 2 run true
err 'thp:"bad" is not known'
unset SPARENA_CONF

# ---- run: programs. Without the library there is nothing to run them with.

if [ ! -e "$build/libsparena_malloc.so" ]; then
	expect 1 run true
	err "cannot find libsparena_malloc.so"
	echo "no libsparena_malloc.so: programs are not run"
	[ "$failures" -eq 0 ] && exit 77
	exit 1
fi

expect 0 run true
silent
expect 0 run -- true
expect 1 run false
expect 7 run --limit 64M -- sh -c 'exit 7'
expect 127 run /nonexistent/program
err "sparena: cannot run '/nonexistent/program': No such file or directory"
expect 127 run sparena-no-such-program
err "cannot run 'sparena-no-such-program': No such file or directory"
expect 126 run /
err "cannot run '/': Permission denied"
: >"$scratch/plain"
expect 126 run "$scratch/plain"
err "Permission denied"

# Options of the program are the program's.
expect 0 run echo --help -l 12Q
out "--help -l 12Q"
expect 0 run -- echo -o
out "-o"

# The environment: what was there comes first, so that what is given counts.
SPARENA_CONF=limit:1G,log:false LD_PRELOAD=
export SPARENA_CONF LD_PRELOAD
expect 0 run -l 64M -b anon -o thp:never,decay_ms:0 sh -c 'echo "$SPARENA_CONF"; echo "$LD_PRELOAD"'
out "limit:1G,log:false,limit:64M,backing:anon,thp:never,decay_ms:0"
grep -qx ".*/libsparena_malloc.so[^:]*" "$scratch/out" || fail "$what: LD_PRELOAD is wrong"
unset SPARENA_CONF
LD_PRELOAD=$build/libsparena_malloc.so
expect 0 run sh -c 'echo "$LD_PRELOAD"'
grep -q ":$build/libsparena_malloc.so\$" "$scratch/out" || fail "$what: what LD_PRELOAD named is lost"
unset LD_PRELOAD
expect 0 run sh -c 'grep -q libsparena_malloc /proc/self/maps && echo "loaded $SPARENA_CONF"'
out "loaded "

# What is added to nothing, or nothing that is added, is no empty option.
SPARENA_CONF=
export SPARENA_CONF
expect 0 run -o log:false -o '' sh -c 'echo "<$SPARENA_CONF>"'
unset SPARENA_CONF
out "<log:false>"

# PATH, as execvp(3) has it: an empty part is the directory where one is, what is no program
# is passed over, and without PATH there are the usual ones.
mkdir "$scratch/path" "$scratch/path/here" "$scratch/path/other" "$scratch/path/other/prog"
printf '#!/bin/sh\necho it was found\n' >"$scratch/path/here/prog"
chmod +x "$scratch/path/here/prog"
long=$(printf '%5000s' '' | tr ' ' x)
for path in ":/bin:/usr/bin" "/bin::/usr/bin" "/bin:/usr/bin:" "/$long:$scratch/path/here:/bin"; do
	what="PATH=$path sparena run prog"
	(cd "$scratch/path/here" && PATH=$path exec "$sparena" run prog) >"$scratch/out" 2>"$scratch/err" </dev/null ||
		fail "$what: exit code $?"
	out "it was found"
	silent
done
what="sparena run true, without PATH"
(unset PATH && exec "$sparena" run true) >"$scratch/out" 2>"$scratch/err" </dev/null || fail "$what: exit code $?"
silent
what="sparena run /, without a name"
(exec 2>"$scratch/err" && cd "$scratch" && PATH='' exec "$sparena" run path) >"$scratch/out" </dev/null
[ $? -eq 126 ] || fail "$what: a directory was run"
err "cannot run 'path': Permission denied"

# Statistics.
expect 0 run --stats true
err "committed_peak"
(cd "$scratch" && "$sparena" run --stats=stats-%p sh -c 'cd / && exec true') || fail "run --stats=FILE"
what="sparena run --stats=FILE"
cat "$scratch"/stats-[0-9]* >"$scratch/out" 2>"$scratch/err"
out '"committed_peak": '
out '"backing": "anon"'

# Their file's place is that of the command: which may be the root, too deep, or gone.
(cd / && "$sparena" run --stats="${scratch#/}/root-%p" true) >"$scratch/out" 2>"$scratch/err" || fail "run --stats= in /"
cat "$scratch"/root-[0-9]* >"$scratch/out" 2>"$scratch/err"
what="sparena run --stats=FILE in /"
out '"committed_peak": '
expect 2 run --stats="$long" true
err "'$long': File name too long"
expect 2 run --stats=a,b true
err "contains a comma"
mkdir "$scratch/gone"
what="sparena run --stats=FILE in a directory that is gone"
(cd "$scratch/gone" && rmdir "$scratch/gone" && exec "$sparena" run --stats=file true) >"$scratch/out" 2>"$scratch/err" </dev/null
[ $? -eq 2 ] || fail "$what: exit code"
err "cannot make 'file' an absolute path: No such file or directory"

# A program that takes what there is and gives it back: the limit holds, what is charged
# is there, and what was freed is not.
expect 0 run --limit 64M -o decay_ms:0 --stats="$scratch/stats" -- "$until_null"
out "errno 12, again 1"
number() { sed -n "s/^.*\"$1\": *\([0-9][0-9]*\).*\$/\1/p" "$scratch/stats"; }
peak=$(number committed_peak)
[ "$peak" -gt 50000000 ] && [ "$peak" -le 67108864 ] || fail "$what: committed_peak is $peak"
charged=$(($(number committed) + $(number metadata)))
[ "$charged" -eq "$(number resident)" ] || fail "$what: $charged are charged, $(number resident) resident"
[ "$charged" -lt 8000000 ] || fail "$what: $charged are left at the end"

# What preloading does not reach.
if cc=$(command -v cc || command -v gcc); then
	echo 'int main(void) { return 3; }' >"$scratch/static.c"
	if "$cc" -static -o "$scratch/static" "$scratch/static.c" 2>/dev/null; then
		expect 3 run "$scratch/static"
		err "is statically linked: LD_PRELOAD does not reach it"
	fi
fi
# ELF headers: of 32 bits, with nothing behind it, and with a table that is not there. What the
# kernel does not run, execvp(3) has the shell try.
header() { printf '\177ELF\'"$1"'\001\001\000\000\000\000\000\000\000\000\000'; }
header 001 >"$scratch/short"
{ header 001; head -c 48 /dev/zero; } >"$scratch/bits32"
{
	header 002; printf '\002\000\076\000'; head -c 12 /dev/zero
	printf '\000\000\001\000\000\000\000\000'; head -c 14 /dev/zero # e_phoff; then the size and number of entries
	printf '\070\000\001\000'; head -c 6 /dev/zero
} >"$scratch/cut"
chmod +x "$scratch/short" "$scratch/bits32" "$scratch/cut"
for name in short cut bits32; do
	what="sparena run $name"
	# The shell may take a part of it for the name of a file to write.
	(cd "$scratch/path/here" && "$sparena" run "$scratch/$name") >"$scratch/out" 2>"$scratch/err" </dev/null && fail "$what: it ran"
	[ $name = bits32 ] || ! grep -q warning "$scratch/err" || fail "$what: a warning of what nobody knows"
done
err "warning: '$scratch/bits32' is not a 64-bit program: it keeps its own malloc"
cp "$scratch/bits32" "$scratch/path/here/" # it is looked at where execvp(3) finds it
for path in ":/bin:/usr/bin" "/bin::/usr/bin" "/bin:/usr/bin:" "/$long:$scratch/path/here:/bin"; do
	what="PATH=$path sparena run bits32"
	(cd "$scratch/path/here" && PATH=$path exec "$sparena" run bits32) >"$scratch/out" 2>"$scratch/err" </dev/null
	err "warning: 'bits32' is not a 64-bit program"
done
printf '#!/bin/sh\nexit 5\n' >"$scratch/script" && chmod 2755 "$scratch/script"
expect 5 run "$scratch/script" # its group is ours
silent
if [ "$(id -u)" -eq 0 ] && chgrp 65534 "$scratch/script" && chmod 2755 "$scratch/script"; then
	expect 5 run "$scratch/script"
	err "is set-user-ID or set-group-ID"
	chgrp 0 "$scratch/script" && chmod 4755 "$scratch/script"
	expect 5 run "$scratch/script" # nobody else becomes of it
	silent
fi
if [ "$(id -u)" -eq 0 ] && cp "$(command -v id)" "$scratch/setuid" && chown 65534 "$scratch/setuid" &&
	chmod u+s "$scratch/setuid"; then
	expect 0 run "$scratch/setuid"
	err "is set-user-ID"
fi

# A command without its library says where it looked.
mkdir "$scratch/bin" && cp "$sparena" "$scratch/bin/" && sparena=$scratch/bin/sparena
expect 1 run true
err "cannot find libsparena_malloc.so.0: it is neither in $scratch/bin nor in $scratch/bin/../lib"
cp -P "$build"/libsparena_malloc.so* "$scratch/bin/"
expect 0 run true
mkdir "$scratch/lib" && mv "$scratch/bin"/libsparena_malloc.so* "$scratch/lib/"
expect 0 run sh -c 'echo "$LD_PRELOAD"' # as it is installed
out "$scratch/lib/libsparena_malloc.so"
mkdir "$scratch/a b" "$scratch/a:b"
for odd in "a b" a:b; do
	cp "$build/sparena" "$scratch/lib"/libsparena_malloc.so* "$scratch/$odd/" && sparena=$scratch/$odd/sparena
	expect 1 run true
	err "cannot be preloaded: LD_PRELOAD has no way to name a path with a space or a colon in it"
done
sparena=$build/sparena

# ---- where /proc is not mounted, nobody knows where anything is

# shellcheck disable=SC2016,SC2086 # the inner shell's; and words are wanted
if unshare -m --propagation private sh -c 'umount -l /proc' 2>/dev/null; then
	for verb in "run true" "bench alloc -r 1"; do
		what="sparena $verb, without /proc"
		unshare -m --propagation private sh -c 'umount -l /proc && exec "$@"' sh "$sparena" $verb \
			>"$scratch/out" 2>"$scratch/err" </dev/null
		[ $? -eq 1 ] || fail "$what: exit code"
		err "cannot find out where this program is: is /proc mounted?"
	done
	what="sparena check, without /proc"
	unshare -m --propagation private sh -c 'umount -l /proc && exec "$@"' sh "$sparena" check -o limit:64M \
		>"$scratch/out" 2>"$scratch/err" </dev/null
	[ $? -eq 0 ] || fail "$what: exit code"
	for text in "memory         note     unknown" "/proc/self/pagemap cannot be read" "limit:64M: is available" \
		"drop-in        note     not found"; do
		out "$text"
	done
	silent
else
	echo "not tried: a machine without /proc, as unshare is refused"
fi

# ---- no memory

# without_memory MMAPS BRKS VERB: those calls of mmap(2) and brk(2) fail, as strace(1) has "when".
# shellcheck disable=SC2086 # words are wanted
without_memory()
{
	timeout -k 5 20 strace -o "$scratch/trace" -e trace=mmap,brk,write -e inject=mmap:error=ENOMEM:when="$1" \
		-e inject=brk:error=ENOMEM:when="$2" "$sparena" $3 >"$scratch/out" 2>"$scratch/err" </dev/null
}

# calls NAME: how many of its calls failed before something was said.
calls()
{
	sed '/^write(2, "sparena: /q' "$scratch/trace" | grep -c "^$1(.*INJECTED"
}

# starved VERB: no memory from the first time on that it is asked for, until it is told; what
# counts lines at the end (preset coverage) needs some again.
starved()
{
	what="sparena $1, without memory"
	without_memory 65535 2+ "$1" # the loader is done where more is wanted
	after=$(sed '/^brk(.*INJECTED/q' "$scratch/trace" | grep -c '^mmap(')
	without_memory "$((after + 1))+" 2+ "$1"
	mmaps=$(calls mmap)
	brks=$(calls brk)
	without_memory "$((after + 1))..$((after + mmaps))" "2..$((brks + 1))" "$1"
	code=$?
	[ "$code" -eq 1 ] || fail "$what: exit code $code"
	err "sparena: out of memory"
}

if strace -o "$scratch/trace" true 2>"$scratch/err"; then
	for verb in "run true" check "bench populate -s 4K -r 1 -b anon -x read" "bench alloc -a x=/lib"; do
		starved "$verb"
	done
else
	echo "not tried: a command without memory, as strace may not trace here"
fi

[ "$failures" -eq 0 ] || echo "$failures failed"
[ "$failures" -eq 0 ]
