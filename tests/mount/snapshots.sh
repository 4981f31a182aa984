#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Many snapshots of a changing tree.  Each equals the manifest of the live tree at the time it was taken, also after
# half of them were deleted in random order, and after the next mount.  With all deleted their space is free again, to
# within 4 MiB.
#   TH_SNAPSHOTS        snapshots (50)
#   TH_SNAPSHOTS_EDITS  changes between two (15)
#   TH_SNAPSHOTS_FILES  files in the tree, about (80)
#   TH_SNAPSHOTS_SIZE   size of the image (1G)
. "$(dirname "$0")/../support/mount_test.sh"
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

# delete_some N : in random order, half of them by rmdir and half by the tool
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

# The space of a removed file comes back when the kernel forgets the inode.
has_free() {
	settle && free=$(info_number free_bytes) && [ "$free" -ge $(($1 - (4 << 20))) ]
}
space_is() {
	local free status
	wait_for has_free "$1"
	status=$?
	say "free: $free bytes, expected $1 (- 4 MiB)"
	return "$status"
}

check "mkfs and mount" fresh "${TH_SNAPSHOTS_SIZE:-1G}" -o snapsuid
settle
empty=$(info_number free_bytes)
mkdir "$mnt/tree" && program edit "$mnt/tree" "$seed" $((4 * files)) "$files"
begin=$SECONDS
check "$count snapshots are taken" take_all
say "taken in $((SECONDS - begin)) s, manifests included"
begin=$SECONDS
check "each snapshot equals its manifest" all_equal
say "read in $((SECONDS - begin)) s"
check "half of the snapshots are deleted" delete_some $((count / 2))
check "each remaining snapshot equals its manifest" all_equal
check "unmount" stop
check "nothing is wrong in the image" th check "$image"
check "the image mounts again" start -o snapsuid "$image" "$mnt"
check "each snapshot equals its manifest after the next mount" all_equal
check "the other snapshots are deleted" delete_some "$count"
check "no snapshot is left" eval 'is "" "$(ls "$mnt/.snapshots")"'

# The same tree, written once into a new image, takes as much space.
check "unmount the aged image" stop
mv "$image" "$work/aged"
check "a new image is mounted" fresh "${TH_SNAPSHOTS_SIZE:-1G}" -o snapsuid
mkdir "$work/aged.mnt"
new=$daemon
check "the aged image is mounted beside it" start -o snapsuid "$work/aged" "$work/aged.mnt"
check "the tree is copied into the new image" eval 'cp -a "$work/aged.mnt/tree" "$mnt/tree" && settle'
once=$(info_number free_bytes)
check "unmount the aged image again" stop "$work/aged.mnt"
daemon=$new
check "unmount the new image" stop
mv "$work/aged" "$image"
check "the aged image mounts" start -o snapsuid "$image" "$mnt"
check "the aged image has as much free space as the new one" space_is "$once"
check "rm -rf of the tree" rm -rf "$mnt/tree"
check "all space is free again" space_is "$empty"
check "unmount at the end" stop
check "nothing is wrong in the image at the end" th check "$image"
tap_done
