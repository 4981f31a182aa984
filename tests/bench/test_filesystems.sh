#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# filesystems.sh detects work that was not done: a filesystem that returns zeros for data passes where the comparison
# knows that, and fails where the filesystem claims to keep data.
. "$(dirname "$0")/../support/tap.sh"

bench=$(cd "$(dirname "$0")" && pwd)
if [ "$(id -u)" -ne 0 ] || [ ! -e /dev/loop-control ] || [ ! -e /dev/fuse ]; then
	echo "1..0 # SKIP mounting loop devices takes root, and FUSE"
	exit 0
fi
tar -cf "$work/tree.tar" -C "$bench" engines filesystems.sh

# compare FILESYSTEM : runs the comparison, its tables in $work/said
compare() {
	TH_BENCH_TREE=$work/tree.tar TMPDIR=$work bash "$bench/filesystems.sh" -s -r 1 -g "trees files" "$1" >"$work/said" 2>"$work/why"
}

# cell PHASE : the entry in the table
cell() {
	awk -F'|' -v name=" $1 " 'NF == 4 && $2 == name { gsub(/ /, "", $3); print $3; exit }' "$work/said"
}

check "the null filesystem passes" compare null
check "the null filesystem has no failed phase" is 0 "$(grep -c FAILED "$work/said")"
grep -qE '^[0-9.]+$' <(cell "untar, durable")
tap "a phase of the null filesystem has a time"
grep -q '^null: .*read back' "$work/said"
tap "phases that the null filesystem cannot run are reported as skipped"

compare liar
check "a filesystem that loses data fails" [ $? -eq 1 ]
for phase in "untar, durable" "creates of 4 KiB" "sequential write, fsync" "random 4 KiB writes, fsync"; do
	check "lost data is detected in: $phase" is FAILED "$(cell "$phase")"
done
grep -qE '^[0-9.]+$' <(cell "random 4 KiB reads, cold")
tap "a phase that loses no data has a time"

compare nonsense
[ $? -eq 2 ] && grep -q 'nonsense: no such filesystem' "$work/why"
tap "an unknown filesystem is refused"
! find "$work" -maxdepth 1 -name 'thunderhead-filesystems.*' | grep -q .
tap "no temporary directory is left"
tap_done
