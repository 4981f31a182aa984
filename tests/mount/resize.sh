#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An image grows while it is mounted and written: df shows the new size, and the space can be used.
. "$(dirname "$0")/../support/mount_test.sh"

size() {
	df -B1 --output=size "$mnt" | tail -1 | tr -d ' '
}

check "mkfs and mount" fresh 32M
check "it is full after 32 MiB" eval '! head -c 60M /dev/urandom >"$mnt/a" 2>/dev/null; rm "$mnt/a"; wait_for eval "head -c 8M /dev/zero >\"$mnt/b\""'
before=$(size)
check "resize of the mount" th resize "$mnt" 160M
check "the file has the size" is $((160 << 20)) "$(stat -c %s "$image")"
# device_size : of the loop device by which the image file is mounted, or what is expected
device_size() {
	local source
	source=$(findmnt -n -o SOURCE "$mnt")
	if [ -b "$source" ]; then blockdev --getsize64 "$source"; else echo "$1"; fi
}
check "so has the block device of the mount" is $((160 << 20)) "$(device_size $((160 << 20)))"
check "df shows the new size" is $((before + (128 << 20))) "$(size)"
check "the new space can be written" eval 'head -c 100M /dev/urandom >"$mnt/a" && sync "$mnt/a"'
sum=$(md5sum <"$mnt/a")
check "a smaller size is refused" eval '! th resize "$mnt" 100M 2>"$work/err" && grep -q "cannot shrink" "$work/err"'
truncate -s 200M "$image"
check "resize to the size of the file" th resize "$mnt"
check "and the block device" is $((200 << 20)) "$(device_size $((200 << 20)))"
check "df shows that size" is $((before + (168 << 20))) "$(size)"
check "unmount" stop
check "nothing is wrong in the image" th check "$image"
check "mount" start "$image" "$mnt"
check "the file is as it was" is "$sum" "$(md5sum <"$mnt/a")"
check "df shows the size after mounting" is $((before + (168 << 20))) "$(size)"
check "unmount at the end" stop
tap_done
