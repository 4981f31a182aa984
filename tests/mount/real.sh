#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Real input.  A source tree is unpacked into a mount and equals the original.  After a snapshot many files are edited
# and a directory is renamed: the diff lists exactly these changes.  The old directory is copied back out of the
# snapshot.  All of it is the same after the next mount.
#   TH_REAL_ARCHIVE  a tar archive with one directory in it (the project's own sources)
#   TH_REAL_EDITS    files to edit (50)
#   TH_REAL_SIZE     size of the image (1G)
. "$(dirname "$0")/../support/mount_test.sh"
edits=${TH_REAL_EDITS:-50}
archive=${TH_REAL_ARCHIVE:-}
if [ -z "$archive" ]; then
	archive=$work/sources.tar
	tar -cf "$archive" --transform 's,^,sources/,' -C "$(dirname "$0")/../.." tests tree journal fs tools
fi

same_as() {
	manifest "${@:2}" >"$work/manifest.now" && cmp "$1" "$work/manifest.now" ||
		{ diff "$1" "$work/manifest.now" | head -20; false; }
}

# Each edit changes the size, so that a comparison cannot miss it; every tenth file changes its mode only.
edit_files() {
	local n=0 name
	while IFS= read -r -d '' name; do
		n=$((n + 1))
		if [ $((n % 10)) -eq 0 ]; then
			chmod 0600 "$name" || return 1
		else
			printf 'edit %d\n' "$n" >>"$name" || return 1
		fi
	done <"$work/edited"
}

mkdir "$work/original"
tar -xf "$archive" -C "$work/original"
top=$(ls "$work/original")
say "$(find "$work/original" -type f | wc -l) files, $(du -sm "$work/original" | cut -f1) MiB"
check "mkfs and mount" fresh "${TH_REAL_SIZE:-1G}"
begin=$SECONDS
check "the archive is unpacked" tar -xf "$archive" -C "$mnt"
say "unpacked in $((SECONDS - begin)) s"
# tar does not restore the times of some directories.
manifest -pp "$work/original" >"$work/manifest.original"
check "content, modes, times and links equal the original" same_as "$work/manifest.original" -pp "$mnt"
check "diff -r finds no difference from the original" diff -r --no-dereference "$work/original/$top" "$mnt/$top"
manifest "$mnt" >"$work/manifest.before"
check "a snapshot before the edits" th snapshot create "$mnt" before

# The directory that is renamed has edited files too.
moved=$(cd "$mnt/$top" && find . -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort | head -1)
(cd "$mnt" && find "$top" -type f -links 1 -print0 | sort -z | shuf -z -n "$edits" --random-source=<(yes "$seed")) >"$work/edited"
check "files are edited" eval '(cd "$mnt" && edit_files)'
check "a directory is renamed" mv "$mnt/$top/$moved" "$mnt/$top/moved elsewhere"
# A rename changes its directory too.  Apart from the new one, no name in these trees needs the escapes of diff -H.
{
	tr '\0' '\n' <"$work/edited" | sed "s,^$top/$moved/,$top/moved\\\\0040elsewhere/,; s,^,M\t/,"
	printf 'M\t/%s\n' "$top"
	printf 'R\t/%s\t/%s\n' "$top/$moved" "$top/moved\\0040elsewhere"
} | sort >"$work/expected"
diff_is_exact() {
	th diff -H --stats "$mnt" before "$@" >"$work/diff" 2>"$work/stats"
	[ $? -eq 1 ] && sort "$work/diff" | diff - "$work/expected"
}
check "diff lists exactly these changes" diff_is_exact
say "$(cat "$work/stats")"
check "a snapshot after the edits" mkdir "$mnt/.snapshots/after"
check "diff of the two snapshots lists exactly these changes" diff_is_exact after
check "the first snapshot is unchanged" same_as "$work/manifest.before" "$mnt/.snapshots/before"
check "the directory is copied back out of the snapshot" cp -a "$mnt/$top/.snapshots/before/$moved" "$mnt/$top/$moved"
manifest -p "$mnt/$top/.snapshots/before/$moved" >"$work/manifest.moved"
check "the copy equals the snapshot" same_as "$work/manifest.moved" -p "$mnt/$top/$moved"
check "the copy equals the original" diff -r --no-dereference "$work/original/$top/$moved" "$mnt/$top/$moved"
manifest "$mnt" >"$work/manifest.after"

check "unmount" stop
check "nothing is wrong in the image" th check "$image"
check "the image mounts again" start "$image" "$mnt"
check "the tree is equal after the next mount" same_as "$work/manifest.after" "$mnt"
check "the snapshot is equal after the next mount" same_as "$work/manifest.before" "$mnt/.snapshots/before"
rm "$work/manifest.after"
check "diff of the snapshots is the same after the next mount" diff_is_exact after
check "unmount again" stop
check "nothing is wrong in the image at the end" th check "$image"
tap_done
