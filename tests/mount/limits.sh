#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The limits of FUSE that docs/compatibility.md lists.  A test that fails tells that this kernel has lifted a limit: then the
# operation is to be implemented, or the list corrected.  overlay.sh has those of overlayfs.
. "$(dirname "$0")/../support/mount_test.sh"
if ! command -v python3 >/dev/null; then
	tap_skip "limits of the kernel" "no python3"
	tap_done
fi
check "mkfs and mount" fresh 128M -o strictatime
head -c 1M /dev/urandom >"$mnt/file" && sync "$mnt/file"

# found LIMIT : the result of the operation
found() {
	python3 "$(dirname "$0")/limits.py" "$1" "$mnt" 2>&1 | tail -n 1
}
# A store by mmap dirties a page of the kernel's, which sends nothing before it writes the page back.  SEEK_DATA is sent at
# once, and the daemon knows of no data there.
check "SEEK_DATA does not see stores by mmap that were not written back" is ENXIO "$(found seek)"
check "after msync it sees them" is 499712 "$(found seek-msync)"
check "FICLONE is not passed on" is ENOTSUP "$(found clone)"
check "FIEMAP is not passed on" is ENOTSUP "$(found fiemap)"
check "collapsing a range is refused" is ENOTSUP "$(found collapse)"
check "inserting a range is refused" is ENOTSUP "$(found insert)"
check "statx has no attribute bits" is none "$(found attributes)"
check "reads of cached data do not update the time of access" is unchanged "$(found atime)"
if [ "$(id -u)" -eq 0 ]; then
	check "freezing is refused" is ENOTSUP "$(found freeze)"
	swap_refused() {
		mkswap "$mnt/file" && chmod 600 "$mnt/file" && ! swapon "$mnt/file" || { swapoff "$mnt/file" && return 1; }
	}
	if command -v mkswap swapon >/dev/null; then check "a swap file is refused" swap_refused; fi
fi
check "unmount" stop
check "nothing is wrong in the image" th check "$image"
tap_done
