#!/bin/sh
# quickstart.sh build|demo|test: from a bare Debian to a build, a demonstration, or the
# whole test run. Installs what is missing (as root, or by sudo) and says what it does.
set -eu

usage="usage: sh cmake/quickstart.sh build|demo|test
  build  the release build, in build/release/
  demo   builds, then shows what sparena does to five programs at their limit
  test   builds and tests release, dev (assertions), asan, tsan and valgrind;
         SPARENA_PRESETS=\"dev coverage\" names others"

say() { printf '\n== %s\n' "$*"; }
die() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

to_build="build-essential cmake ninja-build pkg-config git ca-certificates libcmocka-dev"
to_demo="python3 memcached sqlite3 lua5.4"
to_test="valgrind strace debootstrap libjemalloc2 rustc e2fsprogs mount redis-tools qemu-system-x86 cpio"
# Any version of the server will do.
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || to_demo="$to_demo postgresql"

all_presets="release dev asan tsan valgrind" # coverage: when it is asked for

is_installed() {
	[ "$(dpkg-query -W -f='${Status}' "$1" 2>/dev/null)" = "install ok installed" ]
}

install_debian() {
	missing=
	for package in "$@"; do
		is_installed "$package" || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0

	if [ "$(id -u)" -eq 0 ]; then
		as_root=
	elif command -v sudo >/dev/null 2>&1; then
		as_root=sudo
	else
		die "these packages are missing, and I am neither root nor have sudo:$missing"
	fi
	say "installing$missing"
	$as_root apt-get -q update
	# shellcheck disable=SC2086 # words are wanted: $missing is a list, $as_root may be nothing
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $missing
	for server in memcached postgresql; do
		case "$missing " in
		*" $server "*) say "Debian may have started $server; nothing here uses that one: service $server stop" ;;
		esac
	done
}

# Elsewhere we cannot install, only say what is needed and stop when it is not there.
check_others() {
	say "not a Debian-like system: nothing is installed"
	echo "needed: a C11 compiler, make, cmake 3.25 or later, ninja, pkg-config, CMocka;"
	echo "for the demo also memcached, PostgreSQL, python3, sqlite3 and lua, for the tests all these,"
	echo "valgrind, strace, libjemalloc.so.2, rustc, Redis and mkfs.ext4; what is not here is left out"
	for tool in cc make cmake ninja pkg-config; do
		command -v "$tool" >/dev/null 2>&1 || die "$tool is not here"
	done
}

need() {
	if command -v apt-get >/dev/null 2>&1 && command -v dpkg-query >/dev/null 2>&1; then
		install_debian "$@"
	else
		check_others
	fi
}

build() {
	say "build: $1"
	cmake --preset "$1" && cmake --build --preset "$1"
}

# One line of the summary for each step, with its time; a failed one lets the others still run.
summary=
failed=0
step() {
	name=$1
	shift
	began=$(date +%s)
	word=passed
	"$@" || word=FAILED
	took=$(($(date +%s) - began))
	summary="$summary
  $word  $(printf '%-16s %2d min %2d s' "$name" $((took / 60)) $((took % 60)))"
	[ $word = passed ] || failed=1
	[ $word = passed ]
}

run_tests() {
	say "test: $1"
	code=0
	rm -f "build/$1/output.xml"
	ctest --preset "$1" --test-output-size-passed 1000000 --output-junit output.xml || code=$?
	report_skipped "build/$1/output.xml"
	return $code
}

# ctest shows no output of a test that passed, nor of one that was skipped. (Its own log is
# lost when a test runs ctest.)
report_skipped() {
	[ -r "$1" ] || return 0
	left_out=$(sed -n 's/^.*<system-out>//; s/^skipped: /  /p' "$1" | sort | uniq -c)
	[ -z "$left_out" ] || { say "left out"; echo "$left_out"; }
}

# Once more at the end, for who sees no more than that: the last lines of each failed test.
report_failed() {
	[ -r "build/$1/output.xml" ] || return 0
	awk -v preset="$1" '
		/<testcase / { failed = /status="fail"/; lines = 0; split($0, quoted, "\"") }
		failed { line[lines++ % 30] = $0 }
		failed && /<\/testcase>/ {
			printf "\n== failed in %s: %s\n", preset, quoted[2]
			for (i = lines > 30 ? lines - 30 : 0; i < lines; i++)
				print line[i % 30]
		}' "build/$1/output.xml"
}

report_coverage() {
	cmake --build --preset coverage-report
}

test_all() {
	started=$(date +%s)
	for preset in ${SPARENA_PRESETS:-$all_presets}; do
		if step "build $preset" build "$preset"; then
			step "test $preset" run_tests "$preset" || :
		fi
		[ "$preset" != coverage ] || step "coverage" report_coverage || :
	done
	took=$(($(date +%s) - started))
	for preset in ${SPARENA_PRESETS:-$all_presets}; do
		report_failed "$preset"
	done
	say "summary$summary"
	echo "  in all  $((took / 60)) min $((took % 60)) s"
	return $failed
}

[ $# -eq 1 ] || { echo "$usage" >&2; exit 2; }
cd "$root"
# shellcheck disable=SC2086 # words are wanted: these are lists
case $1 in
build)
	need $to_build
	build release
	;;
demo)
	need $to_build $to_demo
	build release
	exec sh cmake/demo.sh
	;;
test)
	case " ${SPARENA_PRESETS-} " in
	*" coverage "*) to_test="$to_test gcovr" ;;
	esac
	need $to_build $to_demo $to_test
	test_all
	;;
-h | --help)
	echo "$usage"
	;;
*)
	echo "$usage" >&2
	exit 2
	;;
esac
