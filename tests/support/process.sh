# SPDX-License-Identifier: BSD-2-Clause
# Ends processes that were started here. For test scripts and the demonstration.
# shellcheck shell=sh

# has_ended PID: there is nothing left of our child but its exit code.
has_ended()
{
	case $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) in
	"" | Z*) return 0 ;;
	esac
	return 1
}

# end_process PID SIGNAL...: asks for ten seconds by the first, and so on. More than once,
# since a signal that comes between fork and exec is lost. The exit code is its own.
end_process()
{
	ending=$1
	shift
	for signal in "$@"; do
		tries=0
		until has_ended "$ending" || [ $tries -eq 100 ]; do
			kill "-$signal" "$ending" 2>/dev/null
			tries=$((tries + 1))
			sleep 0.1
		done
	done
	wait "$ending" 2>/dev/null
}
