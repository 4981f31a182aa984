#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Images: made, refused, damaged, in use.  Whatever is refused leaves all files as they were.
. "$(dirname "$0")/tap.sh"

image=$work/good.img

# --- mkfs ---
th mkfs --size 16M --label "my files" "$image"
tap "mkfs makes a file"
[ "$(stat -c %s "$image")" -eq $((16 << 20)) ]
tap "of the size that was asked for"
th check "$image" >/dev/null
tap "check finds nothing wrong"
th info "$image" | grep -qE '^label +my\\0040files$'
tap "info shows the label"
refused 1 'a Thunderhead image already; --force' th mkfs "$image"
tap "mkfs refuses an image that is there"
th mkfs --force "$image" && th check "$image" >/dev/null
tap "mkfs --force makes it anew"
th mkfs --size 20M --force "$image" && [ "$(stat -c %s "$image")" -eq $((20 << 20)) ]
tap "mkfs --size lets a file grow"
refused 1 'larger than that already' th mkfs --size 16M --force "$image"
tap "mkfs does not cut a file off"
truncate -s 16M "$work/empty.img" && th mkfs "$work/empty.img"
tap "mkfs takes the size of a file that is there"
rm -f "$work/empty.img"
truncate -s 16M "$work/other.img" && printf 'dear to somebody' | dd of="$work/other.img" bs=1 seek=65600 conv=notrunc status=none
refused 1 'holds something already; --force' th mkfs "$work/other.img"
tap "mkfs refuses a file that is not empty"
rm -f "$work/other.img"
refused 1 'no such file; --size' th mkfs "$work/none.img"
tap "mkfs without a size makes no file"
refused 1 'no such (file|directory)' th mkfs --size 16M "$work/none/x.img"
tap "mkfs in a directory that is not there"
refused 1 'directory' th mkfs "$work"
tap "mkfs of a directory"
th mkfs --size 16M "file:$work/url.img" && th check "file:$work/url.img" >"$work.out" && th info "file:$work/url.img" >>"$work.out"
tap "file:PATH names a file"
for verb in 'mkfs --size 16M' check info 'snapshot list'; do
	refused "$([ "$verb" = check ] && echo 8 || echo 1)" 'xyz:pool/image: unknown kind of disk' th $verb xyz:pool/image
	tap "$verb refuses the URL of an unknown kind of disk"
done
rm -f "$work/url.img" "$work.out"
head -c 1000000 /dev/zero >"$work/short.img"
refused 1 'too small' th mkfs "$work/short.img"
tap "mkfs of a file that is too small"
rm -f "$work/short.img"
if [ "$(id -u)" -ne 0 ]; then
	: >"$work/readonly.img" && chmod 400 "$work/readonly.img"
	refused 1 'Permission denied' th mkfs --size 16M "$work/readonly.img"
	tap "mkfs of a file that may not be written"
	rm -f "$work/readonly.img"
fi

# --- what is no image, or was one ---
mkdir "$work/place"

# bad NAME PATTERN CODE-OF-CHECK : no command takes it
bad() {
	refused 1 "$1: .*$2" th info "$work/$1"
	tap "info $1"
	refused 1 "$1: .*$2" th snapshot list "$work/$1"
	tap "snapshot list $1"
	refused 1 "$1: .*$2" th snapshot create "$work/$1" s
	tap "snapshot create $1"
	refused 2 "$1: .*$2" th diff "$work/$1" a
	tap "diff $1"
	refused "$3" "$1: .*$2" th check "$work/$1"
	tap "check $1"
	refused 1 "$1: .*$2" th mount "$work/$1" "$work/place"
	tap "mount $1"
	rm -f "$work/$1"
}
printf 'just a text\n' >"$work/text"
bad text 'not a Thunderhead image' 8
truncate -s 16M "$work/zeros.img"
bad zeros.img 'not a Thunderhead image' 8
bad none.img 'No such file or directory' 8
head -c 10000000 "$image" >"$work/cut.img"
bad cut.img '(damaged|superblock)' 4
cp --sparse=always "$image" "$work/broken.img"
for slot in 0 1 2 3 4 5 6 7; do # both rings of superblocks, behind what tells that they are such
	for block in "$slot" $(((20 << 8) - slot - 1)); do
		dd if=/dev/urandom of="$work/broken.img" bs=512 seek=$((block * 8 + 1)) count=1 conv=notrunc status=none
	done
done
bad broken.img '(damaged|superblock)' 4

# --- snapshots of an image that is not mounted ---
th snapshot create "$image" one two
tap "snapshot create, two names"
th snapshot rename "$image" two zwei
tap "snapshot rename"
[ "$(th snapshot list "$image" | awk '{ print $NF }' | paste -sd' ')" = "one zwei" ]
tap "snapshot list"
th snapshot list --json "$image" | grep -q '"name": *"zwei"'
tap "snapshot list --json"
th diff "$image" one zwei && th diff "$image" one
tap "no differences"
refused 1 "snapshot 'one' already" th snapshot create "$image" one
tap "a name that is taken"
refused 1 "snapshot 'one' already" th snapshot rename "$image" zwei one
tap "renaming to a name that is taken"
refused 1 "no snapshot 'none'" th snapshot rename "$image" none other
tap "renaming what is not there"
refused 1 "no snapshot 'none'" th snapshot delete "$image" none
tap "deleting what is not there"
for name in a/b . .. ""; do
	refused 1 "cannot be the name" th snapshot create "$image" "$name"
	tap "snapshot create '$name'"
