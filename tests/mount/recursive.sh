#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Programs that delete, copy or synchronise whole trees must not create, delete or change a snapshot, however
# .snapshots is listed.  Programs that are not installed are skipped.
. "$(dirname "$0")/../support/mount_test.sh"
mkdir "$work/empty" "$work/keep" "$work/other"
echo keep >"$work/keep/kept"

# The working files; their second version is not in any snapshot.
fill() {
	mkdir -p "$mnt/doc/deep/er" "$mnt/bare" "$mnt/.hidden" && echo "$1" >"$mnt/doc/file" && echo "$1" >"$mnt/doc/deep/er/file" &&
		echo "$1" >"$mnt/top" && echo "$1" >"$mnt/.hidden/file" && ln -sfn doc "$mnt/link"
}
# The names of the snapshots and everything in them
snapshots() {
	th snapshot list -H -p -o number,name,created "$mnt" && tar -cC "$mnt/.snapshots" --sort=name one two | b2sum
}
before=  # snapshots()
removed= # a path that the program must have removed
unchanged() {
	local after
	after=$(snapshots) && [ "$before" = "$after" ] && return
	diag "before:" "$before" "after:" "$after"
	return 1
}
# The program's status does not matter: it may fail on what it cannot delete.
program_then_snapshots() {
	"$@" </dev/null
	printf 'status %d\n' $?
	unchanged && { [ -z "$removed" ] || [ ! -e "$removed" ]; }
}
# safe NAME COMMAND... : the snapshots are unchanged after the command.  Then the files are there again for the next one.
safe() {
	local name=$1
	shift
	if command -v "$1" >/dev/null || [ "$(type -t "$1")" = function ]; then
		check "$mode: $name" program_then_snapshots "$@"
	else
		tap_skip "$mode: $name" "$1 is not installed"
	fi
	rm -rf "$mnt/doc/doc" "$mnt/bare" 2>/dev/null
	fill 2 || bail_out "the files could not be made again after $name"
}
# removes NAME COMMAND... : as safe, and where .snapshots is not listed the command removes the directory doc
removes() {
	[ "$mode" != hidden ] || removed=$mnt/doc
	safe "$@"
	removed=
}
# left NAME... : what a program that removed everything else must have left in the root
left() {
	is "$*" "$(ls -A "$mnt" | grep -vx .snapshots | tr '\n' ' ' | sed 's/ $//')"
}

