#!/bin/sh
# quickstart.sh build|demo|test: from a bare Debian to a build, a demonstration, or the
# whole test run. Installs what is missing (as root, or by sudo) and says what it does.
set -eu

usage="usage: sh cmake/quickstart.sh build|demo|test
  build  the release build without its tests, in build/release/
  demo   builds, then shows what sparena does to five programs at their limit
  test   builds and tests release, dev (assertions), asan, tsan, valgrind and coverage, and
         fuzz where Clang has libFuzzer; SPARENA_PRESETS=\"dev asan\" names fewer"

say() { printf '\n== %s\n' "$*"; }
die() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

to_build="build-essential cmake ninja-build pkg-config git ca-certificates"
to_demo="python3 memcached sqlite3 lua5.4"
to_test="libcmocka-dev valgrind patch strace debootstrap libjemalloc2 rustc e2fsprogs mount redis-tools qemu-system-x86 cpio"
to_test="$to_test libpython3.11-testsuite libevent-dev manpages-dev gcovr"
# Any version of the server will do.
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || to_demo="$to_demo postgresql"

all_presets="release dev asan tsan valgrind coverage"

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

# build PRESET [OPTION...]: with the tests, if no option of CMake's says otherwise.
build() {
	preset=$1
	say "build: $preset"
	shift
	cmake --preset "$preset" "$@" && cmake --build --preset "$preset"
}

build_without_tests() {
	build release -DSPARENA_TESTS=OFF
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
  $word  $(printf '%-33s %2d min %2d s' "$name" $((took / 60)) $((took % 60)))"
	[ $word = passed ] || failed=1
	[ $word = passed ]
}

# run_tests PRESET [PART]: of a preset that is run in parts, one.
run_tests() {
	part=$1${2+-$2}
	say "test: $part"
	code=0
	rm -f "build/$1/$part.xml"
	ctest --preset "$part" --test-output-size-passed 1000000 --output-junit "$part.xml" || code=$?
	report_skipped "build/$1/$part.xml"
	return $code
}

test_preset() {
	case $1 in
	release)
		step "test what can run beside others" run_tests release together || :
		step "test the rest" run_tests release alone || :
		;;
	*) step "test $1" run_tests "$1" || : ;;
	esac
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
	for results in "build/$1/$1"*.xml; do
		[ -r "$results" ] || continue
		print_failed "$1" "$results"
	done
}

print_failed() {
	awk -v preset="$1" '
		/<testcase / { failed = /status="fail"/; lines = 0; split($0, quoted, "\"") }
		failed { line[lines++ % 30] = $0 }
		failed && /<\/testcase>/ {
			printf "\n== failed in %s: %s\n", preset, quoted[2]
			for (i = lines > 30 ? lines - 30 : 0; i < lines; i++)
				print line[i % 30]
		}' "$2"
}

report_coverage() {
	cmake --build --preset coverage-report
}

has_libfuzzer() {
	command -v clang >/dev/null 2>&1 &&
		echo 'int LLVMFuzzerTestOneInput(const char *data, unsigned long size) { return size && !data; }' |
		clang -fsanitize=fuzzer,address -x c -o /dev/null - 2>/dev/null
}

# What libFuzzer is there to do, the release's tests, which have a driver of their own, do shortly.
choose_presets() {
	presets=${SPARENA_PRESETS-}
	[ -z "$presets" ] || return 0
	presets=$all_presets
	if has_libfuzzer; then
		presets="$presets fuzz"
		SPARENA_FUZZ_SECONDS=${SPARENA_FUZZ_SECONDS:-10}
		export SPARENA_FUZZ_SECONDS
	fi
}

test_all() {
	started=$(date +%s)
	choose_presets
	for preset in $presets; do
		if step "build $preset" build "$preset"; then
			test_preset "$preset"
		fi
		[ "$preset" != coverage ] || step "coverage" report_coverage || :
	done
	took=$(($(date +%s) - started))
	for preset in $presets; do
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
	build_without_tests
	;;
demo)
	need $to_build $to_demo
	build_without_tests
	exec sh cmake/demo.sh
	;;
test)
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
