#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The commands on a mounted filesystem, in the order of a user's session.
. "$(dirname "$0")/../support/tap.sh"

if ! can_mount; then
	tap_skip "commands work on a mounted filesystem" "no /dev/fuse"
	tap_done
fi
image=$work/a.img
mnt=$work/mnt

th mkfs --size 32M "$image" && start_detached "$image" "$mnt"
tap "mkfs and mount"
mkdir -p "$mnt/docs/deep" && printf 'one\n' >"$mnt/docs/a" && printf 'two\n' >"$mnt/docs/b c" &&
	printf 'three\n' >"$mnt/docs/deep/d" && head -c 100000 /dev/urandom | tr X Y >"$mnt/big"
tap "files are made"
check "snapshot create succeeds" th snapshot create "$mnt" before
check "a snapshot has the last write before it" is one "$(cat "$mnt/.snapshots/before/docs/a")"
check "diff without changes exits with 0" th diff "$mnt" before

printf 'more\n' >>"$mnt/docs/a"
mv "$mnt/docs/b c" "$mnt/moved"
rm -r "$mnt/docs/deep"
ln "$mnt/docs/a" "$mnt/link"
mkdir "$mnt/new"
printf 'X' | dd of="$mnt/big" bs=1 seek=50000 conv=notrunc status=none

expected=$(printf '%s\n' 'M	/' 'M	/big' 'M	/docs' 'M	/docs/a	(+1)' '-	/docs/deep' '-	/docs/deep/d' '+	/link	(+1)' \
	'R	/docs/b\0040c -> /moved' '+	/new')
answer=$(th diff "$mnt" before)
is "1: $expected" "$?: $answer"
tap "diff lists all changes and exits with 1"
check "diff -H prints two columns, from a directory below too" is 'R	/docs/b\0040c	/moved' "$(th diff -H "$mnt/docs" before | grep ^R)"
check "diff -F prints the type" is '+	/	/new' "$(th diff -F "$mnt" before | grep new)"
check "diff -0 ends names with NUL" is "$(printf 'R\t/docs/b c\n/moved')" "$(th diff -0 "$mnt" before | tr '\0' '\n' | grep -A1 ^R)"
check "diff --path lists this directory only" is 5 "$(th diff "$mnt" before --path /docs | wc -l)"
th diff --json "$mnt" before | grep '"path":"/big"' | grep -q '"ranges":\[\[49152,4096\]\]'
tap "diff --json has the changed range"
check "diff --stats prints the nodes read" is 1 "$(th diff --stats "$mnt" before 2>&1 >/dev/null | grep -c 'nodes read')"

check "mkdir in .snapshots takes a snapshot" mkdir "$mnt/.snapshots/after"
check "diff of two snapshots equals diff with the present" is "$expected" "$(th diff "$mnt" before after)"
check "diff backwards reports added names" is 2 "$(th diff "$mnt" after before | grep -c '^+	/docs/deep')"
check "snapshot create with a name that is taken is refused" refused 1 "snapshot 'after' already" th snapshot create "$mnt" after
check "snapshot delete of one that is not there is refused" refused 1 "no snapshot 'none'" th snapshot delete "$mnt" none
check "diff to a snapshot that is not there is refused" refused 2 "no snapshot or branch 'none'" th diff "$mnt" before none
# The daemon invalidates the kernel's cached names just after its reply.
gone() {
	[ ! -e "$1" ]
}
th snapshot rename "$mnt" after later && [ -d "$mnt/.snapshots/later" ] && wait_for gone "$mnt/.snapshots/after"
tap "snapshot rename changes the name in .snapshots"
th snapshot hold "$mnt" backup later && refused 1 "snapshot 'later' is held by 'backup'; see " th snapshot delete "$mnt" later
tap "a held snapshot cannot be deleted by the tool"
! LC_ALL=C rmdir "$mnt/.snapshots/later" 2>"$work/said" && grep -q 'busy' "$work/said" && [ -d "$mnt/.snapshots/later" ]
tap "a held snapshot cannot be deleted by rmdir"
check "snapshot holds lists holds, from a directory below too" is "later backup" "$(th snapshot holds "$mnt/docs" later | awk '{ print $1, $2 }')"
th snapshot list -H -o name,holds "$mnt" | grep -qx 'later	1' && th snapshot list --json "$mnt" | grep -q '"holds": *1'
tap "snapshot list counts holds"
check "snapshot release of a tag that is not there is refused" refused 1 "is not held by 'another'" th snapshot release "$mnt" another later
check "snapshot release succeeds" th snapshot release "$mnt" backup later
rm -f "$work/said"
th snapshot delete "$mnt" later && wait_for gone "$mnt/.snapshots/later"
tap "snapshot delete removes the name from .snapshots"
th info "$mnt" | grep -qE '^snapshots +1$' && th info --json "$mnt" | grep -q '"mounted": *true'
tap "info counts snapshots and reports the mount"
cp -r "$mnt/.snapshots/before/docs" "$work/back" && is three "$(cat "$work/back/deep/d")"
tap "cp copies a directory out of a snapshot"

check "the image is unlocked after umount" release "$mnt" "$image"
check "diff of the image equals diff of the mount" is "$expected" "$(th diff "$image" before)"
check "check finds nothing wrong" th check "$image"
fsck=$work/fsck.thunderhead
ln -s "$(realpath "$THUNDERHEAD")" "$fsck" && "$fsck" -a "$image" && "$fsck" -fn "$image" >/dev/null
tap "fsck.thunderhead accepts the options of fsck"
mounter=$work/mount.thunderhead
ln -s "$(realpath "$THUNDERHEAD")" "$mounter" && "$mounter" "$image" "$mnt" -o ro
must_be_mounted "$mnt"
[ -d "$mnt/new" ]
tap "mount.thunderhead -o ro mounts"
! touch "$mnt/x" 2>/dev/null && ! th snapshot create "$mnt" x 2>/dev/null
tap "a read-only mount refuses files and snapshots"
check "the image is unlocked after the second umount" release "$mnt" "$image"

# --- without standard streams ---

mkdir "$work/bare" && th mkfs --size 16M "$work/bare.img"
th mount "$work/bare.img" "$work/bare" <&- >&- 2>&-
must_be_mounted "$work/bare"
tap "mount works with all standard streams closed"
printf 'kept\n' >"$work/bare/file" && release "$work/bare" "$work/bare.img" && start_detached "$work/bare.img" "$work/bare" &&
	is kept "$(cat "$work/bare/file")" && release "$work/bare" "$work/bare.img"
tap "data is there after such a mount"
check "a closed standard output is an error" refused 1 'standard output: cannot be written' eval 'th snapshot list "$work/bare.img" --json >&-'
tap_done
