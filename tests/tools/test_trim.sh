#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# thunderhead trim of an image that is not mounted.
. "$(dirname "$0")/../support/tap.sh"
image=$work/image

kilobytes() {
	du -k "$image" | cut -f1
}

th mkfs --size 64M "$image" || bail_out "mkfs: failed"
if ! (fallocate -l 1M "$work/probe" && fallocate -p -o 0 -l 64K "$work/probe") 2>/dev/null; then
	tap_skip "trim" "holes cannot be punched in $work"
	tap_done
fi
fallocate -l 64M "$image"
check "an image with all its blocks takes its whole size" [ "$(kilobytes)" -ge 65536 ]
th trim "$image" >"$scratch/out"
tap "trim of an image"
check "trim prints how much" grep -qE ": [56][0-9]\.[0-9] MiB \([0-9]+ bytes\) trimmed$" "$scratch/out"
# Its content is mostly the intent log: 2 MiB, twice.
check "the image takes no more than its content" [ "$(kilobytes)" -le 5120 ]
check "its size stays" is $((64 << 20)) "$(stat -c %s "$image")"
check "nothing is wrong in it" th check "$image"

check "trim without a target is refused" refused 2 'one target is needed' th trim
check "trim of two targets is refused" refused 2 'one target is needed' th trim "$image" "$image"
check "trim of a missing image is refused" refused 1 'No such file' th trim "$work/none"
if [ "$(id -u)" -ne 0 ]; then
	chmod 400 "$image"
	check "trim of an image that may not be written is refused" refused 1 'ermission denied' th trim "$image"
fi
tap_done
