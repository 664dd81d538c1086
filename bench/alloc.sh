# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154
# Figures over all workloads, and over real programs: `sparena bench alloc`, some times, and
# what the runs say together.

runs=${BENCH_RUNS:-3}

# all_runs KIND COMMAND...: runs it so often, with a file for its JSON as the last argument.
all_runs()
{
	kind=$1
	shift
	need_stock
	need_memory 6
	command -v python3 >/dev/null || { echo "skipped: apt-get install python3"; exit 77; }
	files=
	for run in $(seq "$runs"); do
		progress "  run $run of $runs
"
		"$@" --progress ${BENCH_ROUNDS:+--rounds "$BENCH_ROUNDS"} --json "$work/$run.json" >"$work/tables" ||
			{ cat "$work/tables"; exit 1; }
		[ -z "${BENCH_JSON-}" ] || cp "$work/$run.json" "$BENCH_JSON.$run"
		files="$files $work/$run.json"
	done
	# shellcheck disable=SC2086 # as many as there are
	python3 "$bench/runs.py" "$kind" $files
}

figure_workloads() { all_runs plain "$build/sparena" bench alloc --full; }

figure_programs()
{
	BENCH_BUILD=$build
	export BENCH_BUILD
	all_runs program sh "$bench/programs.sh" --
}
