#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Images: new, refused, damaged, in use.  A refused command leaves all files unchanged.
. "$(dirname "$0")/../support/tap.sh"

image=$work/good.img

# --- mkfs ---
check "mkfs makes a file" th mkfs --size 16M --label "my files" "$image"
check "mkfs makes a file of the given size" is $((16 << 20)) "$(stat -c %s "$image")"
check "check finds nothing wrong in a new image" th check "$image"
th info "$image" | grep -qE '^label +my\\0040files$'
tap "info shows the label"
check "mkfs of an existing image is refused" refused 1 'a Thunderhead image already; --force' th mkfs "$image"
check "mkfs with three copies of the metadata is refused" refused 2 'the number of copies is 1 or 2' \
	th mkfs --metadata-copies 3 --force "$image"
th mkfs --force "$image" && th check "$image" >/dev/null
tap "mkfs --force replaces an image"
th mkfs --size 20M --force "$image" && is $((20 << 20)) "$(stat -c %s "$image")"
tap "mkfs --size extends a file"
check "mkfs --size smaller than the file is refused" refused 1 'larger than that already' th mkfs --size 16M --force "$image"
truncate -s 16M "$work/empty.img" && th mkfs "$work/empty.img"
tap "mkfs without --size uses the size of the file"
rm -f "$work/empty.img"
truncate -s 16M "$work/other.img" && printf 'other data' | dd of="$work/other.img" bs=1 seek=65600 conv=notrunc status=none
check "mkfs of a file with data is refused" refused 1 'holds other data already; --force' th mkfs "$work/other.img"
rm -f "$work/other.img"
check "mkfs without a size of a file that is not there is refused" refused 1 'no such file; --size' th mkfs "$work/none.img"
check "mkfs in a directory that is not there is refused" refused 1 'no such (file|directory)' th mkfs --size 16M "$work/none/x.img"
check "mkfs of a directory is refused" refused 1 'directory' th mkfs "$work"
th mkfs --size 16M "file:$work/url.img" && th check "file:$work/url.img" >"$scratch/out" && th info "file:$work/url.img" >>"$scratch/out"
tap "file:PATH names a file"
for verb in 'mkfs --size 16M' check info 'snapshot list'; do
	check "$verb refuses the URL of an unknown kind of disk" refused "$([ "$verb" = check ] && echo 8 || echo 1)" \
		'xyz:pool/image: unknown kind of disk' th $verb xyz:pool/image
done
rm -f "$work/url.img"
head -c 1000000 /dev/zero >"$work/short.img"
check "mkfs of a file that is too small is refused" refused 1 'too small' th mkfs "$work/short.img"
rm -f "$work/short.img"
if [ "$(id -u)" -ne 0 ]; then
	: >"$work/readonly.img" && chmod 400 "$work/readonly.img"
	check "mkfs of a file without write permission is refused" refused 1 'Permission denied' th mkfs --size 16M "$work/readonly.img"
	rm -f "$work/readonly.img"
fi

# --- files that are no images, and damaged images ---
mkdir "$work/place"

