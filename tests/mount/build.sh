#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# This project inside a mount of itself: cloned with git (copied where it is no clone), built, and its unit tests run.
#   TH_BUILD_SUITES  meson suites to run, separated by spaces (fs); their temporary files are in the mount
. "$(dirname "$0")/../support/mount_test.sh"
sources=$(realpath "$(dirname "$0")/../..")
check "mkfs and mount" fresh 2G
if git -C "$sources" rev-parse 2>/dev/null; then
	check "git clone into the mount" git clone -q "$sources" "$mnt/project"
	check "git fsck of the clone" git -C "$mnt/project" fsck --full
else
	check "cp -a into the mount" cp -a "$sources" "$mnt/project"
fi
suites=()
for suite in ${TH_BUILD_SUITES:-fs}; do
	suites+=(--suite "$suite")
done
export CCACHE_DISABLE=1
check "meson sets up a build in the mount" meson setup "$mnt/build" "$mnt/project"
check "ninja builds in the mount" ninja -C "$mnt/build" -j2
check "the built program runs" "$mnt/build/tools/thunderhead" --version
mkdir "$mnt/tmp"
tests_pass() {
	TMPDIR=$mnt/tmp meson test -C "$mnt/build" --no-rebuild --print-errorlogs -t 100 --num-processes 2 "${suites[@]}"
}
check "unit tests pass in the mount: ${TH_BUILD_SUITES:-fs}" tests_pass
say "$(grep -E '^(Ok|Fail|Expected Fail|Skipped|Timeout):' "$mnt"/build/meson-logs/testlog*.txt)"
check "ninja finds nothing to do after a build" eval 'ninja -C "$mnt/build" | grep -q "no work to do"'
check "a snapshot of the build" mkdir "$mnt/.snapshots/built"
check "ninja removes the build" ninja -C "$mnt/build" clean
check "the built program is copied out of the snapshot" cp -a "$mnt/.snapshots/built/build/tools/thunderhead" "$mnt/thunderhead"
check "a program copied out of a snapshot runs" "$mnt/thunderhead" --version
check "unmount" stop
check "nothing is wrong in the image" th check "$image"
tap_done
