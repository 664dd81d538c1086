#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Each suite fails when a promise that it tests is switched off.
# Usage: test_broken.sh [--self-test] CTEST BUILD_DIR [TEST...]
set -u

# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
find_python
# shellcheck disable=SC2154 # set by find_python
"$python" -B "$(dirname "$0")/broken.py" "$@" || fail "see above"
finish
