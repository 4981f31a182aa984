#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Trim: the space that an image takes (du) follows the space used in it (df) after files are deleted.
. "$(dirname "$0")/../support/mount_test.sh"

kilobytes() {
	du -k "$image" | cut -f1
}
# The space used, as df shows it, without the reserve.
used() {
	echo $((($(info_number size_bytes) - $(info_number free_bytes)) / 1024))
}
# Data of 150 MiB in large and small files.
fill() {
	must_be_mounted "$mnt"
	head -c 100M /dev/urandom >"$mnt/large" && mkdir "$mnt/small" || return
	local i
	for ((i = 0; i < 1600; i++)); do
		head -c 32K /dev/urandom >"$mnt/small/$i" || return
	done
	sync -f "$mnt"
}
# follows MIB : true if at most MIB are used, and the image takes no more than is used and 4 MiB
follows() {
	df "$mnt" >/dev/null # which frees deleted blocks
	echo "du: $(kilobytes), used: $(used)"
	[ "$(used)" -le $(($1 * 1024)) ] && [ "$(kilobytes)" -le $(($(used) + 4096)) ]
}

check "mkfs and mount" fresh 1G -o commit=0.2
if ! (fallocate -l 1M "$work/probe" && fallocate -p -o 0 -l 64K "$work/probe") 2>/dev/null; then
	stop
	tap_skip "trim" "holes cannot be punched in $work"
	tap_done
fi
check "an empty filesystem takes little" [ "$(kilobytes)" -lt 8192 ]
check "150 MiB are written" fill
check "the image takes them" [ "$(kilobytes)" -ge $((140 * 1024)) ]
check "rm of the large file" rm "$mnt/large"
check "du of the image follows df of the mount" wait_for follows 90
check "rm of the small files" rm -r "$mnt/small"
check "du follows once more" wait_for follows 40

mkdir "$mnt/.snapshots/s" && fill && rm -r "$mnt/large" "$mnt/small" && mkdir "$mnt/.snapshots/t" && rmdir "$mnt/.snapshots/t"
tap "files come and go between snapshots"
check "their space is given back" wait_for follows 40

check "mount -o nodiscard" eval 'stop && start -o commit=0.2,nodiscard "$image" "$mnt"'
check "150 MiB are written again" fill
check "rm of all" rm -r "$mnt/large" "$mnt/small"
settle
check "with nodiscard the image keeps its space" [ "$(kilobytes)" -ge $((140 * 1024)) ]
th trim "$mnt" >"$work/out"
tap "thunderhead trim of a mount"
check "it prints how much" grep -qE "^$mnt: [0-9.]+ MiB \([0-9]{9,} bytes\) trimmed$" "$work/out"
check "the space of all data is given back by it" [ "$(kilobytes)" -lt $((12 * 1024)) ]
if [ "$(id -u)" -eq 0 ] && type fstrim >/dev/null 2>&1; then
	fallocate -o 640M -l 100M "$image" # space that the filesystem does not use: the log's second copy is at 512M
	check "the image takes 100 MiB more" [ "$(kilobytes)" -ge $((90 * 1024)) ]
	fstrim -v "$mnt" >"$work/out"
	tap "fstrim of the mount"
	check "fstrim gives the space back" [ "$(kilobytes)" -lt $((12 * 1024)) ]
fi
echo kept >"$mnt/file"
check "mount -o ro" eval 'stop && start -o ro "$image" "$mnt"'
check "trim of a read-only mount is refused" eval '! th trim "$mnt" 2>"$work/err" && grep -qi "read-only" "$work/err"'
check "the file is there" is kept "$(cat "$mnt/file")"
check "unmount at the end" stop
check "nothing is wrong in the image" th check "$image"
tap_done
