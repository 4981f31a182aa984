#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# snapshot delete and prune of several snapshots.  The rules have their own test, fs-prune.
. "$(dirname "$0")/../support/tap.sh"
image=$work/image

# Names of the snapshots
names() {
	th snapshot list -H -o name "$image" | paste -sd' '
}

# fresh NAME... : an image with these snapshots
fresh() {
	rm -f "$image"
	th mkfs --size 16M "$image" && th snapshot create "$image" "$@"
}

fresh a day-1 b day-2 c || bail_out "no image"
check "a dry run says which" is "delete  day-1 delete  day-2 deleting 2 snapshots frees 0 B (0 bytes)" "$(th snapshot delete -n "$image" 'day*' | paste -sd' ')"
check "a dry run deletes none" is "a day-1 b day-2 c" "$(names)"
check "a pattern" th snapshot delete "$image" 'day-?'
check "a pattern deletes those that match" is "a b c" "$(names)"
check "a range" th snapshot delete --wait "$image" a..b
check "a range deletes from its first to its last" is "c" "$(names)"
th snapshot create "$image" d e f && th snapshot delete "$image" f d c..d
tap "names and ranges together"
check "each is deleted once" is "e" "$(names)"
th snapshot create "$image" g && th snapshot delete "$image" --older-than 1y
tap "none is that old"
check "age limits a name" th snapshot delete "$image" --older-than 1y e
check "none of these is deleted" is "e g" "$(names)"
check "all are older than nothing" th snapshot delete "$image" --older-than 0s
check "none is left" is "" "$(names)"

fresh a b c
check "a pattern without a match is refused" refused 1 "no snapshot 'x\*', and it is no range or pattern" th snapshot delete "$image" 'x*'
check "a range whose end is missing is refused" refused 1 "no snapshot 'a..x'" th snapshot delete "$image" a..x
check "a range the wrong way round is refused" refused 1 "newer than the second" th snapshot delete "$image" b..a
check "a dry run of a missing name is refused" refused 1 "no snapshot 'x'" th snapshot delete -n "$image" a x
check "a wrong age is refused" refused 2 "5m: not a time such as 30d" th snapshot delete --older-than 5m "$image"
check "delete without a name is refused" refused 2 "a name is missing" th snapshot delete "$image"

th snapshot hold "$image" tag b && refused 1 "snapshot 'b' is held by 'tag'" th snapshot delete "$image" a b
tap "a held one is refused by its name, and the others stay"
check "a pattern leaves a held one out, and says so" is "keep    b  (held)" "$(th snapshot delete "$image" '?')"
check "the others are deleted" is "b" "$(names)"

# Snapshots after the target of a rollback depend on it.
fresh a b c d && th rollback --discard "$image" b && th snapshot create "$image" e
check "an origin stays while its branch does" is "keep    b  (origin of a branch)" "$(th snapshot delete "$image" a..b)"
check "its branch stays" is "b c d e" "$(names)"
check "an origin goes with all of its branch" th snapshot delete "$image" '[bcd]'
check "only the rest is left" is "e" "$(names)"
fresh a b c d && th rollback --discard "$image" b && th snapshot hold "$image" tag c && th snapshot delete "$image" '*' >/dev/null
tap "a held one of a detached branch keeps its origin"
check "the two are left" is "b c" "$(names)"

fresh a b c d e f && th snapshot hold "$image" tag b && th branch create --from d "$image" work
expected='keep    b  (held);delete  c;keep    d  (origin of a branch);delete  e;keep    f  (last, newest)'
check "prune says why" is "delete  a;$expected" "$(th snapshot prune --dry-run --keep-last 1 "$image" | grep -v frees | paste -sd';')"
check "a dry run of prune deletes none" is "a b c d e f" "$(names)"
check "prune of some" th snapshot prune --keep-last 1 "$image" a..c
check "prune looks at these only" is "b c d e f" "$(names)"
check "prune says what it does" is "$expected" "$(th snapshot prune --verbose --keep-last 1 "$image" | paste -sd';')"
check "prune keeps held ones, origins and the last" is "b d f" "$(names)"
check "prune of all hours keeps the newest" th snapshot prune --keep-hourly 1 --wait "$image"
check "nothing more is to be done" is "b d f" "$(names)"
check "prune by age" th snapshot prune --keep-within 1000y "$image"
check "all are young enough" is "b d f" "$(names)"

check "prune without a rule is refused" refused 2 "a rule is missing" th snapshot prune "$image"
check "prune that keeps nothing is refused" refused 2 "a rule is missing" th snapshot prune --keep-last 0 "$image"
for number in '' -1 1x 1000001 99999999999999999999; do
	check "prune of '$number' is refused" refused 2 "not a number" th snapshot prune --keep-daily="$number" "$image"
done
check "prune without a target is refused" refused 2 "a target is missing" th snapshot prune --keep-last 1
check "nothing is wrong in the image" th check "$image"

if ! can_mount; then
	tap_skip "the same on a mounted filesystem" "no /dev/fuse"
	tap_done
fi
mnt=$work/mnt
fresh a b c d && start_detached "$image" "$mnt"
check "prune of a mounted filesystem" th snapshot prune --keep-last 2 "$mnt"
check "the last are left" is "c d" "$(ls "$mnt/.snapshots" | paste -sd' ')"
check "a pattern on a mounted filesystem" th snapshot delete "$mnt" 'c*'
check "the other is left" is "d" "$(ls "$mnt/.snapshots" | paste -sd' ')"
check "the image is unlocked" release "$mnt" "$image"
tap_done
