#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Many snapshots over a changing tree.  Each still equals the manifest that was recorded of the live tree when it was
# taken; after a half was deleted in random order and after the next mount, the others do; with all deleted the space is
# back, to within 4 MiB.
#   TH_SNAPSHOTS        how many (50)
#   TH_SNAPSHOTS_EDITS  changes between two (15)
#   TH_SNAPSHOTS_FILES  files in the tree, about (80)
. "$(dirname "$0")/mount.sh"
count=${TH_SNAPSHOTS:-50}
edits=${TH_SNAPSHOTS_EDITS:-15}
files=${TH_SNAPSHOTS_FILES:-80}
manifests=$work/manifests
mkdir "$manifests"

take_all() {
	local i
	for ((i = 0; i < count; i++)); do
		program edit "$mnt/tree" $((seed + i)) "$edits" "$files" && manifest "$mnt/tree" >"$manifests/$i" &&
			mkdir "$mnt/.snapshots/$i" || return 1
	done
}

all_equal() {
	local name bad=0
	for name in $(ls "$manifests"); do
		manifest "$mnt/.snapshots/$name/tree" | cmp -s - "$manifests/$name" || { echo "snapshot $name differs"; bad=1; }
	done
	[ "$(ls "$mnt/.snapshots" | sort)" = "$(ls "$manifests" | sort)" ] || { echo "other snapshots are listed"; bad=1; }
	return $bad
}

# Deletes that many in random order, by both ways that there are.
delete_some() {
	local name n=0
	for name in $(ls "$manifests" | shuf -n "$1" --random-source=<(yes "$seed")); do
		rm "$manifests/$name"
		if [ $((n++ % 2)) -eq 0 ]; then
			rmdir "$mnt/.snapshots/$name" || return 1
		else
			th snapshot delete "$mnt" "$name" || return 1
		fi
	done
}

space_is() {
	local free tries
	for ((tries = 0; tries < 50; tries++)); do
		free=$(number free_bytes)
		[ "$free" -ge $(($1 - (4 << 20))) ] && break
		sleep 0.2
		settle # what was removed is gone when the kernel lets go of it
	done
	echo "# $2: $free bytes free, $1 expected" >&3
	[ "$free" -ge $(($1 - (4 << 20))) ] || { echo "free: $free, expected at least $1 less 4 MiB"; return 1; }
}

exec 3>&1
check "mkfs and mount" fresh "${TH_SNAPSHOTS_SIZE:-1G}" || tap_done
settle
empty=$(number free_bytes)
mkdir "$mnt/tree" && program edit "$mnt/tree" "$seed" $((4 * files)) "$files"
begin=$SECONDS
check "$count snapshots" take_all
say "taken in $((SECONDS - begin)) s, manifests included"
begin=$SECONDS
check "each equals its manifest" all_equal
say "read in $((SECONDS - begin)) s"
check "half are deleted" delete_some $((count / 2))
check "each other equals its manifest" all_equal
check "unmount" stop
check "check" th check "$image"
check "mount" start "$image" "$mnt"
check "each equals its manifest after the next mount" all_equal
check "the others are deleted" delete_some "$count"
check "none is left" eval '[ -z "$(ls "$mnt/.snapshots")" ]'

# The same tree, written once into a fresh image, takes as much space.
stop
mv "$image" "$work/aged"
check "another image" fresh "${TH_SNAPSHOTS_SIZE:-1G}"
mkdir "$work/aged.mnt"
start "$work/aged" "$work/aged.mnt"
aged=$daemon
cp -a "$work/aged.mnt/tree" "$mnt/tree" && settle
once=$(number free_bytes)
stop # of the other image
daemon=$aged
stop "$work/aged.mnt"
mv "$work/aged" "$image"
check "mount the first one" start "$image" "$mnt"
settle
check "the space of all snapshots is back" space_is "$once" "the tree without snapshots"
check "rm -rf" rm -rf "$mnt/tree"
settle
check "all space is back" space_is "$empty" "empty"
check "unmount at the end" stop
check "check at the end" th check "$image"
tap_done
