#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Random rounds of edits, a snapshot after each: what `thunderhead diff --json` says between two snapshots, in both
# directions, and between a snapshot and the present, is what walking both trees finds.
#   TH_DIFF_ROUNDS  rounds (20)
#   TH_DIFF_EDITS   most edits in a round (120)
. "$(dirname "$0")/mount.sh"
rounds=${TH_DIFF_ROUNDS:-20}
most=${TH_DIFF_EDITS:-120}

# same FROM TO: names of snapshots; TO empty: the present
same() {
	local to=$mnt/tree${2:+/.snapshots/$2} status
	th diff --json "$mnt/tree" "$1" ${2:+"$2"} >"$work/said"
	status=$?
	program diff_oracle "$mnt/.snapshots/$1" "$mnt${2:+/.snapshots/$2}" >"$work/walked" || return 1
	sort "$work/said" >"$work/said.sorted"
	sort "$work/walked" >"$work/walked.sorted"
	[ "$status" -eq "$([ -s "$work/walked" ] && echo 1 || echo 0)" ] || { echo "diff's exit code was $status"; return 1; }
	changes=$((changes + $(wc -l <"$work/walked")))
	diff "$work/said.sorted" "$work/walked.sorted" >"$work/difference" ||
		{ echo "diff $1 ${2:-now}: < as said, > as walked"; head -c 3500 "$work/difference"; return 1; }
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

check "mkfs and mount" fresh 512M || tap_done
mkdir "$mnt/tree" && program edit "$mnt/tree" "$seed" 1500
check "snapshot" mkdir "$mnt/.snapshots/r0"
changes=0
failed=0
for ((round = 1; round <= rounds && !failed; round++)); do
	check "round $round" one_round || failed=1
done
say "$changes changes compared"
check "unmount" stop
check "check" th check "$image"
tap_done
