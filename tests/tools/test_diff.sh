#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# thunderhead diff: the path that limits it, replaced and renamed files, deep trees, and names on a terminal and elsewhere.
. "$(dirname "$0")/../support/tap.sh"

if ! can_mount; then
	tap_skip "diff of a mounted filesystem" "no /dev/fuse"
	tap_done
fi
image=$work/a.img
mnt=$work/mnt

th mkfs --size 64M "$image" && start_detached "$image" "$mnt"
tap "mkfs and mount"

# --- paths, replaced and renamed files ---

mkdir "$mnt/old" "$mnt/old/sub" && printf 1 >"$mnt/old/sub/f" && printf 1 >"$mnt/old/saved" && printf 1 >"$mnt/old/type" && th snapshot create "$mnt" paths
tap "a directory is made, and a snapshot taken"
mv "$mnt/old" "$mnt/renamed" && chmod 700 "$mnt/renamed" && printf 2 >"$mnt/renamed/.saved.tmp" &&
	mv "$mnt/renamed/.saved.tmp" "$mnt/renamed/saved" && rm "$mnt/renamed/type" && mkdir "$mnt/renamed/type"
tap "it is renamed, and files in it are replaced"
both='R	/old -> /renamed
M	/renamed'
check "diff --path takes the old name of a directory above" is "$both" "$(th diff "$mnt" paths --path /old/sub/f)"
check "diff --path takes the new name too" is "$both" "$(th diff "$mnt" paths --path //renamed/sub/)"
th diff "$mnt" paths --path /nosuch 2>"$work/said"
[ $? -eq 2 ] && grep -q "neither side of the diff has the path '/nosuch'" "$work/said" && [ "$(wc -l <"$work/said")" -eq 1 ]
tap "diff --path of what is on neither side is an error"
saved='M	/renamed/saved
+	/renamed/type
-	/old/type'
check "a file saved by an editor is modified, one replaced by a directory is not" is "$saved" "$(th diff "$mnt" paths | grep -e saved -e type | sort -t/ -k3)"
check "diff --strict shows it as removed and added" is 2 "$(th diff --strict "$mnt" paths | grep -c '[-+]	/[a-z]*/saved')"
th diff --json "$mnt" paths | grep '"path":"/renamed/saved"' | grep -q '"old_path":"/old/saved".*"replaced_inode":[0-9]*.*"changed":\["content"'
tap "diff --json has the inode that was replaced"
check "diff -0 says that a file was renamed and changed" is "R	/old /renamed M	/renamed" "$(th diff -0 "$mnt" paths --path /old/sub | tr '\0' ' ' | sed 's/ $//')"

# --- names ---

printf 1 >"$mnt/renamed/"$'\e[2J \377' && printf 1 >"$mnt/renamed/größe"
terminal=$(script -qec "'$THUNDERHEAD' diff '$mnt' paths --path /renamed" /dev/null | tr -d '\r')
grep -qxF "+	\$'/renamed/\\033[2J \\377'" <<<"$terminal" && grep -qxF '+	/renamed/größe' <<<"$terminal"
tap "diff quotes names on a terminal, and shows UTF-8"
words=$(th diff "$mnt" paths --path /renamed)
grep -qxF '+	/renamed/\0033[2J\0040\0377' <<<"$words" && grep -qxF '+	/renamed/größe' <<<"$words"
tap "diff prints names as words elsewhere"
th diff "$mnt" $'\e[2J' 2>"$work/said"
grep -qF "'\0033[2J'" "$work/said" && ! grep -q $'\e' "$work/said"
tap "errors have no control characters"

# --- hard links ---

printf 1 >"$mnt/linked" && ln "$mnt/linked" "$mnt/other" && th snapshot create "$mnt" links
tap "a file with two names is made"
printf 2 >"$mnt/.tmp" && mv "$mnt/.tmp" "$mnt/linked"
links='M	/
M	/linked	(-1)
M	/other	(-1)'
check "a name that was replaced and the name that is left have one link less" is "$links" "$(th diff "$mnt" links)"
check "diff --path takes one of the names" is 'M	/other	(-1)' "$(th diff "$mnt" links --path /other)"

# --- a tree that is deeper than any path can be ---

# deep LEVELS : makes them, below the root, by a program that changes into each
deep() {
	(cd "$mnt" && python3 -c "
import os
for level in range($1):
    os.mkdir('0123456789')
    os.chdir('0123456789')
")
}
th snapshot create "$mnt" shallow && deep 3000
tap "directories are made, each in the one before"
th diff "$mnt" shallow >"$work/deep"
[ $? -eq 1 ] && is 3001 "$(wc -l <"$work/deep")"
tap "diff lists each of them"
longest=$(awk '{ if (length($0) > most) { most = length($0); line = $0 } } END { print most }' "$work/deep")
[ "$longest" -le 4098 ] && grep -qE '//\.\.\.[0-9]+\.\.\.//' "$work/deep"
tap "the middle of long paths is left out, and marked"
check "a limited diff is not disturbed by them" is 'M	/other	(-1)' "$(th diff "$mnt" links --path /other)"

check "the image is unlocked after umount" release "$mnt" "$image"
check "check finds nothing wrong" th check "$image"
tap_done
