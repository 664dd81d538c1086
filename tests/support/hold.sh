# SPDX-License-Identifier: BSD-2-Clause
# The program hold, which takes memory and gives it back as it is told. For test scripts,
# after lib.sh and process.sh.
# shellcheck shell=sh disable=SC2034,SC2154

holder= # its process id, while it runs

# hold_start COMMAND...: what is to be run, with no more than an exec before it.
hold_start()
{
	rm -f "$scratch/tell"
	mkfifo "$scratch/tell" || exit 1
	: >"$scratch/told"
	"$@" <"$scratch/tell" >"$scratch/told" 2>"$scratch/err" &
	holder=$!
	exec 9>"$scratch/tell"
	lines=0
}

# tell COMMAND: its answer's number is in $answer.
tell()
{
	echo "$1" >&9
	lines=$((lines + 1))
	tries=0
	until [ "$(wc -l <"$scratch/told")" -ge $lines ]; do
		tries=$((tries + 1))
		if [ $tries -ge 200 ] || has_ended "$holder"; then
			fail "$1: no answer"
			show "$scratch/told" "$scratch/err"
			finish
		fi
		sleep 0.05
	done
	answer=$(sed -n "${lines}s/.* //p" "$scratch/told")
	echo "  $1: $(sed -n "${lines}p" "$scratch/told")"
}

# hold_stop: it ends well when there is nothing more to read.
hold_stop()
{
	exec 9>&-
	wait "$holder" || fail "the holder: exit code $?"
	holder=
}
