#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What is installed can be built with, in each way that people do it, and goes away
# again. Usage: test_install.sh BUILD_DIR VERSION
set -u

# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

build=$(cd "${1:?usage: test_install.sh BUILD_DIR VERSION}" && pwd) || exit 1
version=${2:?}
consumer=$(cd "$(dirname "$0")/consumer" && pwd) || exit 1
cc=${CC:-cc}
command -v pkg-config >/dev/null || skip "no pkg-config"
command -v "$cc" >/dev/null || skip "no C compiler $cc"
unset DESTDIR PKG_CONFIG_PATH PKG_CONFIG_LIBDIR LD_LIBRARY_PATH

# What the user may have installed from here must still be uninstallable afterwards.
for list in install_manifest.txt install_directories.txt; do
	[ ! -e "$build/$list" ] || mv "$build/$list" "$scratch/kept-$list"
done
clean_up()
{
	for list in install_manifest.txt install_directories.txt; do
		rm -f "$build/$list"
		[ ! -e "$scratch/kept-$list" ] || mv "$scratch/kept-$list" "$build/$list"
	done
}

# list DIRECTORY: what is in it
list() { (cd "$1" && find . -mindepth 1 | sort); }

# ---- install -------------------------------------------------------------------------

# Moved after it was installed: nothing in it may hold the place where it was.
ran 0 cmake --install "$build" --prefix "$scratch/first"
out "LD_LIBRARY_PATH="
mv "$scratch/first" "$scratch/tree"
tree=$scratch/tree
pc=$(dirname "$(find "$tree" -name sparena.pc)")
lib=$(dirname "$pc")
for file in bin/sparena include/sparena/region.h share/doc/sparena/LICENSE \
	share/doc/sparena/LICENSE.jemalloc share/man/man1/sparena.1 libexec/sparena/workload; do
	[ -f "$tree/$file" ] || fail "$file is not installed"
