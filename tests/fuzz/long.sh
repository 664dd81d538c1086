#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Fuzzes for hours: sh tests/fuzz/long.sh [HOURS [BUILD_DIR]] (1, build/fuzz), each target in
# turn for ten minutes. What is found goes to BUILD_DIR/found/, and on from there the next time.
set -eu

hours=${1:-1}
build=${2:-build/fuzz}
corpora=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)/corpus
end=$(($(date +%s) + hours * 3600))
while [ "$(date +%s)" -lt "$end" ]; do
	for name in conf proc pages heap; do
		mkdir -p "$build/found/$name"
		echo "== $name, $((end - $(date +%s))) s left"
		"$build/tests/fuzz/fuzz_$name" -max_total_time=600 -artifact_prefix="$build/found/$name-" \
			"$build/found/$name" "$corpora/$name" 2>&1 | tail -n 3
	done
done