done
refused 1 'File name too long' th snapshot create "$image" "$(printf 'n%.0s' {1..256})"
tap "snapshot create with too long a name"
refused 2 "no snapshot or branch 'none'" th diff "$image" none
tap "diff from what is not there"
refused 2 "no snapshot or branch 'none'" th diff "$image" one none
tap "diff to what is not there"

# --- holds ---
th snapshot hold "$image" backup one zwei && th snapshot hold "$image" 'my tag' one
tap "snapshot hold"
[ "$(th snapshot holds "$image" | awk '{ print $1, $2 }' | paste -sd,)" = 'one backup,one my\0040tag,zwei backup' ]
tap "snapshot holds"
[ "$(TZ=UTC th snapshot holds "$image" zwei | grep -cE '^zwei  backup  20[0-9-]+ [0-9:]+ \+0000$')" -eq 1 ]
tap "snapshot holds of one, with the time"
th snapshot holds --json "$image" one | tr -d ' \n' | grep -qE '^\[\{"snapshot":"one","tag":"backup","created_ns":[0-9]+\},\{"snapshot":"one","tag":"mytag",'
tap "snapshot holds --json"
[ "$(th snapshot list "$image" | sed 's/.* +0000  //' | paste -sd,)" = 'one  2 holds,zwei  1 hold' ]
tap "snapshot list counts them"
th snapshot list --json "$image" | tr -d ' \n' | grep -q '"holds":2.*"holds":1'
tap "snapshot list --json, too"
refused 1 "snapshot 'one' is held by 'backup', 'my.*tag'; see thunderhead snapshot release" th snapshot delete "$image" one
tap "snapshot delete of one that is held"
refused 1 "snapshot 'one' is held by 'backup' already" th snapshot hold "$image" backup one
tap "snapshot hold with a tag that is there"
refused 1 "snapshot 'zwei' is not held by 'my tag'" th snapshot release "$image" 'my tag' one zwei
tap "snapshot release of a tag that is not there: nothing is done"
refused 1 "no snapshot 'none'" th snapshot hold "$image" tag one none
tap "snapshot hold of a snapshot that is not there: nothing is done"
refused 1 "no snapshot 'none'" th snapshot release "$image" backup none
tap "snapshot release of a snapshot that is not there"
refused 1 "no snapshot 'none'" th snapshot holds "$image" none
tap "snapshot holds of a snapshot that is not there"
refused 1 'must not be empty' th snapshot hold "$image" '' one
tap "an empty tag"
refused 1 'at most 255 bytes' th snapshot hold "$image" "$(printf '%0256d' 1)" one
tap "too long a tag"
th snapshot rename "$image" one eins && [ "$(th snapshot holds "$image" eins | wc -l)" -eq 2 ] && th snapshot rename "$image" eins one
tap "holds stay when a snapshot is renamed"
th check "$image" >/dev/null
tap "check"
for tag in a b c; do th snapshot hold "$image" "$tag" one; done
refused 1 "is held by 'backup', 'my.*tag', 'a' and 2 more;" th snapshot delete "$image" one
tap "more tags than are said"
for tag in a b c; do th snapshot release "$image" "$tag" one; done
th snapshot release "$image" backup one zwei && th snapshot release "$image" 'my tag' one && [ -z "$(th snapshot holds "$image")" ]
tap "snapshot release"

name=$(th snapshot create "$image") && th snapshot delete --wait "$image" "$name"
tap "snapshot create without a name tells the one it chose"
refused 1 'No such file or directory' th mount "$image" "$work/nowhere"
tap "mount on what is not there"
refused 1 'Not a directory' th mount "$image" "$image"
tap "mount on a file"
refused 1 "no snapshot|No such" th mount -o snapshot=none "$image" "$work/place"
tap "mount of a snapshot that is not there"
refused 1 'cache' th mount -o cache=lots "$image" "$work/place"
tap "mount with a size that is none"
refused 1 'snapdir' th mount -o snapdir=somewhere "$image" "$work/place"
tap "mount with an unknown mode"
refused 1 'not a directory of a mounted Thunderhead' th snapshot list "$work"
tap "a directory of another filesystem"
th check "$image" >/dev/null
tap "check finds nothing wrong at the end"

# --- an image in use ---
if ! can_mount; then
	tap_skip "an image in use" "no /dev/fuse"
	tap_done
fi
mount_image "$image" "$work/mnt"
tap "mount"
refused 1 "in use.*$work/mnt" th info "$image"
tap "info says where it is mounted"
refused 1 'in use' th mkfs --force "$image"
tap "mkfs --force"
refused 1 'in use' th snapshot create "$image" x
tap "snapshot create"
refused 2 'in use' th diff "$image" one
tap "diff"
refused 8 'in use' th check "$image"
tap "check"
refused 1 "($work/mnt|in use|busy)" th mount "$image" "$work/place"
tap "a second mount"
unmount "$work/mnt" "$image"
tap "umount"
th check "$image" >/dev/null
tap "check after umount"
tap_done
