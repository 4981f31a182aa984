#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Branches of a mounted filesystem: each is edited by itself; `diff` of two branches finds the same differences as a
# walk over all files; a rolled back branch equals its snapshot.  With all branches deleted their space is free again,
# to within 4 MiB.
#   TH_BRANCHES_ROUNDS  rounds of edits of each branch (4)
#   TH_BRANCHES_EDITS   changes in a round (40)
#   TH_BRANCHES_FILES   files in the tree, about (150)
. "$(dirname "$0")/../support/mount_test.sh"
rounds=${TH_BRANCHES_ROUNDS:-4}
edits=${TH_BRANCHES_EDITS:-40}
files=${TH_BRANCHES_FILES:-150}
manifests=$work/manifests
mkdir "$manifests"

edit() {
	program edit "$mnt/tree" "$1" "$edits" "$files"
}

# on BRANCH COMMAND... : mounts the branch, runs the command and unmounts
on() {
	local branch=$1 status
	shift
	start -o "branch=$branch,snapsuid" "$image" "$mnt"
	"$@"
	status=$?
	stop && return "$status"
}

record() {
	manifest "$mnt/tree" >"$manifests/$1"
}

same() {
	manifest "$mnt/tree" | cmp - "$manifests/$1"
}

edit_and_record() {
	edit "$1" && th snapshot create "$mnt" "$2.$1" && record "$2" && cp "$manifests/$2" "$manifests/$2.$1"
}

rounds_of_edits() {
	local i branch
	for ((i = 1; i <= rounds; i++)); do
		for branch in main one two; do
			on "$branch" edit_and_record $((seed % 1000000 + i)) "$branch" || return 1
		done
	done
}

# Every branch shows the snapshots of all.
snapshots_equal() {
	local file name
	for file in "$manifests"/*.*; do
		name=${file##*/}
		manifest "$mnt/.snapshots/$name/tree" | cmp - "$file" || return 1
	done
}

# `diff` of two branches, and of their newest snapshots, reports the same as a walk over both trees.
diff_equals_walk() {
	local last=$((seed % 1000000 + rounds)) from to
	for from in main one two; do
		for to in main one two; do
			[ "$from" = "$to" ] && continue
			program diff_oracle "$mnt/.snapshots/$from.$last" "$mnt/.snapshots/$to.$last" | sort >"$work/walked"
			[ -s "$work/walked" ] || return 1
			th diff --strict --json "$mnt" "$from" "$to" | sort | cmp - "$work/walked" || return 1
			th diff --strict --json "$mnt" "$from.$last" "$to.$last" | sort | cmp - "$work/walked" || return 1
		done
	done
}

check "a filesystem with a tree" eval 'fresh 512M -o snapsuid && mkdir "$mnt/tree" && edit "$seed"'
free=$(info_number free_bytes)
check "two branches are created" eval 'th branch create "$mnt" one && th branch create "$mnt" two --from one-origin && stop'
check "the branches are edited in turn" rounds_of_edits
for branch in main one two; do
	check "branch $branch has its own edits and no others" on "$branch" same "$branch"
done
check "a branch shows the snapshots of all branches" on one snapshots_equal
check "diff of branches equals a walk over both" on two diff_equals_walk
check "nothing is wrong after the edits" th check "$image"
check "without branch= the branch mounted last is mounted" eval 'start "$image" "$mnt" && same two && stop'
check "a read-only mount of another branch does not change that" eval 'start -o ro,branch=main "$image" "$mnt" && same main && stop && start "$image" "$mnt" && same two && stop'
check_fails "a branch that is not there is refused" th mount -o branch=none "$image" "$mnt"
first=$((seed % 1000000 + 1))
check "a branch is rolled back" th rollback --keep before "$image" "two.$first"
check "a rolled back branch equals its snapshot" on two same "two.$first"
check "rollback --keep keeps the state before" on two eval 'manifest "$mnt/.snapshots/before/tree" | cmp - "$manifests/two"'
check "rollback leaves other branches unchanged" on one same one
check "nothing is wrong after the rollback" th check "$image"
hold_blocks_delete() {
	th snapshot hold "$mnt" tag "two.$first" && th branch create "$mnt" held --from "two.$first" || return 1
	th branch delete --snapshots "$mnt" one two 2>&1 | grep -q "snapshot 'two.$first' of branch 'two' is held by 'tag'; see " &&
		is 4 "$(th branch list "$mnt" | wc -l)" && [ -d "$mnt/.snapshots/one.$first" ] &&
		th branch delete "$mnt" held && th snapshot release "$mnt" tag "two.$first"
}
check "a branch with a held snapshot cannot be deleted" on main hold_blocks_delete
delete_all() {
	th snapshot delete "$mnt" $(th snapshot list -H -o name "$mnt" | grep -v -- -origin | tac) &&
		th branch delete "$mnt" one two && th snapshot delete "$mnt" one-origin
}
check "all branches but one are deleted" on main delete_all
check "the remaining branch is unchanged" on main same main
space_is_back() {
	settle && [ "$(info_number free_bytes)" -ge $((free - (4 << 20))) ]
}
same_tree_takes_same_space() {
	rm -rf "$mnt/tree" && mkdir "$mnt/tree" && edit "$seed" && wait_for space_is_back
}
check "the space of deleted branches is free" on main same_tree_takes_same_space
check "nothing is wrong at the end" th check "$image"
tap_done
