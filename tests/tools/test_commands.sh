#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The commands on a mounted filesystem, as a user would use them.
. "$(dirname "$0")/tap.sh"

if ! can_mount; then
	tap_skip "commands on a mount" "no /dev/fuse"
	tap_done
fi
image=$work/a.img
mnt=$work/mnt

th mkfs --size 32M "$image" && mount_image "$image" "$mnt"
tap "mkfs and mount"
mkdir -p "$mnt/docs/deep" && printf 'one\n' >"$mnt/docs/a" && printf 'two\n' >"$mnt/docs/b c" &&
	printf 'three\n' >"$mnt/docs/deep/d" && head -c 100000 /dev/urandom | tr X Y >"$mnt/big"
tap "files"
th snapshot create "$mnt" before
tap "snapshot create"
[ "$(cat "$mnt/.snapshots/before/docs/a")" = one ]
tap "what was just written is in it"
th diff "$mnt" before
tap "diff of nothing"

printf 'more\n' >>"$mnt/docs/a"
mv "$mnt/docs/b c" "$mnt/moved"
rm -r "$mnt/docs/deep"
ln "$mnt/docs/a" "$mnt/link"
mkdir "$mnt/new"
printf 'X' | dd of="$mnt/big" bs=1 seek=50000 conv=notrunc status=none

expected=$(printf '%s\n' 'M	/' 'M	/big' 'M	/docs' 'M	/docs/a	(+1)' '-	/docs/deep' '-	/docs/deep/d' '+	/link	(+1)' \
	'R	/docs/b\0040c -> /moved' '+	/new')
answer=$(th diff "$mnt" before)
[ $? -eq 1 ] && [ "$answer" = "$expected" ]
tap "diff" || printf '%s\n' "$answer"
[ "$(th diff -H "$mnt/docs" before | grep ^R)" = 'R	/docs/b\0040c	/moved' ]
tap "diff -H, from a directory below"
[ "$(th diff -F "$mnt" before | grep new)" = '+	/	/new' ]
tap "diff -F"
[ "$(th diff -0 "$mnt" before | tr '\0' '\n' | grep -A1 ^R)" = "$(printf 'R\t/docs/b c\n/moved')" ]
tap "diff -0"
[ "$(th diff "$mnt" before --path /docs | wc -l)" -eq 5 ]
tap "diff --path"
th diff --json "$mnt" before | grep '"path":"/big"' | grep -q '"ranges":\[\[49152,4096\]\]'
tap "diff --json tells the range"
[ "$(th diff --stats "$mnt" before 2>&1 >/dev/null | grep -c 'nodes read')" -eq 1 ]
tap "diff --stats"

mkdir "$mnt/.snapshots/after"
tap "mkdir in .snapshots"
[ "$(th diff "$mnt" before after)" = "$expected" ]
tap "diff between two snapshots"
[ "$(th diff "$mnt" after before | grep -c '^+	/docs/deep')" -eq 2 ]
tap "diff backwards"
refused 1 "snapshot 'after' already" th snapshot create "$mnt" after
tap "a name that is taken"
refused 1 "no snapshot 'none'" th snapshot delete "$mnt" none
tap "a snapshot that is not there"
refused 2 "no snapshot or branch 'none'" th diff "$mnt" before none
tap "diff to a snapshot that is not there"
th snapshot rename "$mnt" after later && [ -d "$mnt/.snapshots/later" ] && [ ! -e "$mnt/.snapshots/after" ]
tap "snapshot rename is seen in .snapshots"
th snapshot hold "$mnt" backup later && refused 1 "snapshot 'later' is held by 'backup'; see " th snapshot delete "$mnt" later
tap "a held snapshot is not deleted"
! LC_ALL=C rmdir "$mnt/.snapshots/later" 2>"$work/said" && grep -q 'busy' "$work/said" && [ -d "$mnt/.snapshots/later" ]
tap "nor by rmdir"
[ "$(th snapshot holds "$mnt/docs" later | awk '{ print $1, $2 }')" = "later backup" ]
tap "snapshot holds, from a directory below"
th snapshot list "$mnt" | grep -q 'later  1 hold$' && th snapshot list --json "$mnt" | grep -q '"holds": *1'
tap "snapshot list counts holds"
refused 1 "is not held by 'another'" th snapshot release "$mnt" another later
tap "a tag that is not there"
th snapshot release "$mnt" backup later
tap "snapshot release"
rm -f "$work/said"
th snapshot delete "$mnt" later && [ ! -e "$mnt/.snapshots/later" ]
tap "and so is snapshot delete"
th info "$mnt" | grep -qE '^snapshots +1$' && th info --json "$mnt" | grep -q '"mounted": *true'
tap "info"
cp -r "$mnt/.snapshots/before/docs" "$work/back" && [ "$(cat "$work/back/deep/d")" = three ]
tap "cp of a directory out of a snapshot"

unmount "$mnt" "$image"
tap "umount"
[ "$(th diff "$image" before)" = "$expected" ]
tap "diff of the image says the same"
th check "$image" >/dev/null
tap "check"
fsck=$work/fsck.thunderhead
ln -s "$(realpath "$THUNDERHEAD")" "$fsck" && "$fsck" -a "$image" && "$fsck" -fn "$image" >/dev/null
tap "fsck.thunderhead"
mounter=$work/mount.thunderhead
ln -s "$(realpath "$THUNDERHEAD")" "$mounter" && "$mounter" "$image" "$mnt" -o ro && [ -d "$mnt/new" ]
tap "mount.thunderhead -o ro"
! touch "$mnt/x" 2>/dev/null && ! th snapshot create "$mnt" x 2>/dev/null
tap "read-only is read-only"
unmount "$mnt" "$image"
tap "umount again"
# --- without standard streams ---
th mkfs --size 16M "$work/bare.img" && mount_image "$work/bare.img" "$work/bare" <&- >&- 2>&-
tap "mount where all standard streams are closed"
printf 'kept\n' >"$work/bare/file" && unmount "$work/bare" "$work/bare.img" && mount_image "$work/bare.img" "$work/bare" &&
	[ "$(cat "$work/bare/file")" = kept ] && unmount "$work/bare" "$work/bare.img"
tap "what was written is there"
refused 1 'standard output: it cannot be written' eval 'th snapshot list "$work/bare.img" --json >&-'
tap "nothing is printed where nobody listens"
tap_done
