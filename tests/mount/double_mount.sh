#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An image has one user at a time, whatever ways lead to it: names, loop devices, partitions of these.
. "$(dirname "$0")/../support/mount_test.sh"

other=$work/other
mkdir "$other" "$work/bound"
th mkfs --size 128M --label one "$image"
ln "$image" "$work/hard" && ln -s "$image" "$work/soft"

loops=()
detach_loops() {
	local loop
	for loop in ${loops[@]+"${loops[@]}"}; do losetup -d "$loop" 2>/dev/null; done
	mountpoint -q "$work/bound" && umount "$work/bound"
	tap_cleanup
}
trap detach_loops EXIT

# loop_on IMAGE [OPTION...] : attaches a loop device, whose name is then in $loop
loop_on() {
	local file=$1
	shift
	loop=$(losetup -f --show "$@" "$file") && loops+=("$loop")
}

# busy NAME : every command refuses the image by this name, for writing and for reading, and says why
busy() {
	local command
	for command in "mount $1 $other" "mount -o ro $1 $other" "mkfs --force $1" "rollback $1 s" "resize $1 256M" \
		"snapshot create $1 x" "snapshot delete $1 s" "kv put $1 a b" "check $1" "info $1"; do
		[ "$command" = "resize $1 256M" ] && [ -b "$1" ] && continue
		th $command >"$scratch/out" 2>"$scratch/err" && diag "thunderhead $command: succeeded" && return 1
		grep -q 'in use' "$scratch/err" && continue
		diag "thunderhead $command:" "$(cat "$scratch/err")"
		return 1
	done
	! listed "$other" || { diag "$other: is mounted" && return 1; }
}

# in_use COMMAND... : fails with a message that says so; a daemon may write to the image meanwhile
in_use() {
	! "$@" 2>"$scratch/err" && cat "$scratch/err" && grep -q "in use" "$scratch/err"
}

# whole : what was written through the first mount is there, and the image passes the check
whole() {
	release "$mnt" "$image" && th check "$image" && start_detached "$image" "$mnt" &&
		is "$content" "$(cat "$mnt/data" | b2sum)" && [ -d "$mnt/.snapshots/s" ] && release "$mnt" "$image"
}

# first NAME : mounts the image by this name and writes to it
first() {
	start_detached "$1" "$mnt" && { [ -d "$mnt/.snapshots/s" ] || mkdir "$mnt/.snapshots/s"; } &&
		head -c 2M /dev/urandom >"$mnt/data" && content=$(b2sum <"$mnt/data")
}

check "mount by the file" first "$image"
check "the file itself is refused" busy "$image"
check "a hard link is refused" busy "$work/hard"
check "a symbolic link is refused" busy "$work/soft"
if [ "$(id -u)" -eq 0 ] && mount --bind "$work" "$work/bound"; then
	check "a bind mount is refused" busy "$work/bound/image"
	umount "$work/bound"
else
	tap_skip "a bind mount is refused" "needs root"
fi
if [ "$(id -u)" -ne 0 ] || ! loop_on "$image"; then
	check "the image is whole" whole
	tap_skip "loop devices" "there are none for this user"
	tap_done
fi
check "a loop device is refused" busy "$loop"
check "the image is whole" whole

check "mount by a loop device" first "$loop"
check "the file of a mounted loop device is refused" busy "$image"
check "a mounted loop device is refused" busy "$loop"
one=$loop
loop_on "$image"
check "a second loop device of the file is refused" busy "$loop"
loop_on "$one"
check "a loop device of the loop device is refused" busy "$loop"
check "the image is whole after all attempts by loop devices" whole

# Devices by the label and UUID of their image.
copy=$work/copy
th mkfs --size 32M --label "here and now" "$copy"
loop_on "$copy"
labelled=$loop
uuid=$(th info "$copy" | awk '$1 == "uuid" { print $2 }')
mkdir -p "$work/bin" && ln -sf "$(realpath "$THUNDERHEAD")" "$work/bin/mount.thunderhead"
# found TAG COMMAND... : the command with the tag and the directory mounts the device
found() {
	"${@:2}" "$1" "$mnt" && is_mounted "$mnt" && is "$labelled" "$(findmnt -n -o SOURCE "$mnt")" && release "$mnt" "$copy"
}
grep -q fuseblk /proc/filesystems || found() {
	"${@:2}" "$1" "$mnt" && is_mounted "$mnt" && release "$mnt" "$copy"
}
check "mount finds a device by label=" found "label=here and now" th mount
check "mount finds a device by UUID=" found "UUID=$uuid" th mount
check "mount.thunderhead finds a device by uuid=" found "uuid=$uuid" "$work/bin/mount.thunderhead"
check "an unknown label is refused" refused 1 "label=nowhere: no block device has it" th mount label=nowhere "$mnt"
check "a part of a UUID is refused" refused 1 "no block device has it" th mount "uuid=${uuid%?}" "$mnt"
cp "$copy" "$work/twin" && loop_on "$work/twin"
check "a label that two devices have is refused" refused 1 "both /dev/.* and /dev/.* have it" th mount "label=here and now" "$mnt"

# Two images in one file, as partitions are.
disk=$work/disk
truncate -s 160M "$disk"
# A partition table of the old kind: two partitions of 64 MiB, from 1 MiB and from 65 MiB.
{
	printf '\0\0\0\0\203\0\0\0\0\10\0\0\0\0\2\0\0\0\0\0\203\0\0\0\0\10\2\0\0\0\2\0'
	head -c 32 /dev/zero
	printf '\125\252'
} | dd of="$disk" bs=1 seek=446 conv=notrunc status=none
# both NAME FIRST SECOND : two devices that lie in $disk
both() {
	local first=$2 second=$3
	th mkfs --force "$first" && th mkfs --force "$second"
	tap "$1: mkfs of both"
	check "$1: both are mounted at the same time" eval 'start_detached "$first" "$mnt" && start_detached "$second" "$other" &&
		echo 1 >"$mnt/n" && echo 2 >"$other/n"'
	check "$1: their file is refused" in_use th mkfs --force "$disk"
	loop_on "$disk"
	check "$1: a loop device of all of it is refused" in_use th mkfs --force "$loop"
	loop_on "$disk" -o 1M --sizelimit 64M
	check "$1: a second loop device of a part is refused" in_use th mkfs --force "$loop"
	check "$1: each has its own content" eval 'is 1 "$(cat "$mnt/n")" && is 2 "$(cat "$other/n")"'
	check "$1: unmount both" eval 'release "$mnt" "$first" && release "$other" "$second"'
	check "$1: both pass the check" eval 'th check "$first" && th check "$second"'
	check "$1: another loop device shows the part" eval 'start_detached "$loop" "$mnt" && is 1 "$(cat "$mnt/n")" && release "$mnt" "$loop"'
}
loop_on "$disk" -o 1M --sizelimit 64M && first=$loop && loop_on "$disk" -o 65M --sizelimit 64M && both "loop devices with an offset" "$first" "$loop"
loop_on "$disk" -P
if [ -b "${loop}p2" ]; then
	both partitions "${loop}p1" "${loop}p2"
else
	tap_skip "partitions of a loop device" "this kernel makes none"
fi
tap_done
