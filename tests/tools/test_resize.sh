#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# thunderhead resize of an image that is not mounted.
. "$(dirname "$0")/../support/tap.sh"
image=$work/image

size() {
	th info --json "$image" | sed -n 's/.*"size_bytes": *\([0-9]*\).*/\1/p'
}

th mkfs --size 16M "$image" || bail_out "mkfs: failed"
check "a smaller size is refused" eval '! th resize "$image" 15M 2>"$scratch/err" && grep -q "^thunderhead: .* cannot shrink" "$scratch/err"'
check "its image is whole" eval 'th check "$image" && is $((16 << 20)) "$(size)"'
check "something that is no size is refused" refused 2 'not a size' th resize "$image" much
check "resize without a target is refused" refused 2 'a target is needed' th resize
check "resize of a missing image is refused" refused 1 'No such file' th resize "$work/none" 32M
is "$image: has now 40.0 MiB (41943040 bytes)" "$(th resize "$image" 40M)"
tap "resize prints the new size"
check "the file has the size" is $((40 << 20)) "$(stat -c %s "$image")"
check "info shows the size" is $((40 << 20)) "$(size)"
check "nothing is wrong in it" th check "$image"
is "$image: already has 40.0 MiB (41943040 bytes)" "$(th resize "$image" 40M)"
tap "the same size is no change"
truncate -s 60M "$image"
check "a file that was extended holds the old size" is $((40 << 20)) "$(size)"
is "$image: has now 60.0 MiB (62914560 bytes)" "$(th resize "$image")"
tap "without a size the image takes that of the file"
check "nothing is wrong in it after that" th check "$image"
check "a damaged first ring is no loss" eval 'dd if=/dev/zero of="$image" bs=4k count=8 conv=notrunc status=none && is $((60 << 20)) "$(size)"'
tap_done
