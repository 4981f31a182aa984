#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Cost depends on the number of changes, not of files: a diff of ten changes reads few nodes although all files were
# read, and taking a snapshot of a large tree writes as many bytes as of a small one.
#   TH_COST_FILES  files in the large tree (10000)
. "$(dirname "$0")/../support/mount_test.sh"
many=${TH_COST_FILES:-10000}

# make_files COUNT : in directories of a hundred files
make_files() {
	local dir
	for ((dir = 0; dir < $1 / 100; dir++)); do
		mkdir -p "$mnt/tree/$dir" && (cd "$mnt/tree/$dir" && for i in {0..99}; do echo "file $dir $i" >"$i"; done) || return 1
	done
}

ten_changes() {
	local i
	for i in 1 2 3 4 5; do
		random_below $((many / 100))
		echo changed >>"$mnt/tree/$random/$i" || return 1
	done
	rm "$mnt/tree/1/50" && mv "$mnt/tree/2/51" "$mnt/tree/3/new name" && chmod 600 "$mnt/tree/4/52" &&
		echo new >"$mnt/tree/5/new" && ln "$mnt/tree/6/54" "$mnt/tree/7/link"
}

# snapshot_bytes NAME : the bytes written by taking a snapshot when all changes are durable already, in $bytes
snapshot_bytes() {
	local before
	settle || return 1
	before=$(info_number disk_bytes_written)
	th snapshot create "$mnt" "$1" || return 1
	bytes=$(($(info_number disk_bytes_written) - before))
}

check "mkfs and mount" fresh 2G -o commit=600
check "1000 files are made" make_files 1000
check "a snapshot of the small tree" snapshot_bytes few
few=$bytes
check "$many files are made" make_files "$many"
check "a snapshot of the large tree" snapshot_bytes many
say "bytes written to take a snapshot: $few with 1000 files, $bytes with $many"
check "a snapshot of a large tree writes as much as one of a small tree" is "$few" "$bytes"
check "all files are read, which changes their times of access" eval 'before=$(stat -c %X "$mnt/tree/9/9") &&
	settle && sleep 1.1 && find "$mnt/tree" -type f -exec cat {} + >/dev/null && [ "$(stat -c %X "$mnt/tree/9/9")" -gt "$before" ]'
check "ten changes are made" ten_changes
th diff --strict --stats "$mnt" many >"$work/diff" 2>"$work/stats"
say "$(cat "$work/stats"); $(info_number height) levels"
nodes=$(sed 's/.*; \([0-9]*\) nodes read.*/\1/' "$work/stats")
check "a diff of ten changes reads fewer than 200 nodes" [ "$nodes" -lt 200 ]
check "the diff finds all ten changes" [ "$(grep -c '/tree/[0-9]*/' "$work/diff")" -ge 9 ]
program diff_oracle "$mnt/.snapshots/many" "$mnt" >"$work/walked"
check "the diff has as many lines as a walk over both trees" is "$(wc -l <"$work/walked")" "$(wc -l <"$work/diff")"
check "unmount" stop
check "nothing is wrong in the image" th check "$image"
tap_done
