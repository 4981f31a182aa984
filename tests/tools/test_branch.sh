#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Branches and rollback of an image that is not mounted.  A refused command leaves all files unchanged.
. "$(dirname "$0")/../support/tap.sh"

image=$work/image
th mkfs --size 16M "$image"

# Names of branches, or of snapshots with their branch
branches() {
	th branch list "$image" | awk '{ sub(/.* \+0000  /, ""); print }' | tr '\n' ';'
}
snapshots() {
	th snapshot list "$image" | sed -E '1d; s/^ *[0-9]+  .{25}  +[0-9]+[a-z]+  +([0-9.]+ [KM]?i?B|-)  //; s/  +/  /g; s/ +$//' | tr '\n' ';'
}

check "a new image has one branch" is "main;" "$(branches)"
th branch list "$image" | grep -q '^\*'
tap "the only branch is the current one"
th snapshot create "$image" s && is "s;" "$(snapshots)"
tap "a list of snapshots shows no branch where there is one only"

# --- usage ---
check "branch without a verb is refused" refused 2 'create, list, delete, rename or promote' th branch
check "branch with an unknown verb is refused" refused 2 'not one of' th branch begin "$image"
check "branch create without a name is refused" refused 2 'a name is missing' th branch create "$image"
check "branch create with two names is refused" refused 2 'too many' th branch create "$image" a b
check "branch delete --from is refused" refused 2 '--from: no such option' th branch delete "$image" main --from s
check "branch list --snapshots is refused" refused 2 '--snapshots: no such option' th branch list "$image" --snapshots
check "branch delete --json is refused" refused 2 '--json: no such option' th branch delete "$image" main --json
check "rollback without a snapshot is refused" refused 2 'are needed' th rollback "$image"
check "rollback with both --keep and --discard is refused" refused 2 'contradict' th rollback --keep a --discard "$image" s

# --- refused names and targets ---
check "branch create from a snapshot that is not there is refused" refused 1 "there is no snapshot 'none'" th branch create "$image" work --from none
check "branch create with a name that is taken is refused" refused 1 "a branch 'main' already" th branch create "$image" main --from s
check "branch create with a slash in the name is refused" refused 1 "cannot be the name" th branch create "$image" a/b --from s
check "branch delete of a branch that is not there is refused" refused 1 "there is no branch 'none'" th branch delete "$image" none
check "branch delete of the current branch is refused" refused 1 "is the current one" th branch delete "$image" main
check "branch rename of a branch that is not there is refused" refused 1 "there is no branch 'none'" th branch rename "$image" none other
check "rollback to a snapshot that is not there is refused" refused 1 "there is no snapshot 'none'" th rollback "$image" none
check "rollback --keep with a name that is taken is refused" refused 1 "there is a snapshot 's' already" th rollback --keep s "$image" s
check "rollback of a directory of another filesystem is refused" refused 1 'directory' th rollback "$work" s

# --- accepted commands ---
th branch create "$image" work --from s && is "main;work  from s;" "$(branches)"
tap "branch create --from makes a branch"
check "a list of snapshots shows branches where there are two" is "s  main;" "$(snapshots)"
check "the origin of a branch cannot be deleted" refused 1 "snapshot 's' is the origin of branch 'work'" th snapshot delete "$image" s
th branch create "$image" more && is "s  main;more-origin  main;" "$(snapshots)"
tap "branch create without --from takes a snapshot"
th branch list --json "$image" | grep -q '"from":"s"'
tap "branch list --json has the origin"
th branch rename "$image" more other && is "main;work  from s;other  from more-origin;" "$(branches)"
tap "branch rename changes the name"
th diff "$image" main work >"$work/said" && [ ! -s "$work/said" ]
tap "diff of two equal branches is empty"
check "diff with a branch that is not there is refused" refused 2 "there is no snapshot or branch 'none'" th diff "$image" main none
th check "$image" | grep -q '3 branches; no problems'
tap "check counts the branches"
th info "$image" | grep -qE '^branch +main$' && th info --json "$image" | grep -q '"branch":"main"'
tap "info shows the current branch"
kept=$(th rollback "$image" s) && [ "${kept#before-rollback-}" != "$kept" ]
tap "rollback keeps the present and prints its name"
check "rollback keeps newer snapshots" is "s  main;more-origin  (main);$kept  (main);" "$(snapshots)"
th rollback --keep present "$image" "$kept" && th check "$image" >/dev/null
tap "rollback to the kept state succeeds"
th rollback --discard "$image" s && th check "$image" >/dev/null
tap "rollback --discard succeeds"
th snapshot delete "$image" present
th rollback --keep later "$image" more-origin && th branch create "$image" side --from "$kept"
tap "a branch may begin from a detached snapshot"
th snapshot hold "$image" tag "$kept" && refused 1 "snapshot '$kept' is held by 'tag'" th snapshot delete "$image" "$kept"
tap "a held detached snapshot cannot be deleted"
th snapshot release "$image" tag "$kept" && th branch delete "$image" side
tap "a released detached snapshot can lose its branch"
th branch delete "$image" work && ! th branch delete "$image" nothing 2>/dev/null
tap "branch delete deletes a branch and refuses one that is not there"
check "check finds nothing wrong at the end" th check "$image"

# --- promote: all can be deleted, and a message says how ---
rm "$image" && th mkfs --size 16M "$image" && th snapshot create "$image" s
th rollback --keep k "$image" s && is "s  main;k  (main);" "$(snapshots)"
tap "a rollback detaches newer snapshots"
check "the message names a snapshot that keeps the origin" refused 1 "origin of a detached branch; delete that branch's snapshots first: 'k'" th snapshot delete "$image" s
th rollback --discard "$image" k && is "s;k;" "$(snapshots)"
tap "an undone rollback leaves one line of snapshots"
check "there is nothing to promote a branch over that begins from no snapshot" refused 1 "begins from no snapshot" th branch promote "$image" main
check "branch promote of a branch that is not there is refused" refused 1 "there is no branch 'none'" th branch promote "$image" none
check "branch promote without a name is refused" refused 2 'a name is missing' th branch promote "$image"
th branch create "$image" work --from k && th branch create "$image" more --from s && th branch promote "$image" more
tap "branch promote succeeds"
check "the branch has its origin and the snapshots before it" is "s  more;k  main;" "$(snapshots)"
check "the message says how to delete the origin of two branches" refused 1 "origin of branch 'main'; delete that branch first, or promote it .* and delete branch 'more'" th snapshot delete "$image" s
check "the message says how to delete a branch that others begin from" refused 1 "is the origin of branch 'main'; promote 'main' " th branch delete --snapshots "$image" more
th branch promote "$image" main && th branch delete "$image" more work && th snapshot delete "$image" s k
tap "after promotions everything can be deleted"
check "check finds nothing wrong after promotions" th check "$image"
tap_done
