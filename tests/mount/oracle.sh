#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The same random operations by several users, here and on ext4 (oracle/oracle.c), have the same results and leave the
# same tree.  The filesystem is remounted at intervals; snapshots taken on the way are unchanged at the end.  Needs
# root, to make device nodes, to change the user, and to mount the reference.
#   TH_ORACLE_OPERATIONS  operations (24000)
#   TH_ORACLE_STOP_EVERY  operations between two mounts (8000)
#   TH_ORACLE_WALK_EVERY  operations between two comparisons of the whole trees (500)
. "$(dirname "$0")/../support/mount_test.sh"
operations=${TH_ORACLE_OPERATIONS:-24000}
every=${TH_ORACLE_STOP_EVERY:-8000}
walk=${TH_ORACLE_WALK_EVERY:-500}
reference=$work/reference
if [ "$(id -u)" -ne 0 ] || ! command -v mkfs.ext4 >/dev/null; then
	tap_skip "operations have the same results as on ext4" "needs root and mkfs.ext4"
	tap_done
fi

mount_reference() {
	truncate -s 4G "$work/reference.image" && mkfs.ext4 -q -O ea_inode -I 2048 "$work/reference.image" &&
		mkdir "$reference" && mount -o loop,noatime "$work/reference.image" "$reference"
}

# The commit interval alternates: changes become durable after every few operations, or much later.
mount_ours() {
	commit=$([ "${commit:-5}" = 5 ] && echo 0.02 || echo 5)
	start -o "noatime,snapdir=hidden,snapsuid,commit=$commit" "$image" "$mnt"
}

# play N : the operations from this one up to the next remount
play() {
	local to=$(($1 + every < operations ? $1 + every : operations))
	program oracle --seed "$seed" --from "$1" --to "$to" --walk "$walk" --snapshots "$mnt/tree" "$reference/tree"
}

# Takes a snapshot, with no file open, to be compared at the end.
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

mount_reference >"$work/reference.log" 2>&1 && mountpoint -q "$reference" || bail_out "ext4: $(tail -n 1 "$work/reference.log")"
check "mkfs and mount" eval 'th mkfs --size 4G "$image" && mount_ours'
# All users may write here, as in /tmp.
mkdir -m 1777 "$mnt/tree" "$reference/tree"
for ((at = 0; at < operations; at += every)); do
	check "operations from $at have the same results as on ext4" play "$at" || break
	check "nothing is wrong after them, and the image mounts again" remount "$at" || break
done
check "the trees are equal at the end" program oracle --seed "$seed" --from "$at" --to "$at" "$mnt/tree" "$reference/tree"
check "snapshots are unchanged" all_equal
check "unmount" stop
check "nothing is wrong in the image" th check "$image"
tap_done
