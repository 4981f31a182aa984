#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Real input.  A source tree is unpacked into a mount and compared with the original; a snapshot; many files are edited and a
# directory renamed; the diff says exactly that; the old directory is copied back out of the snapshot; all of it is the
# same after the next mount.
#   TH_REAL_ARCHIVE  a tar archive with one directory in it (the project's own sources)
#   TH_REAL_EDITS    files edited (50)
#   TH_REAL_SIZE     of the image (1G)
. "$(dirname "$0")/mount.sh"
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

# The edits: each changes the size, so that none can go unseen; every tenth file changes its mode only.
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
check "mkfs and mount" fresh "${TH_REAL_SIZE:-1G}" || tap_done
begin=$SECONDS
check "unpack" tar -xf "$archive" -C "$mnt"
say "unpacked in $((SECONDS - begin)) s"
# tar leaves the times of some directories as they come.
manifest -pp "$work/original" >"$work/manifest.original"
check "content, modes, times and links are the original's" same_as "$work/manifest.original" -pp "$mnt"
check "diff -r agrees" diff -r --no-dereference "$work/original/$top" "$mnt/$top"
manifest "$mnt" >"$work/manifest.before"
check "snapshot" th snapshot create "$mnt" before

# Directories one below the top; the one that is renamed is edited in too.
moved=$(cd "$mnt/$top" && find . -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort | head -1)
(cd "$mnt" && find "$top" -type f -links 1 -print0 | sort -z | shuf -z -n "$edits" --random-source=<(yes "$seed")) >"$work/edited"
check "edits" eval '(cd "$mnt" && edit_files)'
check "rename of a directory" mv "$mnt/$top/$moved" "$mnt/$top/moved elsewhere"
# A rename changes its directory too.  Names as diff -H shows them: awkward ones do not occur in these trees.
{
	tr '\0' '\n' <"$work/edited" | sed "s,^$top/$moved/,$top/moved\\\\0040elsewhere/,; s,^,M\t/,"
	printf 'M\t/%s\n' "$top"
	printf 'R\t/%s\t/%s\n' "$top/$moved" "$top/moved\\0040elsewhere"
} | sort >"$work/expected"
diff_is_exact() {
	th diff -H --stats "$mnt" before "$@" >"$work/diff" 2>"$work/stats"
	[ $? -eq 1 ] && sort "$work/diff" | diff - "$work/expected"
}
check "diff lists exactly that" diff_is_exact
say "$(cat "$work/stats")"
check "snapshot after" mkdir "$mnt/.snapshots/after"
check "diff of two snapshots" diff_is_exact after
check "the snapshot is what it was" same_as "$work/manifest.before" "$mnt/.snapshots/before"
check "copying the directory back out of the snapshot" cp -a "$mnt/$top/.snapshots/before/$moved" "$mnt/$top/$moved"
manifest -p "$mnt/$top/.snapshots/before/$moved" >"$work/manifest.moved"
check "it is the snapshot's" same_as "$work/manifest.moved" -p "$mnt/$top/$moved"
check "it is the original" diff -r --no-dereference "$work/original/$top/$moved" "$mnt/$top/$moved"
manifest "$mnt" >"$work/manifest.after"

check "unmount" stop
check "check" th check "$image"
check "mount" start "$image" "$mnt"
check "all is as it was" same_as "$work/manifest.after" "$mnt"
check "so is the snapshot" same_as "$work/manifest.before" "$mnt/.snapshots/before"
rm "$work/manifest.after"
check "the other one still gives the same diff" diff_is_exact after
check "unmount again" stop
check "check again" th check "$image"
tap_done
