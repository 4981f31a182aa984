#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Random rounds of edits with a snapshot after each: `thunderhead diff --json` of two snapshots, in both directions, and
# of a snapshot and the present, reports the same as a walk over both trees.
#   TH_DIFF_ROUNDS  rounds (20)
#   TH_DIFF_EDITS   the largest number of edits in a round (120)
. "$(dirname "$0")/../support/mount_test.sh"
rounds=${TH_DIFF_ROUNDS:-20}
most=${TH_DIFF_EDITS:-120}

# same FROM TO : names of snapshots; an empty TO is the present
same() {
	local to=$mnt/tree${2:+/.snapshots/$2} status
	th diff --strict --json "$mnt/tree" "$1" ${2:+"$2"} >"$work/reported"
	status=$?
	program diff_oracle "$mnt/.snapshots/$1" "$mnt${2:+/.snapshots/$2}" >"$work/walked" || return 1
	sort "$work/reported" >"$work/reported.sorted"
	sort "$work/walked" >"$work/walked.sorted"
	[ "$status" -eq "$([ -s "$work/walked" ] && echo 1 || echo 0)" ] || { echo "diff's exit code was $status"; return 1; }
	changes=$((changes + $(wc -l <"$work/walked")))
	diff "$work/reported.sorted" "$work/walked.sorted" >"$work/difference" ||
		{ echo "diff $1 ${2:-now}: < as reported, > as walked"; head -c 3500 "$work/difference"; return 1; }
}

one_round() {
	random_below "$most"
	program edit "$mnt/tree" $((seed + round)) $((random + 1)) || return 1
	same "r$((round - 1))" "" || return 1
	mkdir "$mnt/.snapshots/r$round" || return 1
	same "r$((round - 1))" "r$round" && same "r$round" "" || return 1
	if [ $((round % 5)) -eq 0 ]; then
		same "r$round" "r$((round - 5))" || return 1
		rmdir "$mnt/.snapshots/r$((round - 5))" "$mnt/.snapshots/r$((round - 3))" || return 1
		same "r$((round - 4))" "r$round" || return 1
	fi
}

check "mkfs and mount" fresh 512M -o snapsuid # devices are compared, too
mkdir "$mnt/tree" && program edit "$mnt/tree" "$seed" 1500
check "a snapshot of the first tree" mkdir "$mnt/.snapshots/r0"
changes=0
for ((round = 1; round <= rounds; round++)); do
	check "diff equals a walk in round $round" one_round || break
done
say "$changes changes compared"
check "unmount" stop
check "nothing is wrong in the image" th check "$image"
tap_done
