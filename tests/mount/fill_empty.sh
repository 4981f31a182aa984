#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Deleted means free, and a full image is never stuck.  An image is filled and emptied in seven ways, one a round: tiny
# files, large ones, sparse ones, overwrites under snapshots, writes through mappings, extended attributes, small files in
# every other block.  At a random moment of each round the daemon is killed with SIGKILL.  Then the image passes the
# check, can be mounted for writing, everything in it can be deleted, and the space in use is that of a new image again.
#   TH_FILL_ROUNDS  rounds (7)
#   TH_FILL_MS      the longest time from the begin of a round to the kill, in milliseconds (3000)
#   TH_FILL_SIZE    size of the image (40M)
#   TH_FILL_KINDS   some of the ways, by the names that churn has for them (all)
. "$(dirname "$0")/../support/mount_test.sh"
rounds=${TH_FILL_ROUNDS:-7}
longest=${TH_FILL_MS:-3000}
options=commit=0.2
read -ra kinds <<<"${TH_FILL_KINDS:-tiny large sparse snapshots mmap xattrs blocks}"
most=0 # kilobytes that were left in use after a round

# Kilobytes in use, as df shows them
used() {
	df -k --output=used "$mnt" | tail -1
}
# At most 2 % more than in a new image, and the log of the space map: one of up to 16 pages is not condensed
# (journal/space/space_log.c).
freed() {
	left=$(used)
	[ "$((left * 100))" -le "$((new * 102 + 6400))" ]
}

# Kills the daemon while churn works.
kill_during_work() {
	program churn fill "$mnt" "$1" $((seed + round)) 2>"$work/churn.log" &
	workers=($!)
	random_below "$longest"
	sleep "$((random / 1000)).$(printf %03d $((random % 1000)))"
	kill -9 "$daemon" || { echo "the daemon had ended by itself"; return 1; }
	wait "$daemon" 2>/dev/null
	wait_for ended "${workers[0]}" || { echo "churn does not end"; return 1; }
	wait "${workers[0]}" || { echo "churn failed:"; cat "$work/churn.log"; return 1; }
	workers=()
	umount -l "$mnt"
}

# Deletes everything, and compares the space in use with that of a new image.
empty() {
	must_be_mounted "$mnt"
	find "$mnt" -mindepth 1 -delete || { echo "files cannot be deleted"; return 1; }
	[ -z "$(ls "$mnt/.snapshots")" ] || rmdir "$mnt/.snapshots/"* || { echo "snapshots cannot be deleted"; return 1; }
	sync "$mnt" || { echo "sync failed"; return 1; }
	wait_for freed || { echo "in use: $left KiB, new: $new KiB"; th info "$mnt"; return 1; }
	[ "$left" -le "$most" ] || most=$left
}

one_round() {
	must_be_mounted "$mnt"
	kill_during_work "$1" || return 1
	cp --sparse=always "$image" "$work/image.killed"
	th check "$image" || { echo "check after the kill: $?"; return 1; }
	start -o "$options" "$image" "$mnt"
	empty || return 1
	stop || { echo "unmounting failed"; return 1; }
	th check "$image" || { echo "check after unmounting: $?"; return 1; }
	start -o "$options" "$image" "$mnt"
}

check "mkfs and mount" fresh "${TH_FILL_SIZE:-40M}" -o "$options"
new=$(used)
for ((round = 1; round <= rounds; round++)); do
	kind=${kinds[(round - 1) % ${#kinds[@]}]}
	check "round $round, $kind: after the kill everything can be deleted" one_round "$kind" ||
		{ diag "TH_KEEP=1 keeps image.killed, the image as it was after the kill"; break; }
done
say "in use: $new KiB in the new image, at most $most KiB after a round"
check "unmount" stop
tap_done
