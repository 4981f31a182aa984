#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Streams of a mounted filesystem that changes meanwhile: each received snapshot has the manifest of its original, also
# when sender and receiver are killed again and again.
#   TH_STREAM_ROUNDS  snapshots (6)
#   TH_STREAM_EDITS   changes between two (60)
#   TH_STREAM_FILES   files in the tree, about (150)
. "$(dirname "$0")/../support/mount_test.sh"
rounds=${TH_STREAM_ROUNDS:-6}
edits=${TH_STREAM_EDITS:-60}
files=${TH_STREAM_FILES:-150}
copy=$work/copy
copy_mnt=$work/copy_mnt
mkdir "$copy_mnt"

edit_and_snapshot() {
	program edit "$mnt/tree" $((seed + $1)) "$edits" "$files" && th snapshot create "$mnt" "s$1" &&
		manifest -p "$mnt/.snapshots/s$1/tree" >"$work/manifest.$1"
}

# from_options N : the options and the name for the stream of snapshot N
from_options() {
	if [ "$1" -gt 0 ]; then
		echo "--from s$(($1 - 1)) $mnt s$1"
	else
		echo "$mnt s$1"
	fi
}

# send_whole N : while the tree is changed
send_whole() {
	program edit "$mnt/tree" $((seed + 1000 + $1)) 5 "$files" || return 1
	# shellcheck disable=SC2046
	th send $(from_options "$1") | th receive "$copy"
	[ "${PIPESTATUS[*]}" = '0 0' ]
}

# send_killed N : kills the receiver after a random number of bytes, three times, and then goes on by a token
send_killed() {
	local token whole i
	# shellcheck disable=SC2046
	th send -o "$work/stream" $(from_options "$1") || return 1
	whole=$(stat -c %s "$work/stream")
	for i in 1 2 3; do
		random_below "$((whole / 32 + 1))"
		(head -c $((random * 32)) "$work/stream"; sleep 0.2) | timeout -s KILL 0.15 "$THUNDERHEAD" receive "$copy" >"$work/out" 2>&1
	done
	if token=$(th receive --token "$copy" 2>"$work/out"); then
		th send --resume "$token" --compress zstd "$mnt" | th receive "$copy"
	else
		th receive "$copy" "$work/stream"
	fi
}

# Not with `refused`: the mounted image changes at any time, by checkpoints.
refuses_mounted() {
	not th receive "$mnt" /dev/null 2>"$work/err" && grep -q 'is a directory' "$work/err"
}

all_equal() {
	local i bad=0
	for ((i = 0; i < rounds; i++)); do
		manifest -p "$copy_mnt/.snapshots/s$i/tree" | cmp - "$work/manifest.$i" || { echo "snapshot s$i differs"; bad=1; }
	done
	return $bad
}

check "mkfs and mount" fresh 1G -o snapsuid
must_be_mounted "$mnt"
th mkfs --size 1G "$copy" || bail_out "mkfs $copy: failed"
mkdir "$mnt/tree"
for ((i = 0; i < rounds; i++)); do
	check "changes, and snapshot s$i" edit_and_snapshot "$i"
	if [ $((i % 2)) -eq 0 ]; then
		check "s$i is sent while files change" send_whole "$i"
	else
		check "s$i is sent, and its receiver killed" send_killed "$i"
	fi
done
check "nothing is wrong in the copy" th check "$copy"
check "a receiver refuses a mounted filesystem" refuses_mounted
check "unmount" stop
start -o ro,snapsuid "$copy" "$copy_mnt"
check "each snapshot of the copy equals its original" all_equal
check "unmount the copy" stop "$copy_mnt"
tap_done