# bad NAME PATTERN CODE-OF-CHECK : every command refuses the file, with a message that matches
bad() {
	check "info of $1 is refused" refused 1 "$1: .*$2" th info "$work/$1"
	check "snapshot list of $1 is refused" refused 1 "$1: .*$2" th snapshot list "$work/$1"
	check "snapshot create in $1 is refused" refused 1 "$1: .*$2" th snapshot create "$work/$1" s
	check "diff of $1 is refused" refused 2 "$1: .*$2" th diff "$work/$1" a
	check "check of $1 fails" refused "$3" "$1: .*$2" th check "$work/$1"
	check "mount of $1 is refused" refused 1 "$1: .*$2" th mount "$work/$1" "$work/place"
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
for slot in 0 1 2 3 4 5 6 7; do # both rings of superblocks, past the bytes that identify them
	for block in "$slot" $(((20 << 8) - slot - 1)); do
		dd if=/dev/urandom of="$work/broken.img" bs=512 seek=$((block * 8 + 1)) count=1 conv=notrunc status=none
	done
done
bad broken.img '(damaged|superblock)' 4

# --- snapshots of an image that is not mounted ---
check "snapshot create takes two snapshots" th snapshot create "$image" one two
check "snapshot rename succeeds" th snapshot rename "$image" two zwei
check "snapshot list has the new name" is "one zwei" "$(th snapshot list -H -o name "$image" | paste -sd' ')"
th snapshot list --json "$image" | grep -q '"name": *"zwei"'
tap "snapshot list --json has the new name"
th diff "$image" one zwei && th diff "$image" one
tap "diff of equal snapshots is empty"
check "snapshot create with a name that is taken is refused" refused 1 "snapshot 'one' already" th snapshot create "$image" one
check "snapshot rename to a name that is taken is refused" refused 1 "snapshot 'one' already" th snapshot rename "$image" zwei one
check "snapshot rename of one that is not there is refused" refused 1 "no snapshot 'none'" th snapshot rename "$image" none other
check "snapshot delete of one that is not there is refused" refused 1 "no snapshot 'none'" th snapshot delete "$image" none
for name in a/b . .. ""; do
	check "snapshot create with the name '$name' is refused" refused 1 "cannot be the name" th snapshot create "$image" "$name"
done
check "snapshot create with a name of 256 bytes is refused" refused 1 'File name too long' th snapshot create "$image" "$(printf 'n%.0s' {1..256})"
check "diff from a snapshot that is not there is refused" refused 2 "no snapshot or branch 'none'" th diff "$image" none
check "diff to a snapshot that is not there is refused" refused 2 "no snapshot or branch 'none'" th diff "$image" one none

# --- holds ---
th snapshot hold "$image" backup one zwei && th snapshot hold "$image" 'my tag' one
tap "snapshot hold accepts several snapshots"
check "snapshot holds lists all holds" is 'one backup,one my\0040tag,zwei backup' "$(th snapshot holds "$image" | awk '{ print $1, $2 }' | paste -sd,)"
check "snapshot holds of one snapshot has the time" is 1 "$(TZ=UTC th snapshot holds "$image" zwei | grep -cE '^zwei  backup  20[0-9-]+ [0-9:]+ \+0000$')"
th snapshot holds --json "$image" one | tr -d ' \n' | grep -qE '^\[\{"snapshot":"one","tag":"backup","created_ns":[0-9]+\},\{"snapshot":"one","tag":"mytag",'
tap "snapshot holds --json has all holds"
check "snapshot list counts holds" is 'NAME HOLDS,one 2,zwei 1' "$(th snapshot list "$image" | awk '{ print $(NF - 1), $NF }' | paste -sd,)"
th snapshot list --json "$image" | tr -d ' \n' | grep -q '"holds":2.*"holds":1'
tap "snapshot list --json counts holds"
check "snapshot delete of a held snapshot is refused" refused 1 "snapshot 'one' is held by 'backup', 'my.*tag'; see thunderhead snapshot release" th snapshot delete "$image" one
check "snapshot hold with a tag that is taken is refused" refused 1 "snapshot 'one' is held by 'backup' already" th snapshot hold "$image" backup one
check "snapshot release of a tag that is not there changes nothing" refused 1 "snapshot 'zwei' is not held by 'my tag'" th snapshot release "$image" 'my tag' one zwei
check "snapshot hold of a snapshot that is not there changes nothing" refused 1 "no snapshot 'none'" th snapshot hold "$image" tag one none
check "snapshot release of a snapshot that is not there is refused" refused 1 "no snapshot 'none'" th snapshot release "$image" backup none
check "snapshot holds of a snapshot that is not there is refused" refused 1 "no snapshot 'none'" th snapshot holds "$image" none
check "an empty tag is refused" refused 1 'must not be empty' th snapshot hold "$image" '' one
check "a tag of 256 bytes is refused" refused 1 'at most 255 bytes' th snapshot hold "$image" "$(printf '%0256d' 1)" one
th snapshot rename "$image" one eins && is 2 "$(th snapshot holds "$image" eins | wc -l)" && th snapshot rename "$image" eins one
tap "a renamed snapshot keeps its holds"
check "check finds nothing wrong in an image with holds" th check "$image"
for tag in a b c; do th snapshot hold "$image" "$tag" one; done
check "a refusal names three tags and counts the others" refused 1 "is held by 'backup', 'my.*tag', 'a' and 2 more;" th snapshot delete "$image" one
for tag in a b c; do th snapshot release "$image" "$tag" one; done
th snapshot release "$image" backup one zwei && th snapshot release "$image" 'my tag' one && [ -z "$(th snapshot holds "$image")" ]
tap "snapshot release releases all holds"

name=$(th snapshot create "$image") && th snapshot delete --wait "$image" "$name"
tap "snapshot create without a name prints the one it chose"
check "mount on a directory that is not there is refused" refused 1 'No such file or directory' th mount "$image" "$work/nowhere"
check "mount on a file is refused" refused 1 'Not a directory' th mount "$image" "$image"
check "mount of a snapshot that is not there is refused" refused 1 "no snapshot|No such" th mount -o snapshot=none "$image" "$work/place"
check "mount with a malformed size is refused" refused 1 'cache' th mount -o cache=lots "$image" "$work/place"
check "mount with an unknown mode is refused" refused 1 'snapdir' th mount -o snapdir=somewhere "$image" "$work/place"
check "a directory of another filesystem is refused" refused 1 'not a directory of a mounted Thunderhead' th snapshot list "$work"
check "check finds nothing wrong at the end" th check "$image"

# --- an image in use ---
if ! can_mount; then
	tap_skip "commands refuse an image in use" "no /dev/fuse"
	tap_done
fi
start_detached "$image" "$work/mnt"
check "info of a mounted image names its mount point" refused 1 "in use.*$work/mnt" th info "$image"
check "mkfs --force of a mounted image is refused" refused 1 'in use' th mkfs --force "$image"
check "snapshot create in a mounted image is refused" refused 1 'in use' th snapshot create "$image" x
check "diff of a mounted image is refused" refused 2 'in use' th diff "$image" one
check "check of a mounted image is refused" refused 8 'in use' th check "$image"
check "a second mount is refused" refused 1 "($work/mnt|in use|busy)" th mount "$image" "$work/place"
check "the image is unlocked after umount" release "$work/mnt" "$image"
check "check finds nothing wrong after umount" th check "$image"
tap_done
