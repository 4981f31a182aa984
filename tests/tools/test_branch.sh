#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Branches and rollback of an image that is not mounted.  Whatever is refused leaves all files as they were.
. "$(dirname "$0")/tap.sh"

image=$work/image
th mkfs --size 16M "$image"

# names of branches, or of snapshots with their branch
branches() {
	th branch list "$image" | awk '{ sub(/.* \+0000  /, ""); print }' | tr '\n' ';'
}
snapshots() {
	th snapshot list "$image" | awk '{ sub(/.* \+0000  /, ""); print }' | tr '\n' ';'
}

[ "$(branches)" = "main;" ]
tap "a new image has one branch"
th branch list "$image" | grep -q '^\*'
tap "which is the current one"
th snapshot create "$image" s && [ "$(snapshots)" = "s;" ]
tap "with one branch, snapshots show none"

# --- usage ---
refused 2 'create, list, delete or rename' th branch
tap "branch alone"
refused 2 'not one of' th branch begin "$image"
tap "branch with another word"
refused 2 'a name is missing' th branch create "$image"
tap "create without a name"
refused 2 'too many' th branch create "$image" a b
tap "create with two names"
refused 2 '--from is for create' th branch delete "$image" main --from s
tap "delete --from"
refused 2 '--snapshots is for delete' th branch list "$image" --snapshots
tap "list --snapshots"
refused 2 '--json is for the list' th branch delete "$image" main --json
tap "delete --json"
refused 2 'are needed' th rollback "$image"
tap "rollback without a snapshot"
refused 2 'contradict' th rollback --keep a --discard "$image" s
tap "rollback --keep --discard"

# --- what is not possible ---
refused 1 "there is no snapshot 'none'" th branch create "$image" work --from none
tap "from a snapshot that is not there"
refused 1 "a branch 'main' already" th branch create "$image" main --from s
tap "a name that is taken"
refused 1 "cannot be the name" th branch create "$image" a/b --from s
tap "a name with a slash"
refused 1 "there is no branch 'none'" th branch delete "$image" none
tap "delete one that is not there"
refused 1 "is the current one" th branch delete "$image" main
tap "delete the current one"
refused 1 "there is no branch 'none'" th branch rename "$image" none other
tap "rename one that is not there"
refused 1 "there is no snapshot 'none'" th rollback "$image" none
tap "rollback to a snapshot that is not there"
refused 1 "there is a snapshot 's' already" th rollback --keep s "$image" s
tap "rollback with a name that is taken"
refused 1 'directory' th rollback "$work" s
tap "rollback of a directory"

# --- what is ---
th branch create "$image" work --from s && [ "$(branches)" = "main;work  from s;" ]
tap "create"
[ "$(snapshots)" = "s  main;" ]
tap "with two branches, snapshots show theirs"
refused 1 "branch 'work' begins from snapshot 's'" th snapshot delete "$image" s
tap "a snapshot that a branch begins from stays"
th branch create "$image" more && [ "$(snapshots)" = "s  main;more-origin  main;" ]
tap "create without a snapshot takes one"
th branch list --json "$image" | grep -q '"from":"s"'
tap "list --json"
th branch rename "$image" more other && [ "$(branches)" = "main;work  from s;other  from more-origin;" ]
tap "rename"
th diff "$image" main work >"$work/said" && [ ! -s "$work/said" ]
tap "diff of two branches"
refused 2 "there is no snapshot or branch 'none'" th diff "$image" main none
tap "diff with a branch that is not there"
th check "$image" | grep -q '3 branches; no problems'
tap "check counts them"
th info "$image" | grep -qE '^branch +main$' && th info --json "$image" | grep -q '"branch":"main"'
tap "info shows the current one"
kept=$(th rollback "$image" s) && [ "${kept#before-rollback-}" != "$kept" ]
tap "rollback keeps the present and says how it is called"
[ "$(snapshots)" = "s  main;more-origin  (main);$kept  (main);" ]
tap "newer snapshots are kept"
th rollback --keep present "$image" "$kept" && th check "$image" >/dev/null
tap "and back again"
th rollback --discard "$image" s && th check "$image" >/dev/null
tap "rollback --discard"
th snapshot delete "$image" present
th rollback --keep later "$image" more-origin && th branch create "$image" side --from "$kept"
tap "a branch of what was rolled back"
th snapshot hold "$image" tag "$kept" && refused 1 "snapshot '$kept' is held by 'tag'" th snapshot delete "$image" "$kept"
tap "a held snapshot of what was rolled back"
th snapshot release "$image" tag "$kept" && th branch delete "$image" side
tap "and let go of"
th branch delete "$image" work && ! th branch delete "$image" nothing 2>/dev/null
tap "delete"
th check "$image" >/dev/null
tap "check finds nothing wrong"
rm -f "$work/said"
tap_done
