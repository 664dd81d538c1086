#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Soaks for hours: sh tests/stress/soak.sh [HOURS [BUILD_DIR]] (1, build/release), both programs
# at the same time, each with a seed of its own, which it prints. Ends when both have ended.
set -eu

hours=${1:-1}
build=${2:-build/release}
SPARENA_SOAK_SECONDS=$((hours * 3600))
SPARENA_CONF=limit:256M,strict:true
export SPARENA_SOAK_SECONDS SPARENA_CONF
code=0
"$build/tests/stress/stress_soak" &
first=$!
if [ -e "$build/libsparena_malloc.so" ]; then
	LD_PRELOAD=$build/libsparena_malloc.so "$build/tests/stress/stress_soak_malloc" || code=1
fi
wait "$first" || code=1
exit $code
