#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Cost follows changes: a diff of ten changes reads few nodes however many files there are, and taking a snapshot writes
# the same number of bytes whether there are few files or many.
#   TH_COST_FILES  many (10000)
. "$(dirname "$0")/mount.sh"
many=${TH_COST_FILES:-10000}

# make_files COUNT: in directories of a hundred
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

# snapshot_bytes NAME: what taking it writes, in bytes, when all that was changed before has been committed; into $bytes.
snapshot_bytes() {
	local before
	settle || return 1
	before=$(number disk_bytes_written)
	th snapshot create "$mnt" "$1" || return 1
	bytes=$(($(number disk_bytes_written) - before))
}

check "mkfs and mount" fresh 2G -o commit=600 || tap_done
check "1000 files" make_files 1000
check "a snapshot" snapshot_bytes few
few=$bytes
check "$many files" make_files "$many"
check "another snapshot" snapshot_bytes many
say "bytes written to take a snapshot: $few with 1000 files, $bytes with $many"
check "it wrote no more" [ "$bytes" -eq "$few" ]
check "ten changes" ten_changes
th diff --stats "$mnt" many >"$work/diff" 2>"$work/stats"
say "$(cat "$work/stats"); $(number height) levels"
nodes=$(sed 's/.*; \([0-9]*\) nodes read.*/\1/' "$work/stats")
check "the diff reads under 200 nodes" [ "$nodes" -lt 200 ]
check "it finds them all" [ "$(grep -c '/tree/[0-9]*/' "$work/diff")" -ge 9 ]
program diff_oracle "$mnt/.snapshots/many" "$mnt" >"$work/walked"
check "as many changes as walking both trees finds" [ "$(wc -l <"$work/walked")" -eq "$(wc -l <"$work/diff")" ]
check "unmount" stop
check "check" th check "$image"
tap_done
