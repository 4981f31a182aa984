#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A killed daemon that does not end, because the kernel keeps one of its threads, does not hang the programs on its mount.
# Here the thread waits for the filesystem below the image, which is frozen.
. "$(dirname "$0")/../support/mount_test.sh"

if [ "$(id -u)" -ne 0 ] || ! command -v mkfs.ext4 fsfreeze >/dev/null; then
	tap_skip "a daemon that the kernel keeps" "needs root, mkfs.ext4 and fsfreeze"
	tap_done
fi
below=$work/below
mkdir "$below"
truncate -s 64M "$work/ext4" && mkfs.ext4 -q "$work/ext4" && mount -o loop "$work/ext4" "$below" || {
	tap_skip "a daemon that the kernel keeps" "there are no loop devices"
	tap_done
}
thaw() {
	fsfreeze -u "$below" 2>/dev/null
	tap_cleanup
}
trap thaw EXIT

guardian() {
	pgrep -P "$daemon" -x th-guardian
}
# kept_by_kernel : a thread of the daemon sleeps where no signal reaches it
kept_by_kernel() {
	grep -qs '^State:[[:space:]]*D' /proc/"$daemon"/task/*/status
}
disconnected() {
	timeout 10 stat -f "$mnt" 2>&1 | grep -q 'not connected'
}
ends() {
	! [ -e "/proc/$1" ] || ended "$1"
}

image=$below/image
th mkfs --size 32M "$image"
start "$image" "$mnt"
check "a mount has a guardian" eval '[ -n "$(guardian)" ]'
check "which has no descriptor but the switch of the connection" is 1 "$(ls /proc/"$(guardian)"/fd | wc -l)"
former=$(guardian)
check "and ends with the daemon" eval 'stop "$mnt" && wait_for ends "$former"'

start "$image" "$mnt"
echo before >"$mnt/before" && sync -f "$mnt"
fsfreeze -f "$below"
dd if=/dev/zero of="$mnt/file" bs=1M count=1 conv=fsync status=none 2>/dev/null &
writer=$!
wait_for kept_by_kernel && kill -KILL "$daemon"
check "a program that waits for the daemon gets an error" eval '! wait "$writer"'
check "the mount is disconnected" wait_for disconnected
check "though the daemon has not ended" kept_by_kernel
fsfreeze -u "$below"
check "it ends when the disk answers" wait_for ends "$daemon"
check "the image is mounted again" eval 'unmount "$mnt" && start "$image" "$mnt" && is before "$(cat "$mnt/before")" && stop "$mnt"'
tap_done
