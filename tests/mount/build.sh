#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# This project inside a mount of itself: cloned with git where it is a clone, else copied; built, and its unit tests run.
#   TH_BUILD_SUITES  meson suites that are run, apart by spaces (fs); their temporary files lie in the mount
. "$(dirname "$0")/mount.sh"
sources=$(realpath "$(dirname "$0")/../..")
check "mkfs and mount" fresh 2G || tap_done
if git -C "$sources" rev-parse 2>/dev/null; then
	check "git clone" git clone -q "$sources" "$mnt/project"
	check "git fsck" git -C "$mnt/project" fsck --full
else
	check "copy" cp -a "$sources" "$mnt/project"
fi
suites=()
for suite in ${TH_BUILD_SUITES:-fs}; do
	suites+=(--suite "$suite")
done
export CCACHE_DISABLE=1
check "meson setup" meson setup "$mnt/build" "$mnt/project"
check "ninja" ninja -C "$mnt/build" -j2
check "it runs" "$mnt/build/tools/thunderhead" --version
mkdir "$mnt/tmp"
tests_pass() {
	local status
	TMPDIR=$mnt/tmp meson test -C "$mnt/build" --no-rebuild -t 10 --num-processes 2 "${suites[@]}"
	status=$?
	tail -15 "$mnt/build/meson-logs/testlog.txt" >&3
	return $status
}
exec 3>"$work/testlog"
check "unit tests: ${TH_BUILD_SUITES:-fs}" tests_pass
grep -E '^(Ok|Fail|Expected Fail|Skipped|Timeout):' "$work/testlog" | sed 's/^/# /'
check "ninja finds nothing to do" eval 'ninja -C "$mnt/build" | grep -q "no work to do"'
check "snapshot" mkdir "$mnt/.snapshots/built"
check "clean" ninja -C "$mnt/build" clean
check "the built program comes back out of the snapshot" cp -a "$mnt/.snapshots/built/build/tools/thunderhead" "$mnt/thunderhead"
check "and runs" "$mnt/thunderhead" --version
exec 3>&-
check "unmount" stop
check "check" th check "$image"
tap_done