done
for name in sparena sparena_malloc; do
	soname=$(readelf -d "$lib/lib$name.so" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
	[ "$soname" = "lib$name.so.${version%%.*}" ] || fail "lib$name.so has the soname $soname"
	[ "$(readlink "$lib/$soname")" = "lib$name.so.$version" ] || fail "$soname leads to $(readlink "$lib/$soname")"
done
readelf -V "$lib/libsparena.so" | grep -q SPARENA_0.1 || fail "libsparena.so has no symbol versions"
! grep -rIl -e "$scratch" -e "$build" "$tree" || fail "these files name the machine they were made on"

# ---- consumers -----------------------------------------------------------------------

export PKG_CONFIG_PATH="$pc" SPARENA_CONF=limit:32M,strict:true
[ "$(pkg-config --modversion sparena_malloc)" = "$version" ] || fail "sparena_malloc.pc has a wrong version"

# built COMMAND...: a compiler's, without a word.
built()
{
	ran 0 "$@" && quiet
}

# went PROGRAM: under the limit, and with the version that was installed
went()
{
	ran 0 timeout 60 "$@"
	out "version $version"
	out "refused and went on"
}

flags() { pkg-config --cflags --libs "$@"; }

echo "C with pkg-config"
# shellcheck disable=SC2046 # words are wanted
{
	built "$cc" -Wall -Wextra -o "$scratch/c" "$consumer/limit.c" $(flags sparena_malloc)
	LD_LIBRARY_PATH=$lib went "$scratch/c"
	out "limit $((32 << 20)),"
	built "$cc" -Wall -Wextra -o "$scratch/region" "$consumer/region.c" $(flags sparena)
	LD_LIBRARY_PATH=$lib ran 0 "$scratch/region"
	out "committed 0, over the limit -12"
}

echo "C, static, with pkg-config"
# shellcheck disable=SC2046
{
	built "$cc" -static -o "$scratch/static" "$consumer/limit.c" $(flags --static sparena_malloc)
	went "$scratch/static"
	built "$cc" -static -o "$scratch/region-static" "$consumer/region.c" $(flags --static sparena)
	ran 0 "$scratch/region-static"
}

# As where the prefix is one that the compiler looks in by itself.
echo "C with plain -l"
CPATH=$tree/include LIBRARY_PATH=$lib built "$cc" "$consumer/limit.c" -o "$scratch/plain" -lsparena_malloc
LD_LIBRARY_PATH=$lib went "$scratch/plain"
ldd "$scratch/plain" >"$scratch/out"
out "libsparena_malloc.so.0"

if command -v c++ >/dev/null; then
	echo "C++ with pkg-config, by a linker that leaves out what is not named"
	# shellcheck disable=SC2046
	built c++ -Wl,--as-needed -o "$scratch/cxx" "$consumer/limit.cpp" $(flags sparena_malloc)
	LD_LIBRARY_PATH=$lib ran 0 timeout 60 "$scratch/cxx"
	out "refused and went on"
	# shellcheck disable=SC2046
	built c++ -static -o "$scratch/cxx-static" "$consumer/limit.cpp" $(flags --static sparena_malloc)
	ran 0 timeout 60 "$scratch/cxx-static"
	out "refused and went on"
fi

echo "the installed command"
ran 0 "$tree/bin/sparena" run --limit 48M sh -c 'echo "$LD_PRELOAD"; grep -c libsparena_malloc /proc/self/maps'
out "$lib/libsparena_malloc.so.0"
ran 0 "$tree/bin/sparena" bench alloc --rounds 1 --workloads storm --allocators sparena
out "storm: threads"

if command -v c++ >/dev/null; then
	echo "C and C++ with find_package, shared and static"
	ran 0 cmake -S "$consumer" -B "$scratch/cmake" -DCMAKE_PREFIX_PATH="$tree"
	ran 0 cmake --build "$scratch/cmake"
	for way in malloc malloc_static; do
		ran 0 timeout 60 "$scratch/cmake/cxx_$way"
		out "refused and went on"
	done
	for way in shared static; do
		ran 0 "$scratch/cmake/c_$way"
		ran 0 "$scratch/cmake/cxx_$way"
		out "version $version, committed 0"
	done
	# A version that is not this one.
	sed 's/find_package(sparena 0.1/find_package(sparena 9.9/' "$consumer/CMakeLists.txt" >"$scratch/CMakeLists.txt"
	mkdir "$scratch/other" && cp "$consumer"/*.c* "$scratch/CMakeLists.txt" "$scratch/other/"
	ran 1 cmake -S "$scratch/other" -B "$scratch/other/build" -DCMAKE_PREFIX_PATH="$tree"
else
	echo "no C++ compiler: find_package is not tried"
fi

# ---- uninstall -----------------------------------------------------------------------

mv "$tree" "$scratch/first"
ran 0 cmake --build "$build" --target uninstall
[ ! -e "$scratch/first" ] || { fail "left after uninstall:"; list "$scratch/first"; }
ran 1 cmake -P "$build/package/uninstall.cmake"
err "Nothing to remove"

# With DESTDIR, into a tree that is somebody else's too.
mkdir -p "$scratch/dest/opt/it/include/sparena" "$scratch/dest/opt/it/bin"
echo mine >"$scratch/dest/opt/it/include/sparena/mine.h"
list "$scratch/dest" >"$scratch/before"
export DESTDIR="$scratch/dest"
ran 0 cmake --install "$build" --prefix /opt/it
[ -x "$scratch/dest/opt/it/bin/sparena" ] || fail "DESTDIR: nothing is there"
ran 0 cmake --install "$build" --prefix /opt/it
ran 0 cmake --build "$build" --target uninstall
list "$scratch/dest" >"$scratch/after"
cmp -s "$scratch/before" "$scratch/after" || { fail "DESTDIR: uninstall left or took something"; diff "$scratch/before" "$scratch/after"; }

finish
