#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A spool in a small image: files come and go under new names, and there are never more than 2,000 of 500 bytes.  The
# space in use stays flat, however many came and went.
#   TH_SPOOL_FILES  files made in all (200000)
. "$(dirname "$0")/../support/mount_test.sh"
files=${TH_SPOOL_FILES:-200000}

# Kilobytes in use of an image without files, and the most in the first and in the second half of the run.
used() {
	df -k --output=used "$mnt" | tail -1
}
flat() {
	local half=$((files / 2))
	first=$(awk -v h="$half" '$1 <= h && $2 > m { m = $2 } END { print m }' "$work/spool")
	second=$(awk -v h="$half" '$1 > h && $2 > m { m = $2 } END { print m }' "$work/spool")
	echo "at most $first KiB in the first half, $second in the second; $new without files"
	[ $((second - new)) -le $(((first - new) * 5 / 4)) ]
}
# As in fill_empty.sh
freed() {
	[ "$(($(used) * 100))" -le "$((new * 102 + 6400))" ]
}

check "mkfs and mount" fresh 64M
new=$(used)
check "$files files are made and removed" eval 'program churn spool "$mnt" "$files" >"$work/spool"'
check "the space in use stays flat" flat
say "in use: $new KiB without files, at most $first in the first half of the run, $second in the second"
check "the space in use is that of a new image when all files are removed" wait_for freed
check "unmount" stop
check "nothing is wrong in the image" th check "$image"
tap_done