rsync_restores() {
	rsync -a --delete "$mnt/.snapshots/one/" "$mnt/"
	is 1 "$(cat "$mnt/doc/file")"
}
rsync_nightly() {
	rsync -a --delete "$work/keep/" "$mnt/" && left kept
}
git_clean() {
	git -C "$mnt" init -q && git -C "$mnt" clean -qfdx
	rm -rf "$mnt/.git"
}
tar_moves() {
	tar -cf "$work/moved.tar" -C "$mnt" --remove-files .
	rm "$work/moved.tar"
}
rm_content() {
	(shopt -s dotglob && rm -rf "$mnt"/*)
}
copy_over_itself() {
	cp -a "$mnt/." "$mnt/doc/"
}
# Proves that the modes differ.
descends() {
	find "$mnt" -path '*/.snapshots/one/*' | grep -q .
}

programs() {
	removes "find -delete" find "$mnt" -mindepth 1 -delete
	removes "find -xdev -delete" find "$mnt" -xdev -mindepth 1 -delete
	safe "find -exec rmdir" find "$mnt" -depth -mindepth 1 -type d -exec rmdir {} +
	removes "rm -rf of all names" rm_content
	removes "rm -rf of the mount point" rm -rf "$mnt"
	removes "rm -rf --one-file-system" rm -rf --one-file-system "$mnt"
	safe "rm -rf of an empty directory" rm -rf "$mnt/bare"
	removes "rm -rf of a full directory" rm -rf "$mnt/doc"
	safe "rm -rf of .snapshots" rm -rf "$mnt/.snapshots.d" "$mnt/link"
	removes "rsync -a --delete from another tree" rsync_nightly
	removes "rsync -a --delete --force --ignore-errors of an empty tree" rsync -a --delete --force --ignore-errors "$work/empty/" "$mnt/"
	removes "rsync --delete-before" rsync -a --delete-before "$work/empty/" "$mnt/"
	removes "rsync --delete-excluded" rsync -a --delete-excluded --exclude doc "$work/keep/" "$mnt/"
	safe "rsync --remove-source-files" rsync -a --remove-source-files "$mnt/" "$work/taken/"
	safe "rsync -a --delete from a snapshot restores the root" rsync_restores
	removes "mv of all names" eval 'mkdir "$work/moved" && (shopt -s dotglob && mv "$mnt"/* "$work/moved"); rm -rf "$work/moved"'
	removes "tar --remove-files" tar_moves
	safe "cp -a of the root into a directory" copy_over_itself
	safe "cp -al" cp -al "$mnt/." "$mnt/bare/"
	safe "chmod -R" chmod -R u+w,g+w "$mnt"
	safe "chown -R" chown -R "$(id -u):$(id -g)" "$mnt"
	removes "python3 shutil.rmtree" python3 -c "import shutil; shutil.rmtree('$mnt', ignore_errors=True)"
	removes "python3 os.walk bottom-up" python3 -c "
import os
for at, dirs, files in os.walk('$mnt', topdown=False):
    for name in files + dirs:
        path = os.path.join(at, name)
        try:
            os.unlink(path) if os.path.islink(path) or not os.path.isdir(path) else os.rmdir(path)
        except OSError: pass"
	removes "perl remove_tree" perl -MFile::Path=remove_tree -e "remove_tree('$mnt', {keep_root => 1})"
	removes "node rmSync" node -e "const fs = require('fs'); for (const name of fs.readdirSync('$mnt'))
		try { fs.rmSync('$mnt/' + name, {recursive: true, force: true}) } catch (e) {}"
	removes "git clean -fdx" git_clean
	removes "busybox rm -rf" busybox rm -rf "$mnt"
	removes "busybox find -exec rm" busybox find "$mnt" -depth -mindepth 1 -exec rm -d {} \;
	removes "rclone sync" rclone sync "$work/keep" "$mnt"
	removes "rclone purge" rclone purge "$mnt/doc"
}

# --- deletion and synchronisation, in each mode ---

for mode in hidden root visible; do
	check "mkfs, and mount with snapdir=$mode" fresh 64M -o "snapdir=$mode"
	fill 1 && th snapshot create "$mnt" one && fill 2 && th snapshot create "$mnt" two || bail_out "no snapshots in mode $mode"
	case $mode in
	hidden) check "$mode: a program that descends does not see snapshots" not descends ;;
	*) check "$mode: a program that descends sees snapshots" descends ;;
	esac
	before=$(snapshots)
	programs
	check "$mode: unmount" stop
	check "$mode: nothing is wrong in the image" th check "$image"
done

# --- copies of one filesystem to another: the copy has no snapshots of its own ---

second=$work/second
# From a mount that lists .snapshots a copy fails on that directory, and copies the rest.
copied() {
	$how "$mnt/." "$work/other/" || [ "$mode" != hidden ] || return
	cmp "$mnt/doc/file" "$work/other/doc/file" && cmp "$mnt/top" "$work/other/top"
}
for mode in hidden root visible; do
	for how in "cp -a" "rsync -a"; do
		command -v "${how%% *}" >/dev/null || continue
		check "$how: mkfs and mount with snapdir=$mode" fresh 64M -o "snapdir=$mode"
		fill 1 && th snapshot create "$mnt" one && fill 2 && th snapshot create "$mnt" two || bail_out "no snapshots"
		before=$(snapshots)
		th mkfs --force --size 64M "$second" && start_detached -o "snapdir=$mode" "$second" "$work/other" ||
			bail_out "no second filesystem"
		check "$mode: $how copies the files to another filesystem" copied
		check "$mode: $how makes no snapshot there" eval 'is "" "$(th snapshot list "$work/other")" && unchanged'
		check "$mode: unmount both after $how" eval 'release "$work/other" "$second" && stop'
	done
done

# What the manual says of a copy of listed snapshots to a filesystem that takes snapshots by mkdir(1)
check "mkfs and mount with snapdir=root, to be copied to a mount that hides it" fresh 64M -o snapdir=root
fill 1 && th snapshot create "$mnt" one && fill 2 || bail_out "no snapshots"
th mkfs --force --size 64M "$second" && start_detached "$second" "$work/other" || bail_out "no second filesystem"
copy_of_listed() {
	! cp -a "$mnt/." "$work/other/" 2>"$work/said" && grep -q 'Read-only file system' "$work/said" && cmp "$mnt/top" "$work/other/top" &&
		[ "$(th snapshot list -H "$work/other" | wc -l)" -eq 1 ] && th snapshot delete "$work/other" one && rm -rf "${work:?}/other/"* &&
		rsync -a --exclude .snapshots "$mnt/" "$work/other/" && [ -z "$(th snapshot list "$work/other")" ]
}
check "cp -a of listed snapshots takes snapshots and fails, and without .snapshots succeeds" copy_of_listed
check "unmount both at the end" eval 'release "$work/other" "$second" && stop'
tap_done
