#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The same random operations here and on ext4 (oracle/oracle.c) come out the same, whoever does them and however they
# meet, and leave the same tree.  Now and then the filesystem is mounted anew in between; snapshots that were taken
# meanwhile are at the end what they were.  Needs root, to make devices, to act as others, and to mount the reference.
#   TH_ORACLE_OPERATIONS  how many (24000)
#   TH_ORACLE_STOP_EVERY  operations between two mounts (8000)
#   TH_ORACLE_WALK_EVERY  operations between two looks at the whole trees (500)
. "$(dirname "$0")/mount.sh"
operations=${TH_ORACLE_OPERATIONS:-24000}
every=${TH_ORACLE_STOP_EVERY:-8000}
walk=${TH_ORACLE_WALK_EVERY:-500}
reference=$work/reference
if [ "$(id -u)" -ne 0 ] || ! command -v mkfs.ext4 >/dev/null; then
	tap_skip "operations as on ext4" "needs root and mkfs.ext4"
	tap_done
fi

mount_reference() {
	truncate -s 4G "$work/reference.image" && mkfs.ext4 -q -O ea_inode -I 2048 "$work/reference.image" &&
		mkdir "$reference" && mount -o loop,noatime "$work/reference.image" "$reference"
}

# What waits in memory is written much later, or behind every other operation, by turns.
mount_ours() {
	commit=$([ "${commit:-5}" = 5 ] && echo 0.02 || echo 5)
	start -o "noatime,snapdir=hidden,commit=$commit" "$image" "$mnt"
}

# Operations from $1 on, up to the next stop.
play() {
	local to=$(($1 + every < operations ? $1 + every : operations))
	program oracle --seed "$seed" --from "$1" --to "$to" --walk "$walk" --snapshots "$mnt/tree" "$reference/tree"
}

# The snapshot that is taken here, with nothing open, outlives the mount.
remount() {
	manifest "$mnt" >"$work/manifest.$1" && mkdir "$mnt/.snapshots/stop-$1" && stop && th check "$image" && mount_ours
}

all_equal() {
	local at bad=0
	for at in $(ls "$mnt/.snapshots" | grep ^stop-); do
		manifest "$mnt/.snapshots/$at" | cmp - "$work/manifest.${at#stop-}" || { echo "$at differs"; bad=1; }
	done
	return $bad
}

check "ext4" mount_reference || tap_done
check "mkfs and mount" eval 'th mkfs --size 4G "$image" && mount_ours' || tap_done
# Everybody may work here, as in /tmp.
mkdir -m 1777 "$mnt/tree" "$reference/tree"
for ((at = 0; at < operations; at += every)); do
	check "operations from $at come out as on ext4" play "$at" || break
	check "mount anew" remount "$at" || break
done
check "the trees are the same" program oracle --seed "$seed" --from "$at" --to "$at" "$mnt/tree" "$reference/tree"
check "snapshots are what they were" all_equal
check "unmount" stop
check "check" th check "$image"
tap_done
