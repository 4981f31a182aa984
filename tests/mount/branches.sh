#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Branches of a mounted filesystem: each is edited by itself, and each differs from the others as a walk over all files
# says it does; rolled back, it is what it was.  With all deleted the space is back, to within 4 MiB.
#   TH_BRANCHES_ROUNDS  how often each is edited (4)
#   TH_BRANCHES_EDITS   changes each time (40)
#   TH_BRANCHES_FILES   files in the tree, about (150)
. "$(dirname "$0")/mount.sh"
rounds=${TH_BRANCHES_ROUNDS:-4}
edits=${TH_BRANCHES_EDITS:-40}
files=${TH_BRANCHES_FILES:-150}
manifests=$work/manifests
mkdir "$manifests"

edit() {
	program edit "$mnt/tree" "$1" "$edits" "$files"
}

# on BRANCH COMMAND... : mounts it, and does something there
on() {
	local branch=$1 status
	shift
	start -o "branch=$branch" "$image" "$mnt" || return 1
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

# The snapshots of every branch are seen from each.
snapshots_equal() {
	local file name
	for file in "$manifests"/*.*; do
		name=${file##*/}
		manifest "$mnt/.snapshots/$name/tree" | cmp - "$file" || return 1
	done
}

# What diff says of two branches, and of their newest snapshots, is what a walk over both finds.
diff_is_true() {
	local last=$((seed % 1000000 + rounds)) from to
	for from in main one two; do
		for to in main one two; do
			[ "$from" = "$to" ] && continue
			program diff_oracle "$mnt/.snapshots/$from.$last" "$mnt/.snapshots/$to.$last" | sort >"$work/walked"
			[ -s "$work/walked" ] || return 1
			th diff --json "$mnt" "$from" "$to" | sort | cmp - "$work/walked" || return 1
			th diff --json "$mnt" "$from.$last" "$to.$last" | sort | cmp - "$work/walked" || return 1
		done
	done
}

check "a filesystem with a tree" eval 'fresh 512M && mkdir "$mnt/tree" && edit "$seed"'
free=$(number free_bytes)
check "two branches" eval 'th branch create "$mnt" one && th branch create "$mnt" two --from one-origin && stop'
check "are edited by turns" rounds_of_edits
for branch in main one two; do
	check "branch $branch is as it was left" on "$branch" same "$branch"
done
check "the snapshots of all are seen" on one snapshots_equal
check "differences between branches are what a walk finds" on two diff_is_true
check "nothing is wrong" th check "$image"
check "without the option the last one is mounted" eval 'start "$image" "$mnt" && same two && stop'
check "read-only, another one" eval 'start -o ro,branch=main "$image" "$mnt" && same main && stop && start "$image" "$mnt" && same two && stop'
check_fails "a branch that is not there" th mount -o branch=none "$image" "$mnt"
check "what is mounted is not rolled back" eval 'start "$image" "$mnt" && not th rollback "$mnt" one-origin && stop'
first=$((seed % 1000000 + 1))
check "a branch is rolled back" th rollback --keep before "$image" "two.$first"
check "and is as it was" on two same "two.$first"
check "what was before is kept" on two eval 'manifest "$mnt/.snapshots/before/tree" | cmp - "$manifests/two"'
check "the others are as they were" on one same one
check "nothing is wrong after that" th check "$image"
a_hold_keeps_it() {
	th snapshot hold "$mnt" tag "two.$first" && th branch create "$mnt" held --from "two.$first" || return 1
	th branch delete --snapshots "$mnt" one two 2>&1 | grep -q "snapshot 'two.$first' of branch 'two' is held by 'tag'; see " &&
		[ "$(th branch list "$mnt" | wc -l)" -eq 4 ] && [ -d "$mnt/.snapshots/one.$first" ] &&
		th branch delete "$mnt" held && th snapshot release "$mnt" tag "two.$first"
}
check "a branch with a held snapshot stays" on main a_hold_keeps_it
delete_all() {
	th snapshot delete "$mnt" $(th snapshot list "$mnt" | awk '{ print $5 }' | grep -v -- -origin | tac) &&
		th branch delete "$mnt" one two && th snapshot delete "$mnt" one-origin
}
check "all but one are deleted" on main delete_all
check "what is left is as it was" on main same main
space_is_back() {
	rm -rf "$mnt/tree" && mkdir "$mnt/tree" && edit "$seed" && settle && [ "$(number free_bytes)" -ge $((free - (4 << 20))) ]
}
check "the space is back" on main space_is_back
check "and nothing is wrong" th check "$image"
tap_done
