#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Runs a fuzz target from a corpus for $SPARENA_FUZZ_SECONDS (60, 280 at most); what it finds beside the
# corpus is thrown away, an input that fails is shown.
# Usage: run.sh FUZZ_TARGET CORPUS
set -u

# shellcheck source=tests/support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
target=${1:?usage: run.sh FUZZ_TARGET CORPUS}
corpus=${2:?}
mkdir "$scratch/new"
cd "$scratch" || exit 1
timeout 290 "$target" -max_total_time="${SPARENA_FUZZ_SECONDS:-60}" -len_control=0 new "$corpus" >out 2>&1
code=$?
if [ $code -ne 0 ]; then
	fail "exit code $code"
	tail -n 40 out
	for input in failed-input crash-* timeout-* oom-*; do
		[ ! -e "$input" ] || { echo "$input, base64:"; base64 "$input"; }
	done
fi
tail -n 1 out
finish
