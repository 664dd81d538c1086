#!/bin/sh
# debian-source.sh PACKAGE DIRECTORY: downloads PACKAGE's Debian source, unpacked by
# nobody, into DIRECTORY. The system's apt configuration is only read: source entries are
# switched on in a copy, and the package lists go to a directory of their own.
set -eu

package=$1
directory=$2

command -v apt-get >/dev/null || { echo "no apt-get here" >&2; exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$scratch/parts" "$scratch/lists/partial" "$scratch/cache/archives/partial"
chmod 755 "$scratch"

for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
	[ -f "$file" ] || continue
	sed -n 's/^deb[[:space:]]/deb-src /p' "$file" >"$scratch/parts/$(basename "$file" .list).list"
done
for file in /etc/apt/sources.list.d/*.sources; do
	[ -f "$file" ] || continue
	sed 's/^Types:.*/Types: deb-src/' "$file" >"$scratch/parts/$(basename "$file")"
done

apt() {
	apt-get -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$scratch/parts" \
		-o Dir::State::lists="$scratch/lists" -o Dir::Cache="$scratch/cache" \
		-o APT::Sandbox::User="$(id -un)" "$@"
}

# A third party's entry without sources makes update fail; Debian's may be there all the same.
apt update || true
cd "$directory"
apt source --download-only "$package"
