#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two machines on one disk.  The second one is a mount namespace with another boot ID and host name, where the image is
# seen as a loop device whose file cannot be found, so that the lock of the file does not refuse it.
. "$(dirname "$0")/../support/mount_test.sh"

if [ "$(id -u)" -ne 0 ] || ! unshare -m true 2>/dev/null; then
	tap_skip "two machines" "needs root and mount namespaces"
	tap_done
fi
mkdir "$scratch/disk" "$scratch/other"
image=$scratch/disk/image
th mkfs --size 64M "$image"
loop=$(losetup -f --show "$image") || {
	tap_skip "two machines" "there are no loop devices"
	tap_done
}
detach() {
	[ -z "${elsewhere:-}" ] || kill "$elsewhere" 2>/dev/null
	tap_cleanup
	losetup -d "$loop"
}
trap detach EXIT

cat /proc/sys/kernel/random/uuid >"$scratch/boot_id"
# A process whose namespace is the other machine; it ends with this test.
unshare -m -u --propagation private sh -c 'mount --bind "$1/boot_id" /proc/sys/kernel/random/boot_id &&
	mount -t tmpfs none "$1/disk" && hostname other-machine && echo ready >"$1/ready" && exec tail -f /dev/null' \
	other "$scratch" &
elsewhere=$!
there() {
	nsenter -t "$elsewhere" -m -u "$@"
}
wait_for [ -e "$scratch/ready" ]

# same_as COMMAND... : refused there, in words that name this machine
refused_there() {
	there "$THUNDERHEAD" "$@" >"$scratch/out" 2>"$scratch/err" && diag "succeeded" && return 1
	grep -q "on host '$(hostname)' is using it" "$scratch/err" || { diag "$(cat "$scratch/err")" && return 1; }
}
# alive : the mount of this machine works
alive() {
	echo "$1" >"$mnt/alive" && sync -f "$mnt" && is "$1" "$(cat "$mnt/alive")"
}

start -o heartbeat=0.5 "$image" "$mnt"
other=$scratch/other
check "a second machine cannot mount it" refused_there mount "$loop" "$other"
check "nor make a snapshot" refused_there snapshot create "$loop" x
check "nor format it by force" refused_there mkfs --force "$loop"
check "the first one goes on" alive 1
check "unmounting frees the disk" eval 'stop "$mnt" && th check "$image"'
check "after that the other machine mounts it without a wait" eval \
	'there "$THUNDERHEAD" mount -o heartbeat=0.5 "$loop" "$other" >"$scratch/out" 2>"$scratch/err" && ! grep waiting "$scratch/err"'
there sh -c "echo there >'$other/there' && umount '$other'" && there flock "$loop" true
tap "and unmounts it"

# A machine that stands still for longer than two intervals loses the disk.
start -o heartbeat=0.5 "$image" "$mnt"
echo former >"$mnt/former" && sync -f "$mnt"
kill -STOP "$daemon"
check "the disk of a machine that stands still is taken after a wait" eval \
	'there "$THUNDERHEAD" mount -o heartbeat=0.5 "$loop" "$other" 2>"$scratch/err" && grep -q "waiting up to" "$scratch/err"'
there sh -c "echo taken >'$other/taken'"
kill -CONT "$daemon"
lost() {
	! dd if=/dev/zero of="$mnt/late" bs=4k count=1 conv=fsync status=none 2>/dev/null &&
		grep -q "host 'other-machine' has taken the disk" "$scratch/daemon.log"
}
check "that machine writes no more and says why" wait_for lost
unmount "$mnt" && wait_for ended "$daemon"
there sh -c "echo more >>'$other/taken' && sync -f '$other' && umount '$other'" && there flock "$loop" true
tap "the machine that has the disk goes on"
check "the image is whole" th check "$image"
start "$image" "$mnt"
check "and has the files of both, up to the change" eval 'is "taken more" "$(tr "\n" " " <"$mnt/taken" | sed "s/ $//")" &&
	is former "$(cat "$mnt/former")" && [ -e "$mnt/there" ] && ! [ -e "$mnt/late" ]'

# On this machine the process is known to have ended.
stop "$mnt"
start -o heartbeat=60 "$image" "$mnt"
kill -9 "$daemon" && wait_for ended "$daemon"
unmount "$mnt"
check "after the death of its process this machine mounts without a wait" eval \
	'start -o heartbeat=60 "$image" "$mnt" && ! grep waiting "$scratch/daemon.log" && is former "$(cat "$mnt/former")"'
stop "$mnt"
tap_done
