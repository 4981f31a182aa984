#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# That filesystems.sh sees it when work is not done: of a filesystem that gives zeros for data it finds nothing wrong where it
# knows that; where the filesystem says that it keeps data, it fails.
. "$(dirname "$0")/../tools/tap.sh"

bench=$(cd "$(dirname "$0")" && pwd)
if [ "$(id -u)" -ne 0 ] || [ ! -e /dev/loop-control ] || [ ! -e /dev/fuse ]; then
	echo "1..0 # SKIP mounting loop devices takes root, and FUSE"
	exit 0
fi
tar -cf "$work/tree.tar" -C "$bench" engines filesystems.sh

# compare FILESYSTEM : into $work/said
compare() {
	TH_BENCH_TREE=$work/tree.tar TMPDIR=$work bash "$bench/filesystems.sh" -s -r 1 -g "trees files" "$1" >"$work/said" 2>"$work/why"
}

# cell PHASE : what the table has
cell() {
	awk -F'|' -v name=" $1 " 'NF == 4 && $2 == name { gsub(/ /, "", $3); print $3; exit }' "$work/said"
}

compare null
tap "of the null filesystem nothing is wrong"
[ "$(grep -c FAILED "$work/said")" -eq 0 ]
tap "and nothing is called so"
grep -qE '^[0-9.]+$' <(cell "untar, durable")
tap "it takes some time"
grep -q '^null: .*reads back' "$work/said"
tap "what it cannot do is said"

compare liar
[ $? -eq 1 ]
tap "a filesystem that loses data fails"
for phase in "untar, durable" "creates of 4 KiB" "sequential write, fsync" "random 4 KiB writes, fsync"; do
	[ "$(cell "$phase")" = FAILED ]
	tap "seen in: $phase"
done
grep -qE '^[0-9.]+$' <(cell "random 4 KiB reads, cold")
tap "and only where it does"

compare nonsense
[ $? -eq 2 ] && grep -q 'nonsense: no such filesystem' "$work/why"
tap "a filesystem that is not known"
! find "$work" -maxdepth 1 -name 'thunderhead-filesystems.*' | grep -q .
tap "nothing is left behind"
tap_done
